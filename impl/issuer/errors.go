package issuer

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pinvault/generated/common"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is a problem of the document: status, stable code and title.
type row struct {
	status      int
	code, title string
}

// problems are the replies to what the vault reports.
var problems = map[pin.Code]row{
	pin.Internal:       {http.StatusInternalServerError, "internal", "The server made a mistake."},
	pin.Unavailable:    {http.StatusServiceUnavailable, "unavailable", "The service cannot do its work at the moment. Please try again."},
	pin.Unauthorized:   {http.StatusUnauthorized, "unauthorized", "A valid bearer token is needed."},
	pin.Forbidden:      {http.StatusForbidden, "forbidden", "The token does not allow this."},
	pin.NotFound:       {http.StatusNotFound, "not_found", "There is no such thing, or not in your reach."},
	pin.Ambiguous:      {http.StatusConflict, "ambiguous", "More than one card matches."},
	pin.Conflict:       {http.StatusConflict, "conflict", "Somebody else changed it meanwhile. Please try again."},
	pin.Duplicate:      {http.StatusConflict, "duplicate", "There is one already."},
	pin.InvalidField:   {http.StatusUnprocessableEntity, "invalid_field", "A field has a value that cannot be."},
	pin.InvalidPIN:     {http.StatusUnprocessableEntity, "invalid_pin", "A PIN has 4 to 12 digits."},
	pin.PINLength:      {http.StatusUnprocessableEntity, "pin_length", "The program does not allow PINs of this length."},
	pin.WeakPIN:        {http.StatusUnprocessableEntity, "weak_pin", "The program does not allow PINs that are easy to guess."},
	pin.RecentPIN:      {http.StatusUnprocessableEntity, "recent_pin", "The program does not allow PINs that the card had before."},
	pin.CardStatus:     {http.StatusConflict, "card_status", "The card's status does not allow this."},
	pin.NoPIN:          {http.StatusConflict, "no_pin", "The card has no PIN."},
	pin.RetrievalOff:   {http.StatusConflict, "retrieval_off", "The program keeps no PIN that could be read back."},
	pin.WrongPIN:       {http.StatusUnprocessableEntity, "wrong_pin", "The PIN is wrong."},
	pin.Blocked:        {http.StatusConflict, "blocked", "No tries remain."},
	pin.Unopenable:     {http.StatusUnprocessableEntity, "unopenable", "The PIN block cannot be opened."},
	pin.UnknownKey:     {http.StatusUnprocessableEntity, "unknown_key", "There is no usable key of this id."},
	pin.ReplayOther:    {http.StatusUnprocessableEntity, "replay_other", "This idempotency key was used with another operation."},
	pin.ReplayChanged:  {http.StatusUnprocessableEntity, "replay_changed", "This idempotency key was used with another request."},
	pin.ReplayUnderway: {http.StatusConflict, "replay_underway", "The first request with this idempotency key has not ended."},
}

// breaches are the replies to requests that break the contract, by [contract.Broken.Status].
var breaches = map[int]row{
	http.StatusBadRequest:            {http.StatusBadRequest, "invalid_request", "The request breaks the contract."},
	http.StatusNotFound:              problems[pin.NotFound],
	http.StatusMethodNotAllowed:      {http.StatusMethodNotAllowed, "method_not_allowed", "This path does not take that method."},
	http.StatusRequestEntityTooLarge: {http.StatusRequestEntityTooLarge, "too_large", "The body is too large."},
	http.StatusUnsupportedMediaType:  {http.StatusUnsupportedMediaType, "unsupported_media_type", "The body must be application/json, not encoded."},
}

