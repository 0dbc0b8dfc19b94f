package docs

import (
	"reflect"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/rows"
)

// A contract whose rules reach its API key describes that as a parameter too, since a security scheme has no schema. Whoever
// reads what is served would send it twice, or be asked for it twice.

// isKey tells whether a security scheme of a document sends what is called so.
func isKey(spec *openapi3.T, in, name string) bool {
	if spec.Components == nil {
		return false
	}
	for _, scheme := range spec.Components.SecuritySchemes {
		if scheme.Value.In == in && scheme.Value.Name == name {
			return true
		}
	}
	return false
}

// leaveToSchemes is a document without parameters that one of its security schemes sends.
func leaveToSchemes(d *bundle.Document, spec *openapi3.T) *bundle.Document {
	return d.Changed(func(root *yaml.Node) {
		for item, operation := range operations(root) {
			for _, holder := range []*yaml.Node{item, operation} {
				if parameters := bundle.Member(holder, "parameters"); parameters != nil {
					parameters.Content = slices.DeleteFunc(parameters.Content, func(ref *yaml.Node) bool {
						p := resolved(root, ref)
						return isKey(spec, bundle.Member(p, "in").Value, bundle.Member(p, "name").Value)
					})
				}
			}
		}
	})
}

// ofOtherKey tells whether a row sends another key than its client's, which is the parameter's example, or none.
func ofOtherKey(row rows.Row) bool {
	for _, p := range row.Of.Parameters() {
		if !isKey(row.Of.Doc, p.In, p.Name) {
			continue
		}
		i := slices.IndexFunc(row.Arguments, func(a rows.Argument) bool { return a.Parameter == p })
		if i < 0 || !reflect.DeepEqual(row.Arguments[i].Value, p.Example) {
			return true
		}
	}
	return false
}
