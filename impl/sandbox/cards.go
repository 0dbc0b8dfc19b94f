package sandbox

import (
	"cmp"
	"context"
	"time"

	"pinvault/impl/pin"
)

// State is a card as it stands.
type State struct {
	Name    string // in the fixtures, "" of other cards
	PAN     string // masked
	PIN     string // "" where it is not kept, or the card's status lets nobody see it
	History []Event
	pin.Record
}

// Event is an event of a card's audit trail.
type Event struct {
	pin.AuditEvent
	RemainingTries int // after it
}

// maxHistory is how many events of a card are listed, the newest ones.
const maxHistory = 100

// Cards are all cards in the order of their ids, which is that of the fixtures.
func (s *Sandbox) Cards(ctx context.Context) (all []State, err error) {
	ctx = operating(ctx)
	const batch = 500
	for after := ""; ; {
		rows, err := s.store.Cards(ctx, "", pin.Page{After: after, Limit: batch})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			state, err := s.state(ctx, row.ID)
			if err != nil {
				return nil, err
			}
			if state.Name = CardName(row.ID); s.seed != nil {
				state.Name = cmp.Or(state.Name, s.seed.CardName(row.ID))
			}
			all, after = append(all, state), row.ID
		}
		if len(rows) < batch {
			return all, nil
		}
	}
}

// Has tells whether there is a card.
func (s *Sandbox) Has(ctx context.Context, cardID string) (bool, error) {
	_, err := s.vault.Card(operating(ctx), pin.Query{CardID: cardID})
	return err == nil, unless(err, pin.NotFound)
}

// CardName is the name of a card in the fixtures, "" of others.
func CardName(id string) string {
	for _, c := range cards {
		if c.id() == id {
			return c.name
		}
	}
	return ""
}

func (s *Sandbox) state(ctx context.Context, cardID string) (state State, err error) {
	q := pin.Query{CardID: cardID}
	if state.Record, err = s.vault.Card(ctx, q); err != nil {
		return state, err
	}
	if state.PAN, err = s.vault.MaskedPAN(state.Card); err != nil {
		return state, err
	}
	if p, err := s.looking.RevealPIN(ctx, q); err == nil {
		state.PIN = string(p.Digits())
		p.Clear()
	}
	var events []pin.AuditEvent
	for after := ""; ; {
		page, err := s.vault.AuditEvents(ctx, pin.AuditQuery{Chain: cardID, Page: pin.Page{After: after, Limit: 10 * maxHistory}})
		if err != nil {
			return state, err
		}
		if events = append(events, page...); len(page) < 10*maxHistory {
			break
		}
		after = page[len(page)-1].ID
	}
	state.History = history(events, state.Program.TryLimit)
	return state, nil
}

// history is a card's newest events, with how many tries each of them left.
func history(events []pin.AuditEvent, limit int) []Event {
	all, left := make([]Event, len(events)), limit
	for i, e := range events {
		switch e.Type {
		case pin.EventPINVerified, pin.EventPINUnblocked, pin.EventPINReset, pin.EventCardCreated:
			left = limit
		case pin.EventPINFailed:
			left = max(0, left-1)
		case pin.EventPINBlocked:
			left = 0
		}
		all[i] = Event{e, left}
	}
	return all[max(0, len(all)-maxHistory):]
}

// looking is a vault's store in which nothing that is done is kept, so that a card can be looked at without a trace.
type looking struct{ pin.Store }

// Swap is pin.Store's, and changes nothing.
func (looking) Swap(context.Context, pin.Change) error { return nil }

// Looking is a vault over a store that keeps nothing of what is done.
func Looking(store pin.Store, keys pin.Keys, now func() time.Time) *pin.Vault {
	return pin.NewVault(looking{store}, keys, now, nil)
}
