package contract

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"mime"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Our own rules for documents. Each prevents something that would otherwise show only when a
// partner runs into it: an error without a field name, a value that no rule holds back from the
// database, an example that nothing executes, a document that checks less than it seems to.

// inspect lists what is wrong with a document, a line for each finding. Our own rules are looked
// at only when OpenAPI's own are kept: they are read from the structure that those guarantee.
func inspect(spec *openapi3.T) []string {
	if !strings.HasPrefix(spec.OpenAPI, "3.0.") {
		return []string{fmt.Sprintf("openapi is %q: write 3.0.3, later versions are checked by another engine that prints values", spec.OpenAPI)}
	}
	if err := validate(spec); err != nil {
		return errorLines(err)
	}
	i := inspector{spec: spec, formats: stringFormats(), seen: map[string]bool{}, visited: map[visit]bool{}}
	if name, ok := spec.Extensions["x-error-response"]; ok && errorResponse(spec) == nil {
		i.note(spec.Origin, "document", fmt.Sprintf("x-error-response %v is no component response of this document", name))
	}
	for _, l := range operations(spec) {
		i.operation(l)
		i.examples(l, cmp.Or(l.spec.OperationID, l.method+" "+l.path))
	}
	return i.findings
}

func errorLines(err error) []string {
	several, ok := errors.AsType[openapi3.MultiError](err)
	if !ok {
		return []string{err.Error()}
	}
	lines := make([]string, len(several))
	for i, one := range several {
		lines[i] = one.Error()
	}
	return lines
}

type inspector struct {
	spec     *openapi3.T
	formats  map[string]openapi3.StringFormatValidator
	findings []string
	seen     map[string]bool // findings by place and text: what is shared is reported once
	visited  map[visit]bool  // ends the walk of a schema inside itself
}

type visit struct {
	schema *openapi3.Schema
	label  string
}

// note adds a finding. where names the element for the reader; the position, if there is one, is
// where the document has to be changed.
func (i *inspector) note(origin *openapi3.Origin, where, what string) {
	where = strings.TrimRight(where, " ")
	line, key := where+": "+what, where+what
	if origin != nil { // of JSON it is not known
		at := origin.Key
		line = fmt.Sprintf("%s:%d: %s", at.File, at.Line, line)
		key = fmt.Sprintf("%s:%d:%d: %s", at.File, at.Line, at.Column, what)
	}
	if !i.seen[key] {
		i.seen[key] = true
		i.findings = append(i.findings, line)
	}
}

func (i *inspector) operation(l listed) {
	where := cmp.Or(l.spec.OperationID, l.method+" "+l.path)
	if l.spec.OperationID == "" {
		i.note(l.spec.Origin, where, "has no operationId")
	}
	i.authorization(l, where)
	for segment := range strings.SplitSeq(l.path, "/") {
		name := strings.TrimSuffix(strings.TrimPrefix(segment, "{"), "}")
		if strings.ContainsAny(name, "{}:*") {
			i.note(l.item.Origin, where, "path segment "+segment+" must be fixed or one {parameter}: gin routes by nothing else")
		}
	}
	for _, ref := range parameters(l) {
		i.parameter(ref, where)
	}
	if l.spec.RequestBody != nil {
		i.body(l.spec.RequestBody.Value, where)
	}
	if _, ok := maxBody(l.spec); !ok && l.spec.Extensions["x-max-body"] != nil {
		i.note(l.spec.Origin, where, fmt.Sprintf("x-max-body must be a whole number of bytes, 1 to %d", maxMaxBody))
	}
}

// authorization sees that nothing is public by a slip, and that every other operation demands a scope that
// the document explains.
func (i *inspector) authorization(l listed, where string) {
	scopes, public := authorization(i.spec, l.spec)
	reason, _ := l.spec.Extensions["x-public"].(string)
	if l.spec.Security == nil { // the document's, and so is the reason
		reason, _ = i.spec.Extensions["x-public"].(string)
	}
	switch {
	case l.spec.Security == nil && i.spec.Security == nil:
		i.note(l.spec.Origin, where, "has no security: write security: [] and x-public if it is meant to be public")
	case public && reason == "":
		i.note(l.spec.Origin, where, "is open to everybody: say in x-public why, or demand authorization")
	case !public && l.spec.Extensions["x-public"] != nil:
		i.note(l.spec.Origin, where, "has x-public, but its security is not []")
	case !public && len(scopes) == 0:
		i.note(l.spec.Origin, where, "demands no scope: name them in security or, beside an API key, in x-scopes")
	}
	known := declaredScopes(i.spec)
	for _, scope := range scopes {
		if !slices.Contains(known, scope) {
			i.note(l.spec.Origin, where, "demands the scope "+scope+", which no security scheme of the document lists")
		}
	}
}

