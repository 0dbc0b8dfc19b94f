package pin

import (
	"context"
	"fmt"
	"time"
)

// ServiceRequest is a line of the helpdesk's log: a service that was done for a cardholder.
type ServiceRequest struct {
	Number      string // SR and ten digits, counted up over the whole server
	ProgramID   string
	CardID      string
	ClientID    string
	Contract    string // the one through which it came: creditplus
	Version     string // of that contract's operation: v1, v2
	ServiceCode string // "109": PIN try counter reset
	Notes       string // free text; numbers that could be PANs are masked
	Source      string // the channel that the cardholder used, or ""
	LoggedAt    time.Time
}

// serviceRequests is the sequence that service requests are numbered by.
const serviceRequests = "service_request"

// ServeUnblock is [Vault.Unblock] as a helpdesk does it, logged as a service request, of which r holds
// version, service code, notes and source: NotFound, Ambiguous, and CardStatus unless the card is
// usable (see [Card.Usable]). Counter and log are one transaction; a failure logs nothing.
func (v *Vault) ServeUnblock(ctx context.Context, q Query, r ServiceRequest) (ServiceRequest, error) {
	rec, err := v.Card(ctx, q)
	if err == nil && !rec.Card.Usable() {
		err = &Error{Code: CardStatus}
	}
	if err != nil {
		return ServiceRequest{}, err
	}
	who := CallerFrom(ctx)
	r.ProgramID, r.CardID, r.ClientID, r.Contract = rec.Card.ProgramID, rec.Card.ID, who.ClientID, who.Contract
	r.Notes, r.LoggedAt = maskNumbers(r.Notes), v.clock()
	err = v.unblock(ctx, rec, Memo{Description: r.Notes, Complete: func(tx Tx, _ any) error {
		n, err := tx.NextNumber(serviceRequests)
		if err != nil {
			return err
		}
		r.Number = fmt.Sprintf("SR%010d", n)
		return tx.InsertServiceRequest(r)
	}})
	return r, err
}

// ServiceRequest finds a service request in the caller's reach: NotFound.
func (v *Vault) ServiceRequest(ctx context.Context, number string) (ServiceRequest, error) {
	r, err := v.store.ServiceRequest(ctx, number)
	if err == nil && !CallerFrom(ctx).Reaches(r.ProgramID) {
		err = &Error{Code: NotFound}
	}
	if err != nil {
		return ServiceRequest{}, err
	}
	return r, nil
}
