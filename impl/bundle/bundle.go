// Package bundle makes of the documents in openapi/ what readers and their tools are handed. It knows YAML and how
// documents refer to each other, and nothing of what they say.
package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is a document in one piece, in the order in which it was written, and without what only some readers of
// YAML understand. What it refers to in other files stands among its own components, anchors and merge keys are
// written out, and comments, which are for whoever changes the document, are gone.
type Document struct{ root *yaml.Node }

// ExampleServer is the address of the server wherever a document shows one: see [Document.At].
const ExampleServer = "http://127.0.0.1:8080"

// Of makes the bundle of <name>.yaml in fsys.
func Of(fsys fs.FS, name string) (*Document, error) {
	b := bundler{fsys: fsys, own: name + ".yaml", files: map[string]*yaml.Node{}, taken: map[string]bool{}}
	root, err := b.file(b.own)
	if err == nil {
		err = b.bring(root, b.own)
	}
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", name, err)
	}
	return &Document{root}, nil
}

// At is the document as the server at this URL serves it: calls go there, those for tokens and of its samples too.
func (d *Document) At(url string) *Document {
	url = strings.TrimRight(url, "/")
	root := edited(d.root, func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			n.Value = strings.ReplaceAll(n.Value, ExampleServer, url)
		}
	})
	var addresses []*yaml.Node
	for _, server := range itemsOf(member(root, "servers")) {
		addresses = append(addresses, member(server, "url"))
	}
	for _, scheme := range Values(member(member(root, "components"), "securitySchemes")) {
		for _, flow := range Values(member(scheme, "flows")) {
			addresses = append(addresses, member(flow, "tokenUrl"))
		}
	}
	for _, at := range addresses {
		if at != nil && strings.HasPrefix(at.Value, "/") {
			at.Value = url + strings.TrimRight(at.Value, "/")
		}
	}
	return &Document{root}
}

// Text is the text at the end of a path of members.
func (d *Document) Text(path ...string) (string, error) {
	n := d.root
	for _, name := range path {
		n = member(n, name)
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("there is no text at %s", strings.Join(path, "/"))
	}
	return n.Value, nil
}

// Edited is the document after every one of its nodes was changed, from the inside out: each is a copy, and so is
// all that is within.
func (d *Document) Edited(change func(*yaml.Node)) *Document {
	return &Document{edited(d.root, change)}
}

// Changed is the document after a change of a copy of its root.
func (d *Document) Changed(change func(root *yaml.Node)) *Document {
	root := Copy(d.root)
	change(root)
	return &Document{root}
}

// YAML is it as YAML 1.2.
func (d *Document) YAML() ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	err := e.Encode(d.root)
	return out.Bytes(), err
}

// Decode reads it into a value, as yaml.v3 does.
func (d *Document) Decode(into any) error { return d.root.Decode(into) }

// JSON is it as JSON.
func (d *Document) JSON() ([]byte, error) { return JSON(d.root) }

// JSON is a node as JSON, in the order in which it was written.
func JSON(n *yaml.Node) ([]byte, error) {
	var compact, out bytes.Buffer
	if err := writeJSON(&compact, n); err != nil {
		return nil, err
	}
	err := json.Indent(&out, compact.Bytes(), "", "  ")
	return out.Bytes(), err
}

// bundler brings into one document what it refers to.
type bundler struct {
	fsys  fs.FS
	own   string
	files map[string]*yaml.Node // read so far
	taken map[string]bool       // references to other files whose targets are in the document
}

// file is a file, read once and plain.
func (b *bundler) file(name string) (*yaml.Node, error) {
	if root := b.files[name]; root != nil {
		return root, nil
	}
	text, err := fs.ReadFile(b.fsys, name)
	if err != nil {
		return nil, err
	}
	var parsed yaml.Node
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(parsed.Content) != 1 || parsed.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s is no object", name)
	}
	root := plain(parsed.Content[0])
	b.files[name] = root
	return root, nil
}

// bring has every reference of a node, which stands in a file, lead into the document.
func (b *bundler) bring(n *yaml.Node, file string) error {
	if ref := member(n, "$ref"); ref != nil && ref.Kind == yaml.ScalarNode {
		return b.lead(ref, file)
	}
	for _, inner := range n.Content {
		if err := b.bring(inner, file); err != nil {
			return err
		}
	}
	return nil
}

// lead changes one reference, and takes over what it leads to.
func (b *bundler) lead(ref *yaml.Node, file string) error {
	target, pointer, _ := strings.Cut(ref.Value, "#")
	if target = path.Clean(target); target == "." {
		target = file
	}
	if target == b.own {
		ref.Value = "#" + pointer
		return nil
	}
	steps := strings.Split(pointer, "/")
	if len(steps) != 4 || steps[0] != "" || steps[1] != "components" {
		return fmt.Errorf("%s refers to %s: only components of other files can be taken over", file, ref.Value)
	}
	ref.Value = "#" + pointer
	if b.taken[target+"#"+pointer] {
		return nil
	}
	b.taken[target+"#"+pointer] = true
	return b.take(target, steps[2], steps[3])
}

