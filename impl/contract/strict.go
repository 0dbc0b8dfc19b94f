package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of one JSON message that somebody sends. No contract needs a tenth of them; they keep a small body from costing
// much memory or stack.
const (
	MaxDepth  = 32     // objects and arrays inside each other
	MaxTokens = 10_000 // names, values, and the brackets around them
)

// StrictError says which rule a message breaks before any schema is looked at: RuleJSON,
// RuleDuplicate, RuleCharacters, RuleNumber, RuleDepth or RuleTokens. It holds nothing of the message.
type StrictError struct{ Rule Rule }

func (e *StrictError) Error() string { return "message is not acceptable JSON: " + string(e.Rule) }

// Strict decodes one JSON value and accepts only what every other reader would read in the same way:
// I-JSON (RFC 7493), so UTF-8 without unpaired surrogates, no member named twice, nothing after the
// value; and besides no NUL in a string or name (PostgreSQL has no place for it), numbers within
// int64, at most [MaxDepth] levels and [MaxTokens] tokens. Every error is a [*StrictError].
//
// The value is made of nil, bool, string, json.Number, []any and map[string]any. A number with an
// integral value is written as an integer (1e2 and 100.0 are 100): a schema of type integer admits
// it, and the generated types must then be able to hold it.
func Strict(data []byte) (any, error) {
	value, rule := strict(data)
	if rule != "" {
		return nil, &StrictError{rule}
	}
	return value, nil
}

// strict tells a failure by its rule alone. The decoder's own errors are dropped: they quote names.
func strict(data []byte) (any, Rule) { return strictly(data, MaxTokens) }

// strictly is strict of a message of so many tokens at most.
func strictly(data []byte, most int) (any, Rule) {
	if !utf8.Valid(data) {
		return nil, RuleCharacters
	}
	r := strictReader{decoder: jsontext.NewDecoder(bytes.NewBuffer(data)), most: most}
	value, rule := r.value()
	if rule != "" {
		return nil, rule
	}
	if _, err := r.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, RuleJSON
	}
	return value, ""
}

// described is the value of a message that [strict] refuses, for what reason, as far as the shape describes it:
// a member that the shape does not name, and lets stand, is not in it, and nothing but JSON is asked of that. Of
// members that it names and that are not acceptable, which found lists, an empty text stands in it, since they are not
// absent. rule is why there is no value.
func (s *shape) described(data []byte, reason Rule) (value any, found []Violation, rule Rule) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if !s.open() || decoder.PeekKind() != '{' {
		return nil, nil, reason
	}
	if !utf8.Valid(data) { // which the decoder lets pass as it does an unpaired surrogate
		return nil, nil, RuleCharacters
	}
	object, named := map[string]any{}, map[string]bool{}
	_, err := decoder.ReadToken()
	for err == nil && decoder.PeekKind() == '"' {
		var name string
		var text jsontext.Value
		name, text, err = nameAndValue(decoder)
		if _, known := s.place[name]; err != nil || !known {
			continue
		}
		if named[name] {
			return nil, nil, RuleDuplicate
		}
		named[name] = true
		value, broken := strict(text)
		if broken == "" {
			object[name] = value
			continue
		}
		object[name] = ""
		at := s.find("", []string{name})
		found = append(found, Violation{In: InBody, Pointer: at.pointer, Rule: broken, Label: at.label, Schema: at.schema()})
	}
	if err == nil {
		_, err = decoder.ReadToken()
	}
	if _, end := decoder.ReadToken(); err != nil || !errors.Is(end, io.EOF) {
		return nil, nil, RuleJSON
	}
	return object, found, ""
}

// nameAndValue reads a member of an object. The text is valid until the next is read.
func nameAndValue(decoder *jsontext.Decoder) (name string, text jsontext.Value, err error) {
	token, err := decoder.ReadToken()
	if err != nil {
		return "", nil, err
	}
	name = token.String() // a copy: the next reading overwrites the token
	text, err = decoder.ReadValue()
	return name, text, err
}

// open tells whether the shape is that of an object which lets members stand that it does not describe.
func (s *shape) open() bool {
	others := s.schema.AdditionalProperties
	return len(s.members) > 0 && s.other == nil && (others.Has == nil || *others.Has) &&
		!slices.ContainsFunc(choices(s.schema), func(ref *openapi3.SchemaRef) bool { return len(ref.Value.Properties) > 0 })
}

type strictReader struct {
	decoder      *jsontext.Decoder
	tokens, most int
}

func (r *strictReader) next() (jsontext.Token, Rule) {
	token, err := r.decoder.ReadToken()
	r.tokens++
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return token, RuleDuplicate
	case err != nil:
		return token, RuleJSON
	case r.decoder.StackDepth() > MaxDepth:
		return token, RuleDepth
	case r.tokens > r.most:
		return token, RuleTokens
	}
	return token, ""
}

func (r *strictReader) value() (any, Rule) {
	token, rule := r.next()
	if rule != "" {
		return nil, rule
	}
	switch token.Kind() {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		return text(token)
	case '0':
		return integral(token.String())
	case 't', 'f':
		return token.Bool(), ""
	default: // null; the decoder lets no closing bracket come here
		return nil, ""
	}
}

func (r *strictReader) object() (any, Rule) {
	object := map[string]any{}
	for {
		token, rule := r.next()
		if rule != "" {
			return nil, rule
		}
		if token.Kind() == '}' {
			return object, ""
		}
		name, rule := text(token)
		if rule != "" {
			return nil, rule
		}
		if object[name], rule = r.value(); rule != "" {
			return nil, rule
		}
	}
}

func (r *strictReader) array() (any, Rule) {
	array := []any{}
	for r.decoder.PeekKind() != ']' {
		item, rule := r.value()
		if rule != "" {
			return nil, rule
		}
		array = append(array, item)
	}
	_, rule := r.next()
	return array, rule
}

func text(token jsontext.Token) (string, Rule) {
	s := token.String()
	if strings.IndexByte(s, 0) >= 0 {
		return "", RuleCharacters
	}
	return s, ""
}

// integral keeps a literal as it is, except that a whole number is written as one.
func integral(literal string) (any, Rule) {
	if _, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return json.Number(literal), ""
	}
	x, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.Abs(x) >= 1<<63 {
		return nil, RuleNumber
	}
	if x == math.Trunc(x) {
		return json.Number(strconv.FormatInt(int64(x), 10)), ""
	}
	return json.Number(literal), ""
}
