package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// unique are the kinds whose values belong to one card of a program.
var unique = []pin.Kind{pin.KindPublicToken, pin.KindURN, pin.KindIdentifier, pin.KindPackID, pin.KindNumber, pin.KindHashdtCardID,
	pin.KindEXID, pin.KindContractNumber}

// referring is a card with these references and no others.
func referring(programID, id string, references ...pin.Reference) pin.Card {
	c := newCard(programID, id)
	c.References = references
	return c
}

var cardTests = []test{
	{"a card comes back as it was written, with its program and its PIN", func(t *testing.T, s Store) {
		withCards(t, s, "every field")
		require.Equal(t, pin.Record{Card: newCard("program", "every field"), Program: newProgram("program"), PIN: newPIN()}, record(t, s, "every field"))

		bare := pin.Card{ID: "few fields", ProgramID: "program", CreatedAt: at, UpdatedAt: at}
		none := pin.PINRecord{State: pin.PINNone, ChangedAt: at}
		tx(t, s, func(tx pin.Tx) error { return tx.InsertCard(bare, "", none) })
		require.Equal(t, pin.Record{Card: bare, Program: newProgram("program"), PIN: none}, record(t, s, "few fields"))
	}},
	{"a card's id is taken once", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertCard(referring("program", "card"), "", newPIN()) }), pin.Duplicate, "card")
	}},
	{"a card of no program is not found", func(t *testing.T, s Store) {
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertCard(newCard("nobody", "card"), "", newPIN()) }), pin.NotFound)
	}},
	{"a reference is one card's in its program, and the error names its kind", func(t *testing.T, s Store) {
		withCards(t, s)
		tx(t, s, func(tx pin.Tx) error { return tx.InsertProgram(newProgram("other")) })
		for _, kind := range unique {
			t.Run(string(kind), func(t *testing.T) {
				r := pin.Reference{Kind: kind, Value: "453201511283"}
				tx(t, s, func(tx pin.Tx) error {
					return tx.InsertCard(referring("program", "first "+string(kind), r), "", newPIN())
				})
				second := referring("program", "second "+string(kind), pin.Reference{Kind: pin.KindAlias, Value: "new"}, r)
				requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertCard(second, "", newPIN()) }), pin.Duplicate, string(kind))
				found, err := s.Find(context.Background(), pin.Search{CardID: second.ID, Limit: 1})
				require.NoError(t, err)
				require.Empty(t, found, "nothing of the card may stay")
				tx(t, s, func(tx pin.Tx) error {
					return tx.InsertCard(referring("other", "other "+string(kind), r), "", newPIN())
				})
			})
		}
	}},
	{"a PAN is one card's in its program", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertCard(referring("program", "second"), "pan card", newPIN()) }), pin.Duplicate, "pan")
	}},
	{"an alias may repeat", func(t *testing.T, s Store) {
		withCards(t, s, "one", "two", "three")
	}},
	{"a PAN that comes as a reference is refused: it would be stored in clear", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		c := referring("program", "card", pin.Reference{Kind: pin.KindPAN, Value: "4532015112830366"})
		c.Version = 2
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateCard(c) }), pin.Internal)
		c.ID = "new"
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertCard(c, "", newPIN()) }), pin.Internal)
	}},
	{"an update writes everything but id, program, PAN and creation", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		tx(t, s, func(tx pin.Tx) error { return tx.InsertProgram(newProgram("other")) })
		want := pin.Card{ID: "card", ProgramID: "other", Status: pin.StatusLost, PANCiphertext: []byte("other"), Version: 2,
			CreatedAt: at.Add(time.Hour), UpdatedAt: at.Add(2 * time.Hour),
			References: []pin.Reference{{Kind: pin.KindAlias, Value: "alias"}, {Kind: pin.KindURN, Value: "new urn"}}}
		tx(t, s, func(tx pin.Tx) error { return tx.UpdateCard(want) })
		want.ProgramID, want.PANCiphertext, want.CreatedAt = "program", newCard("", "").PANCiphertext, at
		require.Equal(t, pin.Record{Card: want, Program: newProgram("program"), PIN: newPIN()}, record(t, s, "card"))
		for _, c := range []pin.Criterion{{Kind: pin.KindPAN, Values: []string{"pan card"}}, {Kind: pin.KindURN, Values: []string{"new urn"}}} {
			require.Equal(t, []string{"card"}, find(t, s, pin.Search{ProgramID: "program", Criteria: []pin.Criterion{c}, Limit: 2}))
		}
	}},
	{"an update must follow the version that is stored", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, version := range []int64{0, 1, 3} {
			stale := referring("program", "card")
			stale.Version = version
			requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateCard(stale) }), pin.Conflict)
		}
		require.Equal(t, newCard("program", "card"), record(t, s, "card").Card)
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateCard(newCard("program", "nobody")) }), pin.NotFound)
	}},
	{"an update cannot take another card's reference", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		greedy := referring("program", "card", pin.Reference{Kind: pin.KindURN, Value: "urn other"})
		greedy.Version = 2
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.UpdateCard(greedy) }), pin.Duplicate, "urn")
		require.Equal(t, newCard("program", "card"), record(t, s, "card").Card)
	}},
	{"a reference that was given up is free", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		c := referring("program", "card")
		c.Version = 2
		tx(t, s, func(tx pin.Tx) error { return tx.UpdateCard(c) })
		tx(t, s, func(tx pin.Tx) error {
			return tx.InsertCard(referring("program", "heir", pin.Reference{Kind: pin.KindURN, Value: "urn card"}), "", newPIN())
		})
	}},
}

