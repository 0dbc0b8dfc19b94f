// Command messages writes documents with the messages in the place of their envelopes, as servers serve them at
// /openapi/<name>.clear.json: scripts/lint holds what is inside a sealed message against what was released.
//
//	go run ./scripts/openapi/messages FROM TO
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/impl/docs"
)

func main() {
	if len(os.Args) != 3 { //nolint:mnd // the program, and two folders
		fmt.Fprintln(os.Stderr, "usage: messages FROM TO")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "messages:", err)
		os.Exit(1)
	}
}

// write writes every document that stands in a folder into another, as <name>.json.
func write(from, to string) error {
	fsys := os.DirFS(from)
	names, err := contract.Names(fsys)
	if err != nil {
		return err
	}
	for _, name := range names {
		whole, err := bundle.Of(fsys, name)
		if err != nil {
			return err
		}
		text, err := docs.Clear(whole).JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name+".json"), text, 0o600); err != nil { //nolint:gosec // whoever runs it says where
			return err
		}
	}
	return nil
}
