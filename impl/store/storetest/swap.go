package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

var cardTests = []test{
	{"a new card is written with its look-ups and its first event", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		all, c := everything(t, s), making(newCard("card"))
		c.Card.ProgramVersion = 1
		require.Equal(t, []pin.CardRow{*c.Card}, all.Cards)
		require.Equal(t, c.Events, all.Events)
		require.ElementsMatch(t, c.Add, all.Lookups)
	}},
	{"a card's id is taken once", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		c := making(newCard("card"))
		c.Add, c.Events = nil, nil
		requireCode(t, try(s, c), pin.Duplicate, "card")
		require.Equal(t, before, everything(t, s))
	}},
	{"the next revision takes the place of the one that was read, and details stay", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		want, other := stored(t, s, "card"), stored(t, s, "other")
		for range 3 {
			c := next(want)
			swap(t, s, pin.Change{Card: c})
			want.Revision, want.Value, want.Seal = c.Revision, c.Value, c.Seal
			require.Equal(t, want, stored(t, s, "card"))
		}
		require.EqualValues(t, 4, want.Revision)
		require.Equal(t, other, stored(t, s, "other"))
	}},
	{"details are written where they have changed", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		want := *next(newCard("card"))
		swap(t, s, pin.Change{Card: &want, DetailsToo: true})
		want.ProgramVersion = 1
		require.Equal(t, want, stored(t, s, "card"))
	}},
	{"a card stays in its program", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		c := next(newCard("card"))
		c.ProgramID = "other"
		swap(t, s, pin.Change{Card: c})
		require.Equal(t, "program", stored(t, s, "card").ProgramID)
	}},
	{"any other revision is overtaken, and nothing is written", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		swap(t, s, pin.Change{Card: next(newCard("card"))})
		before := everything(t, s)
		for _, details := range []bool{false, true} {
			for _, revision := range []int64{-1, 0, 2, 4, 1 << 40} { // 3 would follow
				c := next(newCard("card"))
				c.Revision = revision
				requireCode(t, try(s, pin.Change{Card: c, DetailsToo: details, Events: events("card", 2, 2), Rows: []pin.Row{newRow(pin.TableSessions, "session")},
					Add: []pin.Lookup{unique(pin.KindURN, "new", "card")}}), pin.Conflict, "card")
				require.Equal(t, before, everything(t, s), "%d", revision)
			}
		}
	}},
	{"a card that is not there is overtaken", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		requireCode(t, try(s, pin.Change{Card: next(newCard("nobody")), Events: events("nobody", 1, 1)}), pin.Conflict, "card")
		require.Equal(t, before, everything(t, s))
	}},
	{"a change of nothing changes nothing", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		swap(t, s, pin.Change{Now: now})
		require.Equal(t, before, everything(t, s))
	}},
	{"whatever characters an id holds, the card is changed", func(t *testing.T, s Store) {
		withCards(t, s)
		for _, text := range odd {
			c := newCard(text)
			swap(t, s, making(c))
			session := newRow(pin.TableSessions, "session "+text)
			session.CardID = text
			swap(t, s, pin.Change{Card: next(c), Events: events(text, 2, 1), Rows: []pin.Row{session},
				Add: []pin.Lookup{unique(pin.KindSession, session.ID, text)}})
			require.EqualValues(t, 2, stored(t, s, text).Revision)
			require.Equal(t, session, row(t, s, pin.TableSessions, session.ID))
		}
	}},
}

// beside puts rows into a change of the card "card", which has come to a revision, or into one of their own.
func beside(c *pin.CardRow, rows ...pin.Row) pin.Change {
	change := pin.Change{Rows: rows, Now: now}
	if c != nil {
		*c = *next(*c)
		change.Card = c
	}
	for _, r := range rows { // without a look-up nothing finds a row that belongs to a card
		if kind, ok := kinds[r.Table]; ok && r.Version == 1 {
			change.Add = append(change.Add, pin.Lookup{Kind: kind, Value: r.ID, ProgramID: r.ProgramID, CardID: r.CardID})
		}
	}
	return change
}

