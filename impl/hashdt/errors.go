package hashdt

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"pinvault/generated/hashdt"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is one line of the error table.
type row struct {
	status  int
	message string
}

const (
	linkless = "The cardholder, wallet or card is unknown, or they are not linked."
	reused   = "The x-request-id was used with other parameters."
	internal = "Internal server error."
	refused  = "The PIN is not accepted." // codes of PINs: no operation of this contract takes one
)

// rows is the contract's error table.
var rows = map[pin.Code]row{
	pin.Internal:       {http.StatusInternalServerError, internal},
	pin.Unavailable:    {http.StatusServiceUnavailable, "The service is temporarily unavailable. Please try again."},
	pin.Unauthorized:   {http.StatusUnauthorized, "The x-api-key is not known."},
	pin.Forbidden:      {http.StatusForbidden, "The x-product-id is not a product of this client."},
	pin.NotFound:       {http.StatusNotFound, linkless},
	pin.Ambiguous:      {http.StatusNotFound, linkless},
	pin.CardStatus:     {http.StatusBadRequest, "The card's status does not allow PIN operations."},
	pin.NoPIN:          {http.StatusBadRequest, "The card has no PIN; use setpin."},
	pin.Blocked:        {http.StatusBadRequest, "The PIN is blocked; use resetpin."},
	pin.ReplayOther:    {http.StatusConflict, reused},
	pin.ReplayChanged:  {http.StatusConflict, reused},
	pin.ReplayUnderway: {http.StatusConflict, "The first request with this x-request-id is still in progress."},
	pin.Conflict:       {http.StatusConflict, "The URL of this x-request-id can no longer be made; use another x-request-id."},
	pin.Duplicate:      {http.StatusConflict, reused},
	pin.InvalidField:   {http.StatusBadRequest, refused},
	pin.InvalidPIN:     {http.StatusBadRequest, refused},
	pin.PINLength:      {http.StatusBadRequest, refused},
	pin.WeakPIN:        {http.StatusBadRequest, refused},
	pin.RecentPIN:      {http.StatusBadRequest, refused},
	pin.WrongPIN:       {http.StatusBadRequest, refused},
	pin.Unopenable:     {http.StatusBadRequest, refused},
	pin.UnknownKey:     {http.StatusBadRequest, refused},
	pin.RetrievalOff:   {http.StatusForbidden, refused},
}

// Rows that a code alone does not tell apart.
var (
	chosenAlready = row{http.StatusBadRequest, "A PIN was already chosen for the card; use resetpin or changepin."}
	bearerBad     = row{http.StatusUnauthorized, "The bearer token is not valid."}
)

// Fail is where every error of this contract goes out, wherever it was found.
func (a *API) Fail(c *gin.Context, err error) {
	r := rowOf(err)
	if _, broken := errors.AsType[contract.Broken](err); !broken {
		_ = c.Error(err)
	}
	c.AbortWithStatusJSON(r.status, hashdt.Error{Code: int32(r.status), Message: r.message, Status: hashdt.ErrorStatusError})
}

func rowOf(err error) row {
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		return row{broken.Status(), sentence(broken)}
	}
	if _, ok := errors.AsType[badBearer](err); ok {
		return bearerBad
	}
	if pin.CodeOf(err) == pin.Conflict && pin.FieldOf(err) == "pin" {
		return chosenAlready
	}
	if r, ok := rows[pin.CodeOf(err)]; ok {
		return r
	}
	return rows[pin.Internal]
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
