package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// find is the ids that a search finds.
func find(t *testing.T, s Store, q pin.Search) []string {
	t.Helper()
	found, err := s.Find(context.Background(), q)
	require.NoError(t, err)
	return cardIDs(found)
}

// twins are the program "other" and a card in it that is found by what the card "a" is found by.
func twins(t *testing.T, s Store) {
	swap(t, s, pin.Change{Rows: []pin.Row{newRow(pin.TablePrograms, "other")}})
	twin := newCard("twin")
	twin.ProgramID = "other"
	c := making(twin)
	c.Add = nil
	for _, l := range making(newCard("a")).Add {
		if l.ProgramID, l.CardID = "other", "twin"; l.Slot != "" {
			l.Slot = "twin"
		}
		c.Add = append(c.Add, l)
	}
	swap(t, s, c)
}

var findTests = []test{
	{"a card whose change was answered before is not found", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		swap(t, s, pin.Change{Now: now, Rows: []pin.Row{newRow(pin.TableReplays, "kept")}})
		for name, q := range map[string]pin.Search{
			"by id":                     {CardID: "card", Limit: 9},
			"by a value":                {Kind: pin.KindURN, Values: []string{"urn card"}, ProgramID: "program", Limit: 9},
			"by a value of any program": {Kind: pin.KindURN, Values: []string{"urn card"}, Limit: 9},
			"by a shared value":         {Kind: pin.KindAlias, Values: []string{"alias"}, ProgramID: "program", Limit: 9},
			"by one of two values":      {Kind: pin.KindURN, Values: []string{"urn card", "urn x"}, ProgramID: "program", Limit: 9},
			"by either of two kinds":    {Kind: pin.KindNumber, Values: []string{"x"}, OrKind: pin.KindURN, OrValues: []string{"urn card"}, ProgramID: "program", Limit: 9},
		} {
			want := find(t, s, q)
			require.NotEmpty(t, want, name)
			for _, c := range []struct {
				unless []string
				now    int64
				kept   bool
			}{{[]string{"kept"}, now, true}, {[]string{"fresh", "kept"}, now, true}, {[]string{"kept"}, now + anHour - 1, true}, {[]string{"kept"}, now + anHour, false}, {[]string{"fresh"}, now, false}} {
				q.Unless, q.Now = c.unless, c.now
				if !c.kept {
					require.Equal(t, want, find(t, s, q), name)
					continue
				}
				_, err := s.Find(context.Background(), q)
				requireCode(t, err, pin.Duplicate, "replays")
			}
		}
		_, err := s.Find(context.Background(), pin.Search{CardID: "nobody", Unless: []string{"kept"}, Now: now, Limit: 9})
		requireCode(t, err, pin.Duplicate, "replays")
		require.Empty(t, find(t, s, pin.Search{CardID: "nobody", Unless: []string{"fresh"}, Now: now, Limit: 9}))
	}},
	{"a session's card comes with the session", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		session := newRow(pin.TableSessions, "session")
		swap(t, s, beside(nil, session, newRow(pin.TableSessions, "another"), newRow(pin.TableApprovals, "approval")))
		for _, want := range []pin.Row{session, following(session)} {
			if want.Version > 1 {
				swap(t, s, beside(nil, want))
			}
			found, err := s.Find(context.Background(), pin.Search{Session: "session", Limit: 9})
			require.NoError(t, err)
			card := stored(t, s, "card")
			card.Session = &want
			require.Equal(t, []pin.CardRow{card}, found)
		}
		for _, id := range []string{"nobody's", "approval", "card", "SESSION"} {
			require.Empty(t, find(t, s, pin.Search{Session: id, Limit: 9}), id)
		}
		swap(t, s, pin.Change{Now: now, Rows: []pin.Row{newRow(pin.TableReplays, "kept")}})
		_, err := s.Find(context.Background(), pin.Search{Session: "session", Unless: []string{"kept"}, Now: now, Limit: 9})
		requireCode(t, err, pin.Duplicate, "replays")
		require.Equal(t, []string{"card"}, find(t, s, pin.Search{Session: "session", Unless: []string{"fresh"}, Now: now, Limit: 9}))
	}},
	{"a card comes back as it was written, with its program's version now", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		want := newCard("card")
		want.ProgramVersion = 1
		require.Equal(t, want, stored(t, s, "card"))
		swap(t, s, pin.Change{Rows: []pin.Row{following(row(t, s, pin.TablePrograms, "program"))}})
		want.ProgramVersion = 2
		require.Equal(t, want, stored(t, s, "card"))
		for _, q := range []pin.Search{
			{Kind: pin.KindURN, Values: []string{"urn card"}, ProgramID: "program", Limit: 9},
			{Kind: pin.KindURN, Values: []string{"urn card"}, Limit: 9},
			{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 9},
		} {
			found, err := s.Find(context.Background(), q)
			require.NoError(t, err)
			require.Equal(t, []pin.CardRow{want}, found, "%+v", q)
		}
	}},
	{"cards are found by id, and by values of one kind", func(t *testing.T, s Store) {
		withCards(t, s, "b", "a", "c")
		twins(t, s)
		for _, c := range []struct {
			name string
			q    pin.Search
			want []string
		}{
			{"an id", pin.Search{CardID: "b", Limit: 9}, []string{"b"}},
			{"nobody's id", pin.Search{CardID: "nobody", Limit: 9}, []string{}},
			{"a unique value in a program", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"urn a"}, Limit: 9}, []string{"a"}},
			{"a unique value in another program", pin.Search{ProgramID: "other", Kind: pin.KindURN, Values: []string{"urn a"}, Limit: 9}, []string{"twin"}},
			{"a unique value in any program", pin.Search{Kind: pin.KindURN, Values: []string{"urn a"}, Limit: 9}, []string{"a", "twin"}},
			{"a unique value in any program, and a limit", pin.Search{Kind: pin.KindURN, Values: []string{"urn a"}, Limit: 1}, []string{"a"}},
			{"a value in no program", pin.Search{ProgramID: "nobody", Kind: pin.KindURN, Values: []string{"urn a"}, Limit: 9}, []string{}},
			{"a value of another kind", pin.Search{ProgramID: "program", Kind: pin.KindPublicToken, Values: []string{"urn a"}, Limit: 9}, []string{}},
			{"nobody's value", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"urn x"}, Limit: 9}, []string{}},
			{"a value in other letters", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"URN A"}, Limit: 9}, []string{}},
			{"the beginning of a value", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"urn"}, Limit: 9}, []string{}},
			{"one of two values", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"urn x", "urn c"}, Limit: 9}, []string{"c"}},
			{"two values", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"urn c", "urn a"}, Limit: 9}, []string{"a", "c"}},
			{"three values, and a limit", pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{"urn c", "urn a", "urn b"}, Limit: 2}, []string{"a", "b"}},
			{"no value", pin.Search{ProgramID: "program", Kind: pin.KindURN, Limit: 9}, []string{}},
			{"a shared value in a program", pin.Search{ProgramID: "program", Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 9}, []string{"a", "b", "c"}},
			{"a shared value in any program", pin.Search{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 9}, []string{"a", "b", "c", "twin"}},
			{"a shared value, and a limit", pin.Search{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 2}, []string{"a", "b"}},
		} {
			t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, find(t, s, c.q)) })
		}
	}},
	{"cards are found by values of either of two kinds", func(t *testing.T, s Store) {
		withCards(t, s)
		for id, lookups := range map[string][]pin.Lookup{
			"a": {unique(pin.KindNumber, "1", "a"), shared("x", "a")},
			"b": {unique(pin.KindNumber, "2", "b"), shared("x", "b")},
			"c": {shared("y", "c")},
		} {
			c := making(newCard(id))
			c.Add = lookups
			swap(t, s, c)
		}
		for _, c := range []struct {
			name     string
			value    string
			or       []string
			program  string
			limit    int
			expected []string
		}{
			{"the first kind", "2", []string{"none"}, "program", 9, []string{"b"}},
			{"the other kind", "none", []string{"y"}, "program", 9, []string{"c"}},
			{"both, of two cards", "1", []string{"y"}, "program", 9, []string{"a", "c"}},
			{"both, of one card", "1", []string{"x"}, "program", 9, []string{"a", "b"}},
			{"both, and a limit", "1", []string{"x"}, "program", 1, []string{"a"}},
			{"one of two values of the other kind", "none", []string{"y", "x"}, "program", 9, []string{"a", "b", "c"}},
			{"in any program", "1", []string{"y"}, "", 9, []string{"a", "c"}},
			{"in no program", "1", []string{"y"}, "nobody", 9, []string{}},
			{"each value is of its own kind", "y", []string{"1"}, "program", 9, []string{}},
		} {
			t.Run(c.name, func(t *testing.T) {
				require.Equal(t, c.expected, find(t, s, pin.Search{ProgramID: c.program, Kind: pin.KindNumber, Values: []string{c.value},
					OrKind: pin.KindAlias, OrValues: c.or, Limit: c.limit}))
			})
		}
	}},
	{"cards come in the order of their ids, byte by byte", func(t *testing.T, s Store) {
		withCards(t, s, shuffled...)
		require.Equal(t, bytewise, find(t, s, pin.Search{ProgramID: "program", Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 100}))
		require.Equal(t, bytewise, find(t, s, pin.Search{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 100}))
		require.Equal(t, bytewise[:4], find(t, s, pin.Search{Kind: pin.KindAlias, Values: []string{"alias"}, Limit: 4}))
	}},
	{"a card found by two of its values comes once, and hides no other", func(t *testing.T, s Store) {
		withCards(t, s)
		for _, id := range []string{"a", "b", "c"} {
			c := making(newCard(id))
			c.Add = []pin.Lookup{shared("one", id), shared("two", id)}
			swap(t, s, c)
		}
		q := pin.Search{ProgramID: "program", Kind: pin.KindAlias, Values: []string{"one", "two"}, Limit: 9}
		require.Equal(t, []string{"a", "b", "c"}, find(t, s, q))
		q.Limit = 2
		require.Equal(t, []string{"a", "b"}, find(t, s, q))
	}},
	{"values are found whatever characters they hold", func(t *testing.T, s Store) {
		withCards(t, s)
		for i, text := range odd {
			id := fmt.Sprint("card ", i, text)
			c := making(newCard(id))
			c.Add = []pin.Lookup{unique(pin.KindURN, text, id)}
			swap(t, s, c)
		}
		for i, text := range odd {
			id := fmt.Sprint("card ", i, text)
			require.Equal(t, []string{id}, find(t, s, pin.Search{CardID: id, Limit: 2}), "%q", text)
			require.Equal(t, []string{id}, find(t, s, pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{text}, Limit: 2}), "%q", text)
			require.Equal(t, []string{id}, find(t, s, pin.Search{Kind: pin.KindURN, Values: []string{"none", text}, Limit: 2}), "%q", text)
		}
	}},
}
