package contract

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// In is the part of a request or reply that breaks the contract.
type In string

// The parts of a request, in the order in which violations are reported. InEncoding, InMediaType and
// InSize concern the body as a whole (415, 415 and 413 in most contracts); no InBody violation stands
// beside them, because the body was not looked at.
const (
	InPath      In = "path"
	InQuery     In = "query"
	InHeader    In = "header"
	InEncoding  In = "encoding"
	InMediaType In = "media-type"
	InSize      In = "size"
	InBody      In = "body"
)

// Rule is the rule that is broken. Where OpenAPI has a keyword for it, the Rule is that keyword; a
// keyword without a constant here (multipleOf, uniqueItems, not, …) comes out as it is written in
// the document.
type Rule string

// Rules with a meaning of their own.
const (
	RuleRequired   Rule = "required"  // absent, or a required body that is empty
	RuleNull       Rule = "null"      // null in a required member or an array, where the document does not say nullable
	RuleType       Rule = "type"      // another JSON type; a parameter that cannot be read as its type
	RuleMinLength  Rule = "minLength" // in code points; what an empty string breaks
	RuleMaxLength  Rule = "maxLength" // in code points
	RuleMinimum    Rule = "minimum"
	RuleMaximum    Rule = "maximum"
	RuleMinItems   Rule = "minItems"
	RuleMaxItems   Rule = "maxItems"
	RuleMinMembers Rule = "minProperties" // null is as if absent
	RulePattern    Rule = "pattern"
	RuleEnum       Rule = "enum"
	RuleFormat     Rule = "format"
	RuleOneOf      Rule = "oneOf"
	RuleAnyOf      Rule = "anyOf"

	// RuleAdditionalProperties is about the object that holds an undescribed member. The member
	// itself is not named: its name is the caller's text.
	RuleAdditionalProperties Rule = "additionalProperties"

	RuleJSON           Rule = "json"           // no JSON, more than one value, an unpaired surrogate
	RuleDuplicate      Rule = "duplicate"      // a member or form field named twice
	RuleNumber         Rule = "number"         // a number outside int64 and so outside every field's type
	RuleDepth          Rule = "depth"          // nested too deeply
	RuleTokens         Rule = "tokens"         // too many tokens
	RuleCharacters     Rule = "characters"     // NUL, or bytes that are not UTF-8
	RuleMalformed      Rule = "malformed"      // a query or form that is not application/x-www-form-urlencoded
	RuleRepeated       Rule = "repeated"       // a parameter sent more than once
	RuleAdditionalBody Rule = "additionalBody" // a reply's body where the document describes none
	RuleRead           Rule = "read"           // the body could not be read to its end
	RuleSize           Rule = "size"           // longer than the limit, in bytes
	RuleMediaType      Rule = "mediaType"      // Content-Type absent, repeated or not described
	RuleEncoding       Rule = "encoding"       // Content-Encoding other than identity
	RuleOperation      Rule = "operation"      // a route or message that the document does not describe
)

// order sorts the violations of one field: what is missing or of the wrong type first, then the
// lengths and bounds, then the content.
func (r Rule) order() int {
	switch r {
	case RuleRequired, RuleNull, RuleType:
		return 0
	case RuleMinLength, RuleMinItems, RuleMinimum:
		return 1
	case RuleMaxLength, RuleMaxItems, RuleMaximum:
		return 2
	case RulePattern:
		return 3
	case RuleEnum:
		return 4
	case RuleFormat:
		return 5
	default:
		return 6
	}
}

// decides says whether a violation leaves no sense in the other rules of its field.
func (r Rule) decides() bool { return r == RuleNull || r == RuleType }

// Violation is one broken rule. Everything in it comes from the document, nothing from the request
// but positions in arrays, so it may be logged. It prints as "body /pin: minLength 4".
type Violation struct {
	In In

	// Pointer is a JSON pointer (RFC 6901) into the body, "" for the body itself; or the name of a
	// parameter, "" for one that the document does not describe. A member that the document does
	// not name is "*".
	Pointer string

	Rule Rule

	// Limit is the document's side of the rule: "14", the pattern, "A, B" for an enum, "string" for
	// a type; "" where the rule has no bound.
	Limit string

	// Label is the x-label of the field, "" when it has none.
	Label string

	// Schema is the field's own schema, nil where there is none. It is the document's: read only.
	Schema *openapi3.Schema
}

// String is the violation in one line, without the label and the schema.
func (v Violation) String() string {
	var b strings.Builder
	b.WriteString(string(v.In))
	if v.Pointer != "" {
		b.WriteString(" " + v.Pointer)
	}
	b.WriteString(": " + string(v.Rule))
	if v.Limit != "" {
		b.WriteString(" " + v.Limit)
	}
	return b.String()
}

// Format prints String for every verb, so that no verb walks into the schema.
func (v Violation) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, v.String()) }

// MarshalText is String, for the same reason.
func (v Violation) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// LogValue is String.
func (v Violation) LogValue() slog.Value { return slog.StringValue(v.String()) }

// limit is what schema s says about a rule.
func limit(r Rule, s *openapi3.Schema) string {
	if s == nil {
		return ""
	}
	switch r {
	case RuleType:
		return strings.Join(s.Type.Slice(), ", ")
	case RuleMinLength:
		return count(s.MinLength)
	case RuleMaxLength:
		return optionalCount(s.MaxLength)
	case RuleMinItems:
		return count(s.MinItems)
	case RuleMaxItems:
		return optionalCount(s.MaxItems)
	case RuleMinimum, "exclusiveMinimum":
		return number(s.Min)
	case RuleMaximum, "exclusiveMaximum":
		return number(s.Max)
	case "multipleOf":
		return number(s.MultipleOf)
	case RuleMinMembers:
		return count(s.MinProps)
	case "maxProperties":
		return optionalCount(s.MaxProps)
	case RulePattern:
		return s.Pattern
	case RuleFormat:
		return s.Format
	case RuleEnum:
		texts := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			texts[i] = fmt.Sprint(value)
		}
		return strings.Join(texts, ", ")
	default:
		return ""
	}
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func optionalCount(n *uint64) string {
	if n == nil {
		return ""
	}
	return count(*n)
}

func number(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'f', -1, 64)
}
