package thredd

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pinvault/generated/thredd"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is one line of the error table: the status, and the title where it is not the status's own.
// With a field the problem is a validation error of that field, and title its text.
type row struct {
	status int
	title  string
	field  string
}

// rows is the contract's error table. A code without a row would be a fault of ours.
var rows = map[pin.Code]row{
	pin.Internal:       {status: http.StatusInternalServerError},
	pin.Unavailable:    {status: http.StatusServiceUnavailable},
	pin.Unauthorized:   {status: http.StatusUnauthorized},
	pin.Forbidden:      {status: http.StatusForbidden},
	pin.RetrievalOff:   {status: http.StatusForbidden, title: "The program does not allow PINs to be read back."},
	pin.NotFound:       {status: http.StatusNotFound},
	pin.Ambiguous:      {status: http.StatusNotFound},
	pin.NoPIN:          {status: http.StatusNotFound, title: "The card has no PIN."},
	pin.CardStatus:     {status: http.StatusConflict, title: "The card's status does not allow PIN operations."},
	pin.Conflict:       {status: http.StatusConflict, title: "The card was changed by another request. Please try again."},
	pin.Duplicate:      {status: http.StatusConflict, title: "A card with this PAN exists already."},
	pin.Blocked:        {status: http.StatusConflict, title: "The PIN is blocked."},
	pin.ReplayUnderway: {status: http.StatusConflict, title: "The first request with this idempotency key is still in progress."},
	pin.InvalidField:   {status: http.StatusBadRequest, field: "body", title: "The request body has an invalid value."},
	pin.InvalidPIN:     {status: http.StatusBadRequest, field: "pin", title: "The pin field must be a PIN."},
	pin.PINLength:      {status: http.StatusBadRequest, field: "pin", title: "The program does not allow a PIN of this length."},
	pin.WeakPIN:        {status: http.StatusBadRequest, field: "pin", title: "The program's PIN policy refuses a PIN that is easily guessed."},
	pin.RecentPIN:      {status: http.StatusBadRequest, field: "pin", title: "The program's PIN policy refuses a PIN that was used before."},
	pin.WrongPIN:       {status: http.StatusBadRequest, field: "pin", title: "The PIN does not match."},
	pin.Unopenable:     {status: http.StatusBadRequest, field: "pin", title: "The PIN block cannot be opened."},
	pin.UnknownKey:     {status: http.StatusBadRequest, field: "pin", title: "There is no such key."},
	pin.ReplayOther:    {status: http.StatusBadRequest, field: "IdempotencyKey", title: "The Idempotency header key value '%s' was used in a different request."},
	pin.ReplayChanged:  {status: http.StatusBadRequest, field: "IdempotencyKey", title: "The Idempotency header key value '%s' was used with a different request body."},
}

// types are the problem types: the sections of RFC 9110 that define the statuses.
var types = map[int]string{
	http.StatusBadRequest: "15.5.1", http.StatusUnauthorized: "15.5.2", http.StatusForbidden: "15.5.4",
	http.StatusNotFound: "15.5.5", http.StatusMethodNotAllowed: "15.5.6", http.StatusConflict: "15.5.10",
	http.StatusRequestEntityTooLarge: "15.5.14", http.StatusUnsupportedMediaType: "15.5.16",
	http.StatusInternalServerError: "15.6.1", http.StatusServiceUnavailable: "15.6.4",
}

// titles are those of statuses whose name in net/http is an older one.
var titles = map[int]string{
	http.StatusBadRequest:            "One or more validation errors occurred.",
	http.StatusRequestEntityTooLarge: "Content Too Large",
}

// TokenError is a refusal of the token endpoint (RFC 6749, 5.2).
type TokenError struct {
	Code      string
	Status    int
	Challenge string // WWW-Authenticate, "" for none
}

// Error is the code.
func (e *TokenError) Error() string { return e.Code }

// keyed is an error about an IdempotencyKey, which the contract quotes. The key is a GUID by then.
type keyed struct {
	error
	key string
}

func (e keyed) Unwrap() error { return e.error }

func quoted(err error, key string) error {
	if err == nil {
		return nil
	}
	return keyed{err, key}
}

// Fail is where every error of this contract goes out, wherever it was found.
func (a *API) Fail(c *gin.Context, err error) {
	if strings.HasPrefix(c.FullPath(), "/connect/") && !isRoute(err) {
		failToken(c, err)
		return
	}
	p := thredd.Problem{TraceID: pin.CallerFrom(c.Request.Context()).TraceID}
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		p.Status, p.Errors = status(broken), fields(broken)
	} else {
		r := rows[pin.CodeOf(err)]
		p.Status, p.Title = int32(r.status), r.title
		if r.field != "" {
			p.Title, p.Errors = "", &map[string][]string{r.field: {fill(r.title, err)}}
		}
		_ = c.Error(err)
	}
	p.Type = "https://tools.ietf.org/html/rfc9110#section-" + types[int(p.Status)]
	p.Title = cmp.Or(p.Title, titles[int(p.Status)], http.StatusText(int(p.Status)))
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(int(p.Status), p)
}

// fill puts the idempotency key where the contract quotes it.
func fill(text string, err error) string {
	if k, ok := errors.AsType[keyed](err); ok && strings.Contains(text, "%s") {
		return fmt.Sprintf(text, k.key)
	}
	return text
}

// status is that of the violations; a malformed public token is answered as an unknown one.
func status(b contract.Broken) int32 {
	if b[0].In == contract.InPath && b[0].Rule != contract.RuleMethod {
		return http.StatusNotFound
	}
	return int32(b.Status())
}

func isRoute(err error) bool {
	b, ok := errors.AsType[contract.Broken](err)
	return ok && b[0].In == contract.InPath
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

// failToken answers errors of the token endpoint in OAuth2's shape.
func failToken(c *gin.Context, err error) {
	out := TokenError{Code: string(thredd.TokenErrorErrorServerError), Status: http.StatusInternalServerError}
	if refused, ok := errors.AsType[*TokenError](err); ok {
		out = *refused
	} else if _, ok := errors.AsType[contract.Broken](err); ok {
		out = TokenError{Code: string(thredd.TokenErrorErrorInvalidRequest), Status: http.StatusBadRequest}
	} else if pin.CodeOf(err) == pin.Unavailable {
		out = TokenError{Code: string(thredd.TokenErrorErrorTemporarilyUnavailable), Status: http.StatusServiceUnavailable}
	}
	if out.Challenge != "" {
		c.Header("WWW-Authenticate", out.Challenge)
	}
	_ = c.Error(err)
	c.AbortWithStatusJSON(out.Status, thredd.TokenError{Error: thredd.TokenErrorError(out.Code)})
}
