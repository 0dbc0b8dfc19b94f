package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// body is a request body as an operation describes it.
type body struct {
	required   bool
	typeAlways bool                  // Content-Type is demanded of an absent body too (x-content-type-required)
	media      map[string]*mediaType // by lower-case name
	types      string                // the names, for Violation.Limit
}

type mediaType struct {
	name  string // as the document writes it
	kind  mediaKind
	shape *shape

	message string // the component schema of what is inside a sealed body (x-decrypted-schema)
}

type mediaKind int

const (
	textMedia mediaKind = iota // a body that the document describes as one string
	jsonMedia
	formMedia
)

func kindOf(name string) mediaKind {
	switch name = strings.ToLower(name); {
	case name == "application/json" || strings.HasSuffix(name, "+json"):
		return jsonMedia
	case name == "application/x-www-form-urlencoded":
		return formMedia
	}
	return textMedia
}

func newBody(known shapes, op *openapi3.Operation) *body {
	if op.RequestBody == nil {
		return nil
	}
	spec := op.RequestBody.Value
	typeAlways, _ := op.Extensions["x-content-type-required"].(bool)
	b := &body{
		required:   spec.Required,
		typeAlways: spec.Required || typeAlways,
		media:      known.media(spec.Content),
		types:      strings.Join(slices.Sorted(maps.Keys(spec.Content)), ", "),
	}
	return b
}

// media are the media types of a content, by lower-case name.
func (known shapes) media(content openapi3.Content) map[string]*mediaType {
	media := make(map[string]*mediaType, len(content))
	for name, m := range content {
		described := &mediaType{name: name, kind: kindOf(name), message: MessageSchema(m.Extensions)}
		if m.Schema != nil { // only a reply's may be without
			described.shape = known.of(m.Schema.Value)
		}
		media[strings.ToLower(name)] = described
	}
	return media
}

// checkBody does by itself what openapi3filter.ValidateRequestBody does, and shares the schemas with
// it. That function decodes with encoding/json, for which {"pin":"1234","pin":"1"} and
// {"pin":"1234"} x are fine, and so would have to come after Strict: every body would be read and
// decoded twice. It also has no decoder for application/jose, takes the first of a repeated form
// field, and hides an overlong body behind "reading failed". What it offers on top, a ValidatedValue
// to bind from (KeepValidatedValue), keptBody has too.
func (op *Operation) checkBody(r *http.Request) []Violation {
	if op.body == nil {
		ignoreBody(r)
		return nil
	}
	if encoded(r.Header) {
		return []Violation{{In: InEncoding, Rule: RuleEncoding, Limit: "identity"}}
	}
	media := op.body.find(r.Header)
	if media == nil && op.body.typeAlways {
		return op.body.wrongType()
	}
	data, rule := read(r, op.maxBody)
	switch {
	case rule == RuleSize:
		return []Violation{{In: InSize, Rule: RuleSize, Limit: strconv.FormatInt(op.maxBody, 10)}}
	case rule != "":
		return []Violation{{In: InBody, Rule: rule}}
	case len(data) > 0 && media == nil:
		return op.body.wrongType()
	case len(data) > 0 && !op.body.unsent(media, data):
		return op.document.checkMedia(media, r, data)
	case op.body.required:
		return []Violation{{In: InBody, Rule: RuleRequired}}
	}
	ignoreBody(r)
	return nil
}

// unsent reports null in the place of an optional JSON body, which is what axios makes of one that its caller left out.
func (b *body) unsent(media *mediaType, data []byte) bool {
	return !b.required && media.kind == jsonMedia && string(bytes.TrimSpace(data)) == "null"
}

// encoded reports a Content-Encoding other than identity (RFC 9110, 8.4).
func encoded(h http.Header) bool {
	return slices.ContainsFunc(h["Content-Encoding"], func(s string) bool {
		return s != "" && !strings.EqualFold(s, "identity")
	})
}

// ignoreBody is for operations that describe no body. None of it is read here: net/http passes over what is
// left of a body after the reply, up to 256 KiB, and ends the connection where more comes.
func ignoreBody(r *http.Request) {
	r.Body, r.Form, r.PostForm = http.NoBody, url.Values{}, url.Values{}
}

func (b *body) wrongType() []Violation {
	return []Violation{{In: InMediaType, Rule: RuleMediaType, Limit: b.types}}
}

