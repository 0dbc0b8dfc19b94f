package pin_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/pinverification"
)

const pvk = "0123456789ABCDEFFEDCBA9876543210"

// madeUnder are a PVV and an offset of the right PIN, under the same key as the world's "pvk".
func madeUnder(t *testing.T) (pvv, offset pin.VerificationValue) {
	t.Helper()
	raw, err := hex.DecodeString(pvk)
	require.NoError(t, err)
	key, err := pinverification.NewKey(raw)
	require.NoError(t, err)
	pvv = pin.VerificationValue{KeyID: "pvk", Index: 1, Length: 4}
	pvv.PVV, err = key.PVV(pan, 1, []byte(right))
	require.NoError(t, err)
	offset = pin.VerificationValue{KeyID: "pvk", IBM3624: pinverification.IBM3624{Table: "0123456789012345", Start: 3, Digits: 12, Pad: 'F'}}
	offset.Offset, err = key.Offset(offset.IBM3624, pan, []byte(right))
	require.NoError(t, err)
	return pvv, offset
}

// newBroughtWorld is a world whose card has moved in with a value.
func newBroughtWorld(t *testing.T, value pin.VerificationValue, settings ...func(*pin.Program)) *world {
	t.Helper()
	w := newMemoryWorld(t, settings...)
	raw, err := hex.DecodeString(pvk)
	require.NoError(t, err)
	key, err := w.ring.WrapZoneKey("pvk", "", pin.UsageVerification, "TDES", raw)
	require.NoError(t, err)
	require.NoError(t, w.ImportZoneKey(anybody(), key, pin.Memo{}))
	w.card, err = w.CreateCard(anybody(), pin.NewCard{ProgramID: w.program.ID, PAN: pan, Sequence: "01", Brought: value, PINChosen: true}, pin.Memo{})
	require.NoError(t, err)
	w.q = pin.Query{CardID: w.card.ID}
	return w
}

// each runs a test with a PVV and with an offset.
func each(t *testing.T, test func(t *testing.T, value pin.VerificationValue)) {
	t.Helper()
	pvv, offset := madeUnder(t)
	for name, value := range map[string]pin.VerificationValue{"a PVV": pvv, "an offset": offset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, value)
		})
	}
}

func history(p *pin.Program) { p.Policy = pin.PolicyHistory }

func TestCardThatMovedInIsVerifiedByWhatItBrought(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		w := newBroughtWorld(t, value)
		before := w.record(t).PIN
		require.Equal(t, pin.PINChosen, before.State)
		require.Empty(t, before.Verifier)

		require.Equal(t, told(pin.Mismatch, 2), w.try(t, wrong))
		require.Equal(t, told(pin.Mismatch, 1), w.try(t, right+"1"), "a longer PIN that begins as the right one")
		require.NotNil(t, w.record(t).PIN.Brought, "a wrong PIN teaches nothing")

		require.Equal(t, told(pin.Match, 3), w.try(t, right))
		after := w.record(t).PIN
		require.Nil(t, after.Brought)
		require.NotEmpty(t, after.Verifier)
		require.Empty(t, after.Former)
		require.Equal(t, before.Version, after.Version, "it is the PIN that the card had")
		require.Equal(t, before.ChangedAt, after.ChangedAt)
		require.Equal(t, pin.PINChosen, after.State)
		require.Equal(t, []string{"card.created", "pin.failed mismatch", "pin.failed mismatch", "pin.verified match"}, w.told(t, w.card.ID))
		w.agree(t)

		require.Equal(t, told(pin.Match, 3), w.try(t, right))
		require.Equal(t, told(pin.Mismatch, 2), w.try(t, wrong))
	})
}

// One PIN in some thousands has the same PVV: it counts as right, as it did elsewhere, and from then on it alone does.
func TestAfterTheFirstRightPINNoOtherHasItsPVV(t *testing.T) {
	t.Parallel()
	value, _ := madeUnder(t)
	raw, err := hex.DecodeString(pvk)
	require.NoError(t, err)
	key, err := pinverification.NewKey(raw)
	require.NoError(t, err)
	// The PIN that shares its PVV is found for another index: for that of the value there may be none.
	twin := ""
	for index := 0; index < 10 && twin == ""; index++ {
		value.Index = index
		value.PVV, err = key.PVV(pan, index, []byte(right))
		require.NoError(t, err)
		for n := 0; n < 10_000 && twin == ""; n++ {
			digits := fmt.Sprintf("%04d", n)
			other, err := key.PVV(pan, index, []byte(digits))
			require.NoError(t, err)
			if other == value.PVV && digits != right {
				twin = digits
			}
		}
	}
	require.NotEmpty(t, twin)
	w := newBroughtWorld(t, value)
	require.Equal(t, told(pin.Match, 3), w.try(t, right))
	require.Equal(t, told(pin.Mismatch, 2), w.try(t, twin))
}

func TestBlockedCardLearnsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		w := newBroughtWorld(t, value)
		w.block(t)
		require.Equal(t, told(pin.Exhausted, 0), w.try(t, right))
		require.NotNil(t, w.record(t).PIN.Brought)
		require.NoError(t, w.Unblock(anybody(), w.q, pin.Memo{}))
		require.Equal(t, told(pin.Match, 3), w.try(t, right))
	})
}

func TestBroughtPINIsReadBackOnceItWasShown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		w := newBroughtWorld(t, value)
		_, err := w.RevealPIN(anybody(), w.q)
		require.ErrorIs(t, err, &pin.Error{Code: pin.NoPIN})
		w.try(t, right)
		p, err := w.RevealPIN(anybody(), w.q)
		require.NoError(t, err)
		require.True(t, p.Equal(of(t, right)))

		w = newBroughtWorld(t, value, func(p *pin.Program) { p.RetrievalAllowed = false })
		w.try(t, right)
		require.Empty(t, w.record(t).PIN.Ciphertext)
		_, err = w.RevealPIN(anybody(), w.q)
		require.ErrorIs(t, err, &pin.Error{Code: pin.RetrievalOff})
	})
}

func TestHistoryAndWhatACardBrought(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		t.Run("the PIN that fits is the current one", func(t *testing.T) {
			t.Parallel()
			w := newBroughtWorld(t, value, history)
			require.ErrorIs(t, w.SetPIN(anybody(), w.q, plain(t, right), pin.Memo{}), &pin.Error{Code: pin.RecentPIN})
			require.NoError(t, w.SetPIN(anybody(), w.q, plain(t, another), pin.Memo{}))
			rec := w.record(t).PIN
			require.Nil(t, rec.Brought)
			require.Empty(t, rec.Former, "nobody knows what it was")
			require.Equal(t, told(pin.Mismatch, 2), w.try(t, right))
			require.Equal(t, told(pin.Match, 3), w.try(t, another))
		})
		t.Run("a changed one was shown and is remembered", func(t *testing.T) {
			t.Parallel()
			w := newBroughtWorld(t, value, history)
			got, err := w.ChangePIN(anybody(), w.q, plain(t, right), plain(t, another), pin.Memo{})
			require.NoError(t, err)
			require.Equal(t, told(pin.Match, 3), got)
			require.Len(t, w.record(t).PIN.Former, 1)
			require.ErrorIs(t, w.SetPIN(anybody(), w.q, plain(t, right), pin.Memo{}), &pin.Error{Code: pin.RecentPIN})
		})
		t.Run("one that is refused was shown all the same", func(t *testing.T) {
			t.Parallel()
			w := newBroughtWorld(t, value, history)
			got, err := w.ChangePIN(anybody(), w.q, plain(t, right), plain(t, right), pin.Memo{})
			require.NoError(t, err)
			require.Equal(t, pin.Rejected, got.Result)
			require.Equal(t, pin.RecentPIN, got.Reason)
			require.Nil(t, w.record(t).PIN.Brought)
			require.Equal(t, told(pin.Match, 3), w.try(t, right))
		})
	})
}

// A key that was retired too soon is our own fault: no try is taken, and an issuer can still set a PIN.
func TestWithoutItsKeyWhatACardBroughtCannotBeCompared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		value.KeyID = "gone"
		w := newBroughtWorld(t, value, history)
		_, err := w.Verify(anybody(), w.q, plain(t, right), pin.Memo{})
		require.ErrorIs(t, err, &pin.Error{Code: pin.Internal})
		require.Equal(t, 3, w.remaining(t))
		require.NoError(t, w.SetPIN(anybody(), w.q, plain(t, another), pin.Memo{}))
		require.Equal(t, told(pin.Match, 3), w.try(t, another))
	})
}

