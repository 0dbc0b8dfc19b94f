package storetest

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// drawn is the id of an event, as one is that was drawn so long ago by the store's clock.
func drawn(s Store, ago time.Duration) string {
	id := []byte(pin.EventsFrom(s.Now().Add(-ago)))
	id[14] = '7'
	return string(id)
}

// Readable are the ids of the events that who goes on after one, "" for the first, is handed out.
func Readable(t require.TestingT, s pin.Store, after string) []string {
	all, err := s.Events(context.Background(), pin.AuditQuery{Settled: true, Page: pin.Page{After: after, Limit: 1000}})
	require.NoError(t, err)
	return eventIDs(all)
}

var settledTests = []test{
	{"an event comes in soon after its id was drawn, or not at all", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for name, change := range map[string]func(all []pin.EventRow) error{
			"of a card": func(all []pin.EventRow) error {
				return try(s, pin.Change{Card: next(stored(t, s, "card")), Events: all})
			},
			"of a card, with what a function does not know": func(all []pin.EventRow) error {
				return try(s, pin.Change{Card: next(stored(t, s, "card")), DetailsToo: true, Events: all, Drop: []pin.Lookup{shared("alias", "card")}})
			},
			"of a card that is locked": func(all []pin.EventRow) error {
				return s.Locked(context.Background(), "card", func(row pin.CardRow) (pin.Change, error) {
					return pin.Change{Card: next(row), Events: all}, nil
				})
			},
			"of one of many": func(all []pin.EventRow) error {
				errs, err := s.SwapAll(context.Background(), []pin.Change{{Card: next(stored(t, s, "card")), Events: all}})
				require.NoError(t, err)
				return errs[0]
			},
			"of something else": func(all []pin.EventRow) error { return try(s, pin.Change{Events: all}) },
		} {
			before := everything(t, s)
			all := events("card", int64(len(before.Events))+1, 2)
			all[0].ID, all[1].ID = drawn(s, pin.EventLate+time.Second), drawn(s, 0)
			requireCode(t, change(all), pin.Conflict, "audit_events")
			require.Equal(t, before, everything(t, s), name)
			all[0].ID = drawn(s, pin.EventLate-2*time.Second)
			require.NoError(t, change(all), name)
		}
	}},
	{"an event is handed out to who goes on after the last one when none can come before it any more", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		all := events("card", 2, 3)
		for i, ago := range []time.Duration{pin.EventLate - 500*time.Millisecond, 100 * time.Millisecond, -time.Hour} {
			all[i].ID = drawn(s, ago)
		}
		swap(t, s, pin.Change{Card: next(stored(t, s, "card")), Events: all})
		require.Empty(t, Readable(t, s, ""))
		there, err := s.Events(context.Background(), pin.AuditQuery{Page: pin.Page{Limit: 10}})
		require.NoError(t, err)
		require.Len(t, there, 4, "who does not go on is shown all")
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			require.Equal(t, []string{all[0].ID}, Readable(t, s, ""))
		}, 10*time.Second, 100*time.Millisecond)
		require.Empty(t, Readable(t, s, all[0].ID))
		require.True(t, slices.IsSortedFunc(all, func(a, b pin.EventRow) int { return cmp.Compare(a.ID, b.ID) }))
	}},
}