// find is the described media type that Content-Type names, nil when it names none. Content-Type becomes
// that name, which is what the generated code compares with.
func (b *body) find(h http.Header) *mediaType {
	media := described(b.media, h)
	if media != nil && h["Content-Type"][0] != media.name {
		h.Set("Content-Type", media.name)
	}
	return media
}

// described is the media type that Content-Type names, nil when it names none of these. Parameters are
// admitted, but no charset other than UTF-8. That of a form means nothing, since all that is in one is ASCII, and
// some clients always send another (RFC 6749, B).
func described(media map[string]*mediaType, h http.Header) *mediaType {
	sent := h["Content-Type"]
	if len(sent) != 1 {
		return nil
	}
	if m, ok := media[sent[0]]; ok { // as nearly everybody sends it
		return m
	}
	name, parameters, err := mime.ParseMediaType(sent[0])
	found := media[name]
	charset, given := parameters["charset"]
	if err != nil || found != nil && found.kind != formMedia && given && !strings.EqualFold(charset, "utf-8") {
		return nil
	}
	return found
}

// read reads the body, at most limit bytes of it, and makes room for it as it comes. The rule says why it could not:
// RuleSize, RuleRead.
func read(r *http.Request, limit int64) ([]byte, Rule) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, ""
	}
	if r.ContentLength > limit {
		return nil, RuleSize
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	switch {
	case int64(len(data)) > limit:
		return nil, RuleSize
	case err != nil:
		return nil, readRule(err)
	}
	r.ContentLength = int64(len(data))
	return data, ""
}

// readRule tells a limit that was set before the check from a connection that broke.
func readRule(err error) Rule {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return RuleSize
	}
	return RuleRead
}

func (d *Document) checkMedia(media *mediaType, r *http.Request, data []byte) []Violation {
	kept := &keptBody{sentBody: sentBody{data: data}}
	kept.Reset(data)
	r.Body = &kept.sentBody
	switch media.kind {
	case jsonMedia:
		var violations []Violation
		kept.value, kept.valid, violations = d.checkJSON(media.shape, data)
		if violations == nil {
			r.Body = kept
		}
		return violations
	case formMedia:
		return d.checkForm(media.shape, r, string(data))
	default:
		return d.checkText(media.shape, string(data))
	}
}

func (d *Document) checkText(root *shape, data string) []Violation {
	if !legible(data) {
		return []Violation{{In: InBody, Rule: RuleCharacters}}
	}
	return d.check(InBody, root, "", data)
}

// checkForm checks a form as an object of its fields (RFC 6749, section 3.2, forbids repeated ones
// where it matters most).
func (d *Document) checkForm(root *shape, r *http.Request, data string) []Violation {
	form, err := url.ParseQuery(data)
	if err != nil {
		return []Violation{{In: InBody, Rule: RuleMalformed}}
	}
	if illegible := checkRest(InBody, nil, form); illegible != nil {
		return illegible
	}
	object := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return []Violation{{In: InBody, Rule: RuleDuplicate}}
		}
		object[name] = formValue(root.schema.Properties[name], values[0])
	}
	r.Form, r.PostForm = form, form
	return d.check(InBody, root, "", object)
}

// formValue is the number or boolean that a field of such a type holds, and else the text: the
// schema then says what is wrong with it.
func formValue(field *openapi3.SchemaRef, text string) any {
	if field == nil || field.Value.Type.Is(openapi3.TypeString) {
		return text
	}
	value, _ := strict([]byte(text))
	switch value.(type) {
	case json.Number, bool:
		return value
	}
	return text
}

// sentBody is a body that was read. It reads again from its beginning.
type sentBody struct {
	bytes.Reader
	data  []byte
	value any
}

func (*sentBody) Close() error { return nil }

// keptBody is a JSON body that keeps the contract.
type keptBody struct {
	sentBody
	valid any // value without what counts as not sent
}

// ValidatedValue is what runtime.BindJSONBody and the generated handlers bind from.
func (b *keptBody) ValidatedValue() any { return b.valid }

// Sent is the body of a checked request: its bytes, and for JSON its value as [Strict] gives it, also
// when the contract is broken, for partners who document that they echo a field. Both are nil where
// the check did not get as far. They are shared: read only.
func Sent(r *http.Request) (data []byte, value any) {
	switch b := r.Body.(type) {
	case *sentBody:
		return b.data, b.value
	case *keptBody:
		return b.data, b.value
	}
	return nil, nil
}
