package docs

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// chapter is a contract as its own page shows it: the introduction, then each operation with its fields and its rows.
type chapter struct {
	Name, Title  string
	Lead         template.HTML // what it is for, the first paragraph of the introduction
	Sealed       bool          // there is a variant in the clear
	Introduction prose
	Operations   []operation
	Changes      []changes // those that break callers first
	calls        calls
}

type operation struct {
	ID, Method, Path, Summary string
	Origin                    string
	Description               template.HTML
	Groups                    []group
	Errors, Successes         []reply
}

// group are the fields of one message, or the parameters.
type group struct {
	Title  string
	Note   string // how it goes over the wire, "" where that is nothing special
	Fields []field
}

type field struct {
	Name, Type  string
	Required    bool
	Origin      string
	Description template.HTML
}

// reply is a row of a table: what is answered, and what to do about it.
type reply struct {
	ID         string
	Status     int
	StatusText string
	Code, Text string
	When       string
	Advice     string
	Origin     string
	Why        string // no page can make it come out, and why not
}

// chapterOf reads a document, whose text is in whole, as the server shows it, and whose rows are all.
func chapterOf(d *contract.Document, whole *bundle.Document, all []rows.Row) (*chapter, error) {
	spec := d.Spec()
	about, err := whole.Text("info", "description")
	if err != nil {
		return nil, err
	}
	c := &chapter{Name: d.Name(), Title: spec.Info.Title, Sealed: seals(spec)}
	if c.Lead, err = leadOf(about); err != nil {
		return nil, err
	}
	if c.Introduction, err = markdown(about); err != nil {
		return nil, err
	}
	told, err := rows.ErrorReferenceOf(spec)
	if err != nil {
		return nil, err
	}
	byOperation := map[string][]rows.Row{}
	for _, row := range all {
		byOperation[row.Operation] = append(byOperation[row.Operation], row)
	}
	for method, o := range rows.Operations(spec) {
		one, err := operationOf(method, o)
		if err != nil {
			return nil, err
		}
		if err := one.answers(byOperation[one.ID], told); err != nil {
			return nil, err
		}
		c.Operations = append(c.Operations, one)
	}
	slices.SortStableFunc(c.Operations, func(a, b operation) int { return cmp.Compare(lineOf(spec, a), lineOf(spec, b)) })
	c.calls, err = callsOf(d, all)
	if err != nil {
		return nil, err
	}
	c.Changes, err = changesOf(c)
	return c, err
}

// leadOf is the first paragraph of an introduction.
func leadOf(about string) (template.HTML, error) {
	first, _, _ := strings.Cut(about, "\n\n")
	lead, err := markdown(first)
	return lead.HTML, err
}

// lineOf is where the document has the operation.
func lineOf(spec *openapi3.T, o operation) int {
	if op := spec.Paths.Value(o.Path).GetOperation(o.Method); op.Origin != nil && op.Origin.Key != nil {
		return op.Origin.Key.Line
	}
	return 0
}

func operationOf(method string, o rows.Operation) (operation, error) {
	one := operation{ID: o.Op.OperationID, Method: method, Path: o.Path, Summary: o.Op.Summary, Origin: origin(o.Op.Extensions)}
	described, err := markdown(o.Op.Description)
	one.Description = described.HTML
	var parameters group
	for _, p := range o.Parameters() {
		f, err := fieldOf(p.Name, p.Description, p.Extensions, p.Schema)
		if err != nil {
			return one, err
		}
		f.Required, f.Type = p.Required, p.In+", "+f.Type
		parameters.Fields = append(parameters.Fields, f)
	}
	if parameters.Title = "Parameters"; parameters.Fields != nil {
		one.Groups = append(one.Groups, parameters)
	}
	if body := o.Op.RequestBody; body != nil {
		err = errors.Join(err, one.messages("Request", o, body.Value.Content))
	}
	for _, status := range slices.Sorted(maps.Keys(o.Op.Responses.Map())) {
		if strings.HasPrefix(status, "2") {
			err = errors.Join(err, one.messages("Reply "+status, o, o.Op.Responses.Value(status).Value.Content))
		}
	}
	return one, err
}

// messages adds the fields of a body, those inside where it is sealed.
func (o *operation) messages(what string, of rows.Operation, content openapi3.Content) error {
	for _, name := range slices.Sorted(maps.Keys(content)) {
		media := content[name]
		g := group{Title: what + ", " + name}
		schema := media.Schema
		if inside, _ := media.Extensions["x-decrypted-schema"].(string); inside != "" {
			schema = of.Doc.Components.Schemas[inside]
			g.Note = "Sealed: these are the fields of the message inside, and what goes over the wire is described under Encryption."
		}
		if schema == nil {
			continue
		}
		var err error
		if g.Fields, err = fieldsOf("", schema, 0); err != nil {
			return err
		}
		if g.Fields != nil {
			o.Groups = append(o.Groups, g)
		}
	}
	return nil
}

// deepest is how far fields within fields are listed.
const deepest = 6

