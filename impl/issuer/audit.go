package issuer

import (
	"context"
	"encoding/hex"
	"encoding/json"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// ListAuditEvents pages through the events in the caller's reach.
func (a *API) ListAuditEvents(ctx context.Context, r api.ListAuditEventsRequestObject) (api.ListAuditEventsResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.AuditEvents(ctx, pin.AuditQuery{Page: p})
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, eventID)
	return api.ListAuditEvents200JSONResponse{Items: each(found, event), NextCursor: next}, nil
}

// ListCardAuditEvents pages through a card's chain of events, in the order of their places in it.
func (a *API) ListCardAuditEvents(ctx context.Context, r api.ListCardAuditEventsRequestObject) (api.ListCardAuditEventsResponseObject, error) {
	card, err := a.vault.Card(ctx, pin.Query{CardID: r.CardID})
	if err != nil {
		return nil, err
	}
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.AuditEvents(ctx, pin.AuditQuery{Chain: card.Card.ID, Page: p})
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, eventID)
	return api.ListCardAuditEvents200JSONResponse{Items: each(found, event), NextCursor: next}, nil
}

func eventID(e pin.AuditEvent) string { return e.ID }

// event is an audit event as the document shows it.
func event(e pin.AuditEvent) api.AuditEvent {
	return api.AuditEvent{
		ID:          e.ID,
		Chain:       e.Chain,
		Sequence:    e.Seq,
		Type:        string(e.Type),
		At:          e.At,
		ProgramID:   text(e.ProgramID),
		CardID:      text(e.CardID),
		Subject:     text(e.Subject),
		Outcome:     text(e.Outcome),
		Changes:     changes(e.Changes),
		Contract:    text(e.Contract),
		ClientID:    text(e.ClientID),
		RemoteAddr:  text(e.RemoteAddr),
		TraceID:     text(e.TraceID),
		Description: text(e.Description),
		UpdatedBy:   text(e.UpdatedBy),
		Mac:         hex.EncodeToString(e.MAC),
	}
}

// changes are what an event says was changed, nil where it says nothing.
func changes(of []pin.FieldChange) *[]api.AuditChange {
	if len(of) == 0 {
		return nil
	}
	shown := each(of, func(c pin.FieldChange) api.AuditChange {
		return api.AuditChange{Field: c.Field, Old: text(c.Old), New: text(c.New)}
	})
	return &shown
}

// AuditLine is an audit event as the document shows it, a line of JSON without its end.
func AuditLine(e pin.AuditEvent) ([]byte, error) { return json.Marshal(event(e)) }
