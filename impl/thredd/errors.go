package thredd

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"pinvault/generated/thredd"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is one line of the error table, and an error that is answered with it: the status, and the title
// where it is not the status's own. With a field the problem is a validation error of that field, and title
// its text.
type row struct {
	status int
	title  string
	field  string
}

// Error is the status and the field.
func (r row) Error() string { return strings.TrimSpace(http.StatusText(r.status) + " " + r.field) }

// rows is the contract's error table.
var rows = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       {status: http.StatusInternalServerError},
	pin.Unavailable:    {status: http.StatusServiceUnavailable},
	pin.Unauthorized:   {status: http.StatusUnauthorized},
	pin.Forbidden:      {status: http.StatusForbidden},
	pin.RetrievalOff:   {status: http.StatusForbidden, title: "The program does not allow PINs to be read back."},
	pin.ApprovalNeeded: {status: http.StatusForbidden, title: "The program asks for a second person's approval."},
	pin.NotFound:       {status: http.StatusNotFound},
	pin.Ambiguous:      {status: http.StatusNotFound},
	pin.NoPIN:          {status: http.StatusNotFound, title: "The card has no PIN."},
	pin.CardStatus:     {status: http.StatusConflict, title: "The card's status does not allow PIN operations."},
	pin.Conflict:       {status: http.StatusConflict, title: "The card was changed by another request. Please try again."},
	pin.Duplicate:      {status: http.StatusConflict, title: "A card with this PAN exists already."},
	pin.Blocked:        {status: http.StatusConflict, title: "The PIN is blocked."},
	pin.ReplayUnderway: {status: http.StatusConflict, title: "The first request with this idempotency key is still in progress."},
	pin.TooMany:        {status: http.StatusTooManyRequests, title: "The client's limit is used up. Please try again later."},
	pin.Halted:         {status: http.StatusForbidden, title: "The client's PIN verifications are halted."},
	pin.InvalidField:   {status: http.StatusBadRequest, field: "body", title: "The request body has an invalid value."},
	pin.InvalidPIN:     {status: http.StatusBadRequest, field: "pin", title: "The pin field must be a PIN."},
	pin.PINLength:      {status: http.StatusBadRequest, field: "pin", title: "The program does not allow a PIN of this length."},
	pin.WeakPIN:        {status: http.StatusBadRequest, field: "pin", title: "The program's PIN policy refuses a PIN that is easily guessed."},
	pin.RecentPIN:      {status: http.StatusBadRequest, field: "pin", title: "The program's PIN policy refuses a PIN that was used before."},
	pin.WrongPIN:       {status: http.StatusBadRequest, field: "pin", title: "The PIN does not match."},
	pin.Unopenable:     {status: http.StatusBadRequest, field: "pin", title: "The PIN block cannot be opened."},
	pin.UnfitBlock:     {status: http.StatusBadRequest, field: "pin", title: "The PIN block does not fit its key."},
	pin.UnknownKey:     {status: http.StatusBadRequest, field: "pin", title: "There is no such key."},
	pin.ReplayOther:    {status: http.StatusBadRequest, field: keyField, title: "The Idempotency header key value '%s' was used in a different request."},
	pin.ReplayChanged:  {status: http.StatusBadRequest, field: keyField, title: "The Idempotency header key value '%s' was used with a different request body."},
})

// expiryOutside is what only this contract asks of an expiry date.
var expiryOutside = row{status: http.StatusBadRequest, field: "expiryDate", title: "The expiryDate field must be a date from today to 20 years ahead."}

// keyField is the header of a replay, whose rows quote it.
const keyField = "IdempotencyKey"

// types are the problem types: the sections of RFCs that define the statuses.
var types = map[int]string{
	http.StatusBadRequest: "rfc9110#section-15.5.1", http.StatusUnauthorized: "rfc9110#section-15.5.2", http.StatusForbidden: "rfc9110#section-15.5.4",
	http.StatusNotFound: "rfc9110#section-15.5.5", http.StatusMethodNotAllowed: "rfc9110#section-15.5.6", http.StatusConflict: "rfc9110#section-15.5.10",
	http.StatusRequestEntityTooLarge: "rfc9110#section-15.5.14", http.StatusUnsupportedMediaType: "rfc9110#section-15.5.16", http.StatusTooManyRequests: "rfc6585#section-4",
	http.StatusInternalServerError: "rfc9110#section-15.6.1", http.StatusServiceUnavailable: "rfc9110#section-15.6.4",
}

// titles are those of statuses whose name in net/http is an older one.
var titles = map[int]string{
	http.StatusBadRequest:            "One or more validation errors occurred.",
	http.StatusRequestEntityTooLarge: "Content Too Large",
}

// TokenError is a refusal of the token endpoint (RFC 6749, 5.2), and what it is answered with.
type TokenError struct {
	Code      string
	Status    int
	Challenge string // WWW-Authenticate, "" for none
	Err       error  // for the log
}

