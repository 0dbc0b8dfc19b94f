package seed

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/contract"
)

// Schema is what a file must keep.
type Schema struct {
	document *contract.Document
	schemas  map[string]map[string]any // as they are written down, by name
	own      map[string][]string       // members that the issuer API's request does not have
}

// beside names the schema of the issuer API whose members a schema of the seed has too.
const beside = "x-beside"

// refPrefix is before the name of a schema in a reference to it.
const refPrefix = "#/components/schemas/"

// NewSchema puts the schema of seeds together. documents are the contracts.
func NewSchema(documents fs.FS) (*Schema, error) {
	seed, err := read(documents, "seed/seed.yaml")
	if err != nil {
		return nil, err
	}
	issuer, err := read(documents, "issuer.yaml")
	if err != nil {
		return nil, err
	}
	s := &Schema{schemas: maps.Clone(issuer.Components.Schemas), own: map[string][]string{}}
	for name, schema := range seed.Components.Schemas {
		if request, ok := schema[beside].(string); ok {
			properties := maps.Clone(object(issuer.Components.Schemas[request]["properties"]))
			for member, described := range object(schema["properties"]) {
				if _, shared := properties[member]; !shared {
					s.own[name] = append(s.own[name], member)
				}
				properties[member] = described
			}
			schema["properties"] = properties
			delete(schema, beside)
		}
		s.schemas[name] = schema
	}
	s.keep("Seed")
	seed.Components.Schemas = s.schemas
	text, err := json.Marshal(seed)
	if err != nil {
		return nil, err
	}
	s.document, err = contract.Load(one(text), "seed")
	return s, err
}

// document is a document as far as it is looked at here.
type document struct {
	OpenAPI    string         `json:"openapi" yaml:"openapi"`
	Info       map[string]any `json:"info" yaml:"info"`
	Paths      map[string]any `json:"paths" yaml:"-"`
	Components struct {
		Schemas map[string]map[string]any `json:"schemas" yaml:"schemas"`
	} `json:"components" yaml:"components"`
}

func read(documents fs.FS, file string) (document, error) {
	d := document{Paths: map[string]any{}}
	text, err := fs.ReadFile(documents, file)
	if err == nil {
		err = yaml.Unmarshal(text, &d)
	}
	return d, err
}

// keep drops the schemas that nothing refers to from one on.
func (s *Schema) keep(from string) {
	used := map[string]bool{}
	var visit func(any)
	visit = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if name := target(node); name != "" && !used[name] {
				used[name] = true
				visit(s.schemas[name])
			}
			for _, inner := range node {
				visit(inner)
			}
		case []any:
			for _, inner := range node {
				visit(inner)
			}
		}
	}
	visit(map[string]any{"$ref": refPrefix + from})
	maps.DeleteFunc(s.schemas, func(name string, _ map[string]any) bool { return !used[name] })
}

// target is the name of the schema that a reference is to, "" where it is none.
func target(schema map[string]any) string {
	ref, _ := schema["$ref"].(string)
	return strings.TrimPrefix(ref, refPrefix)
}

func object(value any) map[string]any {
	of, _ := value.(map[string]any)
	return of
}

// one is a file system that has one file.
type one []byte

// Open has nothing: the file is read at once.
func (one) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }

// ReadFile is the file, whatever its name.
func (o one) ReadFile(string) ([]byte, error) { return o, nil }

// members are the names that an object at a pointer may have, below a schema.
func (s *Schema) members(name, pointer string) map[string]any {
	at := s.schemas[name]
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch {
		case step == "":
		case at["items"] != nil:
			at = object(at["items"])
		default:
			at = object(object(at["properties"])[step])
		}
		if name := target(at); name != "" {
			at = s.schemas[name]
		}
	}
	return object(at["properties"])
}

// JSON is the schema for editors (JSON Schema 2020-12).
func (s *Schema) JSON() ([]byte, error) {
	defs := map[string]any{}
	for name, schema := range s.schemas {
		plain, err := plainOf(schema)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defs[name] = plain
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   s.document.Spec().Info.Title, "description": s.document.Spec().Info.Description,
		"$ref": "#/$defs/Seed", "$defs": defs,
	}, "", "  ")
}

// plainOf is a schema of OpenAPI 3.0 as JSON Schema has it, without what only our own programs read.
func plainOf(node any) (any, error) {
	switch node := node.(type) {
	case map[string]any:
		plain := map[string]any{}
		for name, inner := range node {
			var err error
			switch {
			case strings.HasPrefix(name, "x-"), name == "example":
				continue
			case name == "nullable":
				return nil, fmt.Errorf("%s is not known to JSON Schema", name)
			case name == "$ref":
				plain[name] = "#/$defs/" + target(node)
			default:
				if plain[name], err = plainOf(inner); err != nil {
					return nil, err
				}
			}
		}
		return plain, nil
	case []any:
		plain := make([]any, len(node))
		for i, inner := range node {
			var err error
			if plain[i], err = plainOf(inner); err != nil {
				return nil, err
			}
		}
		return plain, nil
	}
	return node, nil
}