// take copies a component of another file into the document, under its own name. A component of the document
// that is nothing but the reference to it is replaced by it; any other of that name is another thing, and one
// of them has to be renamed.
func (b *bundler) take(file, kind, name string) error {
	source, err := b.file(file)
	if err != nil {
		return err
	}
	found := member(member(member(source, "components"), kind), name)
	if found == nil {
		return fmt.Errorf("%s has no components/%s/%s", file, kind, name)
	}
	component := Copy(found)
	all := entry(entry(b.files[b.own], "components"), kind)
	if own := member(all, name); own == nil {
		*entry(all, name) = *component
	} else if to := member(own, "$ref"); to != nil && strings.HasSuffix(to.Value, "#/components/"+kind+"/"+name) {
		*own = *component
	} else {
		return fmt.Errorf("%s and %s both have components/%s/%s: rename one", b.own, file, kind, name)
	}
	return b.bring(member(all, name), file)
}

// plain is a node with what its aliases and merge keys stand for in their places, without comments, and with nothing
// but what JSON has.
func plain(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return plain(n.Alias)
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style, Value: n.Value}
	if n.Tag == "!!null" { // or nothing at all would be written
		out.Value = "null"
	}
	if n.Tag == "!!timestamp" { // which JSON does not have, and some readers make a time of
		out.Tag, out.Style = "!!str", yaml.SingleQuotedStyle
	}
	if n.Kind != yaml.MappingNode {
		for _, inner := range n.Content {
			out.Content = append(out.Content, plain(inner))
		}
		return out
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], plain(n.Content[i+1])
		if key.Tag != "!!merge" {
			out.Content = append(out.Content, plain(key), value)
			continue
		}
		for _, merged := range append(itemsOf(value), value) {
			for j := 0; merged.Kind == yaml.MappingNode && j < len(merged.Content); j += 2 {
				// What stands there itself counts, and of what is merged the first.
				if name := merged.Content[j].Value; written(n, name) == nil && member(out, name) == nil {
					out.Content = append(out.Content, merged.Content[j], merged.Content[j+1])
				}
			}
		}
	}
	return out
}

// written is what a mapping has under a name by itself, however that is written.
func written(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == name && n.Content[i].Tag != "!!merge" {
			return n.Content[i+1]
		}
	}
	return nil
}

// Member is a mapping's value by its name, nil where there is none.
func Member(n *yaml.Node, name string) *yaml.Node { return member(n, name) }

// Values are a mapping's values, or a sequence's items.
func Values(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return itemsOf(n)
	}
	var all []*yaml.Node
	for i := 1; i < len(n.Content); i += 2 {
		all = append(all, n.Content[i])
	}
	return all
}

// Set adds a scalar to a mapping that has none of the name.
func Set(n *yaml.Node, name, tag, value string) {
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value})
}

// Names are a mapping's, in their order.
func Names(n *yaml.Node) []string {
	var all []string
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		all = append(all, n.Content[i].Value)
	}
	return all
}

// Mapping is one without members.
func Mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// Put has a mapping have a value under a name, in its place, at the end where there is none.
func Put(n *yaml.Node, name string, value *yaml.Node) { *entry(n, name) = *value }

// Drop takes a member out of a mapping, if it is there.
func Drop(n *yaml.Node, name string) {
	if i := slices.Index(Names(n), name); i >= 0 {
		n.Content = slices.Delete(n.Content, 2*i, 2*i+2)
	}
}

// Lookup is what a reference within a document (#/components/schemas/Card) leads to, nil for nothing.
func Lookup(root *yaml.Node, ref string) *yaml.Node {
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		root = member(root, step)
	}
	return root
}

// Copy is a copy of a node and all that is within.
func Copy(n *yaml.Node) *yaml.Node { return edited(n, func(*yaml.Node) {}) }

// member is [Member].
func member(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	return written(n, name)
}

// entry is a mapping's value by its name, an empty mapping at its end where there is none.
func entry(n *yaml.Node, name string) *yaml.Node {
	if found := member(n, name); found != nil {
		return found
	}
	fresh := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	n.Style = 0 // or a short one written in a line would become a long line
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, fresh)
	return fresh
}

// itemsOf are those of a sequence.
func itemsOf(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return slices.Clone(n.Content)
}

// edited is a copy of a node in which every node was changed, from the inside out.
func edited(n *yaml.Node, change func(*yaml.Node)) *yaml.Node {
	out := *n
	out.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		out.Content[i] = edited(n.Content[i], change)
	}
	change(&out)
	return &out
}

// writeJSON writes a node's JSON, its members in their order.
func writeJSON(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for i := 0; i < len(n.Content); i += 2 {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeValue(out, n.Content[i].Value); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := writeJSON(out, n.Content[i+1]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
		return nil
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	}
	switch tag := n.ShortTag(); {
	case tag == "!!str":
		return writeValue(out, n.Value)
	case (tag == "!!int" || tag == "!!float") && !strings.ContainsAny(n.Value, ".eE") && json.Valid([]byte(n.Value)):
		// An integer with all its digits, of which Go's numbers may have fewer.
		out.WriteString(n.Value)
		return nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return err
	}
	return writeValue(out, value)
}

func writeValue(out *bytes.Buffer, value any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	out.Truncate(len(bytes.TrimRight(out.Bytes(), "\n")))
	return err
}
