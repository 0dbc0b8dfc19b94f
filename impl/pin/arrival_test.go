package pin_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// bulk stands between a vault and its store where many cards move at once.
type bulk struct {
	pin.Store
	before func(changes []pin.Change) // each write
	err    error                      // what writes fail with
	writes int
}

func (b *bulk) SwapAll(ctx context.Context, changes []pin.Change) ([]error, error) {
	b.writes++
	if b.before != nil {
		b.before(changes)
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.Store.SwapAll(ctx, changes)
}

// bulky is a world and a vault of another process that moves cards.
func bulky(t *testing.T) (*world, *bulk, *pin.Vault) {
	t.Helper()
	w := newMemoryWorld(t)
	b := &bulk{Store: w.store}
	return w, b, newVault(b, w.ring, w.clock, nil)
}

func arriving(w *world, n int) pin.Arrival {
	return pin.Arrival{NewCard: pin.NewCard{ProgramID: w.program.ID, PAN: fmt.Sprintf("55%014d", n), PINChosen: true,
		References: []pin.Reference{{Kind: pin.KindURN, Value: fmt.Sprint(1000 + n)}}}}
}

func TestArrivalIsACardAsAnyOther(t *testing.T) {
	t.Parallel()
	w, _, v := bulky(t)
	one, two := arriving(w, 1), 2
	one.PAN, one.Sequence, one.Tries = pan, "01", &two
	b, err := block(t, right)(by(t), w.Vault, w.record(t))
	require.NoError(t, err)
	require.Equal(t, right, string(b.Digits()), "what the block below holds")
	one.Block = blockBytes(t, right)
	fates, err := v.Import(by(t), []pin.Arrival{one}, false)
	require.NoError(t, err)
	require.NoError(t, fates[0].Err)
	w.card.ID, w.q = fates[0].CardID, pin.Query{CardID: fates[0].CardID}
	require.Equal(t, 2, w.remaining(t))
	events := w.events(t, w.card.ID)
	require.Equal(t, []pin.FieldChange{{Field: "remainingTries", New: "2"}}, events[0].Changes)
	require.Equal(t, told(pin.Match, 3), w.try(t, right))
	p, err := w.RevealPIN(anybody(), w.q)
	require.NoError(t, err)
	require.True(t, p.Equal(of(t, right)))
	s, err := v.VerifyTrail(by(t), pin.VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, s.Findings)
}

// blockBytes is a PIN block under the zone PIN key for the world's PAN.
func blockBytes(t *testing.T, digits string) *pin.Block {
	t.Helper()
	w := newMemoryWorld(t)
	b, err := w.ring.SealPIN(by(t), pin.UsageZonePIN, w.program.ID, "zpk", pinblock.ISO0, of(t, digits), pan, rand.Reader)
	require.NoError(t, err)
	return &pin.Block{KeyID: "zpk", Format: pinblock.ISO0, Bytes: b}
}

func TestDryImportWritesNothing(t *testing.T) {
	t.Parallel()
	w, b, v := bulky(t)
	wrongProgram := arriving(w, 2)
	wrongProgram.ProgramID = "nobody"
	fates, err := v.Import(by(t), []pin.Arrival{arriving(w, 1), wrongProgram}, true)
	require.NoError(t, err)
	require.NoError(t, fates[0].Err)
	require.Empty(t, fates[0].CardID)
	require.ErrorIs(t, fates[1].Err, &pin.Error{Code: pin.NotFound})
	require.Zero(t, b.writes)
}

// Another process makes one of the cards, and somebody else's card with a reference of another one, after it was looked for
// them.
func TestImportThatSomebodyWasFasterThan(t *testing.T) {
	t.Parallel()
	w, b, v := bulky(t)
	b.before = func([]pin.Change) {
		b.before = nil
		same, other := arriving(w, 1), arriving(w, 2)
		same.NoPIN, other.NoPIN = true, true
		other.PAN = "5599999999999999"
		for _, n := range []pin.NewCard{same.NewCard, other.NewCard} {
			_, err := w.CreateCard(anybody(), n, pin.Memo{})
			require.NoError(t, err)
		}
	}
	fates, err := v.Import(by(t), []pin.Arrival{arriving(w, 1), arriving(w, 2), arriving(w, 3)}, false)
	require.NoError(t, err)
	require.True(t, fates[0].There)
	require.ErrorIs(t, fates[1].Err, &pin.Error{Code: pin.Duplicate})
	require.Equal(t, []string{"pan"}, fates[1].Differ)
	require.NoError(t, fates[2].Err)
	require.False(t, fates[2].There)
	require.Equal(t, 1, b.writes)
}

func TestImportThatNeverGetsThroughGivesUp(t *testing.T) {
	t.Parallel()
	w, b, v := bulky(t)
	b.before = func(changes []pin.Change) { // whoever it is takes the reference away again
		changes[0].Add[0].Value = "1"
	}
	fates, err := v.Import(by(t), []pin.Arrival{arriving(w, 1)}, false)
	require.NoError(t, err)
	require.ErrorIs(t, fates[0].Err, &pin.Error{Code: pin.Conflict})
	require.Equal(t, 3, b.writes)

	b.before, b.err = nil, &pin.Error{Code: pin.Unavailable}
	_, err = v.Import(by(t), []pin.Arrival{arriving(w, 1)}, false)
	require.ErrorIs(t, err, &pin.Error{Code: pin.Unavailable})
}

// The id of a program names a chain of its own, which is no card's.
func TestNoCardTakesAProgramsChain(t *testing.T) {
	t.Parallel()
	w, _, v := bulky(t)
	one := arriving(w, 1)
	one.ID = w.program.ID
	fates, err := v.Import(by(t), []pin.Arrival{one}, false)
	require.NoError(t, err)
	require.Equal(t, &pin.Error{Code: pin.Duplicate, Field: "cardId"}, fates[0].Err)
}

// A look-up that leads to a card which does not have it says nothing about a newcomer.
func TestForgedLookupRaisesTheAlarmAtAnImport(t *testing.T) {
	t.Parallel()
	w, _, v := bulky(t)
	alarms := 0
	v.OnTampered(func(_ context.Context, table, id string) {
		alarms++
		require.Equal(t, "card_lookup", table)
		require.Equal(t, w.card.ID, id)
	})
	w.store.(*memory).lookups[pin.Lookup{Kind: pin.KindURN, Value: "1001", ProgramID: w.program.ID}] = w.card.ID
	_, err := v.Import(by(t), []pin.Arrival{arriving(w, 1)}, false)
	require.True(t, pin.Tampered(err))
	require.Equal(t, 1, alarms)
}

func TestArrivalsThatAreTurnedAway(t *testing.T) {
	t.Parallel()
	w, _, v := bulky(t)
	with := func(change func(*pin.Arrival)) pin.Arrival {
		a := arriving(w, 1)
		change(&a)
		return a
	}
	for _, test := range []struct {
		name  string
		one   pin.Arrival
		code  pin.Code
		field string
	}{
		{"nothing that tells it from others", pin.Arrival{NewCard: pin.NewCard{ProgramID: w.program.ID, Attributes: pin.Attributes{CustomerID: "C"}}}, pin.Ambiguous, ""},
		{"an alias, which others may have", pin.Arrival{NewCard: pin.NewCard{ProgramID: w.program.ID, References: []pin.Reference{{Kind: pin.KindAlias, Value: "B"}}}}, pin.Ambiguous, ""},
		{"another card's reference", with(func(a *pin.Arrival) { a.References[0].Value = "1" }), pin.Duplicate, "urn"},
		{"a PAN whose first card is there", with(func(a *pin.Arrival) { a.PAN = pan }), pin.Duplicate, "pan"},
		{"a block that does not open", with(func(a *pin.Arrival) {
			a.Block = &pin.Block{KeyID: "zpk", Format: pinblock.ISO0, Bytes: make([]byte, 8)}
		}), pin.Unopenable, ""},
		{"a block for another key", with(func(a *pin.Arrival) { a.Block = blockBytes(t, right); a.Block.KeyID = "none" }), pin.UnknownKey, ""},
		{"a PIN too long for the program", with(func(a *pin.Arrival) { a.PAN, a.Sequence, a.Block = pan, "07", blockBytes(t, "12345678") }), pin.PINLength, ""},
		{"a PVV of a PIN too long for the program", with(func(a *pin.Arrival) { a.Brought = pin.VerificationValue{KeyID: "none", PVV: "1234", Length: 12} }), pin.PINLength, ""},
		{"an offset of one", with(func(a *pin.Arrival) { a.Brought = pin.VerificationValue{KeyID: "none", Offset: "123456789012"} }), pin.PINLength, ""},
		{"a PVV under no key", with(func(a *pin.Arrival) { a.Brought = pin.VerificationValue{KeyID: "none", PVV: "1234", Length: 4} }), pin.UnknownKey, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			fates, err := v.Import(by(t), []pin.Arrival{test.one, arriving(w, 77)}, true)
			require.NoError(t, err)
			require.Equal(t, test.code, pin.CodeOf(fates[0].Err), "%v", fates[0].Err)
			require.Equal(t, test.field, pin.FieldOf(fates[0].Err))
			require.NoError(t, fates[1].Err)
		})
	}
}

