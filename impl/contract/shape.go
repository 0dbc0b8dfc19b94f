package contract

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// shape is what kin-openapi does not tell about a schema: in which order the document lists its
// properties, and by which label each is printed. It is worked out once, by Load.
type shape struct {
	schema  *openapi3.Schema
	members []member       // in the document's order
	place   map[string]int // of a name in members
	items   *member        // of an array, nil of anything else
	other   *member        // members without a name of their own (additionalProperties)
}

type member struct {
	name     string
	label    string
	shape    *shape
	required bool
	empty    bool // an empty text is as if it were absent (x-empty-is-absent)
}

// shapes holds the shape of each schema met so far, which ends the walk of a schema inside itself.
type shapes map[*openapi3.Schema]*shape

func (known shapes) of(schema *openapi3.Schema) *shape {
	if s, ok := known[schema]; ok {
		return s
	}
	s := &shape{schema: schema, place: make(map[string]int, len(schema.Properties))}
	known[schema] = s
	for i, name := range documentOrder(schema) {
		s.place[name] = i
		m := *known.member(name, schema.Properties[name])
		m.required = slices.Contains(schema.Required, name)
		s.members = append(s.members, m)
	}
	if schema.Type.Is(openapi3.TypeArray) {
		s.items = known.member("", schema.Items)
	}
	s.other = known.member("", schema.AdditionalProperties.Schema)
	return s
}

func (known shapes) member(name string, ref *openapi3.SchemaRef) *member {
	if ref == nil {
		return nil
	}
	return &member{name: name, label: label(ref), shape: known.of(ref.Value), empty: emptyIsAbsent(ref)}
}

// documentOrder lists the names of an object's properties as the document does. kin-openapi keeps them in a map, but remembers
// the line and column of each in YAML; JSON has x-order.
func documentOrder(s *openapi3.Schema) []string {
	names := slices.Sorted(maps.Keys(s.Properties))
	byOrder := inOrderOf(s.Extensions)
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(byOrder(a, b), byOrigin(s.Properties[a].Origin, s.Properties[b].Origin))
	})
	return names
}

// orderExtension lists names as the document does, see [Form].
const orderExtension = "x-order"

// inOrderOf compares names by their places in x-order. Where there is none they are equal.
func inOrderOf(extensions map[string]any) func(a, b string) int {
	list, _ := extensions[orderExtension].([]any)
	places := make(map[any]int, len(list))
	for i, name := range list {
		places[name] = i
	}
	return func(a, b string) int { return cmp.Compare(places[a], places[b]) }
}

func byOrigin(a, b *openapi3.Origin) int {
	x, y := location(a), location(b)
	return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
}

// location is where an element stands in its file: before all others where that is not known.
func location(origin *openapi3.Origin) openapi3.Location {
	if origin == nil {
		return openapi3.Location{}
	}
	return *origin.Key
}

// choices are the alternatives and parts of a schema.
func choices(s *openapi3.Schema) openapi3.SchemaRefs { return slices.Concat(s.OneOf, s.AnyOf, s.AllOf) }

// label is the x-label of a field. One beside a $ref is the field's own and wins over that of the
// schema, which other fields may share.
func label(ref *openapi3.SchemaRef) string {
	return cmp.Or(xLabel(ref.Extensions), xLabel(ref.Value.Extensions))
}

func xLabel(extensions map[string]any) string {
	s, _ := extensions["x-label"].(string)
	return s
}

// place is a field of a value, found by the names and indices that lead to it from the root.
type place struct {
	pointer string
	label   string
	shape   *shape // nil where the document describes nothing
	rank    []int  // sorts places in the document's order
}

// find follows a path as kin-openapi reports it.
func (s *shape) find(label string, path []string) place {
	at := place{label: label, shape: s}
	for _, step := range path {
		at = at.child(step)
	}
	return at
}

// child keeps the caller's text out of the pointer: a step is written only if the document names it
// or if it is an index.
func (at place) child(step string) place {
	if at.shape != nil {
		if i, ok := at.shape.place[step]; ok {
			m := at.shape.members[i]
			return at.down(escape(step), i, m.label, m.shape)
		}
		if i, err := strconv.Atoi(step); err == nil && at.shape.items != nil {
			return at.down(step, i, cmp.Or(at.shape.items.label, at.label), at.shape.items.shape)
		}
		if other := at.shape.other; other != nil {
			return at.down("*", math.MaxInt, cmp.Or(other.label, at.label), other.shape)
		}
	}
	return at.down("*", math.MaxInt, at.label, nil)
}

func (at place) down(step string, rank int, label string, s *shape) place {
	return place{
		pointer: at.pointer + "/" + step,
		label:   label,
		shape:   s,
		rank:    append(slices.Clip(at.rank), rank),
	}
}

// ranked is the rank of a broken rule: members that are not described come after those that are.
func (at place) ranked(rule Rule) []int {
	if rule == RuleAdditionalProperties {
		return append(slices.Clip(at.rank), math.MaxInt)
	}
	return at.rank
}

func (at place) schema() *openapi3.Schema {
	if at.shape == nil {
		return nil
	}
	return at.shape.schema
}

// escape writes a name as a step of a JSON pointer (RFC 6901, section 3).
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
