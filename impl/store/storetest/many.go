package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// many are changes that make cards, card-000 and on.
func many(n int) []pin.Change {
	out := make([]pin.Change, n)
	for i := range out {
		out[i] = making(newCard(fmt.Sprintf("card-%03d", i)))
	}
	return out
}

// after are changes that tell something of cards that are there.
func after(changes []pin.Change) []pin.Change {
	out := make([]pin.Change, len(changes))
	for i, c := range changes {
		of := *c.Card
		out[i] = pin.Change{Card: next(of), Events: events(of.ID, 2, 2), Now: now}
	}
	return out
}

// swapAll makes changes and returns what became of each.
func swapAll(t *testing.T, s Store, changes []pin.Change) []error {
	t.Helper()
	errs, err := s.SwapAll(context.Background(), changes)
	require.NoError(t, err)
	require.Len(t, errs, len(changes))
	return errs
}

var manyTests = []test{
	{"many cards are made as each would be by itself", func(t *testing.T, s Store) {
		withCards(t, s)
		for _, err := range swapAll(t, s, many(300)) {
			require.NoError(t, err)
		}
		got := everything(t, s)
		require.NoError(t, s.Wipe(context.Background()))
		withCards(t, s)
		for _, c := range many(300) {
			swap(t, s, c)
		}
		require.Equal(t, everything(t, s), got)
		require.Len(t, got.Cards, 300)
	}},
	{"many cards move on to their next revision, with their events", func(t *testing.T, s Store) {
		withCards(t, s)
		swapAll(t, s, many(50))
		for _, err := range swapAll(t, s, after(many(50))) {
			require.NoError(t, err)
		}
		got := everything(t, s)
		require.Len(t, got.Events, 150)
		for i, c := range many(50) {
			want := *next(*c.Card)
			want.Details, want.ProgramVersion = c.Card.Details, 1 // which stay
			require.Equal(t, want, got.Cards[i])
		}
	}},
	{"what stands in one's way stands in no other's", func(t *testing.T, s Store) {
		withCards(t, s, "card-003")
		changes := many(6)
		changes[1].Add[0].Value = "urn card-000"
		changes[4].Add[1].Value = "token card-003"
		for i, err := range swapAll(t, s, changes) {
			switch i {
			case 1:
				requireCode(t, err, pin.Duplicate, "urn")
			case 3:
				requireCode(t, err, pin.Duplicate, "card")
			case 4:
				requireCode(t, err, pin.Duplicate, "publicToken")
			default:
				require.NoError(t, err)
			}
		}
		got := everything(t, s)
		require.Equal(t, []string{"card-000", "card-002", "card-003", "card-005"}, cardIDs(got.Cards))
		require.Len(t, got.Events, 4)
		require.Len(t, got.Lookups, 12)
	}},
	{"a card that was overtaken stays as it is, and the others move on", func(t *testing.T, s Store) {
		withCards(t, s)
		swapAll(t, s, many(4))
		first := after(many(4))
		swap(t, s, first[2])
		before := stored(t, s, "card-002")
		for i, err := range swapAll(t, s, first) {
			if i == 2 {
				requireCode(t, err, pin.Conflict, "card")
			} else {
				require.NoError(t, err)
			}
		}
		require.Equal(t, before, stored(t, s, "card-002"))
		require.EqualValues(t, 2, stored(t, s, "card-003").Revision)
	}},
	{"an event whose place is taken is told of", func(t *testing.T, s Store) {
		withCards(t, s)
		swap(t, s, pin.Change{Events: events("card-001", 1, 1)})
		for i, err := range swapAll(t, s, many(2)) {
			if i == 1 {
				requireCode(t, err, pin.Duplicate, "audit_events")
			} else {
				require.NoError(t, err)
			}
		}
	}},
	{"events are queued for the webhooks that want them", func(t *testing.T, s Store) {
		withCards(t, s)
		swap(t, s, pin.Change{Rows: []pin.Row{endpoint("created", "program", `"on card.created"`), endpoint("all", "", `"on *"`), endpoint("other", "other", `"on *"`)}})
		changes := many(20)
		for i := range changes {
			changes[i].Events = told(changes[i].Card.ID, 1, []string{"on card.created", "", "on pin.revealed"}[i%3])
		}
		for _, err := range swapAll(t, s, changes) {
			require.NoError(t, err)
		}
		require.Len(t, queued(t, s, "created"), 7)
		require.Len(t, queued(t, s, "all"), 13)
		require.Empty(t, queued(t, s, "other"))
		require.Contains(t, queued(t, s, "created"), "card-000 1")
		due, _ := claim(t, s, "created", at(0), 1000)
		require.Len(t, due, 7, "at once")
	}},
	{"no change at all", func(t *testing.T, s Store) {
		before := everything(t, s)
		require.Empty(t, swapAll(t, s, nil))
		require.Equal(t, before, everything(t, s))
	}},
	{"a context that has ended changes nothing", func(t *testing.T, s Store) {
		withCards(t, s)
		before := everything(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.SwapAll(ctx, many(3))
		requireCode(t, err, pin.Unavailable)
		require.Equal(t, before, everything(t, s))
	}},
	{"odd texts come back as they are", func(t *testing.T, s Store) {
		withCards(t, s)
		changes := many(len(odd))
		var wanted []pin.Lookup
		for i, text := range odd {
			changes[i].Add = []pin.Lookup{unique(pin.KindURN, text, changes[i].Card.ID)}
			wanted = append(wanted, changes[i].Add[0])
		}
		for _, err := range swapAll(t, s, changes) {
			require.NoError(t, err)
		}
		got, err := s.Holders(context.Background(), wanted)
		require.NoError(t, err)
		require.ElementsMatch(t, wanted, got)
	}},
	{"holders are found whatever the slot", func(t *testing.T, s Store) {
		withCards(t, s)
		changes := many(500)
		swapAll(t, s, changes)
		var wanted, want []pin.Lookup
		for i, c := range changes {
			if i%2 == 0 {
				wanted = append(wanted, pin.Lookup{Kind: pin.KindURN, Value: "urn " + c.Card.ID, ProgramID: "program"})
				want = append(want, c.Add[0])
			}
		}
		wanted = append(wanted, pin.Lookup{Kind: pin.KindURN, Value: "nobody's", ProgramID: "program"},
			pin.Lookup{Kind: pin.KindPublicToken, Value: "urn card-001", ProgramID: "program"}, pin.Lookup{Kind: pin.KindURN, Value: "urn card-001", ProgramID: "another"})
		got, err := s.Holders(context.Background(), wanted)
		require.NoError(t, err)
		require.ElementsMatch(t, want, got)

		got, err = s.Holders(context.Background(), []pin.Lookup{{Kind: pin.KindAlias, Value: "alias", ProgramID: "program"}})
		require.NoError(t, err)
		require.Len(t, got, 500)
		require.True(t, slices.ContainsFunc(got, func(l pin.Lookup) bool { return l == changes[499].Add[2] }))
		got, err = s.Holders(context.Background(), nil)
		require.NoError(t, err)
		require.Empty(t, got)
	}},
}
