package contract

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

type parameter struct {
	in    In
	name  string // of a header: in its canonical form
	label string
	many  bool // may be sent several times: an exploded array in the query
	shape *shape
	spec  *openapi3.Parameter
}

func newParameter(known shapes, ref *openapi3.ParameterRef) parameter {
	spec := ref.Value
	p := parameter{
		in:    In(spec.In),
		name:  spec.Name,
		label: parameterLabel(ref),
		many: spec.In == openapi3.ParameterInQuery && (spec.Explode == nil || *spec.Explode) &&
			spec.Schema.Value.Type.Is(openapi3.TypeArray),
		shape: known.of(spec.Schema.Value),
		spec:  spec,
	}
	if p.in == InHeader {
		p.name = http.CanonicalHeaderKey(p.name)
	}
	return p
}

// parameterLabel is the x-label of a parameter: beside its $ref, in itself, or in its schema.
func parameterLabel(ref *openapi3.ParameterRef) string {
	return cmp.Or(xLabel(ref.Extensions), xLabel(ref.Value.Extensions), label(ref.Value.Schema))
}

func checkAll(described []parameter, input *openapi3filter.RequestValidationInput) []Violation {
	var found []Violation
	for i := range described {
		found = append(found, described[i].check(input)...)
	}
	return found
}

// check leaves the reading of styles and the schema to openapi3filter. What it is lenient about comes
// first: of a parameter sent twice it takes one value, while a handler may take the other.
func (p *parameter) check(input *openapi3filter.RequestValidationInput) []Violation {
	sent := p.sent(input)
	if !legible(sent...) {
		return p.breaks(RuleCharacters)
	}
	if len(sent) > 1 && !p.many {
		return p.breaks(RuleRepeated)
	}
	err := openapi3filter.ValidateParameter(input.Request.Context(), input, p.spec)
	if err == nil {
		return nil
	}
	f := flattener{
		options: input.Options.SchemaValidationOptions,
		in:      p.in,
		root:    p.shape,
		label:   p.label,
		name:    p.spec.Name,
	}
	f.add(nil, err)
	return f.violations()
}

func (p *parameter) sent(input *openapi3filter.RequestValidationInput) []string {
	switch p.in {
	case InQuery:
		return input.QueryParams[p.name]
	case InHeader:
		return input.Request.Header[p.name]
	default:
		return []string{input.PathParams[p.name]}
	}
}

func (p *parameter) breaks(rule Rule) []Violation {
	return []Violation{{In: p.in, Pointer: p.spec.Name, Rule: rule, Label: p.label, Schema: p.shape.schema}}
}

// checkRest looks for NUL and bytes that are not UTF-8 in what the document does not describe: a
// handler, a log or a database may still meet it. Nothing else is asked of it.
func checkRest(in In, described []parameter, sent map[string][]string) []Violation {
	for name, values := range sent {
		if legible(name) && legible(values...) {
			continue
		}
		if !slices.ContainsFunc(described, func(p parameter) bool { return p.name == name }) {
			return []Violation{{In: in, Rule: RuleCharacters}}
		}
	}
	return nil
}

func legible(texts ...string) bool {
	for _, s := range texts {
		if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			return false
		}
	}
	return true
}
