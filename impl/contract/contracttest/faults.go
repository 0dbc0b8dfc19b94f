package contracttest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/rows"
)

// Fault is one thing that is wrong with one field of a request.
type Fault struct {
	In    string // "path", "query", "header" or "body"
	Field string // a parameter's name, or a JSON pointer into the body, where that is sealed into what is inside
	Label string // x-label
	Place int    // of the field in the document: parameters come first, then the body
	Rule  Broken

	apply func(c *Conversation)
}

// Broken is how a field is wrong.
type Broken string

// The ways in which a schema knows a field to be wrong.
const (
	Absent   Broken = "absent"
	Null     Broken = "null"
	Empty    Broken = "empty"
	TooShort Broken = "too short"
	TooLong  Broken = "too long"
	Type     Broken = "of another type"
	Pattern  Broken = "against the pattern" // of a good length
	Enum     Broken = "another value"       // of a good length and pattern
)

func (f Fault) String() string { return f.In + " " + f.Field + " " + string(f.Rule) }

// Told is a fault and what is answered to a request that has no other.
type Told struct {
	Fault
	Answer string
}

// Faulty makes requests of which one or two things are wrong, from one that succeeds.
type Faulty struct {
	env    Env
	good   Conversation
	fields []field
}

// field is a place in a request that a schema describes.
type field struct {
	Fault
	required bool
	empty    bool // counts as absent where it is empty
	schema   *openapi3.Schema
	value    any // what the good request has, nil for nothing
}

// NewFaulty takes the request from a named example of doc. What more has are members of its body, by JSON
// pointer, so that they can be made wrong too.
func NewFaulty(tb testing.TB, doc *openapi3.T, env Env, step Step, more map[string]any) *Faulty {
	tb.Helper()
	conversations, byStep := executable(tb, doc)
	if len(conversations) == 0 || byStep[step].Operation == "" {
		tb.Fatalf("no example %s", step)
	}
	f := &Faulty{env: env, good: byStep[step]}
	for _, pointer := range slices.Sorted(maps.Keys(more)) {
		setMember(pointer, more[pointer])(&f.good)
	}
	env.prepare(tb, f.good, byStep)
	for _, p := range f.good.Of.Parameters() {
		f.parameter(p)
	}
	if schema := schemaOf(f.good); schema != nil {
		value, err := rows.DecodeJSON(f.good.Body)
		if err != nil {
			tb.Fatalf("%s: %v", step, err)
		}
		f.members(schema, "", value)
	}
	return f
}

// schemaOf describes the JSON of the body, or what is sealed in it; nil where there is none.
func schemaOf(c Conversation) *openapi3.Schema {
	if c.Of.Op.RequestBody == nil || c.Body == nil {
		return nil
	}
	media := c.Of.Op.RequestBody.Value.Content.Get(c.ContentType)
	if name, _ := media.Extensions["x-decrypted-schema"].(string); c.Sealed && name != "" {
		return c.Of.Doc.Components.Schemas[name].Value
	}
	if !rows.IsJSON(c.ContentType) {
		return nil
	}
	return media.Schema.Value
}

func (f *Faulty) parameter(p *openapi3.Parameter) {
	label, _ := p.Extensions["x-label"].(string)
	one := field{Fault: Fault{In: p.In, Field: p.Name, Label: label, Place: len(f.fields)}, required: p.Required, empty: true, schema: p.Schema.Value}
	switch p.In {
	case openapi3.ParameterInPath:
		path, _, _ := strings.Cut(f.good.Path, "?")
		one.value, one.required = strings.Split(path, "/")[f.segment(p.Name)], false // without it, it is another path
	case openapi3.ParameterInQuery:
		if u, err := url.Parse(f.good.Path); err == nil && u.Query().Has(p.Name) {
			one.value = u.Query().Get(p.Name)
		}
	default:
		if sent := f.good.Header.Get(p.Name); sent != "" {
			one.value = sent
		}
	}
	f.fields = append(f.fields, one)
}

func (f *Faulty) segment(parameter string) int {
	return slices.Index(strings.Split(f.good.Of.Path, "/"), "{"+parameter+"}")
}

