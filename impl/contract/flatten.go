package contract

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// check holds a decoded value against the schema of root, and lists the violations in the document's
// order.
func (d *Document) check(in In, root *shape, label string, value any) []Violation {
	return check(d.options, in, root, label, value)
}

func check(o *openapi3filter.Options, in In, root *shape, label string, value any) []Violation {
	err := root.schema.VisitJSON(value, o.SchemaValidationOptions...)
	if err == nil {
		return nil
	}
	f := flattener{options: o.SchemaValidationOptions, in: in, root: root, label: label}
	f.add(nil, err)
	return f.violations()
}

// flattener makes violations of kin-openapi's errors, of which it takes the keyword, the path and
// the schema, and never the text: that quotes the value.
type flattener struct {
	options []openapi3.SchemaValidationOption
	in      In
	root    *shape
	label   string // of the root
	name    string // of a parameter, which takes the place of pointers
	found   []finding
}

type finding struct {
	Violation
	rank []int
}

// add takes an error apart. path leads from the root to the value that was visited.
func (f *flattener) add(path []string, err error) {
	switch err := err.(type) { //nolint:errorlint // one layer at a time; errors.As would look inside the first of several
	case nil:
	case openapi3.MultiError:
		for _, one := range err {
			f.add(path, one)
		}
	case *openapi3.SchemaError:
		f.schemaError(slices.Concat(path, err.JSONPointer()), err)
	case *openapi3filter.RequestError:
		f.add(path, err.Err)
	default:
		// A parameter that is absent, or that kin-openapi cannot read as its type.
		rule := RuleType
		if errors.Is(err, openapi3filter.ErrInvalidRequired) {
			rule = RuleRequired
		}
		f.report(f.root.find(f.label, path), rule, f.root.schema)
	}
}

func (f *flattener) schemaError(path []string, err *openapi3.SchemaError) {
	at := f.root.find(f.label, path)
	rule := ruleOf(err.SchemaField)
	schema := at.schema() // and not err.Schema: for required, that is the parent's
	rest, short := without(rule, err.Schema)
	if !short {
		f.report(at, rule, schema)
		return
	}
	// kin-openapi stops at these keywords. The rest of the schema is visited too: an empty string
	// breaks minLength and not only enum, null is null, and a missing selector hides no bad field.
	before := len(f.found)
	f.add(path, rest.VisitJSON(err.Value, f.options...))
	if !slices.ContainsFunc(f.found[before:], func(v finding) bool {
		return slices.Equal(v.rank, at.rank) && v.Rule.decides()
	}) {
		f.report(at, rule, schema)
	}
}

// without is the schema minus a keyword at which kin-openapi stops; false for other keywords.
func without(rule Rule, s *openapi3.Schema) (*openapi3.Schema, bool) {
	rest := *s
	switch rule {
	case RuleEnum:
		rest.Enum = nil
	case RuleOneOf:
		rest.OneOf = nil
	case RuleAnyOf:
		rest.AnyOf = nil
	case "not":
		rest.Not = nil
	default:
		return nil, false
	}
	return &rest, true
}

func ruleOf(keyword string) Rule {
	switch keyword {
	case "nullable":
		return RuleNull
	case "properties":
		return RuleAdditionalProperties
	}
	return Rule(keyword)
}

func (f *flattener) report(at place, rule Rule, schema *openapi3.Schema) {
	f.found = append(f.found, finding{
		rank: at.ranked(rule),
		Violation: Violation{
			In:      f.in,
			Pointer: cmp.Or(f.name, at.pointer),
			Rule:    rule,
			Limit:   limit(rule, schema),
			Label:   at.label,
			Schema:  schema,
		},
	})
}

func (f *flattener) violations() []Violation { return inOrder(f.found) }

// inOrder sorts by place and then by rule; several unknown members of one object are one.
func inOrder(found []finding) []Violation {
	slices.SortStableFunc(found, func(a, b finding) int {
		return cmp.Or(
			slices.Compare(a.rank, b.rank),
			strings.Compare(a.Pointer, b.Pointer),
			cmp.Compare(a.Rule.order(), b.Rule.order()),
		)
	})
	violations := make([]Violation, 0, len(found))
	for _, v := range found {
		violations = append(violations, v.Violation)
	}
	return slices.CompactFunc(violations, func(a, b Violation) bool {
		return a.Pointer == b.Pointer && a.Rule == b.Rule
	})
}