// packed is a packing that says which PINs it got.
func packed(got *[]string) *pin.Packing {
	return &pin.Packing{KeyID: "zpk", Pack: func(p pin.PIN, _ string) (*pin.Block, pin.VerificationValue, error) {
		*got = append(*got, string(p.Digits()))
		return &pin.Block{KeyID: "zpk", Format: pinblock.ISO0, Bytes: []byte("b")}, pin.VerificationValue{}, nil
	}}
}

func TestPINLeavesOnceItsTrailTells(t *testing.T) {
	t.Parallel()
	w, b, v := bulky(t)
	require.NoError(t, v.Departing(by(t), w.program.ID, true, "zpk"))
	chain := w.events(t, w.program.ID)
	last := chain[len(chain)-1]
	require.Equal(t, pin.EventPortfolioExported, last.Type)
	require.Equal(t, "zpk", last.Subject)
	require.Equal(t, []pin.FieldChange{{Field: "pans", New: "true"}}, last.Changes)

	var got []string
	b.before = func([]pin.Change) { // somebody sets another PIN meanwhile
		b.before = nil
		require.NoError(t, w.SetPIN(anybody(), w.q, plain(t, another), pin.Memo{}))
	}
	all, err := v.Export(by(t), w.program.ID, pin.Page{Limit: 10}, packed(&got))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, pan, all[0].PAN)
	require.NotNil(t, all[0].Block)
	require.Equal(t, []string{right, another}, got, "the one that was overtaken did not leave")
	require.Equal(t, []string{"card.created", "pin.set", "pin.revealed"}, w.told(t, w.card.ID))
	require.Equal(t, "zpk", w.events(t, w.card.ID)[2].Subject)

	b.err = &pin.Error{Code: pin.Unavailable}
	all, err = v.Export(by(t), w.program.ID, pin.Page{Limit: 10}, packed(&got))
	require.ErrorIs(t, err, &pin.Error{Code: pin.Unavailable})
	require.Empty(t, all, "nothing leaves that is not told")
}