// members are those of an object, in the document's order.
func (f *Faulty) members(schema *openapi3.Schema, pointer string, value any) {
	names := slices.SortedFunc(maps.Keys(schema.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(line(schema.Properties[a]), line(schema.Properties[b])), strings.Compare(a, b))
	})
	object, _ := value.(map[string]any)
	for _, name := range names {
		ref := schema.Properties[name]
		label, _ := ref.Extensions["x-label"].(string)
		if label == "" {
			label, _ = ref.Value.Extensions["x-label"].(string)
		}
		at := pointer + "/" + name
		f.fields = append(f.fields, field{
			Fault:    Fault{In: "body", Field: at, Label: label, Place: len(f.fields)},
			required: slices.Contains(schema.Required, name), empty: emptyIsAbsent(ref), schema: ref.Value, value: object[name],
		})
		f.members(ref.Value, at, object[name])
	}
}

// line is where the document has a property; those of one line follow one another by column.
func line(ref *openapi3.SchemaRef) int {
	const widest = 10_000
	if ref.Origin == nil || ref.Origin.Key == nil {
		return 0
	}
	return ref.Origin.Key.Line*widest + ref.Origin.Key.Column
}

// Faults are all that the document's schemas know to be wrong with each field. A field that the good request does not
// have is made wrong in the ways that take no good value.
func (f *Faulty) Faults() []Fault {
	var all []Fault
	for _, one := range f.fields {
		if one.required {
			all = append(all, f.fault(one, Absent, nil))
			if one.In == "body" {
				all = append(all, f.fault(one, Null, nil))
			}
		}
		for _, rule := range []Broken{Empty, TooShort, TooLong, Type, Pattern, Enum} {
			if value, ok := one.wrong(rule); ok {
				all = append(all, f.fault(one, rule, value))
			}
		}
	}
	return all
}

// Fault is one of a field's that the schema does not know: its value keeps the schema, or is [Absent].
func (f *Faulty) Fault(tb testing.TB, name string, rule Broken, value any) Fault {
	tb.Helper()
	for _, one := range f.fields {
		if one.Field == name {
			return f.fault(one, rule, value)
		}
	}
	tb.Fatalf("no field %s", name)
	return Fault{}
}

func (f *Faulty) fault(one field, rule Broken, value any) Fault {
	made := one.Fault
	made.Rule = rule
	text, _ := value.(string)
	switch {
	case one.In == openapi3.ParameterInPath:
		i := f.segment(one.Field)
		made.apply = func(c *Conversation) {
			path, query, more := strings.Cut(c.Path, "?")
			segments := strings.Split(path, "/")
			segments[i] = url.PathEscape(text)
			if c.Path = strings.Join(segments, "/"); more {
				c.Path += "?" + query
			}
		}
	case one.In == openapi3.ParameterInQuery:
		made.apply = func(c *Conversation) {
			path, query, _ := strings.Cut(c.Path, "?")
			values, _ := url.ParseQuery(query)
			values.Set(one.Field, text)
			if rule == Absent {
				values.Del(one.Field)
			}
			c.Path = path + "?" + values.Encode()
		}
	case one.In == openapi3.ParameterInHeader:
		made.apply = func(c *Conversation) { // Override is set last, also over what Env.Authorize sets
			c.Override = maps.Clone(c.Override)
			if c.Override == nil {
				c.Override = http.Header{}
			}
			c.Override[http.CanonicalHeaderKey(one.Field)] = nil
			if rule != Absent {
				c.Override.Set(one.Field, text)
			}
		}
	case rule == Absent:
		made.apply = setMember(one.Field, absent)
	default:
		made.apply = setMember(one.Field, value)
	}
	return made
}

// absent stands for a member that is not sent.
var absent = new(struct{})

// setMember puts a value into the body, at a JSON pointer to a member of an object.
func setMember(pointer string, value any) func(*Conversation) {
	return func(c *Conversation) {
		root, err := rows.DecodeJSON(c.Body)
		steps := rows.Tokens(pointer)
		last := len(steps) - 1
		holder, ok := rows.Lookup(root, strings.Join(append([]string{""}, steps[:last]...), "/"))
		object, isObject := holder.(map[string]any)
		if err != nil || !ok || !isObject {
			panic("contracttest: nothing holds " + pointer)
		}
		if object[steps[last]] = value; value == any(absent) {
			delete(object, steps[last])
		}
		if c.Body, err = json.Marshal(root); err != nil {
			panic(err)
		}
	}
}

