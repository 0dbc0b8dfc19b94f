// Command opened prints an OpenAPI document as JSON with what is inside of its sealed messages in the
// place of their envelopes (x-decrypted-schema), for tools that see nothing but what stands there:
//
//	go run ./scripts/openapi/opened FILE
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pinvault/impl/contract"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "opened:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: opened FILE")
	}
	dir, base := filepath.Split(args[0])
	bundle, err := contract.Bundle(os.DirFS(filepath.Clean(dir)), strings.TrimSuffix(base, ".yaml"))
	if err != nil {
		return err
	}
	var document any
	if err := json.Unmarshal(bundle, &document); err != nil {
		return err
	}
	open(document)
	return json.NewEncoder(os.Stdout).Encode(document)
}

// open replaces the schema of each content that is sealed, wherever in node it stands.
func open(node any) {
	switch node := node.(type) {
	case map[string]any:
		if name := contract.MessageSchema(node); name != "" {
			node["schema"] = map[string]any{"$ref": "#/components/schemas/" + name}
		}
		for _, child := range node {
			open(child)
		}
	case []any:
		for _, child := range node {
			open(child)
		}
	}
}
