package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// calls is every method that asks the database. The changes among them could all be made.
func calls(ctx context.Context, s Store) map[string]func() error {
	page := pin.Page{Limit: 1}
	l := unique(pin.KindURN, "urn card", "card")
	c := pin.Change{Card: next(newCard("card")), Events: events("card", 2, 1)}
	details := c
	details.DetailsToo, details.Add = true, []pin.Lookup{unique(pin.KindURN, "new", "card")}
	decide := func(c pin.CardRow) (pin.Change, error) { return pin.Change{Card: next(c)}, nil }
	return map[string]func() error{
		"Find by id": func() error { _, err := s.Find(ctx, pin.Search{CardID: "card", Limit: 1}); return err },
		"Find by a value": func() error {
			_, err := s.Find(ctx, pin.Search{Kind: l.Kind, Values: []string{l.Value}, Limit: 1})
			return err
		},
		"Find by a session": func() error {
			_, err := s.Find(ctx, pin.Search{Session: "session", Limit: 1})
			return err
		},
		"Swap of the PIN":   func() error { return s.Swap(ctx, c) },
		"Swap of details":   func() error { return s.Swap(ctx, details) },
		"Swap of a row":     func() error { return s.Swap(ctx, pin.Change{Rows: []pin.Row{newRow(pin.TableClients, "client")}}) },
		"Locked":            func() error { return s.Locked(ctx, "card", decide) },
		"Row":               func() error { _, err := s.Row(ctx, pin.TablePrograms, "", "program"); return err },
		"Row of a card":     func() error { _, err := s.Row(ctx, pin.TableSessions, "", "session"); return err },
		"List":              func() error { _, err := s.List(ctx, pin.TablePrograms, "", page); return err },
		"Cards":             func() error { _, err := s.Cards(ctx, "", page); return err },
		"Lookups":           func() error { _, err := s.Lookups(ctx, pin.Lookup{}, 1); return err },
		"LookupsOf":         func() error { _, err := s.LookupsOf(ctx, []pin.Lookup{l}); return err },
		"Events":            func() error { _, err := s.Events(ctx, pin.AuditQuery{Page: page}); return err },
		"Settled events":    func() error { _, err := s.Events(ctx, pin.AuditQuery{Settled: true, Page: page}); return err },
		"Events of a chain": func() error { _, err := s.ChainEvents(ctx, "card", 0, 1); return err },
		"Numbers":           func() error { _, err := s.Numbers(ctx, "sequence", "program", 1); return err },
		"Ping":              func() error { return s.Ping(ctx) },
		"Setting":           func() error { _, err := s.Setting(ctx, "key"); return err },
		"PutSetting":        func() error { return s.PutSetting(ctx, "key", "value") },
		"Empty":             func() error { _, err := s.Empty(ctx); return err },
		"Wipe":              func() error { return s.Wipe(ctx) },
		"PurgeReplays":      func() error { _, err := s.PurgeReplays(ctx, time.UnixMicro(now)); return err },
		"PurgeApprovals":    func() error { _, err := s.PurgeApprovals(ctx, time.UnixMicro(now)); return err },
		"PurgeSessions":     func() error { _, err := s.PurgeSessions(ctx, time.UnixMicro(now)); return err },
	}
}

// unavailable fails unless every call is, and all of them are known to have changed nothing.
func unavailable(ctx context.Context, t *testing.T, s Store, cause error) {
	for name, call := range calls(ctx, s) {
		t.Run(name, func(t *testing.T) {
			err := call()
			requireCode(t, err, pin.Unavailable)
			require.NotErrorIs(t, err, pin.ErrInDoubt, "nothing was asked of the database")
			if cause != nil {
				require.ErrorIs(t, err, cause)
			}
		})
	}
}

