// Command changes writes what changed in each document since it was released as /docs shows it, from what oasdiff found.
//
//	go run ./scripts/openapi/changes FROM RELEASED NOW TO
//
// FROM has a folder for each document, and in it what `oasdiff changelog --format json` said: of the document, and of the
// messages inside where it seals some. RELEASED and NOW have the documents themselves as <name>.json, with the messages in
// the place of their envelopes. TO gets <name>.json, a change a line. Where a change stands in a document is left
// out: it would be another with every line that is added before it.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

func main() {
	if len(os.Args) != 5 { //nolint:mnd // the program, and four folders
		fmt.Fprintln(os.Stderr, "usage: changes FROM RELEASED NOW TO")
		os.Exit(2)
	}
	if err := write(os.DirFS(os.Args[1]), os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "changes:", err)
		os.Exit(1)
	}
}

func write(from fs.FS, released, now, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	documents, err := fs.ReadDir(from, ".")
	if err != nil {
		return err
	}
	for _, d := range documents {
		files, err := fs.Glob(from, d.Name()+"/*")
		if err != nil {
			return err
		}
		var all []change
		for _, file := range files {
			said, err := fs.ReadFile(from, file)
			if err != nil {
				return err
			}
			found, err := changes(said)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			all = append(all, found...)
		}
		both, err := read(released, now, d.Name())
		if err != nil {
			return err
		}
		if err := root.WriteFile(d.Name()+".json", lines(both.weighed(all)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// read is a document as it was released, and as it is.
func read(released, now, name string) (both versions, err error) {
	both.released, err = openapi3.NewLoader().LoadFromFile(filepath.Join(released, name+".json"))
	if err != nil {
		return both, err
	}
	both.now, err = openapi3.NewLoader().LoadFromFile(filepath.Join(now, name+".json"))
	return both, err
}

// change is one that the caller of a contract may notice. What operations share, such as a schema, has no method and
// no path.
type change struct {
	Level  string `json:"level"`
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	Text   string `json:"text"`
}

// levels are oasdiff's: INFO, WARN and ERR.
var levels = map[int]string{1: "compatible", 2: "unclear", 3: "breaking"}

// changes are those that oasdiff found, but not what it says of the document's version.
func changes(said []byte) (all []change, err error) {
	var found []struct {
		Level                          int
		Text, Operation, Path, Section string
	}
	if err := json.Unmarshal(said, &found); err != nil {
		return nil, err
	}
	for _, f := range found {
		level, known := levels[f.Level]
		if !known {
			return nil, fmt.Errorf("level %d means nothing", f.Level)
		}
		if f.Section != "info" {
			// Told where a body may be sealed as well: that is about the message, whichever way it goes.
			text := strings.TrimSuffix(f.Text, " (media type: application/json)")
			all = append(all, change{level, f.Operation, f.Path, text})
		}
	}
	return all, nil
}

// lines are changes as JSON, each once, in an order of their own.
func lines(all []change) []byte {
	slices.SortFunc(all, func(a, b change) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method), strings.Compare(a.Level, b.Level), strings.Compare(a.Text, b.Text))
	})
	var out bytes.Buffer
	e := json.NewEncoder(&out) // a change a line
	e.SetEscapeHTML(false)
	before := "[\n"
	for _, c := range slices.Compact(all) {
		out.WriteString(before)
		before = ","
		if err := e.Encode(c); err != nil {
			panic(err) // of texts, which always can be
		}
	}
	if len(all) == 0 {
		return []byte("[]\n")
	}
	out.WriteString("]\n")
	return out.Bytes()
}
