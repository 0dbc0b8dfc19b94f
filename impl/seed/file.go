package seed

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/sandbox"
)

// File is a seed that keeps the schema. Whether it can be sown, a vault will tell.
type File struct {
	name   string
	schema *Schema
	alone  bool
	items  map[string][]item
	names  map[string]string // of cards, by their ids
}

// item is a program, key, client or card of a file.
type item struct {
	at    place
	value map[string]any
}

// lists are the lists of a file and what their items are, in the order in which they are sown.
var lists = []struct{ name, schema string }{
	{"programs", "SeedProgram"}, {"keys", "SeedKey"}, {"clients", "SeedClient"}, {"cards", "SeedCard"},
}

// Read reads a file of this name. What is wrong with it is an [*Error].
func Read(name string, text []byte, schema *Schema) (*File, error) {
	f := &File{name: name, schema: schema, items: map[string][]item{}}
	root, value, err := decode(text)
	if err != nil {
		return nil, f.unread(err)
	}
	top := place{node: root}
	if err := f.refused(f.check(top, "Seed", outline(value))); err != nil {
		return nil, err
	}
	f.alone = object(value)["fixtures"] == false
	var faults []Fault
	for _, list := range lists {
		items, _ := object(value)[list.name].([]any)
		for i, value := range items {
			one := item{place{top.under("/" + list.name + "/" + strconv.Itoa(i)), fmt.Sprintf("%s[%d]", list.name, i)}, object(value)}
			faults = append(faults, f.check(one.at, list.schema, value)...)
			f.items[list.name] = append(f.items[list.name], one)
		}
	}
	if faults == nil {
		faults = f.nameCards()
	}
	if err := f.refused(faults); err != nil {
		return nil, err
	}
	return f, nil
}

// nameCards notes the names of the cards. One that two have, or a card of the fixtures that are there too, is a fault: only
// one of them could be listed. So is the id of a client that is a name of the fixtures.
func (f *File) nameCards() (faults []Fault) {
	f.names = map[string]string{}
	taken := map[string]bool{}
	for _, one := range f.items["cards"] {
		name := one.text("name")
		switch {
		case taken[name]:
			faults = append(faults, Fault{one.line("name"), one.at.name + ": another one has this name already."})
		case !f.alone && sandbox.CardID(name) != "":
			faults = append(faults, Fault{one.line("name"), one.at.name + ": a card of the fixtures has this name."})
		}
		taken[name], f.names[f.cardID(one)] = true, name
	}
	for _, one := range f.items["clients"] {
		if !f.alone && sandbox.Lists(one.text("id")) {
			faults = append(faults, Fault{one.line("id"), one.at.name + ": a client of the fixtures has this name."})
		}
	}
	return faults
}

// decode is the one document of a file, with its lines and without. An empty file has nothing.
func decode(text []byte) (*yaml.Node, any, error) {
	var root, more yaml.Node
	var value any
	documents := yaml.NewDecoder(bytes.NewReader(text))
	switch err := documents.Decode(&root); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}, map[string]any{}, nil
	case err != nil:
		return nil, nil, err
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, nil, cmp.Or(err, fmt.Errorf("yaml: line %d: a second document", more.Line))
	}
	if err := root.Decode(&value); err != nil {
		return nil, nil, err
	}
	if value == nil {
		value = map[string]any{}
	}
	return root.Content[0], value, nil
}

// outline is the file without the items of its lists, which are looked at one by one.
func outline(value any) any {
	top, ok := value.(map[string]any)
	if !ok {
		return value
	}
	top = maps.Clone(top)
	for _, list := range lists {
		if _, ok := top[list.name].([]any); ok {
			top[list.name] = []any{}
		}
	}
	return top
}

// Error is what is wrong with a file.
type Error struct {
	File   string
	Faults []Fault // by line
}

// Fault is what is wrong at a line, in a sentence.
type Fault struct {
	Line int
	Says string
}

