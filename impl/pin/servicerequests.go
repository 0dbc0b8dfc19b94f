package pin

import (
	"context"
	"fmt"
	"time"
)

// ServiceRequest is a line of the helpdesk's log: a service that was done for a cardholder.
type ServiceRequest struct {
	Number      string    `json:"number"` // SR and ten digits, counted up in each program
	ProgramID   string    `json:"programId"`
	CardID      string    `json:"cardId"`
	ClientID    string    `json:"clientId"`
	Contract    string    `json:"contract"`    // the one through which it came: creditplus
	Version     string    `json:"version"`     // of that contract's operation: v1, v2
	ServiceCode string    `json:"serviceCode"` // "109": PIN try counter reset
	Notes       string    `json:"notes,omitempty"`
	Source      string    `json:"source,omitempty"` // the channel that the cardholder used, or ""
	LoggedAt    time.Time `json:"loggedAt"`
}

// serviceRequests is the sequence that service requests are numbered by.
const serviceRequests = "service_request"

// ServeUnblock is [Vault.Unblock] as a helpdesk does it, logged as a service request, of which r holds
// version, service code, notes and source: NotFound, Ambiguous, and CardStatus unless the card is
// usable (see [Card.Usable]). Counter and log are one transaction; a failure logs nothing.
func (v *Vault) ServeUnblock(ctx context.Context, q Query, r ServiceRequest) (ServiceRequest, error) {
	who := CallerFrom(ctx)
	r.ClientID, r.Contract, r.Notes = who.ClientID, who.Contract, maskNumbers(r.Notes)
	draw, release, err := v.promise(ctx, serviceRequests)
	if err != nil {
		return ServiceRequest{}, err
	}
	defer release()
	_, err = v.act(ctx, q, Memo{Description: r.Notes}, func(rec Record) (deed, error) {
		if !rec.Card.Usable() {
			return deed{}, &Error{Code: CardStatus}
		}
		r.ProgramID, r.CardID = rec.Card.ProgramID, rec.Card.ID
		if r.Number == "" {
			r.Number = fmt.Sprintf("SR%010d", draw())
		}
		if r.LoggedAt.IsZero() {
			r.LoggedAt = v.clock()
		}
		row, err := Sealed(v.keys, Row{Table: TableServiceRequests, ID: r.Number, ProgramID: r.ProgramID, CardID: r.CardID, Version: 1}, r)
		d := deed{Step: rec.PIN.Unblock(rec.Program), rows: []Row{row}, add: []Lookup{lookup(rec.Card, KindServiceRequest, r.Number)}}
		d.Happenings[0].Subject = r.Number
		return d, err
	})
	if err != nil {
		return ServiceRequest{}, err
	}
	return r, nil
}

// ServiceRequest finds a service request in the caller's reach: NotFound. Of several programs' of one
// number, a caller of the whole server finds none: Ambiguous.
func (v *Vault) ServiceRequest(ctx context.Context, number string) (ServiceRequest, error) {
	own, some := CallerFrom(ctx).within()
	if !some {
		return ServiceRequest{}, &Error{Code: NotFound}
	}
	row, err := v.store.Row(ctx, TableServiceRequests, own, number)
	if err != nil {
		return ServiceRequest{}, err
	}
	var r ServiceRequest
	if err := v.unseal(ctx, row, &r); err != nil {
		return ServiceRequest{}, err
	}
	return r, nil
}
