package hosted

import (
	"errors"
	"net/http"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
	"pinvault/impl/problem"
)

// row is a problem of the document, and the notice that a page shows in its place.
type row struct {
	problem.Row
	notice string
}

// Rows that are not the vault's.
var (
	expired  = row{problem.Row{Status: http.StatusGone, Code: "expired", Title: "This link has expired."}, "expired"}
	unusable = row{problem.Row{Status: http.StatusNotFound, Code: "unusable", Title: "This link is not valid."}, "unusable"}
)

// problems are the replies to what the vault reports.
var problems = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       {problem.Internal, "unavailable"},
	pin.Unavailable:    {problem.Unavailable, "unavailable"},
	pin.InvalidPIN:     {problem.Row{Status: http.StatusUnprocessableEntity, Code: "invalid_pin", Title: "A PIN has 4 to 12 digits."}, "unusable"},
	pin.PINLength:      {problem.Row{Status: http.StatusUnprocessableEntity, Code: "pin_length", Title: "The program does not allow PINs of this length."}, "unusable"},
	pin.WeakPIN:        {problem.Row{Status: http.StatusUnprocessableEntity, Code: "weak_pin", Title: "The program does not allow PINs that are easy to guess."}, "unusable"},
	pin.RecentPIN:      {problem.Row{Status: http.StatusUnprocessableEntity, Code: "recent_pin", Title: "The program does not allow PINs that the card had before."}, "unusable"},
	pin.Unopenable:     {problem.Row{Status: http.StatusUnprocessableEntity, Code: "unopenable", Title: "The PIN is not encrypted to this session."}, "unusable"},
	pin.CardStatus:     {problem.Row{Status: http.StatusConflict, Code: "card_status", Title: "The card's status does not allow this."}, "card_status"},
	pin.Blocked:        {problem.Row{Status: http.StatusConflict, Code: "blocked", Title: "The PIN is blocked."}, "blocked"},
	pin.TooMany:        {problem.TooMany, "unavailable"},
	pin.Halted:         {problem.Unavailable, "unavailable"}, // which client's it is, is nothing to its cardholders
	pin.NoPIN:          unusable,
	pin.NotFound:       unusable,
	pin.Ambiguous:      unusable,
	pin.Conflict:       unusable,
	pin.Unauthorized:   unusable,
	pin.Forbidden:      unusable,
	pin.Duplicate:      unusable,
	pin.InvalidField:   unusable,
	pin.WrongPIN:       unusable,
	pin.RetrievalOff:   unusable,
	pin.ApprovalNeeded: unusable,
	pin.UnfitBlock:     unusable,
	pin.UnknownKey:     unusable,
	pin.ReplayOther:    unusable,
	pin.ReplayChanged:  unusable,
	pin.ReplayUnderway: unusable,
})

// rowOf finds the row of an error. A malformed session id is answered as an unknown one.
func rowOf(err error) row {
	broken, isBroken := errors.AsType[contract.Broken](err)
	switch {
	case errors.Is(err, pinsession.ErrExpired):
		return expired
	case isBroken && broken[0].In == contract.InPath && broken[0].Pointer != "":
		return unusable
	case isBroken:
		return row{problem.Breach(broken), "unusable"}
	}
	return problems.Of(err)
}

// Render says how an error is answered: where a browser looks with a page, whatever happens.
func (a *API) Render(r *http.Request, op *contract.Operation, err error) contract.Reply {
	if op != nil && op.ID == "getPinPage" {
		if p, failed := a.render(r, pin.Session{}, pin.Program{}, err); failed == nil {
			return contract.Reply(p)
		}
	}
	found := rowOf(err)
	var fields contract.Broken
	if found.Status == http.StatusBadRequest {
		fields, _ = errors.AsType[contract.Broken](err)
	}
	return found.Reply(r.Context(), fields)
}
