package contract

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Scopes are those that the document's security schemes list, sorted: in OAuth flows or, of an API key,
// in x-scopes.
func (d *Document) Scopes() []string { return declaredScopes(d.spec) }

func declaredScopes(spec *openapi3.T) []string {
	if spec.Components == nil {
		return nil
	}
	var all []string
	for _, ref := range spec.Components.SecuritySchemes {
		own, _ := ref.Value.Extensions["x-scopes"].(map[string]any)
		all = slices.AppendSeq(all, maps.Keys(own))
		if flows := ref.Value.Flows; flows != nil && flows.ClientCredentials != nil {
			all = slices.AppendSeq(all, maps.Keys(flows.ClientCredentials.Scopes))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ByAPIKey tells whether the document knows its callers by an API key.
func (d *Document) ByAPIKey() bool {
	if d.spec.Components == nil {
		return false
	}
	for _, scheme := range d.spec.Components.SecuritySchemes {
		if scheme.Value.Type == "apiKey" {
			return true
		}
	}
	return false
}

// Member is a member of an object as a document describes it.
type Member struct {
	Name      string
	Type      string   // string, integer, boolean, array or object; "" where the document says it by a oneOf
	Enum      []string // the values that it may have; nil where they are not listed
	Sensitive bool     // x-sensitive: a secret, or a cardholder's

	shape *shape
}

// Members are those of a component schema, in the document's order; none where there is no such schema.
func (d *Document) Members(schemaName string) []Member {
	return Member{shape: d.messages[schemaName]}.Members()
}

// Members are those of a member that is an object itself, in the document's order.
func (m Member) Members() []Member {
	if m.shape == nil {
		return nil
	}
	all := make([]Member, len(m.shape.members))
	for i, of := range m.shape.members {
		s := of.shape.schema
		all[i] = Member{
			Name:      of.name,
			Type:      strings.Join(s.Type.Slice(), ""), // OpenAPI 3.0 knows no second one
			Enum:      words(s.Enum),
			Sensitive: s.Extensions["x-sensitive"] == true,
			shape:     of.shape,
		}
	}
	return all
}

func words(values []any) []string {
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return all
}
