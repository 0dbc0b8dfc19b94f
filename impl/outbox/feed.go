package outbox

import (
	"context"
	"encoding/json"
	"time"

	"pinvault/impl/pin"
)

// Feed hands events to who fetches them, and keeps what a webhook was sent to be looked at and sent again. It is safe for concurrent
// use.
type Feed struct {
	vault Vault
	queue Queue
	now   func() time.Time
	wake  func()
	most  time.Duration // that is waited
}

// NewFeed makes a feed. wake has the dispatcher look for what is due; most is the longest for which somebody may wait for an event.
func NewFeed(v Vault, q Queue, now func() time.Time, wake func(), most time.Duration) *Feed {
	if now == nil {
		now = time.Now
	}
	return &Feed{vault: v, queue: q, now: now, wake: wake, most: most}
}

// How events are read: so many at once, and so many for one answer whether they are told of or not.
const (
	batch   = 200
	maxRead = 10_000
)

// Events are messages as webhooks get them, of one card or, "", of all, at most limit of those after an event; and after which event to go on:
// the newest that was looked at, or where it was begun. It waits that long for the first one. Those of one card come at once, and of
// several once no other can come before them any more.
func (f *Feed) Events(ctx context.Context, cardID string, page pin.Page, wait time.Duration) (found []json.RawMessage, next string, err error) {
	q := pin.AuditQuery{Settled: cardID == "", Page: pin.Page{After: page.After, Limit: batch}}
	if cardID != "" {
		card, err := f.vault.Card(ctx, pin.Query{CardID: cardID})
		if err != nil {
			return nil, "", err
		}
		q.Chain = card.Card.ID
	}
	until := time.Now().Add(min(wait, f.most))
	for {
		found, q.After, err = f.read(ctx, q, page.Limit)
		if err != nil || len(found) > 0 || !time.Now().Before(until) {
			return found, q.After, err
		}
		select {
		case <-time.After(min(250*time.Millisecond, time.Until(until))):
		case <-ctx.Done():
			return nil, q.After, nil
		}
	}
}

// read reads on from q.After until there are so many events, or none any more.
func (f *Feed) read(ctx context.Context, q pin.AuditQuery, limit int) (found []json.RawMessage, after string, err error) {
	for read := 0; read < maxRead; read += batch {
		page, err := f.vault.AuditEvents(ctx, q)
		if err != nil {
			return nil, "", err
		}
		for _, e := range page {
			message, err := Message(e)
			if err != nil {
				return nil, "", err
			}
			if q.After = e.ID; message != nil {
				found = append(found, message)
			}
			if len(found) == limit {
				return found, q.After, nil
			}
		}
		if len(page) < batch {
			break
		}
	}
	return found, q.After, nil
}

// Deliveries are those of a webhook in the caller's reach, the newest events first: NotFound.
func (f *Feed) Deliveries(ctx context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error) {
	if _, err := f.vault.Webhook(ctx, webhookID); err != nil {
		return nil, err
	}
	return f.queue.Deliveries(ctx, webhookID, state, before, limit)
}

// maxReplayed bounds how many events are replayed at once.
const maxReplayed = 10_000

// Replay has the events sent again that a webhook wants and that come after an event, "" for the first one, and happened at a time or
// later: NotFound. It returns how many, and after which event to go on where there are more.
func (f *Feed) Replay(ctx context.Context, webhookID, after string, from time.Time) (n int, next string, err error) {
	w, err := f.vault.Webhook(ctx, webhookID)
	if err != nil {
		return 0, "", err
	}
	if after == "" {
		after = pin.EventsFrom(f.drawn(from))
	}
	q := pin.AuditQuery{ProgramID: w.ProgramID, Page: pin.Page{After: after, Limit: batch}}
	defer f.wake()
	for {
		page, err := f.vault.AuditEvents(ctx, q)
		if err != nil {
			return n, q.After, err
		}
		var all []pin.Delivery
		now := f.now().UnixMicro()
		for _, e := range page {
			if q.After = e.ID; w.Hears(e) && !e.At.Before(from) {
				all = append(all, pin.Delivery{Chain: e.Chain, WebhookID: w.ID, Seq: e.Seq, EventID: e.ID, DueAt: now, CreatedAt: now})
			}
		}
		if err := f.queue.QueueDeliveries(ctx, all); err != nil {
			return n, "", err
		}
		n += len(all)
		switch {
		case len(page) < batch:
			return n, "", nil
		case n >= maxReplayed:
			return n, q.After, nil
		}
	}
}

// drawn is a time before which no id of an event of a time or later was drawn. In a sandbox the clock of events may be another than
// that of ids, which is never put.
func (f *Feed) drawn(from time.Time) time.Time {
	if shifted := from.Add(time.Since(f.now())); shifted.Before(from) {
		from = shifted
	}
	return from.Add(-pin.EventLate)
}
