package hosted

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pinvault/generated/common"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
)

// row is a problem of the document: status, stable code and title, and the notice that a page shows in
// its place.
type row struct {
	status              int
	code, title, notice string
}

// Rows that are not the vault's.
var (
	expired  = row{http.StatusGone, "expired", "This link has expired.", "expired"}
	unusable = row{http.StatusNotFound, "unusable", "This link is not valid.", "unusable"}
)

// problems are the replies to what the vault reports.
var problems = map[pin.Code]row{
	pin.Internal:       {http.StatusInternalServerError, "internal", "Internal server error.", "unavailable"},
	pin.Unavailable:    {http.StatusServiceUnavailable, "unavailable", "The service is temporarily unavailable. Please try again.", "unavailable"},
	pin.InvalidPIN:     {http.StatusUnprocessableEntity, "invalid_pin", "A PIN has 4 to 12 digits.", "unusable"},
	pin.PINLength:      {http.StatusUnprocessableEntity, "pin_length", "The program does not allow PINs of this length.", "unusable"},
	pin.WeakPIN:        {http.StatusUnprocessableEntity, "weak_pin", "The program does not allow PINs that are easy to guess.", "unusable"},
	pin.RecentPIN:      {http.StatusUnprocessableEntity, "recent_pin", "The program does not allow PINs that the card had before.", "unusable"},
	pin.Unopenable:     {http.StatusUnprocessableEntity, "unopenable", "The PIN is not encrypted to this session.", "unusable"},
	pin.CardStatus:     {http.StatusConflict, "card_status", "The card's status does not allow this.", "card_status"},
	pin.NoPIN:          unusable,
	pin.NotFound:       unusable,
	pin.Ambiguous:      unusable,
	pin.Conflict:       unusable,
	pin.Blocked:        unusable,
	pin.Unauthorized:   unusable,
	pin.Forbidden:      unusable,
	pin.Duplicate:      unusable,
	pin.InvalidField:   unusable,
	pin.WrongPIN:       unusable,
	pin.RetrievalOff:   unusable,
	pin.UnknownKey:     unusable,
	pin.ReplayOther:    unusable,
	pin.ReplayChanged:  unusable,
	pin.ReplayUnderway: unusable,
}

// breaches are the replies to requests that break the contract, by [contract.Broken.Status].
var breaches = map[int]row{
	http.StatusBadRequest:            {http.StatusBadRequest, "invalid_request", "The request breaks the contract.", "unusable"},
	http.StatusNotFound:              {http.StatusNotFound, "not_found", "No such endpoint.", "unusable"},
	http.StatusMethodNotAllowed:      {http.StatusMethodNotAllowed, "method_not_allowed", "Method not allowed.", "unusable"},
	http.StatusRequestEntityTooLarge: {http.StatusRequestEntityTooLarge, "too_large", "The body is too large.", "unusable"},
	http.StatusUnsupportedMediaType:  {http.StatusUnsupportedMediaType, "unsupported_media_type", "The body has a type or an encoding that is not documented.", "unusable"},
}

// rowOf finds the row of an error. A malformed session id is answered as an unknown one.
func rowOf(err error) row {
	broken, isBroken := errors.AsType[contract.Broken](err)
	switch {
	case errors.Is(err, pinsession.ErrExpired):
		return expired
	case isBroken && broken[0].In == contract.InPath && broken[0].Pointer != "":
		return unusable
	case isBroken:
		return breaches[broken.Status()]
	}
	if r, ok := problems[pin.CodeOf(err)]; ok {
		return r
	}
	return problems[pin.Internal]
}

// pageRoute is where a browser looks, which is answered with a page whatever happens.
const pageRoute = "/hosted/pin/:sessionId"

// Fail is where every error of this contract goes out.
func (a *API) Fail(c *gin.Context, err error) {
	r := rowOf(err)
	broken, isBroken := errors.AsType[contract.Broken](err)
	if !isBroken {
		_ = c.Error(err)
	}
	if c.FullPath() == pageRoute {
		if p, failed := a.render(c.Request, pin.Session{}, pin.Program{}, err); failed == nil {
			c.Abort()
			_ = p.write(c.Writer)
			return
		}
	}
	p := common.Problem{Type: "about:blank", Title: r.title, Status: int32(r.status), Code: r.code,
		TraceID: pin.CallerFrom(c.Request.Context()).TraceID}
	if r.status == http.StatusBadRequest {
		p.Errors = fieldErrors(broken)
	}
	c.Header("Content-Type", "application/problem+json")
	c.AbortWithStatusJSON(r.status, p)
}

// fieldErrors are the violations in the document's form and words, made from the document alone.
func fieldErrors(b contract.Broken) *[]common.FieldError {
	var out []common.FieldError
	for _, v := range b {
		if v.Label == "" && v.Rule != contract.RuleAdditionalProperties {
			continue
		}
		out = append(out, common.FieldError{In: common.FieldErrorIn(v.In), Field: v.Pointer, Rule: string(v.Rule), Detail: detail(v)})
	}
	if out == nil {
		return nil
	}
	return &out
}

func detail(v contract.Violation) string {
	switch v.Rule {
	case contract.RuleAdditionalProperties:
		return "The body has an unknown member."
	case contract.RuleRequired, contract.RuleNull:
		return v.Label + " is required."
	case contract.RuleMaxLength:
		return strings.Join([]string{v.Label, "must have at most", v.Limit, "characters."}, " ")
	}
	return v.Label + " is malformed."
}