func TestWithoutAPackingNoPINLeaves(t *testing.T) {
	t.Parallel()
	w, b, v := bulky(t)
	all, err := v.Export(by(t), w.program.ID, pin.Page{Limit: 10}, nil)
	require.NoError(t, err)
	require.Nil(t, all[0].Block)
	require.Zero(t, b.writes)
	_, err = v.Export(pin.WithCaller(t.Context(), pin.Operator("").In("another")), w.program.ID, pin.Page{Limit: 10}, nil)
	require.ErrorIs(t, err, &pin.Error{Code: pin.Forbidden})

	var got []string
	off := false
	_, err = w.UpdateProgram(anybody(), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = off; return nil }, pin.Memo{})
	require.NoError(t, err)
	v.Reread()
	all, err = v.Export(by(t), w.program.ID, pin.Page{Limit: 10}, packed(&got))
	require.NoError(t, err)
	require.Nil(t, all[0].Block)
	require.Empty(t, got)
}

// What a card moved in with moves out with it, and stays.
func TestWhatACardBroughtMovesOutWithIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		w := newBroughtWorld(t, value)
		var got []string
		all, err := w.Export(anybody(), w.program.ID, pin.Page{Limit: 10}, packed(&got))
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, value, all[1].Brought)
		require.Equal(t, []string{right}, got, "the other card's")
		events := w.events(t, w.card.ID)
		require.Equal(t, pin.EventPINRevealed, events[1].Type)
		require.Equal(t, "pvk", events[1].Subject)
		require.Equal(t, told(pin.Match, 3), w.try(t, right))
	})
}

// late has writes of more than so many cards come late, as they do where keys are slow.
func (b *bulk) late(most int) {
	b.Store = lateStore{b.Store, most}
}

type lateStore struct {
	pin.Store
	most int
}

func (s lateStore) SwapAll(ctx context.Context, changes []pin.Change) ([]error, error) {
	if len(changes) <= s.most {
		return s.Store.SwapAll(ctx, changes)
	}
	errs := make([]error, len(changes))
	for i := range errs {
		errs[i] = &pin.Error{Code: pin.Conflict, Field: "audit_events"}
	}
	return errs, nil
}

func TestWhereKeysAreSlowFewerCardsMoveAtOnce(t *testing.T) {
	t.Parallel()
	w, b, v := bulky(t)
	b.late(3)
	all := make([]pin.Arrival, 20)
	for i := range all {
		all[i] = arriving(w, i)
		all[i].PAN, all[i].Block = pan, blockBytes(t, right)
		all[i].Sequence = fmt.Sprintf("%02d", i)
	}
	fates, err := v.Import(by(t), all, false)
	require.NoError(t, err)
	for _, f := range fates {
		require.NoError(t, f.Err)
		require.NotEmpty(t, f.CardID)
		require.False(t, f.There)
	}
	var got []string
	left, err := v.Export(by(t), w.program.ID, pin.Page{Limit: 100}, packed(&got))
	require.NoError(t, err)
	require.Len(t, left, len(all)+1)
	require.GreaterOrEqual(t, len(got), len(all))
	for _, d := range left {
		require.NotEmpty(t, d.Card.ID)
		if d.Card.ID != w.card.ID {
			require.NotNil(t, d.Block, d.Card.ID)
			require.Len(t, w.events(t, d.Card.ID), 2)
		}
	}
	b.late(0)
	fates, err = v.Import(by(t), []pin.Arrival{arriving(w, 100)}, false)
	require.NoError(t, err)
	require.ErrorIs(t, fates[0].Err, &pin.Error{Code: pin.Conflict})
}
