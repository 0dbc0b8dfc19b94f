package creditplus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"pinvault/impl/pin"
)

// serviceRequest is a line of the helpdesk's log: a service that was done for a cardholder. It is kept as
// openapi/issuer.yaml shows it.
type serviceRequest struct {
	Number      string    `json:"number"` // SR and ten digits, counted up in each program
	ProgramID   string    `json:"programId"`
	CardID      string    `json:"cardId"`
	ClientID    string    `json:"clientId"`
	Contract    string    `json:"contract"`
	Version     string    `json:"version"` // of the operation: v1, v2
	ServiceCode string    `json:"serviceCode"`
	Notes       string    `json:"notes,omitempty"`  // without digits that could be a PAN
	Source      string    `json:"source,omitempty"` // the channel that the cardholder used
	LoggedAt    time.Time `json:"loggedAt"`
}

// serviceCode is that of PIN retry counter resets in Credit+.
const serviceCode = "109"

// sequence is what service requests are numbered by.
const sequence = "service_request"

// reset puts the counter of a card back and logs that as a service request, of which done holds version,
// notes and source: NotFound, Ambiguous, what check returns, and CardStatus unless the card is usable (see
// [pin.Card.Usable]). Counter, log and what m keeps of it are one write; a failure logs nothing.
func (a *API) reset(ctx context.Context, q pin.Query, check func(pin.Card) error, done serviceRequest, m pin.Memo) (serviceRequest, error) {
	draw, release, err := a.vault.Promise(ctx, sequence)
	if err != nil {
		return serviceRequest{}, err
	}
	defer release()
	who := pin.CallerFrom(ctx)
	done.ClientID, done.Contract, done.ServiceCode = who.ClientID, who.Contract, serviceCode
	done.Notes, done.LoggedAt = pin.MaskNumbers(done.Notes), a.now().UTC().Truncate(time.Microsecond)
	q.Check = func(rec pin.Record) error {
		if err := check(rec.Card); err != nil {
			return err
		}
		if !rec.Card.Usable() {
			return &pin.Error{Code: pin.CardStatus}
		}
		return nil
	}
	m.Description = done.Notes
	m.Record = func(rec pin.Record) (pin.ContractRecord, error) {
		done.Number = fmt.Sprintf("SR%010d", draw())
		done.ProgramID, done.CardID = rec.Card.ProgramID, rec.Card.ID
		line, err := json.Marshal(done)
		return pin.ContractRecord{ID: done.Number, Body: line}, err
	}
	if keep := m.Keep; keep != nil { // which comes after the record
		m.Keep = func(any) (pin.Replay, error) { return keep(done) }
	}
	err = a.vault.Unblock(ctx, q, m)
	return done, err
}

// Records finds what contracts have kept. [pin.Vault] does.
type Records interface {
	ContractRecord(ctx context.Context, contract, id string) (pin.ContractRecord, error)
}

// ServiceRequests finds service requests by their numbers, as openapi/issuer.yaml shows them: NotFound,
// Ambiguous.
func ServiceRequests(r Records) func(ctx context.Context, number string) (json.RawMessage, error) {
	return func(ctx context.Context, number string) (json.RawMessage, error) {
		found, err := r.ContractRecord(ctx, Name, number)
		return found.Body, err
	}
}