// fieldsOf are the members of an object and theirs, in the document's order.
func fieldsOf(within string, ref *openapi3.SchemaRef, depth int) (all []field, err error) {
	if ref == nil || ref.Value == nil || depth > deepest {
		return nil, nil
	}
	s := ref.Value
	for _, part := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
		more, err := fieldsOf(within, part, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	if s.Items != nil {
		return fieldsOf(within+"[]", s.Items, depth+1)
	}
	names := slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(propertyLine(s.Properties[a]), propertyLine(s.Properties[b])), strings.Compare(a, b))
	})
	for _, name := range names {
		property := s.Properties[name]
		path := strings.TrimPrefix(within+"."+name, ".")
		f, err := fieldOf(path, property.Value.Description, property.Value.Extensions, property)
		if err != nil {
			return nil, err
		}
		f.Required = slices.Contains(s.Required, name)
		more, err := fieldsOf(path, property, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(append(all, f), more...)
	}
	return all, nil
}

// propertyLine is where the document has a property; those of one line follow one another by column.
func propertyLine(ref *openapi3.SchemaRef) int {
	const widest = 10_000
	if ref.Origin == nil || ref.Origin.Key == nil {
		return 0
	}
	return ref.Origin.Key.Line*widest + ref.Origin.Key.Column
}

func fieldOf(name, description string, extensions map[string]any, ref *openapi3.SchemaRef) (field, error) {
	described, err := markdown(description)
	f := field{Name: name, Description: described.HTML, Origin: origin(extensions)}
	if ref == nil {
		return f, err
	}
	f.Origin = cmp.Or(f.Origin, origin(ref.Extensions))
	f.Type = typeOf(ref.Value)
	return f, err
}

// typeOf says in words what values a schema takes.
func typeOf(s *openapi3.Schema) string {
	var words []string
	if s.Type != nil {
		words = append(words, strings.Join(s.Type.Slice(), " or "))
	}
	for _, part := range s.OneOf {
		if one := typeOf(part.Value); one != "" && !slices.Contains(words, one) {
			words = append(words, one)
		}
	}
	if s.OneOf != nil {
		return strings.Join(words, "; or ")
	}
	if s.Format != "" {
		words = append(words, s.Format)
	}
	switch longest := s.MaxLength; {
	case longest != nil && *longest == s.MinLength:
		words = append(words, fmt.Sprintf("%d characters", *longest))
	case longest != nil:
		words = append(words, fmt.Sprintf("%d to %d characters", s.MinLength, *longest))
	}
	if s.Min != nil && s.Max != nil {
		words = append(words, fmt.Sprintf("%v to %v", number(*s.Min), number(*s.Max)))
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, value := range s.Enum {
			if value != nil { // null is no word to choose
				values = append(values, fmt.Sprint(value))
			}
		}
		words = append(words, "one of "+strings.Join(values, ", "))
	}
	if s.Pattern != "" {
		words = append(words, "pattern "+s.Pattern)
	}
	return strings.Join(words, ", ")
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// answers adds the rows of an operation, successes and errors apart.
func (o *operation) answers(all []rows.Row, told rows.ErrorReference) error {
	when := whens(all)
	for i, row := range all {
		r := reply{
			ID: row.Operation + "." + row.Example, Status: row.Reply.Status, StatusText: http.StatusText(row.Reply.Status),
			When: when[i], Origin: origins[row.Origin], Why: unsendable(row),
		}
		if row.Reply.Body != nil {
			value, err := row.Reply.Decode(row.Reply.Body)
			if err != nil {
				return fmt.Errorf("%s: %w", row, err)
			}
			r.Code, r.Text = told.CodeOf(value), told.TextOf(value)
		}
		if row.Reply.Status < http.StatusBadRequest && (r.Code == "" || told.Advice[r.Code] == "") {
			o.Successes = append(o.Successes, r)
			continue
		}
		r.Advice = cmp.Or(row.Advice, told.AdviceOn(r.Code, r.Status))
		o.Errors = append(o.Errors, r)
	}
	order := func(a, b reply) int { return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.Code, b.Code)) }
	slices.SortStableFunc(o.Errors, order)
	slices.SortStableFunc(o.Successes, order)
	return nil
}

// whens say of each row of an operation when it comes out: in the words of its label, where others have the same in those
// of its reply, and where those are not its alone with its name, which is.
func whens(all []rows.Row) []string {
	words := make([]string, len(all))
	for i, row := range all {
		words[i] = label(row)
	}
	for _, further := range []func(rows.Row, string) string{
		func(row rows.Row, said string) string { return cmp.Or(row.Summary, said) },
		func(row rows.Row, said string) string { return said + " (" + inWords(row.Example) + ")" },
	} {
		having := map[string]int{}
		for _, said := range words {
			having[said]++
		}
		for i, row := range all {
			if having[words[i]] > 1 {
				words[i] = further(row, words[i])
			}
		}
	}
	return words
}

// label says when a row comes out, in the words of its request, else of its reply.
func label(row rows.Row) string { return cmp.Or(row.Asked, row.Summary, inWords(row.Example)) }

func inWords(name string) string { return strings.ReplaceAll(name, "-", " ") }