func (i *inspector) parameter(ref *openapi3.ParameterRef, where string) {
	p := ref.Value
	origin := cmp.Or(ref.Origin, p.Origin)
	where += ", " + p.In + " parameter " + p.Name
	if p.In == openapi3.ParameterInCookie {
		i.note(origin, where, "cookies are not checked: use a header")
		return
	}
	if p.Schema == nil {
		i.note(origin, where, "must have a schema; content is not checked")
		return
	}
	if p.AllowEmptyValue {
		i.note(origin, where, "allowEmptyValue switches the rules of the schema off: remove it")
	}
	if !readable(p.Schema) && !(p.Schema.Value.Type.Is(openapi3.TypeArray) && readable(p.Schema.Value.Items)) {
		i.note(origin, where, "must be a string, number, integer, boolean or an array of one of them")
	}
	i.field(p.Schema, origin, where, parameterLabel(ref))
}

// readable says whether a parameter or form field of this schema can be read from a text.
func readable(ref *openapi3.SchemaRef) bool {
	return ref != nil && slices.ContainsFunc(
		[]string{openapi3.TypeString, openapi3.TypeNumber, openapi3.TypeInteger, openapi3.TypeBoolean},
		ref.Value.Type.Is,
	)
}

func (i *inspector) body(body *openapi3.RequestBody, where string) {
	for _, name := range slices.Sorted(maps.Keys(body.Content)) {
		i.mediaType(name, body.Content[name], where+", body "+name)
	}
}

func (i *inspector) mediaType(name string, m *openapi3.MediaType, where string) {
	plain, parameters, err := mime.ParseMediaType(name)
	if err != nil || len(parameters) > 0 || strings.Contains(plain, "*") {
		i.note(m.Origin, where, "must be one media type, without parameters and wildcards")
		return
	}
	if m.Schema == nil {
		i.note(m.Origin, where, "has no schema")
		return
	}
	i.decrypted(m.Extensions, m.Origin, where)
	s := m.Schema.Value
	switch kindOf(name) {
	case textMedia:
		if !s.Type.Is(openapi3.TypeString) {
			i.note(m.Origin, where, "is checked as text, so its schema must be a string: only JSON and application/x-www-form-urlencoded have fields")
		}
	case formMedia:
		if !s.Type.Is(openapi3.TypeObject) {
			i.note(m.Origin, where, "is a form, so its schema must be an object")
		}
		for _, field := range documentOrder(s) {
			if ref := s.Properties[field]; !readable(ref) {
				i.note(ref.Origin, where+" /"+field, "a form field must be a string, number, integer or boolean")
			}
		}
	case jsonMedia:
	}
	i.schema(m.Schema, where+" ", label(m.Schema))
}

// decrypted goes on to the message inside an envelope, where the document ties one to it.
func (i *inspector) decrypted(extensions map[string]any, origin *openapi3.Origin, where string) {
	tie, ok := extensions["x-decrypted-schema"]
	if !ok {
		return
	}
	name := MessageSchema(extensions)
	if i.spec.Components == nil || i.spec.Components.Schemas[name] == nil {
		i.note(origin, where, fmt.Sprintf("x-decrypted-schema %v is no component schema of this document", tie))
		return
	}
	ref := i.spec.Components.Schemas[name]
	i.schema(ref, name+" ", label(ref))
}

// MessageSchema is the name of the component schema that x-decrypted-schema ties to a media type or
// schema: for [Document.CheckMessage]. The tie is that name, or a reference to it in this document.
// It is "" when there is none.
func MessageSchema(extensions map[string]any) string {
	tie := extensions["x-decrypted-schema"]
	if object, ok := tie.(map[string]any); ok {
		tie = object["$ref"]
	}
	name, _ := tie.(string)
	return strings.TrimPrefix(name, "#/components/schemas/")
}

// schema walks all the fields of a schema. The label goes down to what has no name of its own: the
// items of an array, the alternatives of a oneOf.
func (i *inspector) schema(ref *openapi3.SchemaRef, where, inherited string) {
	s := ref.Value
	if i.visited[visit{s, inherited}] {
		return
	}
	i.visited[visit{s, inherited}] = true
	i.decrypted(s.Extensions, s.Origin, where)
	if len(s.AllOf) > 0 {
		i.note(s.Origin, where, "allOf hides which field is wrong: write the properties out")
	}
	for _, name := range s.Required {
		if s.Properties[name] == nil && s.Type != nil { // without a type it is an alternative of an object
			i.note(s.Origin, where, "requires "+name+", which is not one of its properties")
		}
	}
	for _, name := range documentOrder(s) {
		property := s.Properties[name]
		i.typed(property, where+"/"+name)
		i.field(property, property.Origin, where+"/"+name, label(property))
	}
	for _, ref := range (openapi3.SchemaRefs{s.Items, s.AdditionalProperties.Schema}) {
		if ref != nil {
			i.typed(ref, where+"/*")
			i.field(ref, ref.Origin, where+"/*", cmp.Or(label(ref), inherited))
		}
	}
	for _, ref := range choices(s) {
		i.field(ref, ref.Origin, where, cmp.Or(label(ref), inherited))
	}
}

