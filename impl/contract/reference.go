package contract

import (
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// References are the fields by which requests name a card, or that are held against the card's, by kind of
// reference or name of the attribute. x-reference says it of a property of a component schema or of a component
// parameter: the kind, or several.
type References map[string][]*openapi3.Schema

// ReferencesOf are those of documents.
func ReferencesOf(documents ...*Document) References {
	all := References{}
	for _, d := range documents {
		if d.spec.Components == nil {
			continue
		}
		for _, ref := range d.spec.Components.Parameters {
			all.add(ref.Value.Extensions, ref.Value.Schema)
		}
		for _, schema := range d.spec.Components.Schemas {
			for _, property := range schema.Value.Properties {
				all.add(property.Value.Extensions, property)
			}
		}
	}
	return all
}

func (r References) add(extensions map[string]any, field *openapi3.SchemaRef) {
	switch kinds := extensions["x-reference"].(type) {
	case string:
		r[kinds] = append(r[kinds], field.Value)
	case []any:
		for _, kind := range words(kinds) {
			r[kind] = append(r[kind], field.Value)
		}
	}
}

// sameFormats are made once: a portfolio has millions of references.
var sameFormats = sync.OnceValue(Formats)

// Name tells whether a request of one of the documents can name a card by a reference.
func (r References) Name(kind, value string) bool {
	return slices.ContainsFunc(r[kind], func(field *openapi3.Schema) bool { return field.VisitJSON(value, sameFormats()) == nil })
}

// Patterns are what a reference must match so that a request can name a card by it, those of several documents with "or" between; "" where
// no pattern says it.
func (r References) Patterns(kind string) string {
	var all []string
	for _, field := range r[kind] {
		if p := field.Pattern; p != "" && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	slices.Sort(all) // documents' members come in no order
	return strings.Join(all, " or ")
}