// Error is the code.
func (e *TokenError) Error() string { return e.Code }

// Unwrap is the cause.
func (e *TokenError) Unwrap() error { return e.Err }

// quoted is an error about an IdempotencyKey with the row in which the contract quotes it. The key is a
// GUID by then.
func quoted(err error, key string) error {
	if r := rows.Of(err); r.field == keyField {
		r.title = fmt.Sprintf(r.title, key)
		return fmt.Errorf("%w: %w", r, err)
	}
	return err
}

// Render says how an error is answered.
func (*API) Render(r *http.Request, op *contract.Operation, err error) contract.Reply {
	if op != nil && op.ID == "issueToken" {
		return tokenReply(err)
	}
	p := thredd.Problem{TraceID: pin.CallerFrom(r.Context()).TraceID}
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		p.Status, p.Errors = status(broken), fields(broken)
	} else {
		found, ok := errors.AsType[row](err)
		if !ok {
			found = rows.Of(err)
		}
		p.Status, p.Title = int32(found.status), found.title
		if found.field != "" {
			p.Title, p.Errors = "", &map[string][]string{found.field: {found.title}}
		}
	}
	p.Type = "https://tools.ietf.org/html/" + types[int(p.Status)]
	p.Title = cmp.Or(p.Title, titles[int(p.Status)], http.StatusText(int(p.Status)))
	return contract.JSON(int(p.Status), "application/problem+json", p)
}

// status is that of the violations; a malformed public token is answered as an unknown one.
func status(b contract.Broken) int32 {
	if b[0].In == contract.InPath && b[0].Rule != contract.RuleMethod {
		return http.StatusNotFound
	}
	return int32(b.Status())
}

// fields says what is wrong with each field, where the status is 400.
func fields(b contract.Broken) *map[string][]string {
	if status(b) != http.StatusBadRequest {
		return nil
	}
	out := map[string][]string{}
	for _, v := range b {
		name := cmp.Or(v.Label, "body")
		out[name] = append(out[name], sentence(name, v))
	}
	return &out
}

// sentence says what a violation means. It is made from the document alone.
func sentence(name string, v contract.Violation) string {
	if v.Schema != nil {
		if shape, ok := v.Schema.Extensions["x-shape"].(string); ok && (v.Rule == contract.RulePattern || v.Rule == contract.RuleFormat || v.Rule == contract.RuleMaxLength) {
			return fmt.Sprintf("The %s field must be %s.", name, shape)
		}
	}
	switch {
	case v.Rule == contract.RuleAdditionalProperties:
		return "The request body has an unknown member."
	case name == "body" && v.Rule == contract.RuleRequired:
		return "The request body is required."
	case name == "body" && v.Rule == contract.RuleType:
		return "The request body must be a JSON object."
	case name == "body" && v.Rule == contract.RuleValue:
		return "The request body has an invalid value."
	case name == "body":
		return "The request body is not valid JSON."
	}
	switch v.Rule {
	case contract.RuleRequired, contract.RuleNull:
		return fmt.Sprintf("The %s field is required.", name)
	case contract.RuleType:
		return fmt.Sprintf("The %s field must be a %s.", name, v.Limit)
	case contract.RuleMinLength:
		return fmt.Sprintf("The %s field must have at least %s characters.", name, v.Limit)
	case contract.RuleMaxLength:
		return fmt.Sprintf("The %s field must have at most %s characters.", name, v.Limit)
	case contract.RulePattern:
		return fmt.Sprintf("The %s field must match the pattern %s.", name, v.Limit)
	}
	return fmt.Sprintf("The %s field is invalid.", name)
}

// tokenReply answers errors of the token endpoint in OAuth2's shape.
func tokenReply(err error) contract.Reply {
	out := TokenError{Code: string(thredd.TokenErrorErrorServerError), Status: http.StatusInternalServerError}
	if refused, ok := errors.AsType[*TokenError](err); ok {
		out = *refused
	} else if _, ok := errors.AsType[contract.Broken](err); ok {
		out = TokenError{Code: string(thredd.TokenErrorErrorInvalidRequest), Status: http.StatusBadRequest}
	} else if pin.CodeOf(err) == pin.TooMany {
		out = TokenError{Code: string(thredd.TokenErrorErrorTemporarilyUnavailable), Status: http.StatusTooManyRequests}
	} else if pin.CodeOf(err) == pin.Unavailable {
		out = TokenError{Code: string(thredd.TokenErrorErrorTemporarilyUnavailable), Status: http.StatusServiceUnavailable}
	}
	return contract.JSON(out.Status, "application/json", thredd.TokenError{Error: thredd.TokenErrorError(out.Code)}).
		With("Www-Authenticate", out.Challenge)
}