// typed asks for something that says which values may stand there at all.
func (i *inspector) typed(ref *openapi3.SchemaRef, where string) {
	s := ref.Value
	if s.Type == nil && len(s.Enum) == 0 && len(choices(s)) == 0 {
		i.note(ref.Origin, where, "has no type, so anything passes")
	}
}

// field is a schema that holds a value of a request, and all that is inside.
func (i *inspector) field(ref *openapi3.SchemaRef, origin *openapi3.Origin, where, label string) {
	s := ref.Value
	origin = cmp.Or(ref.Origin, origin)
	if bounds := constraints(s); label == "" && len(bounds) > 0 {
		i.note(origin, where, "has "+strings.Join(bounds, ", ")+" but no x-label, the name that a partner prints")
	}
	i.text(s, cmp.Or(s.Origin, origin), where)
	i.schema(ref, where, label)
}

func constraints(s *openapi3.Schema) []string {
	var names []string
	for _, c := range []struct {
		name string
		set  bool
	}{
		{"minLength", s.MinLength > 0},
		{"maxLength", s.MaxLength != nil},
		{"pattern", s.Pattern != ""},
		{"enum", len(s.Enum) > 0},
		{"format", s.Format != ""},
		{"minimum", s.Min != nil},
		{"maximum", s.Max != nil},
	} {
		if c.set {
			names = append(names, c.name)
		}
	}
	return names
}

// text asks of every string for something that says which characters it may hold.
func (i *inspector) text(s *openapi3.Schema, origin *openapi3.Origin, where string) {
	_, checked := i.formats[s.Format]
	switch {
	case s.Pattern != "" && !anchored(s.Pattern):
		i.note(origin, where, "pattern "+s.Pattern+" must begin with ^ and end with $ around all alternatives, or more may stand around it")
	case s.Pattern != "" || len(s.Enum) > 0 || checked || !s.Type.Is(openapi3.TypeString):
	case s.Format != "":
		i.note(origin, where, "format "+s.Format+" is not checked: add a pattern")
	default:
		i.note(origin, where, "is a string without pattern, enum or format")
	}
}

// anchored says whether a pattern (RE2 syntax, as the checks read it) speaks of the whole text.
func anchored(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && re.Op == syntax.OpConcat &&
		re.Sub[0].Op == syntax.OpBeginText && re.Sub[len(re.Sub)-1].Op == syntax.OpEndText
}

// examples are executable conversations: the name of one in the request is found under the one
// response that it leads to.
func (i *inspector) examples(l listed, where string) {
	statuses := statusesByExample(l.spec)
	for _, name := range slices.Sorted(maps.Keys(requestExamples(l))) {
		switch found := statuses[name]; len(found) {
		case 0:
			i.note(l.spec.Origin, where, "example "+name+" stands under no response, so it has no status")
		case 1: // as it should be
		default:
			i.note(l.spec.Origin, where, "example "+name+" stands under several responses: "+strings.Join(found, ", "))
		}
	}
}

// requestExamples are the names of the examples of the body and the parameters. "default" is no
// conversation but the value that a parameter has in the others.
func requestExamples(l listed) map[string]bool {
	names := map[string]bool{}
	for _, ref := range parameters(l) {
		for name := range ref.Value.Examples {
			names[name] = true
		}
	}
	if l.spec.RequestBody != nil {
		for _, m := range l.spec.RequestBody.Value.Content {
			for name := range m.Examples {
				names[name] = true
			}
		}
	}
	delete(names, "default")
	return names
}

// statusesByExample lists under which statuses each example of a reply stands, in the content or, for
// a reply without content, in x-examples.
func statusesByExample(op *openapi3.Operation) map[string][]string {
	statuses := map[string][]string{}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		ref := op.Responses.Value(status)
		names := map[string]bool{}
		for _, m := range ref.Value.Content {
			for name := range m.Examples {
				names[name] = true
			}
		}
		for _, extensions := range []map[string]any{ref.Extensions, ref.Value.Extensions} {
			listed, _ := extensions["x-examples"].(map[string]any)
			for name := range listed {
				names[name] = true
			}
		}
		for name := range names {
			statuses[name] = append(statuses[name], status)
		}
	}
	return statuses
}