// What is at rest says nothing of the value, and opens for no other card.
func TestWhatACardBroughtRestsSealed(t *testing.T) {
	t.Parallel()
	value, _ := madeUnder(t)
	w := newBroughtWorld(t, value)
	row, err := w.store.CardsOf(anybody(), []string{w.card.ID})
	require.NoError(t, err)
	require.NotContains(t, string(row[0].Value), value.PVV)
	require.Equal(t, "**** **** ****", fmt.Sprintf("%v %+v %s", value, value, &value))

	other, err := w.CreateCard(anybody(), pin.NewCard{ProgramID: w.program.ID, PAN: pan, Sequence: "02", PIN: of(t, right)}, pin.Memo{})
	require.NoError(t, err)
	moved, err := w.store.CardsOf(anybody(), []string{other.ID})
	require.NoError(t, err)
	stolen := w.record(t).PIN
	stolen.Head = pin.Head{}
	w.store.(*memory).cards[other.ID] = w.rest(t, moved[0], stolen)
	_, err = w.Verify(anybody(), pin.Query{CardID: other.ID}, plain(t, right), pin.Memo{})
	require.ErrorIs(t, err, &pin.Error{Code: pin.Internal})
}

func TestOnlyARightGuessWithTriesLeftIsLearned(t *testing.T) {
	t.Parallel()
	moved := aValue(func(v *pin.Value) {
		v.Verifier, v.Ciphertext, v.KeptUnder, v.Brought = nil, nil, 0, &pin.Brought{KeyID: "pvk"}
	})
	for _, test := range []struct {
		name  string
		value pin.Value
		guess pin.Guess
		learn bool
	}{
		{"a right guess", moved, pin.Right, true},
		{"a wrong guess", moved, pin.Wrong, false},
		{"a block that does not open", moved, pin.Unreadable, false},
		{"no tries left", func() pin.Value { v := moved; v.TriesLeft = 0; return v }(), pin.Right, false},
		{"a card that has its verifier", aValue(), pin.Right, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := test.value
			if test.learn {
				want.Brought, want.Verifier, want.Ciphertext, want.KeptUnder = nil, []byte("v1"), []byte("c1"), 4
			}
			require.Equal(t, want, test.value.Learned(aProgram(), test.guess, accepted()))
		})
	}
}

// steps lists what is asked of the keys.
type steps struct {
	pin.Keys
	done []string
}

func (s *steps) MAC(use pin.Use, data []byte) ([]byte, error) {
	s.done = append(s.done, "MAC "+string(use))
	return s.Keys.MAC(use, data)
}

func (s *steps) VerifyMAC(use pin.Use, data, mac []byte) bool {
	s.done = append(s.done, "VerifyMAC "+string(use))
	return s.Keys.VerifyMAC(use, data, mac)
}

func (s *steps) Seal(use pin.Use, plaintext, associated []byte) ([]byte, error) {
	s.done = append(s.done, "Seal "+string(use))
	return s.Keys.Seal(use, plaintext, associated)
}

func (s *steps) Open(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	s.done = append(s.done, "Open "+string(use))
	return s.Keys.Open(use, ciphertext, associated)
}

func (s *steps) VerificationKey(ctx context.Context, programID, keyID string) (pin.VerificationKey, error) {
	s.done = append(s.done, "VerificationKey")
	return s.Keys.VerificationKey(ctx, programID, keyID)
}

// A right PIN, a wrong one and any on a blocked card take the same steps with keys, so that the time of an answer tells nothing.
func TestWhatACardBroughtIsComparedInTheSameSteps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, value pin.VerificationValue) {
		w := newBroughtWorld(t, value)
		guess := func(digits string) []string {
			s := &steps{Keys: w.ring}
			_, err := newVault(w.store, s, w.clock, nil).Verify(anybody(), w.q, plain(t, digits), pin.Memo{})
			require.NoError(t, err)
			return s.done
		}
		wrongly := guess(wrong)
		require.Contains(t, wrongly, "VerificationKey")
		require.Contains(t, wrongly, "Seal pin-verifier")
		w.block(t)
		require.Equal(t, wrongly, guess(right), "blocked")
		require.NoError(t, w.Unblock(anybody(), w.q, pin.Memo{}))
		require.Equal(t, wrongly, guess(right))
		require.Nil(t, w.record(t).PIN.Brought)
	})
}