// kinds are the look-ups of rows that belong to a card.
var kinds = map[pin.Table]pin.Kind{pin.TableSessions: pin.KindSession, pin.TableApprovals: pin.KindApproval, pin.TableRecords: pin.KindRecord}

// versioned are the tables whose rows are made once and then replaced, version by version, and how a row that
// is there already is refused.
var versioned = map[pin.Table]pin.Code{pin.TablePrograms: pin.Duplicate, pin.TableClients: pin.Duplicate, pin.TableZoneKeys: pin.Duplicate, pin.TableWebhooks: pin.Duplicate,
	pin.TableSessions: pin.Conflict, pin.TableApprovals: pin.Duplicate, pin.TableRecords: pin.Duplicate}

// alongside runs a test of rows twice: for rows by themselves, and for rows that come with a card.
func alongside(run func(t *testing.T, s Store, card *pin.CardRow)) func(t *testing.T, s Store) {
	return func(t *testing.T, s Store) {
		withCards(t, s, "card")
		t.Run("by themselves", func(t *testing.T) { run(t, s, nil) })
		t.Run("with a card", func(t *testing.T) { c := newCard("card"); run(t, s, &c) })
	}
}

var rowTests = []test{
	{"a row is made once, and comes back as it was written", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		for table, code := range versioned {
			want := newRow(table, fmt.Sprint("new ", card != nil))
			swap(t, s, beside(card, want))
			require.Equal(t, want, row(t, s, table, want.ID))

			again := want
			again.Body = body("other")
			c := beside(card, again)
			c.Add = nil
			requireCode(t, try(s, c), code, string(table))
			if card != nil {
				card.Revision--
			}
			require.Equal(t, want, row(t, s, table, want.ID))
		}
	})},
	{"a row is replaced by the version that follows it, and by no other", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		for table := range versioned {
			want := newRow(table, fmt.Sprint("replaced ", card != nil))
			swap(t, s, beside(card, want))
			for range 2 {
				want = following(want)
				swap(t, s, beside(card, want))
				require.Equal(t, want, row(t, s, table, want.ID))
			}
			for _, version := range []int64{-1, 0, 2, 3, 5} { // 4 would follow
				stale := want
				stale.Version, stale.Body = version, body("stale")
				requireCode(t, try(s, beside(card, stale)), pin.Conflict, string(table))
				if card != nil {
					card.Revision--
				}
				require.Equal(t, want, row(t, s, table, want.ID), "%d", version)
			}
			nobody := newRow(table, "nobody")
			nobody.Version = 2
			requireCode(t, try(s, beside(card, nobody)), pin.Conflict, string(table))
			if card != nil {
				card.Revision--
			}
		}
	})},
	{"a chain goes on from the place that was read, by any number of places", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		id := fmt.Sprint("chain ", card != nil)
		chain := func(from, to int64) error {
			r := newRow(pin.TableChains, id)
			r.Version, r.Body, r.Seal = to, body(id, to), seal(id, to)
			c := beside(card, r)
			c.From, c.Events = from, events(id, from+1, int(to-from))
			err := try(s, c)
			if err != nil && card != nil {
				card.Revision--
			}
			if err == nil {
				require.Equal(t, r, row(t, s, pin.TableChains, id))
			}
			return err
		}
		requireCode(t, chain(1, 2), pin.Conflict, "chains") // not begun
		require.NoError(t, chain(0, 1))
		requireCode(t, chain(0, 1), pin.Conflict, "chains") // begun already
		require.NoError(t, chain(1, 4))
		for _, from := range []int64{1, 3, 5} {
			requireCode(t, chain(from, from+1), pin.Conflict, "chains")
		}
		require.NoError(t, chain(4, 5))
		all, err := s.ChainEvents(context.Background(), id, 0, 5)
		require.NoError(t, err)
		require.Equal(t, events(id, 1, 5), all)
	})},
	{"a row keeps its program", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for table := range versioned {
			want := newRow(table, "row")
			swap(t, s, beside(nil, want))
			other := following(want)
			other.ProgramID = "other"
			swap(t, s, beside(nil, other))
			require.Equal(t, want.ProgramID, row(t, s, table, "row").ProgramID, table)
		}
	}},
	{"a session's expiry is written with it: the seal covers it", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		want := newRow(pin.TableSessions, fmt.Sprint("session ", card != nil))
		swap(t, s, beside(card, want))
		want = following(want)
		want.ExpiresAt += anHour
		swap(t, s, beside(card, want))
		require.Equal(t, want, row(t, s, pin.TableSessions, want.ID))
	})},
	{"a row of a card is that card's alone", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		for table := range kinds {
			mine := newRow(table, "mine")
			swap(t, s, beside(nil, mine))
			theirs := following(mine)
			theirs.CardID = "other"
			requireCode(t, try(s, beside(nil, theirs)), pin.Conflict, string(table))
			require.Equal(t, mine, row(t, s, table, "mine"))
		}
	}},
	{"of one number in two programs each program finds its own", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		mine := newRow(pin.TableRecords, "SR1")
		theirs := mine
		theirs.ProgramID, theirs.CardID, theirs.Body = "other", "other", body("other")
		swap(t, s, beside(nil, mine))
		swap(t, s, beside(nil, theirs))
		for _, want := range []pin.Row{mine, theirs} {
			got, err := s.Row(context.Background(), pin.TableRecords, want.ProgramID, "SR1")
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		_, err := s.Row(context.Background(), pin.TableRecords, "nobody", "SR1")
		requireCode(t, err, pin.NotFound)
		_, err = s.Row(context.Background(), pin.TableRecords, "", "SR1")
		requireCode(t, err, pin.Ambiguous)
	}},
	{"a row that is not there is not found", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, table := range tables {
			_, err := s.Row(context.Background(), table, "", "nobody")
			requireCode(t, err, pin.NotFound)
		}
	}},
	{"a row of a table that nobody knows is our own fault", func(t *testing.T, s Store) {
		requireCode(t, try(s, pin.Change{Rows: []pin.Row{newRow("no_such_table", "id")}}), pin.Internal)
		withCards(t, s, "card")
		c := newCard("card")
		requireCode(t, try(s, beside(&c, newRow("no_such_table", "id"))), pin.Internal)
		require.EqualValues(t, 1, stored(t, s, "card").Revision)
	}},
}