var failureTests = []test{
	{"a closed database is unavailable", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		require.NoError(t, s.Close())
		unavailable(context.Background(), t, s, nil)
	}},
	{"a cancelled call is unavailable and changes nothing", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		unavailable(ctx, t, s, context.Canceled)
		require.Equal(t, before, everything(t, s))
	}},
	{"a call out of time is unavailable and changes nothing", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
		defer cancel()
		unavailable(ctx, t, s, context.DeadlineExceeded)
		require.Equal(t, before, everything(t, s))
	}},
	{"a call cancelled under way was made, or not, and says so", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for i := range Times(10, 100) {
			c := next(stored(t, s, "card"))
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Swap(ctx, pin.Change{Card: c, Events: events("card", c.Revision, 1)}) }()
			for range i * 1000 { // a moment that differs from round to round
				_ = ctx.Err()
			}
			cancel()
			err := <-done
			// A swap that nobody waits for any more may still be under way: the same once more finds out.
			again := try(s, pin.Change{Card: c, Events: events("card", c.Revision, 1)})
			if err == nil {
				requireCode(t, again, pin.Conflict, "card")
			} else if requireCode(t, err, pin.Unavailable); again != nil {
				require.ErrorIs(t, err, pin.ErrInDoubt, "it was made")
			}
			require.Equal(t, c.Revision, stored(t, s, "card").Revision)
		}
	}},
	{"errors hold nothing of what was written", func(t *testing.T, s Store) {
		const secret = "453201511283"
		withCards(t, s)
		card := newCard(secret)
		card.Value, card.Details, card.Seal = []byte(secret), []byte(secret), []byte(secret)
		first := making(card)
		first.Add = append(first.Add, unique(pin.KindIdentifier, secret, secret))
		first.Events[0].ID, first.Events[0].Body, first.Events[0].MAC = secret, []byte(secret), []byte(secret)
		swap(t, s, first)
		rows := map[pin.Table]pin.Row{}
		for _, table := range tables {
			r := newRow(table, secret)
			r.Body, r.Seal = []byte(secret), []byte(secret)
			if r.CardID != "" {
				r.CardID = secret
			}
			rows[table] = r
			c := beside(nil, r)
			c.Add = nil
			swap(t, s, c)
		}
		require.NoError(t, s.PutSetting(context.Background(), secret, secret))

		refused := map[string]pin.Change{"card": first, "overtaken": {Card: &card}}
		refused["overtaken"].Card.Revision = 7
		for _, details := range []bool{false, true} {
			of := func(part string) string { return fmt.Sprint(part, ", details ", details) }
			c := func() pin.Change {
				second := *next(newCard(secret))
				second.Value, second.Details, second.Seal = card.Value, card.Details, card.Seal
				return pin.Change{Card: &second, DetailsToo: details, Now: now}
			}
			overtaken, place, noPlace, taken := c(), c(), c(), c()
			overtaken.Card.Revision = 9
			place.Events, noPlace.Events = first.Events, events(secret, -453201511, 1)
			taken.Add = []pin.Lookup{unique(pin.KindIdentifier, secret, "other"+secret)}
			refused[of("overtaken")], refused[of("a place")], refused[of("no place")], refused[of("a value")] = overtaken, place, noPlace, taken
			for table, r := range rows {
				withRow := c()
				withRow.Rows = []pin.Row{r}
				refused[of("a row of "+string(table))] = withRow
			}
			ours := c()
			ours.Rows = []pin.Row{newRow(pin.Table("no_such_table"), secret)}
			refused[of("a row of no table")] = ours
		}
		for name, c := range refused {
			t.Run(name, func(t *testing.T) { requireSilent(t, try(s, c), secret[:9]) })
		}
		t.Run("locked", func(t *testing.T) {
			requireSilent(t, s.Locked(context.Background(), secret, func(pin.CardRow) (pin.Change, error) { return refused["overtaken"], nil }), secret)
			requireSilent(t, s.Locked(context.Background(), "no "+secret, func(pin.CardRow) (pin.Change, error) { return pin.Change{}, nil }), secret)
		})
		t.Run("setting", func(t *testing.T) { requireSilent(t, s.PutSetting(context.Background(), secret, secret), secret) })
		t.Run("row", func(t *testing.T) {
			_, err := s.Row(context.Background(), pin.TableClients, "", "no "+secret)
			requireSilent(t, err, secret)
		})
	}},
}

// requireSilent fails when an error, or one in its chain, prints the secret.
func requireSilent(t *testing.T, err error, secret string) {
	t.Helper()
	require.Error(t, err)
	for ; err != nil; err = errors.Unwrap(err) {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(verb, err), secret)
		}
	}
}