// find is the ids that a search finds.
func find(t *testing.T, s Store, q pin.Search) []string {
	t.Helper()
	found, err := s.Find(context.Background(), q)
	require.NoError(t, err)
	return each(found, func(r pin.Record) string { return r.Card.ID })
}

var findTests = []test{
	{"all conditions must hold", func(t *testing.T, s Store) {
		withCards(t, s, "b", "a", "c")
		tx(t, s, func(tx pin.Tx) error {
			if err := tx.InsertProgram(newProgram("other")); err != nil {
				return err
			}
			twin := newCard("other", "twin")
			twin.References, twin.ProgramCode = newCard("", "a").References, "OTHER"
			return tx.InsertCard(twin, "pan a", newPIN())
		})
		by := func(kind pin.Kind, values ...string) pin.Criterion { return pin.Criterion{Kind: kind, Values: values} }
		for _, c := range []struct {
			name string
			q    pin.Search
			want []string
		}{
			{"no condition", pin.Search{Limit: 9}, []string{"a", "b", "c", "twin"}},
			{"a limit", pin.Search{Limit: 2}, []string{"a", "b"}},
			{"a program", pin.Search{ProgramID: "program", Limit: 9}, []string{"a", "b", "c"}},
			{"a card", pin.Search{CardID: "b", Limit: 9}, []string{"b"}},
			{"a card of another program", pin.Search{CardID: "b", ProgramID: "other", Limit: 9}, []string{}},
			{"a reference in any program", pin.Search{Criteria: []pin.Criterion{by(pin.KindURN, "urn a")}, Limit: 9}, []string{"a", "twin"}},
			{"a reference in one program", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindURN, "urn a")}, Limit: 9}, []string{"a"}},
			{"a value of another kind", pin.Search{Criteria: []pin.Criterion{by(pin.KindPublicToken, "urn a")}, Limit: 9}, []string{}},
			{"a PAN by one of two hashes", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindPAN, "pan of another key", "pan a")}, Limit: 9}, []string{"a"}},
			{"an alias", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindAlias, "alias")}, Limit: 9}, []string{"a", "b", "c"}},
			{"an alias with a limit", pin.Search{Criteria: []pin.Criterion{by(pin.KindAlias, "alias")}, Limit: 2}, []string{"a", "b"}},
			{"an alias as another kind", pin.Search{Criteria: []pin.Criterion{by(pin.KindURN, "alias")}, Limit: 9}, []string{}},
			{"two references of one card", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindAlias, "alias"), by(pin.KindURN, "urn b")}, Limit: 9}, []string{"b"}},
			{"references of two cards", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindPublicToken, "token a"), by(pin.KindURN, "urn b")}, Limit: 9}, []string{}},
			{"a reference and its card", pin.Search{CardID: "a", Criteria: []pin.Criterion{by(pin.KindURN, "urn a")}, Limit: 9}, []string{"a"}},
			{"a reference and another card", pin.Search{CardID: "b", Criteria: []pin.Criterion{by(pin.KindURN, "urn a")}, Limit: 9}, []string{}},
			{"a program code", pin.Search{ProgramCode: "OTHER", Limit: 9}, []string{"twin"}},
			{"a reference and a program code", pin.Search{ProgramCode: "CODE", Criteria: []pin.Criterion{by(pin.KindURN, "urn a")}, Limit: 9}, []string{"a"}},
			{"a device plan", pin.Search{DevicePlanCode: "NONE", Limit: 9}, []string{}},
			{"no value to match", pin.Search{Criteria: []pin.Criterion{by(pin.KindURN)}, Limit: 9}, []string{}},
		} {
			t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, find(t, s, c.q)) })
		}
	}},
	{"cards come in the order of their ids", func(t *testing.T, s Store) {
		withCards(t, s, bytewise...)
		require.Equal(t, bytewise, find(t, s, pin.Search{ProgramID: "program", Limit: 100}))
		require.Equal(t, bytewise, find(t, s, pin.Search{Criteria: []pin.Criterion{{Kind: pin.KindAlias, Values: []string{"alias"}}}, Limit: 100}))
	}},
	{"a card found by two of its references comes once", func(t *testing.T, s Store) {
		withCards(t, s)
		aliases := []pin.Reference{{Kind: pin.KindAlias, Value: "one"}, {Kind: pin.KindAlias, Value: "two"}}
		tx(t, s, func(tx pin.Tx) error { return tx.InsertCard(referring("program", "card", aliases...), "", newPIN()) })
		require.Equal(t, []string{"card"}, find(t, s, pin.Search{Criteria: []pin.Criterion{{Kind: pin.KindAlias, Values: []string{"one", "two"}}}, Limit: 9}))
	}},
	{"references come ordered, whatever characters they hold", func(t *testing.T, s Store) {
		withCards(t, s)
		want := []pin.Reference{{Kind: pin.KindAlias, Value: `"\`}, {Kind: pin.KindAlias, Value: "Z"}, {Kind: pin.KindAlias, Value: "a?@'"}, {Kind: pin.KindAlias, Value: "é ☃ 𝄞"}, {Kind: pin.KindEXID, Value: "[1,2]"}}
		shuffled := []pin.Reference{want[4], want[2], want[0], want[3], want[1]}
		tx(t, s, func(tx pin.Tx) error {
			return tx.InsertCard(referring("program", "card", shuffled...), "pan", newPIN())
		})
		require.Equal(t, want, record(t, s, "card").Card.References)
		for _, r := range want {
			require.Equal(t, []string{"card"}, find(t, s, pin.Search{Criteria: []pin.Criterion{{Kind: r.Kind, Values: []string{r.Value}}}, Limit: 9}))
		}
	}},
}