var replayTests = []test{
	{"a record comes back as it was written", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		want := newRow(pin.TableReplays, fmt.Sprint("key ", card != nil))
		swap(t, s, beside(card, want))
		require.Equal(t, want, row(t, s, pin.TableReplays, want.ID))
	})},
	{"a key is taken until its record has expired", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		first := newRow(pin.TableReplays, fmt.Sprint("key ", card != nil))
		first.ExpiresAt = now + 10
		swap(t, s, beside(card, first))
		second := first
		second.ExpiresAt, second.Body, second.Seal = now+anHour, body("second"), seal("second")
		for _, early := range []int64{now - anHour, now, now + 9} {
			c := beside(card, second)
			c.Now = early
			requireCode(t, try(s, c), pin.Duplicate, "replays")
			if card != nil {
				card.Revision--
			}
			require.Equal(t, first, row(t, s, pin.TableReplays, first.ID))
		}
		c := beside(card, second)
		c.Now = now + 10
		swap(t, s, c)
		require.Equal(t, second, row(t, s, pin.TableReplays, first.ID))
	})},
	{"a record gives way to the next version of it before it expires, once", alongside(func(t *testing.T, s Store, card *pin.CardRow) {
		first := newRow(pin.TableReplays, fmt.Sprint("key ", card != nil))
		first.ExpiresAt = now + 10
		refused := func(r pin.Row) {
			requireCode(t, try(s, beside(card, r)), pin.Duplicate, "replays")
			if card != nil {
				card.Revision--
			}
		}
		second := following(first)
		second.ExpiresAt = now + anHour
		refused(second) // there is none before it
		swap(t, s, beside(card, first))
		refused(following(second))
		require.Equal(t, first, row(t, s, pin.TableReplays, first.ID))
		swap(t, s, beside(card, second))
		refused(second)
		refused(first)
		require.Equal(t, second, row(t, s, pin.TableReplays, first.ID))
	})},
	{"an expired record is there until it is purged or taken over", func(t *testing.T, s Store) {
		withCards(t, s)
		expired := newRow(pin.TableReplays, "key")
		expired.ExpiresAt = 1
		swap(t, s, beside(nil, expired))
		require.Equal(t, expired, row(t, s, pin.TableReplays, "key"))
	}},
	{"expiry is exact to the microsecond", func(t *testing.T, s Store) {
		withCards(t, s)
		keys := 0
		rapid.Check(t, func(t *rapid.T) {
			expiry := rapid.Int64Range(1, 4e15).Draw(t, "expiry")
			at := expiry + rapid.SampledFrom([]int64{-1e6, -10, -9, -1, 0, 1, 9, 10, 1e6}).Draw(t, "later")
			keys++
			r := newRow(pin.TableReplays, fmt.Sprint(keys))
			r.ExpiresAt = expiry
			swap(t, s, beside(nil, r))
			c := beside(nil, r)
			c.Now = at
			if err := try(s, c); at < expiry {
				requireCode(t, err, pin.Duplicate, "replays")
			} else {
				require.NoError(t, err)
			}
		})
	}},
}