// Error has a line for each fault: the file, its line, and the sentence.
func (e *Error) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = fmt.Sprintf("%s:%d: %s", e.File, fault.Line, fault.Says)
	}
	return strings.Join(lines, "\n")
}

// refused is the error of faults, nil where there are none.
func (f *File) refused(faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{f.name, faults}
}

// yamlLine is how the YAML library tells a line.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): (.*)$`)

// unread is the error of a file that is not YAML, or has something twice.
func (f *File) unread(err error) error {
	lines := []string{err.Error()}
	if several, ok := errors.AsType[*yaml.TypeError](err); ok {
		lines = several.Errors
	}
	var faults []Fault
	for _, line := range lines {
		at, says := 1, strings.TrimPrefix(line, "yaml: ")
		if found := yamlLine.FindStringSubmatch(line); found != nil {
			at, _ = strconv.Atoi(found[1])
			says = found[2]
		}
		faults = append(faults, Fault{at, says + "."})
	}
	return f.refused(faults)
}

// place is where something stands in a file, and what it is called.
type place struct {
	node *yaml.Node
	name string // "": the whole file
}

// under is the node at a pointer, or the last one on the way to it that there is.
func (p place) under(pointer string) *yaml.Node {
	at := resolved(p.node)
	for step := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		next := child(at, step)
		if next == nil {
			break
		}
		at = resolved(next)
	}
	return at
}

// child is a member or an item of a node, nil where it has none. A member is told by its name's line, not its value's.
func child(node *yaml.Node, step string) *yaml.Node {
	if i, err := strconv.Atoi(step); node.Kind == yaml.SequenceNode && err == nil && i < len(node.Content) {
		return node.Content[i]
	}
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == step {
			return node.Content[i+1]
		}
	}
	return nil
}

// resolved is what an alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// check holds a value against a schema.
func (f *File) check(at place, schema string, value any) []Fault {
	text, err := json.Marshal(value)
	if err != nil {
		return []Fault{{at.node.Line, at.member("") + " has something that JSON does not have."}}
	}
	_, violations := f.schema.document.CheckMessage(schema, text)
	return f.broken(at, schema, violations)
}

// broken are the sentences for what a schema or a document does not allow.
func (f *File) broken(at place, schema string, violations []contract.Violation) []Fault {
	var all []Fault
	for _, v := range violations {
		if v.Rule == contract.RuleAdditionalProperties {
			all = append(all, f.unknown(at, schema, v.Pointer)...)
			continue
		}
		says := issuer.Sentence(v, at.member(v.Pointer))
		if node := at.under(v.Pointer); v.Rule == contract.RuleType && v.Limit == "string" && node.Kind == yaml.ScalarNode {
			says += " Put it in quotes."
		}
		all = append(all, Fault{at.under(v.Pointer).Line, says})
	}
	return all
}

// unknown are the sentences for members that an object at a pointer should not have.
func (f *File) unknown(at place, schema, pointer string) []Fault {
	known, node := f.schema.members(schema, pointer), at.under(pointer)
	var all []Fault
	for i := 0; node.Kind == yaml.MappingNode && i < len(node.Content); i += 2 {
		name := node.Content[i]
		if _, ok := known[name.Value]; !ok && name.Value != "<<" {
			all = append(all, Fault{name.Line, fmt.Sprintf("%s is unknown; there %s.", at.member(pointer+"/"+name.Value), listed(known))})
		}
	}
	return all
}

func listed(known map[string]any) string {
	if len(known) == 0 {
		return "are no members"
	}
	return "are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}

// member is what the thing at a pointer is called.
func (p place) member(pointer string) string {
	name := p.name
	for step := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		switch _, err := strconv.Atoi(step); {
		case step == "":
		case err == nil:
			name += "[" + step + "]"
		case name == "":
			name = step
		default:
			name += "." + step
		}
	}
	return cmp.Or(name, "The file")
}