// wrong is a value that breaks a rule of the field's schema; false where the schema has none that could be broken so.
func (f field) wrong(rule Broken) (any, bool) {
	text, known := f.value.(string)
	for _, candidate := range f.candidates(rule, text, known) {
		if f.schema.VisitJSON(candidate, openapi3.WithStringFormatValidator("date", openapi3.NewRegexpFormatValidator(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`))) != nil {
			return candidate, true
		}
	}
	return nil, false
}

func (f field) candidates(rule Broken, text string, known bool) []any {
	s := f.schema
	switch {
	case rule == Type && f.In == "body":
		return []any{7, true, []any{}}
	case rule == Empty && !(f.empty && !f.required) && f.In != openapi3.ParameterInPath && s.Type.Is(openapi3.TypeString):
		return []any{""}
	case rule == TooShort && known && s.MinLength > 1:
		return []any{text[:s.MinLength-1]}
	case rule == TooLong && s.MaxLength != nil:
		return []any{text + strings.Repeat("1", int(*s.MaxLength)+1-len(text))}
	case rule == Pattern && known && s.Pattern != "" && text != "":
		return f.against(text)
	case rule == Enum && known && s.Enum != nil && text != "":
		return []any{text[:len(text)-1] + "0"}
	}
	return nil
}

// against are texts of the same length that a pattern may not admit.
func (f field) against(text string) []any {
	var all []any
	for _, c := range []string{"x", "!", "\x7f"} {
		if changed := text[:len(text)-1] + c; f.In == "body" || c != "\x7f" {
			all = append(all, changed)
		}
	}
	if f.In == openapi3.ParameterInHeader && len(text) > 2 {
		all = append(all, text[:1]+" "+text[2:])
	}
	return slices.DeleteFunc(all, func(c any) bool {
		plain := *f.schema
		plain.Enum = nil // only the pattern is to be broken
		return f.schema.Enum != nil && plain.VisitJSON(c) == nil
	})
}

// somePairs is about how many pairs the short form of [Faulty.Pairs] sends.
const somePairs = 400

// Pairs sends each fault alone and each two faults of different fields together; says is the part of a reply that
// counts, and want what it is to be for two. Of many pairs only some are sent, at equal distances, except for the long
// form of the tests, which scripts/soak asks for.
func (f *Faulty) Pairs(tb testing.TB, faults []Fault, says func(*Reply) string, want func(a, b Told) string) {
	tb.Helper()
	all := 0
	for i, a := range faults {
		for _, b := range faults[i+1:] {
			if !within(a, b) {
				all++
			}
		}
	}
	nth := stride(all, os.Getenv("PINVAULT_TEST_LONG") == "1")
	told := make([]Told, len(faults))
	for i, fault := range faults {
		reply := f.send(tb, fault)
		if reply.Status < http.StatusBadRequest {
			tb.Errorf("%s: answered with %d: %s", fault, reply.Status, reply.Body)
		}
		told[i] = Told{fault, says(reply)}
	}
	pairs, sent := 0, 0
	for i, a := range told {
		for _, b := range told[i+1:] {
			if within(a.Fault, b.Fault) {
				continue
			}
			if pairs++; pairs%nth != 0 {
				continue
			}
			sent++
			if got, want := says(f.send(tb, a.Fault, b.Fault)), want(a, b); got != want {
				tb.Errorf("%s and %s: answered with %s, want %s", a, b, got, want)
			}
		}
	}
	tb.Logf("%s: %d faults, %d of %d pairs", f.good.Step, len(faults), sent, pairs)
}

// stride is how far it is from a pair that is sent to the next. It is odd, since faults often come in twos.
func stride(pairs int, long bool) int {
	if long {
		return 1
	}
	return pairs/somePairs | 1
}

// within tells whether two faults are of one field, or of one that holds the other.
func within(a, b Fault) bool {
	return a.In == b.In && (a.Field == b.Field || strings.HasPrefix(b.Field, a.Field+"/") || strings.HasPrefix(a.Field, b.Field+"/"))
}

func (f *Faulty) send(tb testing.TB, faults ...Fault) *Reply {
	tb.Helper()
	c := f.good
	c.Example = fmt.Sprint(faults)
	for _, fault := range faults {
		fault.apply(&c)
	}
	return f.env.exchange(tb, c)
}