var lookupTests = []test{
	{"a value is one card's in its program, and the error names its kind", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		swap(t, s, pin.Change{Rows: []pin.Row{newRow(pin.TablePrograms, "second")}})
		for _, kind := range []pin.Kind{pin.KindPublicToken, pin.KindURN, pin.KindIdentifier, pin.KindPackID, pin.KindNumber,
			pin.KindHashdtCardID, pin.KindEXID, pin.KindContractNumber, pin.KindSession, pin.KindRecord} {
			t.Run(string(kind), func(t *testing.T) {
				l := unique(kind, "453201511283", "card")
				swap(t, s, pin.Change{Card: next(stored(t, s, "card")), Add: []pin.Lookup{l}})
				before := everything(t, s)
				l.CardID = "other"
				for _, details := range []bool{false, true} {
					requireCode(t, try(s, pin.Change{Card: next(stored(t, s, "other")), DetailsToo: details, Add: []pin.Lookup{unique(pin.KindURN, "new", "other"), l}}), pin.Duplicate, string(kind))
				}
				fresh := making(newCard("fresh"))
				fresh.Add = append(fresh.Add, unique(kind, "453201511283", "fresh"))
				requireCode(t, try(s, fresh), pin.Duplicate, string(kind))
				require.Equal(t, before, everything(t, s))

				elsewhere := newCard("second " + string(kind))
				elsewhere.ProgramID = "second"
				c := making(elsewhere)
				c.Add = []pin.Lookup{{Kind: kind, Value: "453201511283", ProgramID: "second", CardID: elsewhere.ID}}
				swap(t, s, c)
			})
		}
	}},
	{"a shared value has a row for each card, and one only", func(t *testing.T, s Store) {
		withCards(t, s, "a", "b", "c")
		requireCode(t, try(s, pin.Change{Card: next(newCard("a")), Add: []pin.Lookup{shared("alias", "a")}}), pin.Duplicate, "alias")
		require.Equal(t, []string{"a", "b", "c"}, find(t, s, pin.Search{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 9}))
	}},
	{"a value that was dropped is free, for the same change too", func(t *testing.T, s Store) {
		withCards(t, s, "card", "heir")
		swap(t, s, pin.Change{Card: next(newCard("card")), DetailsToo: true, Drop: []pin.Lookup{unique(pin.KindURN, "urn card", "card"), shared("alias", "card")},
			Add: []pin.Lookup{unique(pin.KindURN, "new", "card"), shared("new", "card")}})
		require.Empty(t, find(t, s, pin.Search{Kind: pin.KindURN, Values: []string{"urn card"}, Limit: 9}))
		require.Equal(t, []string{"heir"}, find(t, s, pin.Search{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 9}))
		require.Equal(t, []string{"card"}, find(t, s, pin.Search{Kind: pin.KindURN, Values: []string{"new"}, Limit: 9}))
		require.Equal(t, []string{"card"}, find(t, s, pin.Search{Kind: pin.KindAlias, Values: []string{"new"}, Limit: 9}))

		swap(t, s, pin.Change{Card: next(newCard("heir")), Drop: []pin.Lookup{unique(pin.KindURN, "urn heir", "heir")}, Add: []pin.Lookup{unique(pin.KindURN, "urn card", "heir")}})
		require.Equal(t, []string{"heir"}, find(t, s, pin.Search{Kind: pin.KindURN, Values: []string{"urn card"}, Limit: 9}))

		again := unique(pin.KindURN, "urn card", "heir")
		swap(t, s, pin.Change{Card: next(stored(t, s, "heir")), Drop: []pin.Lookup{again}, Add: []pin.Lookup{again}})
		require.Equal(t, []string{"heir"}, find(t, s, pin.Search{Kind: pin.KindURN, Values: []string{"urn card"}, Limit: 9}))
	}},
	{"to drop what is not there, or is another card's, drops nothing", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		before := everything(t, s).Lookups
		swap(t, s, pin.Change{Card: next(newCard("card")), Drop: []pin.Lookup{unique(pin.KindURN, "nobody's", "card"), unique(pin.KindURN, "urn other", "card"),
			{Kind: pin.KindURN, Value: "urn card", ProgramID: "other", CardID: "card"}, {Kind: pin.KindURN, Value: "urn card", ProgramID: "program", Slot: "card", CardID: "card"}}})
		require.Equal(t, before, everything(t, s).Lookups)
	}},
}

