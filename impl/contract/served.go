package contract

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// Serving is Load for a server that shows nobody the document: what only readers need, prose and examples, two thirds of the text,
// is left out before it is read. It checks as the whole does, in a third of the time and memory.
//
// [Document.Whole] has the rest.
func Serving(fsys fs.FS, name string, options ...Option) (*Document, error) {
	d, err := load(served{fsys}, name, false, options)
	if err != nil {
		return nil, err
	}
	d.whole = sync.OnceValues(func() (*Document, error) {
		whole, err := Load(fsys, name, options...)
		if err != nil {
			return nil, fmt.Errorf("what readers need of it: %w", err)
		}
		return whole, nil
	})
	return d, nil
}

// Whole is the document with prose and examples. It is read when it is first asked for, where this one is without.
func (d *Document) Whole() (*Document, error) {
	if d.whole == nil {
		return d, nil
	}
	return d.whole()
}

// served are documents without what only readers need. Lines stay where they are, for findings and for the order of violations.
type served struct{ fs.FS }

// ReadFile is fs.ReadFileFS's.
func (s served) ReadFile(name string) ([]byte, error) {
	text, err := fs.ReadFile(s.FS, name)
	return withoutProse(text), err
}

// forReaders are the members that no check looks at. A description has to be there, if with no text.
var forReaders = map[string]bool{"description": true, "summary": true, "example": true, "examples": true,
	"x-advice": true, "x-codeSamples": true, "x-decrypted": true, "x-error-reference": true, "x-origin": true}

// holders are the members whose own members bear names of the document's: a property may be called description.
var holders = map[string]bool{"properties": true, "schemas": true, "parameters": true, "headers": true, "requestBodies": true, "responses": true,
	"securitySchemes": true, "paths": true, "content": true, "scopes": true, "x-scopes": true, "mapping": true, "links": true, "callbacks": true}

// withoutProse empties the lines of what is for readers, by their indentation, without reading YAML, which is what takes so long.
// What stands in braces on one line stays.
func withoutProse(text []byte) []byte {
	type member struct {
		indent int
		key    string
	}
	var above []member // those that the line is inside of
	skipped := -1      // the indentation of the member that is left out, -1: none
	out := bytes.NewBuffer(make([]byte, 0, len(text)/2))
	for line := range bytes.Lines(text) {
		rest := bytes.TrimLeft(line, " ")
		indent := len(line) - len(rest)
		blank := len(bytes.TrimSpace(rest)) == 0
		listed := bytes.HasPrefix(rest, []byte("- "))
		if skipped >= 0 && (blank || indent > skipped || indent == skipped && listed) {
			out.WriteByte('\n')
			continue
		}
		skipped = -1
		for bytes.HasPrefix(rest, []byte("- ")) {
			rest, indent = rest[2:], indent+2
		}
		key, value, found := bytes.Cut(rest, []byte(":"))
		if !found || len(value) > 0 && value[0] != ' ' && value[0] != '\n' {
			out.Write(line)
			continue
		}
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		named := len(above) > 0 && holders[above[len(above)-1].key]
		if forReaders[string(key)] && !named && !listed {
			skipped = indent
			if string(key) == "description" {
				out.WriteString(strings.Repeat(" ", indent) + "description: ''")
			}
			out.WriteByte('\n')
			continue
		}
		above = append(above, member{indent, string(key)})
		out.Write(line)
	}
	return out.Bytes()
}
