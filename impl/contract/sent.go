package contract

import (
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// One rule says what counts as not sent, for all documents: an optional member that is null, or an empty
// text where the document says x-empty-is-absent; an optional JSON body that is null; an optional header that is
// empty; a body on an operation that describes none (RFC 9110, 9.3.1, gives it no meaning); a query on an
// operation that describes none of its parameters. What counts as not sent is taken out before anything is checked or bound, so that no
// handler sees it.

// sent is a value without the members that count as not sent. The value itself is left as it is.
func (s *shape) sent(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return s.sentMembers(value)
	case []any:
		if s.items != nil {
			return s.sentItems(value)
		}
	}
	return value
}

// Meant is a value as a check against this schema sees it: without what counts as not sent.
func Meant(schema *openapi3.Schema, value any) any { return shapes{}.of(schema).sent(value) }

func (s *shape) sentMembers(object map[string]any) map[string]any {
	kept := make(map[string]any, len(object))
	for name, value := range object {
		m := s.other
		if i, described := s.place[name]; described {
			m = &s.members[i]
		}
		switch {
		case m == nil: // nothing is known of it
			kept[name] = value
		case m.required || value != nil && !(m.empty && value == ""):
			kept[name] = m.shape.sent(value)
		}
	}
	return kept
}

func (s *shape) sentItems(list []any) []any {
	kept := make([]any, len(list))
	for i, value := range list {
		kept[i] = s.items.shape.sent(value)
	}
	return kept
}

// emptyIsAbsent reads x-empty-is-absent, beside a $ref or in the schema.
func emptyIsAbsent(ref *openapi3.SchemaRef) bool {
	return ref.Extensions[emptyExtension] == true || ref.Value.Extensions[emptyExtension] == true
}

const emptyExtension = "x-empty-is-absent"

// sentHeaders takes the optional headers that are empty out of h.
func (op *Operation) sentHeaders(h http.Header) {
	for _, p := range op.header {
		if !p.spec.Required && !slices.ContainsFunc(h[p.name], func(value string) bool { return value != "" }) {
			delete(h, p.name)
		}
	}
}