var eventTests = []test{
	{"events of one change come in their order, as they were written", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		swap(t, s, pin.Change{Card: next(newCard("card")), Events: events("card", 2, 3)})
		swap(t, s, pin.Change{Card: next(stored(t, s, "card"))})
		swap(t, s, pin.Change{Card: next(stored(t, s, "card")), DetailsToo: true, Events: events("card", 5, 2)})
		all, err := s.ChainEvents(context.Background(), "card", 0, 6)
		require.NoError(t, err)
		require.Equal(t, events("card", 1, 6), all)
	}},
	{"a place is taken once", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		for _, details := range []bool{false, true} {
			c := pin.Change{Card: next(newCard("card")), DetailsToo: details, Events: events("card", 1, 2)}
			c.Events[0].ID = "another"
			requireCode(t, try(s, c), pin.Duplicate, "audit_events")
			require.Equal(t, before, everything(t, s))
		}
		requireCode(t, try(s, pin.Change{Events: events("card", 1, 1)}), pin.Duplicate, "audit_events")
	}},
	{"a place before the first is none", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		before := everything(t, s)
		requireCode(t, try(s, pin.Change{Card: next(newCard("card")), Events: events("card", 0, 1)}), pin.Internal)
		require.Equal(t, before, everything(t, s))
	}},
	{"events keep their own chain and program, whatever card they come with", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		want := events("program", 7, 2)
		want[0].ProgramID, want[1].ProgramID = "", ""
		swap(t, s, pin.Change{Card: next(newCard("card")), Events: want})
		all, err := s.ChainEvents(context.Background(), "program", 0, 9)
		require.NoError(t, err)
		require.Equal(t, want, all)
		gap := []pin.EventRow{events("card", 2, 1)[0], events("card", 5, 1)[0]}
		swap(t, s, pin.Change{Card: next(stored(t, s, "card")), Events: gap})
		all, err = s.ChainEvents(context.Background(), "card", 1, 2)
		require.NoError(t, err)
		require.Equal(t, gap, all, "the store knows nothing of what rows say")
	}},
}

