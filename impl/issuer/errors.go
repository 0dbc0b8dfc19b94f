package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
)

// problems are the replies to what the vault reports.
var problems = pin.MustErrorTable(map[pin.Code]problem.Row{
	pin.Internal:       problem.Internal,
	pin.Unavailable:    problem.Unavailable,
	pin.Unauthorized:   {Status: http.StatusUnauthorized, Code: "unauthorized", Title: "A valid bearer token is needed."},
	pin.Forbidden:      {Status: http.StatusForbidden, Code: "forbidden", Title: "The token does not allow this."},
	pin.NotFound:       {Status: http.StatusNotFound, Code: "not_found", Title: "Not found."},
	pin.Ambiguous:      {Status: http.StatusConflict, Code: "ambiguous", Title: "More than one card matches."},
	pin.Conflict:       {Status: http.StatusConflict, Code: "conflict", Title: "It was modified by another request. Please try again."},
	pin.Duplicate:      {Status: http.StatusConflict, Code: "duplicate", Title: "Already exists."},
	pin.InvalidField:   {Status: http.StatusUnprocessableEntity, Code: "invalid_field", Title: "A field has an invalid value."},
	pin.InvalidPIN:     {Status: http.StatusUnprocessableEntity, Code: "invalid_pin", Title: "A PIN has 4 to 12 digits."},
	pin.PINLength:      {Status: http.StatusUnprocessableEntity, Code: "pin_length", Title: "The program does not allow PINs of this length."},
	pin.WeakPIN:        {Status: http.StatusUnprocessableEntity, Code: "weak_pin", Title: "The program does not allow PINs that are easy to guess."},
	pin.RecentPIN:      {Status: http.StatusUnprocessableEntity, Code: "recent_pin", Title: "The program does not allow PINs that the card had before."},
	pin.CardStatus:     {Status: http.StatusConflict, Code: "card_status", Title: "The card's status does not allow this."},
	pin.NoPIN:          {Status: http.StatusConflict, Code: "no_pin", Title: "The card has no PIN."},
	pin.RetrievalOff:   {Status: http.StatusConflict, Code: "retrieval_off", Title: "The program does not allow PINs to be read back."},
	pin.ApprovalNeeded: {Status: http.StatusConflict, Code: "approval_needed", Title: "The program asks for another client's approval."},
	pin.WrongPIN:       {Status: http.StatusUnprocessableEntity, Code: "wrong_pin", Title: "The PIN is wrong."},
	pin.Blocked:        {Status: http.StatusConflict, Code: "blocked", Title: "No attempts left."},
	pin.Unopenable:     {Status: http.StatusUnprocessableEntity, Code: "unopenable", Title: "The PIN block cannot be opened."},
	pin.UnfitBlock:     {Status: http.StatusUnprocessableEntity, Code: "unfit_block", Title: "The key does not open PIN blocks of this size or format."},
	pin.UnknownKey:     {Status: http.StatusUnprocessableEntity, Code: "unknown_key", Title: "There is no usable key with this id."},
	pin.ReplayOther:    {Status: http.StatusUnprocessableEntity, Code: "replay_other", Title: "This idempotency key was used with another operation."},
	pin.ReplayChanged:  {Status: http.StatusUnprocessableEntity, Code: "replay_changed", Title: "This idempotency key was used with another request."},
	pin.ReplayUnderway: {Status: http.StatusConflict, Code: "replay_underway", Title: "The first request with this idempotency key is still in progress."},
	pin.TooMany:        problem.TooMany,
	pin.Halted:         {Status: http.StatusForbidden, Code: "halted", Title: "The client's PIN verifications are halted."},
})

// keyProblems are the replies to what the vault says more precisely.
var keyProblems = map[pin.KeyReason]problem.Row{
	pin.KeyStateForbids:  {Status: http.StatusConflict, Code: "key_state", Title: "The key's state does not allow this."},
	pin.SameCustodian:    {Status: http.StatusConflict, Code: "same_custodian", Title: "This custodian has done this already."},
	pin.NotExportable:    {Status: http.StatusConflict, Code: "not_exportable", Title: "The key must not leave."},
	pin.KeyBlockUnopened: {Status: http.StatusUnprocessableEntity, Code: "key_block", Title: "The key block cannot be opened."},
	pin.WeakerPINBinding: {Status: http.StatusUnprocessableEntity, Code: "weaker_binding", Title: "A PIN that is bound to a PAN must not become one that is not."},
}

// approvalProblems are the replies to what the vault says more precisely of approvals.
var approvalProblems = map[pin.ApprovalReason]problem.Row{
	pin.ApprovalNotAsked: {Status: http.StatusConflict, Code: "approval_not_asked", Title: "The program asks for no approval of this."},
	pin.ApprovalThere:    {Status: http.StatusConflict, Code: "approval_there", Title: "There is an approval for this already."},
	pin.ApprovalOver:     {Status: http.StatusConflict, Code: "approval_over", Title: "It was decided or used already, or its time is over."},
	pin.SameClient:       {Status: http.StatusConflict, Code: "same_client", Title: "Who asks for an approval, and who uses it, cannot decide on it."},
}

// Render says how an error is answered: [contract.Broken] for what was found before a handler, a row, a
// [pin.Error] anywhere in the chain, and anything else is our own fault.
//
// Nothing of the request is in the reply, but positions in arrays.
func (*API) Render(r *http.Request, _ *contract.Operation, err error) contract.Reply {
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		return breach(broken).Reply(r.Context(), broken)
	}
	err = keyProblem(err)
	row, ok := errors.AsType[problem.Row](err)
	if reason, said := errors.AsType[pin.KeyReason](err); said && !ok {
		row, ok = keyProblems[reason]
	}
	if reason, said := errors.AsType[pin.ApprovalReason](err); said && !ok {
		row, ok = approvalProblems[reason]
	}
	if !ok {
		row = problems.Of(err)
	}
	return row.Reply(r.Context(), violated(err))
}

// breach is the row of a request that breaks the contract. A path that nobody has is answered as a thing
// that is not there.
func breach(b contract.Broken) problem.Row {
	if b.Status() == http.StatusNotFound {
		return problems.Row(pin.NotFound)
	}
	return problem.Breach(b)
}

// unopenable is Unopenable after a try was taken: tries, 0..limit.
func unopenable(remaining int) error {
	row, tries := problems.Row(pin.Unopenable), int32(remaining)
	row.RemainingTries = &tries
	return fmt.Errorf("%w: %w", row, &pin.Error{Code: pin.Unopenable})
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
		return contract.Broken{{In: contract.InBody, Pointer: field, Rule: problem.RuleUnique, Label: field}}
	default:
		return nil
	}
}
