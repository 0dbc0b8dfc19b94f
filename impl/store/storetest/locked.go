package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// locked decides under the lock of the card "card".
func locked(s Store, decide func(pin.CardRow) (pin.Change, error)) error {
	return s.Locked(context.Background(), "card", decide)
}

var lockedTests = []test{
	{"the change is made of the card as it stands", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, details := range []bool{false, true} {
			before := stored(t, s, "card")
			require.NoError(t, locked(s, func(c pin.CardRow) (pin.Change, error) {
				require.Equal(t, before, c)
				return pin.Change{Card: next(c), DetailsToo: details, Events: events("card", c.Revision+1, 1)}, nil
			}))
			want := *next(before)
			if want.ProgramVersion = 1; !details {
				want.Details = before.Details
			}
			require.Equal(t, want, stored(t, s, "card"))
		}
		require.Len(t, everything(t, s).Events, 3)
	}},
	{"all that a change may bring is written", func(t *testing.T, s Store) {
		for _, details := range []bool{false, true} {
			require.NoError(t, s.Wipe(context.Background()))
			stage(t, s)
			c := whole(details)
			require.NoError(t, locked(s, func(pin.CardRow) (pin.Change, error) { return c, nil }))
			for _, r := range c.Rows {
				require.Equal(t, r, row(t, s, r.Table, r.ID))
			}
		}
	}},
	{"a card that is not there is not found, and nothing is decided", func(t *testing.T, s Store) {
		withCards(t, s)
		requireCode(t, locked(s, func(pin.CardRow) (pin.Change, error) { t.Error("decided"); return pin.Change{}, nil }), pin.NotFound)
	}},
	{"an error of the caller's comes back as it is, and nothing is changed", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		for _, own := range []error{errDomain, &pin.Error{Code: pin.CardStatus}, &pin.Error{Code: pin.Conflict, Field: "card"}, &pin.Error{Code: pin.NotFound}} {
			runs := 0
			err := locked(s, func(c pin.CardRow) (pin.Change, error) {
				runs++
				return pin.Change{Card: next(c), Events: events("card", 2, 1)}, own
			})
			require.Same(t, own, err)
			require.Equal(t, 1, runs)
			require.Equal(t, before, everything(t, s))
		}
	}},
	{"an empty change writes nothing", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		require.NoError(t, locked(s, func(pin.CardRow) (pin.Change, error) { return pin.Change{}, nil }))
		require.Equal(t, before, everything(t, s))
	}},
	{"a change that fails is refused as a swap's is, and nothing is written", func(t *testing.T, s Store) {
		stage(t, s)
		before := everything(t, s)
		for _, details := range []bool{false, true} {
			for _, part := range []struct {
				spoil func(c *pin.Change)
				code  pin.Code
				field string
			}{
				{func(c *pin.Change) { c.Card.Revision = 5 }, pin.Conflict, "card"},
				{func(c *pin.Change) { c.Events[1].Seq, c.Events[0].Seq = 2, 1 }, pin.Duplicate, "audit_events"},
				{func(c *pin.Change) { c.Rows[1].Version = 3 }, pin.Conflict, "pin_sessions"},
				{func(c *pin.Change) { c.Rows[2].ID = "taken" }, pin.Duplicate, "replays"},
				{func(c *pin.Change) { c.Add[0].Value = "taken" }, pin.Duplicate, "pinSession"},
			} {
				c := whole(details)
				part.spoil(&c)
				requireCode(t, locked(s, func(pin.CardRow) (pin.Change, error) { return c, nil }), part.code, part.field)
				require.Equal(t, before, everything(t, s))
			}
		}
	}},
	{"callers for one card are served in turn", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		const callers, turns = 25, 3
		var runs atomic.Int64
		for _, err := range together(callers, func(int) error {
			for range turns {
				if err := locked(s, func(c pin.CardRow) (pin.Change, error) {
					runs.Add(1)
					return pin.Change{Card: next(c), Events: events("card", c.Revision+1, 1)}, nil
				}); err != nil {
					return err
				}
			}
			return nil
		}) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 1+callers*turns, stored(t, s, "card").Revision)
		require.Equal(t, eventIDs(events("card", 1, 1+callers*turns)), eventIDs(everything(t, s).Events))
		require.GreaterOrEqual(t, runs.Load(), int64(callers*turns))
	}},
	{"nobody else changes the card meanwhile", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		other := make(chan error, 1)
		var once atomic.Bool
		require.NoError(t, locked(s, func(c pin.CardRow) (pin.Change, error) {
			if once.CompareAndSwap(false, true) {
				asked := make(chan struct{})
				go func() { close(asked); other <- try(s, pin.Change{Card: next(c)}) }()
				<-asked
			}
			return pin.Change{Card: next(c), Events: events("card", 2, 1)}, nil
		}))
		err := <-other
		if pin.CodeOf(err) != pin.Unavailable { // where it was tried too often meanwhile
			requireCode(t, err, pin.Conflict, "card")
		}
		require.EqualValues(t, 2, stored(t, s, "card").Revision)
	}},
	{"who decides may read meanwhile", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, err := range together(30, func(int) error {
			return locked(s, func(c pin.CardRow) (pin.Change, error) {
				_, err := s.Row(context.Background(), pin.TablePrograms, "", "program")
				return pin.Change{Card: next(c)}, err
			})
		}) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 31, stored(t, s, "card").Revision)
	}},
	{"a panic undoes everything and leaves the store in order", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		require.PanicsWithValue(t, "panic", func() { _ = locked(s, func(pin.CardRow) (pin.Change, error) { panic("panic") }) })
		require.NoError(t, locked(s, func(c pin.CardRow) (pin.Change, error) { return pin.Change{Card: next(c)}, nil }))
		require.EqualValues(t, 2, stored(t, s, "card").Revision)
	}},
	{"a change cancelled while it is decided is not made, and that is known", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, details := range []bool{false, true} {
			ctx, cancel := context.WithCancel(context.Background())
			err := s.Locked(ctx, "card", func(c pin.CardRow) (pin.Change, error) {
				cancel()
				return pin.Change{Card: next(c), DetailsToo: details}, nil
			})
			requireCode(t, err, pin.Unavailable)
			require.ErrorIs(t, err, context.Canceled)
			require.False(t, errors.Is(err, pin.ErrInDoubt))
			require.EqualValues(t, 1, stored(t, s, "card").Revision)
		}
	}},
}
