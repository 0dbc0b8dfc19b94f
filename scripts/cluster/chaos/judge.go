package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"pinvault/impl/pin"
)

// event is one of the trail, as the issuer API lists it.
type event struct {
	ID, Chain, Type, CardID, Outcome, TraceID string
	Sequence                                  int64
}

// trail is all of it that cards have.
func (b *bank) trail(ctx context.Context) (map[string][]event, error) {
	cards := map[string][]event{}
	err := pages(ctx, b, "/issuer/v1/audit-events", func(e event) {
		if e.CardID != "" && e.Chain == e.CardID {
			cards[e.CardID] = append(cards[e.CardID], e)
		}
	})
	for _, events := range cards {
		sort.Slice(events, func(i, j int) bool { return events[i].Sequence < events[j].Sequence })
	}
	return cards, err
}

// pages reads a list to its end.
func pages[T any](ctx context.Context, b *bank, path string, each func(T)) error {
	for from := ""; ; {
		var page struct {
			Items      []T
			NextCursor string `json:"next_cursor"`
		}
		if err := b.asked(ctx, http.MethodGet, path+"?limit=100"+from, nil, http.StatusOK, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			each(item)
		}
		if page.NextCursor == "" || len(page.Items) == 0 {
			return nil
		}
		from = "&cursor=" + url.QueryEscape(page.NextCursor)
	}
}

// delivered waits until the webhook has nothing before it any more.
func (b *bank) delivered(ctx context.Context, hook string) error {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		var page struct{ Items []struct{ State string } }
		if err := b.asked(ctx, http.MethodGet, "/issuer/v1/webhooks/"+hook+"/deliveries?state=pending", nil, http.StatusOK, &page); err != nil || len(page.Items) == 0 {
			return err
		}
	}
	return nil // what is missing then, is
}

// told are the events of which an acknowledged call has exactly one in the trail. What is told of a card without tries, and a
// status, may have none.
func told(c call) []string {
	switch {
	case !c.Told || c.Result == "refused" || c.Result == "blocked":
		return nil
	case c.Result == "mismatch":
		return []string{string(pin.EventPINFailed)}
	}
	switch c.Do {
	case set:
		return []string{string(pin.EventPINSet)}
	case verify:
		return []string{string(pin.EventPINVerified)}
	case change:
		return []string{string(pin.EventPINChanged)}
	case reset:
		return []string{string(pin.EventPINReset)}
	case unblock:
		return []string{string(pin.EventPINUnblocked)}
	case reveal:
		return []string{string(pin.EventPINRevealed)}
	}
	return nil
}

// lost are the acknowledged calls that the trail does not tell of, or tells of twice.
func lost(calls []call, trail map[string][]event, cards []plastic) (found []string) {
	count := map[string]int{} // by trace and type
	for _, events := range trail {
		for _, e := range events {
			count[trace(e.TraceID)+e.Type]++
		}
	}
	for _, c := range calls {
		for _, want := range told(c) {
			// A reset of a blocked card is told as an unblock besides; a reveal that was repeated was shown each time.
			if n := count[c.Trace+want]; n == 0 || n > 1 && c.Do != reveal {
				found = append(found, fmt.Sprintf("%s %s of card %s at %s, %d attempts: %d events %s", c.Contract, c.Do, cards[c.Card].id, c.From.Round(time.Millisecond), c.Attempts, n, want))
			}
		}
	}
	return found
}

// trace is the id in the middle of a traceparent, or what is there in its place.
func trace(id string) string {
	if parts := strings.Split(id, "-"); len(parts) == 4 {
		return parts[1]
	}
	return id
}

// overAdmitted are the guesses that the trail tells of beyond the limit, and gaps in it.
func overAdmitted(trail map[string][]event, limit int) (found []string) {
	for card, events := range trail {
		wrong := 0
		for i, e := range events {
			if e.Sequence != int64(i+1) {
				found = append(found, fmt.Sprintf("card %s: event %d stands in the place of %d", card, e.Sequence, i+1))
				break
			}
			switch pin.EventType(e.Type) {
			case pin.EventPINFailed:
				if e.Outcome == string(pin.Mismatch) || e.Outcome == string(pin.Opaque) {
					wrong++
				}
			case pin.EventPINVerified, pin.EventPINChanged, pin.EventPINUnblocked, pin.EventPINReset:
				wrong = 0
			}
			if wrong > limit {
				found = append(found, fmt.Sprintf("card %s, event %d: guess %d of %d", card, e.Sequence, wrong, limit))
			}
		}
	}
	return found
}

// undelivered are the events that did not arrive, or not in their order.
func undelivered(due []string, arrivals []arrival) (found []string) {
	first, last := map[string]bool{}, map[string]int64{}
	for _, a := range arrivals {
		if first[a.ID] {
			continue // again: at least once is what is promised
		}
		first[a.ID] = true
		if a.Card == "" {
			continue
		}
		if a.Sequence <= last[a.Card] {
			found = append(found, fmt.Sprintf("event %s, %d of card %s, came after %d", a.ID, a.Sequence, a.Card, last[a.Card]))
		}
		last[a.Card] = a.Sequence
	}
	for _, id := range due {
		if !first[id] {
			found = append(found, "event "+id+" did not arrive")
		}
	}
	return found
}

// disordered are the cards whose answers no order of the calls explains, or none that was found in time.
func disordered(calls []call, cards []plastic) (found []string) {
	byCard := map[int][]call{}
	for _, c := range calls {
		byCard[c.Card] = append(byCard[c.Card], c)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	turns := make(chan struct{}, 2)
	for _, number := range slices.Sorted(maps.Keys(byCard)) {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if verdict := linearizable(cards[number].firstPIN(), byCard[number], 5*time.Minute); verdict != porcupine.Ok {
				mu.Lock()
				found = append(found, fmt.Sprintf("card %s, of %d calls: %s", cards[number].id, len(byCard[number]), verdict))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return found
}
