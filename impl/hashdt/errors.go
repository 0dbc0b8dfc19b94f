package hashdt

import (
	"errors"
	"fmt"
	"net/http"

	"pinvault/generated/hashdt"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is one line of the error table, and an error that is answered with it.
type row struct {
	status    int
	message   string
	challenge string // WWW-Authenticate (RFC 9110, 11.6.1), "" for none
}

// Error is the message.
func (r row) Error() string { return r.message }

const (
	linkless = "The cardholder, wallet or card is unknown, or they are not linked."
	reused   = "The x-request-id was used with other parameters."
	internal = "Internal server error."
	refused  = "The PIN is not accepted." // codes of PINs: no operation of this contract takes one
)

// rows is the contract's error table.
var rows = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       {status: http.StatusInternalServerError, message: internal},
	pin.Unavailable:    {status: http.StatusServiceUnavailable, message: "The service is temporarily unavailable. Please try again."},
	pin.Unauthorized:   {status: http.StatusUnauthorized, message: "The x-api-key is not known.", challenge: `ApiKey realm="hashdt"`},
	pin.Forbidden:      {status: http.StatusForbidden, message: "The x-product-id is not a product of this client."},
	pin.NotFound:       {status: http.StatusNotFound, message: linkless},
	pin.Ambiguous:      {status: http.StatusNotFound, message: linkless},
	pin.CardStatus:     {status: http.StatusBadRequest, message: "The card's status does not allow PIN operations."},
	pin.NoPIN:          {status: http.StatusBadRequest, message: "The card has no PIN; use setpin."},
	pin.Blocked:        {status: http.StatusBadRequest, message: "The PIN is blocked; use resetpin."},
	pin.ReplayOther:    {status: http.StatusConflict, message: reused},
	pin.ReplayChanged:  {status: http.StatusConflict, message: reused},
	pin.ReplayUnderway: {status: http.StatusConflict, message: "The first request with this x-request-id is still in progress."},
	pin.Conflict:       {status: http.StatusConflict, message: "The card was changed by another request. Please try again."},
	pin.Duplicate:      {status: http.StatusConflict, message: reused},
	pin.TooMany:        {status: http.StatusTooManyRequests, message: "The client's limit is used up. Please try again later."},
	pin.Halted:         {status: http.StatusForbidden, message: "The client's PIN verifications are halted."},
	pin.InvalidField:   {status: http.StatusBadRequest, message: refused},
	pin.InvalidPIN:     {status: http.StatusBadRequest, message: refused},
	pin.PINLength:      {status: http.StatusBadRequest, message: refused},
	pin.WeakPIN:        {status: http.StatusBadRequest, message: refused},
	pin.RecentPIN:      {status: http.StatusBadRequest, message: refused},
	pin.WrongPIN:       {status: http.StatusBadRequest, message: refused},
	pin.Unopenable:     {status: http.StatusBadRequest, message: refused},
	pin.UnfitBlock:     {status: http.StatusBadRequest, message: refused},
	pin.UnknownKey:     {status: http.StatusBadRequest, message: refused},
	pin.RetrievalOff:   {status: http.StatusForbidden, message: refused},
	pin.ApprovalNeeded: {status: http.StatusForbidden, message: refused},
})

// Rows that a code alone does not tell apart.
var (
	chosenAlready = row{status: http.StatusBadRequest, message: "A PIN was already chosen for the card; use resetpin or changepin."}
	clientOther   = row{status: http.StatusForbidden, message: "The x-client-id is not that of this client."}
	bearerBad     = row{status: http.StatusUnauthorized, message: "The bearer token is not valid.", challenge: `Bearer realm="hashdt", error="invalid_token"`}
)

// as is an error with another row than that of its code.
func (r row) as(err error) error { return fmt.Errorf("%w: %w", r, err) }

// Render says how an error is answered.
func (*API) Render(_ *http.Request, _ *contract.Operation, err error) contract.Reply {
	r := rowOf(err)
	return contract.JSON(r.status, "application/json", hashdt.Error{Code: int32(r.status), Message: r.message, Status: hashdt.ErrorStatusError}).
		With("Www-Authenticate", r.challenge)
}

func rowOf(err error) row {
	if r, ok := errors.AsType[row](err); ok {
		return r
	}
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		return row{status: broken.Status(), message: sentence(broken)}
	}
	return rows.Of(err)
}

// sentence says what the first violation means: the contract has one message. It is made from the
// document alone.
func sentence(b contract.Broken) string {
	v := b[0]
	switch b.Status() {
	case http.StatusNotFound:
		return "No such endpoint."
	case http.StatusMethodNotAllowed:
		return "Method not allowed."
	}
	if v.Label == "" {
		return "The request breaks the contract."
	}
	switch v.Rule {
	case contract.RuleRequired, contract.RuleMinLength:
		return v.Label + " is required."
	case contract.RuleMaxLength:
		return fmt.Sprintf("%s must have at most %s characters.", v.Label, v.Limit)
	case contract.RuleEnum:
		return fmt.Sprintf("%s must be %s.", v.Label, v.Limit)
	case contract.RuleRepeated:
		return v.Label + " must be sent once."
	}
	return v.Label + " has a character that it cannot have."
}
