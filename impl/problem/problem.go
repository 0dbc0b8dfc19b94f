// Package problem is the one body of errors in our own documents: issuer, hosted and common. It is RFC
// 9457's, with a stable code, the trace and, where fields of a request are wrong, those fields.
//
// It knows the body (openapi/common.yaml) and what breaks a contract, and no table: which row goes out
// for what is each contract's own.
package problem

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"pinvault/generated/common"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// Row is a line of an error table: status, stable code and title. It is an error, for what a handler finds
// and no code of the vault tells.
type Row struct {
	Status      int
	Code, Title string

	RemainingTries *int32 // 0..limit, where the reply tells them
}

// Error is the code.
func (r Row) Error() string { return r.Code }

// Rows that every table has.
var (
	Internal    = Row{Status: http.StatusInternalServerError, Code: "internal", Title: "Internal server error."}
	TooMany     = Row{Status: http.StatusTooManyRequests, Code: "too_many", Title: "The client's limit is used up. Please try again later."}
	Unavailable = Row{Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "The service is temporarily unavailable. Please try again."}
)

// breaches are the replies to requests that break the contract, by [contract.Broken.Status].
var breaches = map[int]Row{
	http.StatusBadRequest:            {Status: http.StatusBadRequest, Code: "invalid_request", Title: "The request breaks the contract."},
	http.StatusNotFound:              {Status: http.StatusNotFound, Code: "not_found", Title: "No such endpoint."},
	http.StatusMethodNotAllowed:      {Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Title: "Method not allowed."},
	http.StatusRequestEntityTooLarge: {Status: http.StatusRequestEntityTooLarge, Code: "too_large", Title: "The body is too large."},
	http.StatusUnsupportedMediaType:  {Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Title: "The body has a type or an encoding that is not documented."},
}

// Breach is the row of a request that breaks the contract.
func Breach(b contract.Broken) Row { return breaches[b.Status()] }

// Reply is the row as it goes out, with the fields that are wrong. Of a breach only a 400 names any: what
// is wrong with the request as a whole (no route, too large, …) the title says already.
func (r Row) Reply(ctx context.Context, fields contract.Broken) contract.Reply {
	p := common.Problem{Type: "about:blank", Title: r.Title, Status: int32(r.Status), Code: r.Code,
		RemainingTries: r.RemainingTries, TraceID: pin.CallerFrom(ctx).TraceID}
	if len(fields) > 0 && fields.Status() == http.StatusBadRequest {
		errs := make([]common.FieldError, len(fields))
		for i, v := range fields {
			errs[i] = fieldError(v)
		}
		p.Errors = &errs
	}
	return contract.JSON(r.Status, "application/problem+json", p)
}

// RuleUnique is the rule that a reference of another card breaks. Only the vault can tell.
const RuleUnique contract.Rule = "unique"

// RuleKnown is the rule that the name of something that there is not breaks. Its limit is what more there is to say, after
// a blank.
const RuleKnown contract.Rule = "known"

// details say how a field breaks a rule; {} is the document's side of it. Rules that stand for a whole
// reply (no route, too large, …) have none.
var details = map[contract.Rule]string{
	contract.RuleRequired:             "is required.",
	contract.RuleNull:                 "must not be null.",
	contract.RuleType:                 "must be of type {}.",
	contract.RuleMinLength:            "must have at least {} characters.",
	contract.RuleMaxLength:            "must have at most {} characters.",
	contract.RuleMinimum:              "must be at least {}.",
	contract.RuleMaximum:              "must be at most {}.",
	contract.RuleMinItems:             "must have at least {} items.",
	contract.RuleMaxItems:             "must have at most {} items.",
	contract.RuleMinMembers:           "must have at least {} of the documented members.",
	contract.RulePattern:              "does not match the required format.",
	contract.RuleEnum:                 "must be one of the documented values.",
	contract.RuleFormat:               "must be a valid {}.",
	contract.RuleOneOf:                "has none of the documented forms.",
	contract.RuleAnyOf:                "has none of the documented forms.",
	contract.RuleAdditionalProperties: "has an unknown member.",
	contract.RuleJSON:                 "is not valid JSON.",
	contract.RuleDuplicate:            "names a member twice.",
	contract.RuleNumber:               "has a number beyond 64 bits.",
	contract.RuleDepth:                "is nested too deeply.",
	contract.RuleTokens:               "has too many members.",
	contract.RuleCharacters:           "has NUL or bytes that are not UTF-8.",
	contract.RuleMalformed:            "is not application/x-www-form-urlencoded.",
	contract.RuleRepeated:             "is sent more than once.",
	contract.RuleRead:                 "could not be read to its end.",
	contract.RuleValue:                "has an invalid value.",
	RuleUnique:                        "is taken.",
	RuleKnown:                         "names nothing that there is.{}",
}

// parts name what has no label.
var parts = map[contract.In]string{
	contract.InPath:   "The path",
	contract.InQuery:  "The query",
	contract.InHeader: "A header",
	contract.InBody:   "The body",
}

// fieldError is a violation in the document's form and words.
func fieldError(v contract.Violation) common.FieldError {
	return common.FieldError{In: common.FieldPlace(v.In), Field: v.Pointer, Rule: string(v.Rule), Detail: Detail(v)}
}

// Detail says how a field breaks a rule, in a sentence. Nothing of the request is in it, but positions in
// arrays.
func Detail(v contract.Violation) string {
	how, known := details[v.Rule]
	if !known {
		how = "breaks the rule " + string(v.Rule) + "."
	}
	return cmp.Or(v.Label, parts[v.In]) + " " + strings.ReplaceAll(how, "{}", v.Limit)
}