// ruleUnique is the rule that a reference of another card breaks. Only the vault can tell.
const ruleUnique contract.Rule = "unique"

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
	contract.RulePattern:              "has a wrong form.",
	contract.RuleEnum:                 "must be one of the documented values.",
	contract.RuleFormat:               "must be a valid {}.",
	contract.RuleOneOf:                "has none of the documented forms.",
	contract.RuleAnyOf:                "has none of the documented forms.",
	contract.RuleAdditionalProperties: "has a member that the contract does not know.",
	contract.RuleJSON:                 "is not valid JSON.",
	contract.RuleDuplicate:            "names a member twice.",
	contract.RuleNumber:               "has a number beyond 64 bits.",
	contract.RuleDepth:                "is nested too deeply.",
	contract.RuleTokens:               "has too many members.",
	contract.RuleCharacters:           "has NUL or bytes that are not UTF-8.",
	contract.RuleMalformed:            "is not application/x-www-form-urlencoded.",
	contract.RuleRepeated:             "is sent more than once.",
	contract.RuleAdditionalBody:       "must be empty.",
	contract.RuleRead:                 "could not be read to its end.",
	contract.RuleValue:                "has a value that cannot be.",
	ruleUnique:                        "is taken.",
}

// parts name what has no label.
var parts = map[contract.In]string{
	contract.InPath:   "The path",
	contract.InQuery:  "The query",
	contract.InHeader: "A header",
	contract.InBody:   "The body",
}

// unopenableError is Unopenable after a try was taken.
type unopenableError struct{ remaining int } // tries, 0..limit

func (e *unopenableError) Error() string { return e.Unwrap().Error() }

func (*unopenableError) Unwrap() error { return &pin.Error{Code: pin.Unopenable} }

// Fail answers a request with a problem: [contract.Broken] for what was found before a handler, a
// [pin.Error] anywhere in the chain, and anything else is a fault of ours. What is no Broken is left
// with the request (gin's c.Error) for the server's log. Headers that go with a status, such as Allow
// and WWW-Authenticate, are the caller's.
//
// Nothing of the request is in the reply, but positions in arrays.
func (*API) Fail(c *gin.Context, err error) {
	c.Abort()
	var p common.Problem
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		p = breach(broken)
	} else {
		p = fault(err)
		_ = c.Error(err)
	}
	if c.Writer.Written() { // the connection broke in the middle of a reply
		return
	}
	p.TraceID = pin.CallerFrom(c.Request.Context()).TraceID
	c.Header("Content-Type", "application/problem+json")
	c.JSON(int(p.Status), p)
}

// breach is the problem of a request that breaks the contract. What is wrong with the request as a
// whole (no route, too large, …) its title says already.
func breach(b contract.Broken) common.Problem {
	r := breaches[b.Status()]
	if r.status != http.StatusBadRequest {
		b = nil
	}
	return r.problem(b)
}

// fault is the problem of what the vault reports, and of faults of ours.
func fault(err error) common.Problem {
	r, known := problems[pin.CodeOf(err)]
	if !known {
		r = problems[pin.Internal]
	}
	p := r.problem(violated(err))
	if spent, ok := errors.AsType[*unopenableError](err); ok {
		remaining := int32(spent.remaining)
		p.RemainingTries = &remaining
	}
	return p
}

// problem is the row with the fields that are wrong, but for the trace.
func (r row) problem(violations contract.Broken) common.Problem {
	p := common.Problem{Type: "about:blank", Title: r.title, Status: int32(r.status), Code: r.code}
	if len(violations) > 0 {
		errs := each(violations, fieldError)
		p.Errors = &errs
	}
	return p
}

// violated tells the field that the vault complains of, as the contract check would.
func violated(err error) contract.Broken {
	field := pin.FieldOf(err)
	if field == "" {
		return nil
	}
	switch pin.CodeOf(err) {
	case pin.InvalidField:
		return contract.Broken{{In: contract.InBody, Pointer: "/" + strings.ReplaceAll(field, ".", "/"), Rule: contract.RuleValue, Label: field}}
	case pin.Duplicate: // a kind of reference
		return contract.Broken{{In: contract.InBody, Pointer: field, Rule: ruleUnique, Label: field}}
	default:
		return nil
	}
}

// fieldError is a violation in the document's form and words.
func fieldError(v contract.Violation) common.FieldError {
	how, known := details[v.Rule]
	if !known {
		how = "breaks the rule " + string(v.Rule) + "."
	}
	return common.FieldError{
		In:     common.FieldErrorIn(v.In),
		Field:  v.Pointer,
		Rule:   string(v.Rule),
		Detail: cmp.Or(v.Label, parts[v.In]) + " " + strings.ReplaceAll(how, "{}", v.Limit),
	}
}