// whole is a change of the card "card" with all that a change may bring.
func whole(details bool) pin.Change {
	existing := newRow(pin.TableSessions, "existing")
	c := pin.Change{Card: next(newCard("card")), Events: events("card", 2, 2), Now: now,
		Rows: []pin.Row{newRow(pin.TableSessions, "new"), following(existing), newRow(pin.TableReplays, "new"), newRow(pin.TableReplays, "expired"), newRow(pin.TableRecords, "new")},
		Add:  []pin.Lookup{unique(pin.KindSession, "new", "card"), unique(pin.KindRecord, "new", "card")}}
	if details {
		c.DetailsToo = true
		c.Drop = []pin.Lookup{unique(pin.KindURN, "urn card", "card")}
		c.Add = append(c.Add, unique(pin.KindURN, "new", "card"))
		c.Rows = append(c.Rows, newRow(pin.TableClients, "new"), newRow(pin.TableZoneKeys, "new"), newRow(pin.TablePrograms, "new"), newRow(pin.TableChains, "new"))
	}
	return c
}

// stage is a store that [whole] fits.
func stage(t *testing.T, s Store) {
	withCards(t, s, "card", "other")
	expired := newRow(pin.TableReplays, "expired")
	expired.ExpiresAt, expired.Body = now, body("old")
	for _, r := range []pin.Row{newRow(pin.TableSessions, "existing"), expired} {
		swap(t, s, beside(nil, r))
	}
	taken := newRow(pin.TableRecords, "taken")
	swap(t, s, beside(nil, taken, newRow(pin.TableReplays, "taken"), newRow(pin.TableSessions, "taken")))
}

var wholeTests = []test{
	{"all of a change is written", func(t *testing.T, s Store) {
		for _, details := range []bool{false, true} {
			require.NoError(t, s.Wipe(context.Background()))
			stage(t, s)
			before, c := everything(t, s), whole(details)
			swap(t, s, c)
			after := everything(t, s)
			require.Len(t, after.Events, len(before.Events)+2)
			require.Len(t, after.Lookups, len(before.Lookups)+len(c.Add)-len(c.Drop))
			require.Len(t, after.Rows, len(before.Rows)+len(c.Rows)-2, "two took another's place")
			for _, r := range c.Rows {
				require.Equal(t, r, row(t, s, r.Table, r.ID))
			}
			for _, l := range c.Add {
				require.Contains(t, after.Lookups, l)
			}
		}
	}},
	{"nothing of a change is written when any part of it fails", func(t *testing.T, s Store) {
		stage(t, s)
		before := everything(t, s)
		spoil := func(i int, with func(r *pin.Row)) func(c *pin.Change) {
			return func(c *pin.Change) { with(&c.Rows[i]) }
		}
		for _, part := range []struct {
			name  string
			spoil func(c *pin.Change)
			code  pin.Code
			field string
		}{
			{"the card was overtaken", func(c *pin.Change) { c.Card.Revision = 5 }, pin.Conflict, "card"},
			{"the first event's place is taken", func(c *pin.Change) { c.Events = events("card", 1, 2) }, pin.Duplicate, "audit_events"},
			{"the last event has no place", func(c *pin.Change) { c.Events[1].Seq = -1 }, pin.Internal, ""},
			{"a session is there", spoil(0, func(r *pin.Row) { r.ID = "taken" }), pin.Conflict, "pin_sessions"},
			{"a session was overtaken", spoil(1, func(r *pin.Row) { r.Version = 3 }), pin.Conflict, "pin_sessions"},
			{"a session is gone", spoil(1, func(r *pin.Row) { r.ID = "nobody" }), pin.Conflict, "pin_sessions"},
			{"a key is taken", spoil(2, func(r *pin.Row) { r.ID = "taken" }), pin.Duplicate, "replays"},
			{"a record has not expired", func(c *pin.Change) { c.Now = now - 1 }, pin.Duplicate, "replays"},
			{"a record is there", spoil(4, func(r *pin.Row) { r.ID = "taken" }), pin.Duplicate, "contract_records"},
			{"the first look-up is taken", func(c *pin.Change) { c.Add[0].Value = "taken" }, pin.Duplicate, "pinSession"},
			{"the last look-up is taken", func(c *pin.Change) {
				c.Add = append(c.Add, unique(pin.KindPublicToken, "token other", "card"))
			}, pin.Duplicate, "publicToken"},
			{"a look-up comes twice", func(c *pin.Change) { c.Add = append(c.Add, c.Add[0]) }, pin.Duplicate, "pinSession"},
		} {
			for name, details := range map[string]bool{"the PIN": false, "the details": true} {
				t.Run(part.name+", as "+name+" changes", func(t *testing.T) {
					c := whole(details)
					part.spoil(&c)
					requireCode(t, try(s, c), part.code, part.field)
					require.Equal(t, before, everything(t, s))
					for _, unread := range []pin.Kind{pin.KindSession, pin.KindRecord} {
						require.Empty(t, find(t, s, pin.Search{Kind: unread, Values: []string{"new"}, Limit: 1}))
					}
				})
			}
		}
		for _, details := range []bool{false, true} { // and as it was meant it can still be made
			c := whole(details)
			if details {
				c = pin.Change{Card: next(stored(t, s, "card")), DetailsToo: true, Drop: c.Drop}
			}
			swap(t, s, c)
		}
	}},
}

var atOnceTests = []test{
	{"of fifty swaps of one revision one is made, round after round", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		rounds, callers := Times(20, 200), 50
		for round := range rounds {
			revision := stored(t, s, "card")
			requireOne(t, together(callers, func(i int) error {
				c := pin.Change{Card: next(revision), Events: events("card", int64(round+2), 1)}
				c.Events[0].ID = fmt.Sprint(round, " ", i)
				c.Card.Value = body("value", round, i)
				return try(s, c)
			}), pin.Conflict, "card")
		}
		all, err := s.ChainEvents(context.Background(), "card", 1, rounds+1)
		require.NoError(t, err)
		require.Len(t, all, rounds, "each swap that was made, and no other, has its event")
		require.EqualValues(t, rounds+1, stored(t, s, "card").Revision)
	}},
	{"of many who make one card one does", func(t *testing.T, s Store) {
		withCards(t, s)
		requireOne(t, together(20, func(int) error { return try(s, making(newCard("card"))) }), pin.Duplicate, "card")
		require.Len(t, everything(t, s).Events, 1)
	}},
	{"of many cards that want one value one gets it, and the others are not made", func(t *testing.T, s Store) {
		withCards(t, s)
		requireOne(t, together(20, func(i int) error {
			c := making(newCard(fmt.Sprint(i)))
			c.Add = append(c.Add, unique(pin.KindIdentifier, "one", c.Card.ID))
			return try(s, c)
		}), pin.Duplicate, "identifier")
		all := everything(t, s)
		require.Len(t, all.Cards, 1)
		require.Len(t, all.Lookups, 4)
	}},
	{"of many who take a key, new or expired, one does, whatever card it comes with", func(t *testing.T, s Store) {
		const callers = 20
		withCards(t, s)
		for i := range callers {
			swap(t, s, making(newCard(fmt.Sprint(i))))
		}
		expired := newRow(pin.TableReplays, "expired")
		expired.ExpiresAt = now
		swap(t, s, beside(nil, expired))
		for round, key := range []string{"new", "expired"} {
			revisions := make([]pin.CardRow, callers)
			for i := range revisions {
				revisions[i] = stored(t, s, fmt.Sprint(i))
			}
			requireOne(t, together(callers, func(i int) error {
				r := newRow(pin.TableReplays, key)
				r.Body = body(i)
				if i%4 == 0 {
					return try(s, beside(nil, r))
				}
				return try(s, pin.Change{Card: next(revisions[i]), Rows: []pin.Row{r}, Now: now})
			}), pin.Duplicate, "replays")
			moved := 0
			for i, before := range revisions {
				moved += int(stored(t, s, fmt.Sprint(i)).Revision - before.Revision)
			}
			require.LessOrEqual(t, moved, 1, "round %d: who did not get the key changed nothing", round)
		}
	}},
	{"a row takes the place of the very row that it was", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, table := range tables {
			was := newRow(table, "same")
			swap(t, s, beside(nil, was))
			fresh := was
			fresh.Body, fresh.Seal, fresh.Was = []byte(`{"fresh":true}`), []byte("fresh seal"), was.Seal
			require.NoError(t, try(s, pin.Change{Rows: []pin.Row{fresh}}), table)
			err := try(s, pin.Change{Rows: []pin.Row{fresh}})
			require.Equal(t, pin.Conflict, pin.CodeOf(err), "%s: it has another seal now", table)
			require.Equal(t, string(table), pin.FieldOf(err))
			there, err := s.Row(context.Background(), table, was.ProgramID, "same")
			require.NoError(t, err)
			fresh.Was = nil
			require.Equal(t, fresh, there, table)
			fresh.Was, fresh.Version = fresh.Seal, fresh.Version+1
			require.Equal(t, pin.Conflict, pin.CodeOf(try(s, pin.Change{Rows: []pin.Row{fresh}})), "%s: its version stays", table)
			fresh.ID, fresh.Version = "another", 1
			require.Equal(t, pin.Conflict, pin.CodeOf(try(s, pin.Change{Rows: []pin.Row{fresh}})), "%s: it is not there", table)
		}
	}},
	{"a record that has expired and was taken over is another row", func(t *testing.T, s Store) {
		was := newRow(pin.TableReplays, "key")
		was.ExpiresAt = now
		swap(t, s, beside(nil, was))
		taken := newRow(pin.TableReplays, "key")
		taken.Body, taken.Seal = []byte(`{"taken":true}`), []byte("another seal")
		swap(t, s, beside(nil, taken))
		was.Was = was.Seal
		require.Equal(t, pin.Conflict, pin.CodeOf(try(s, pin.Change{Rows: []pin.Row{was}, Now: now})))
		there, err := s.Row(context.Background(), pin.TableReplays, "", "key")
		require.NoError(t, err)
		require.Equal(t, taken, there)
	}},
	{"of many who move a session one does", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		session := newRow(pin.TableSessions, "session")
		swap(t, s, beside(nil, session))
		for range 3 {
			session = following(session)
			requireOne(t, together(20, func(int) error { return try(s, beside(nil, session)) }), pin.Conflict, "pin_sessions")
		}
	}},
	{"many who append to one chain leave no gap and fork nothing", func(t *testing.T, s Store) {
		const writers, each = 8, 5
		for _, err := range together(writers, func(i int) error {
			for n := 0; n < each; {
				from := int64(0)
				head, err := s.Row(context.Background(), pin.TableChains, "", "chain")
				if err == nil {
					from = head.Version
				} else if pin.CodeOf(err) != pin.NotFound {
					return err
				}
				tip := newRow(pin.TableChains, "chain")
				tip.Version = from + 1
				all := events("chain", from+1, 1)
				all[0].ID, all[0].MAC = fmt.Sprint(i, " ", n), fmt.Appendf(nil, "after %d", from)
				switch err := try(s, pin.Change{Rows: []pin.Row{tip}, From: from, Events: all}); {
				case err == nil:
					n++
				case pin.CodeOf(err) != pin.Conflict || pin.FieldOf(err) != "chains":
					return err
				}
			}
			return nil
		}) {
			require.NoError(t, err)
		}
		all, err := s.ChainEvents(context.Background(), "chain", 0, 2*writers*each)
		require.NoError(t, err)
		require.Len(t, all, writers*each)
		for i, e := range all {
			require.EqualValues(t, i+1, e.Seq)
			require.Equal(t, fmt.Sprint("after ", i), string(e.MAC))
		}
	}},
	{"changes of different cards do not stand in each other's way", func(t *testing.T, s Store) {
		const cards, each = 10, 5
		withCards(t, s)
		for i := range cards {
			swap(t, s, making(newCard(fmt.Sprint(i))))
		}
		for _, err := range together(cards, func(i int) error {
			c := newCard(fmt.Sprint(i))
			for n := range each {
				c = *next(c)
				if err := try(s, pin.Change{Card: &c, Events: events(c.ID, int64(n+2), 1)}); err != nil {
					return err
				}
			}
			return nil
		}) {
			require.NoError(t, err)
		}
	}},
}
