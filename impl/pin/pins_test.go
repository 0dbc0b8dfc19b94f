package pin_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

func TestTheFirstPINOfACardIsComparedWithNothing(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t, func(p *pin.Program) { p.Policy = pin.PolicyHistory })
	c := w.second(t, pin.NewCard{NoPIN: true})
	q := pin.Query{CardID: c.ID}
	require.NoError(t, w.SetPIN(by(t), q, plain(t, right), pin.Memo{}))
	require.Equal(t, pin.RecentPIN, pin.CodeOf(w.SetPIN(by(t), q, plain(t, right), pin.Memo{})))
}

func TestResetPINRestoresTheTries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block(t)
	require.NoError(t, w.ResetPIN(by(t), w.q, block(t, another), pin.Memo{}))
	require.Equal(t, told(pin.Match, 3), w.try(t, another))
	require.Equal(t, pin.Unopenable, pin.CodeOf(w.ResetPIN(by(t), w.q, closed(), pin.Memo{})))
	require.Equal(t, pin.Match, w.try(t, another).Result)
	w.agree(t)
}

// Each refusal is its own code, and what is wrong with us or with a key's name is none: no try is taken.
func TestWhatKeepsAPINFromBeingTaken(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	broken := func(err error) pin.Offer {
		return func(context.Context, *pin.Vault, pin.Record) (pin.PIN, error) { return pin.PIN{}, err }
	}
	no := errors.New("no")
	for name, test := range map[string]struct {
		offer  pin.Offer
		chosen pin.Code // of a set
		reason pin.Verification
		err    pin.Code // of a change to it
	}{
		"one that is fine":           {plain(t, another), "", told(pin.Match, 3), ""},
		"one that is too long":       {plain(t, "4827391"), pin.PINLength, pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.PINLength}, ""},
		"one that is weak":           {plain(t, "1234"), pin.WeakPIN, pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.WeakPIN}, ""},
		"a length its offerer minds": {broken(&pin.Error{Code: pin.PINLength}), pin.PINLength, pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.PINLength}, ""},
		"none at all":                {pin.Plain(pin.PIN{}), pin.InvalidPIN, pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.InvalidPIN}, ""},
		"one that does not open":     {closed(), pin.Unopenable, told(pin.Opaque, 3), ""},
		"one under an unknown key":   {pin.Encrypted("nobody's", pinblock.ISO0, nil), pin.UnknownKey, pin.Verification{}, pin.UnknownKey},
		"one of another size":        {pin.Encrypted("zpk", pinblock.ISO0, make([]byte, 16)), pin.UnfitBlock, pin.Verification{}, pin.UnfitBlock},
		"our own fault":              {broken(no), pin.Internal, pin.Verification{}, pin.Internal},
	} {
		require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
		require.Equal(t, test.chosen, pin.CodeOf(w.SetPIN(by(t), w.q, test.offer, pin.Memo{})), name)
		require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
		v, err := w.ChangePIN(by(t), w.q, plain(t, right), test.offer, pin.Memo{})
		require.Equal(t, test.err, pin.CodeOf(err), name)
		require.Equal(t, test.reason, v, name)

		require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
		if test.err != "" {
			_, err = w.Verify(by(t), w.q, test.offer, pin.Memo{})
			require.Equal(t, test.err, pin.CodeOf(err), name)
			require.Equal(t, 3, w.remaining(t), "%s takes no try", name)
		}
	}
	v, err := w.Verify(by(t), w.q, pin.Plain(pin.PIN{}), pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, told(pin.Opaque, 2), v, "no PIN at all is a guess too")
}

// Whoever watches sees each PIN that is offered to a card that takes one, once it is open, and may refuse it.
func TestOfferedPINsAreWatched(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	lost := w.second(t, pin.NewCard{Status: pin.StatusLost})
	var seen []string
	answers := map[string]error{}
	w.OnOffer(func(_ context.Context, p pin.PIN, chosen bool) error {
		seen = append(seen, fmt.Sprint(string(p.Digits()), chosen))
		return answers[string(p.Digits())]
	})
	v, err := w.ChangePIN(by(t), w.q, block(t, right), plain(t, another), pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.Match, v.Result)
	require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
	require.Equal(t, []string{right + "false", another + "true", right + "true"}, seen)
	_, err = w.Verify(by(t), pin.Query{CardID: lost.ID}, plain(t, right), pin.Memo{})
	require.Equal(t, pin.CardStatus, pin.CodeOf(err))
	_, err = w.Verify(by(t), w.q, closed(), pin.Memo{})
	require.NoError(t, err)
	require.Len(t, seen, 3, "of a card that takes none, and of what does not open, there is nothing to see")

	require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
	for code, want := range map[pin.Code]struct {
		guess  pin.Verification
		failed pin.Code
		chosen pin.Code
	}{
		pin.WrongPIN:    {told(pin.Mismatch, 2), "", pin.WrongPIN},
		pin.WeakPIN:     {pin.Verification{}, pin.WeakPIN, pin.WeakPIN},
		pin.RecentPIN:   {pin.Verification{}, pin.RecentPIN, pin.RecentPIN},
		pin.Unavailable: {pin.Verification{}, pin.Unavailable, pin.Unavailable},
	} {
		answers[right] = &pin.Error{Code: code}
		v, err := w.Verify(by(t), w.q, plain(t, right), pin.Memo{})
		require.Equal(t, want.failed, pin.CodeOf(err), code)
		require.Equal(t, want.guess, v, code)
		require.Equal(t, want.chosen, pin.CodeOf(w.SetPIN(by(t), w.q, plain(t, right), pin.Memo{})), code)
		delete(answers, right)
		require.NoError(t, w.ResetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
	}
	answers[another] = &pin.Error{Code: pin.WeakPIN}
	v, err = w.ChangePIN(by(t), w.q, plain(t, right), plain(t, another), pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: pin.WeakPIN}, v)
}

// The PIN that an offer hands out is wiped as soon as it was compared, and the offerer's own is not.
func TestOfferedPINsAreWiped(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	var handed []pin.PIN
	offer := func(digits string) pin.Offer {
		return func(context.Context, *pin.Vault, pin.Record) (pin.PIN, error) {
			p := of(t, digits)
			handed = append(handed, p)
			return p, nil
		}
	}
	_, err := w.ChangePIN(by(t), w.q, offer(right), offer(another), pin.Memo{})
	require.NoError(t, err)
	require.Len(t, handed, 2)
	for _, p := range handed {
		require.Equal(t, []byte{0, 0, 0, 0}, p.Digits())
	}
	own := of(t, another)
	for range 2 {
		_, err = w.Verify(by(t), w.q, pin.Plain(own), pin.Memo{})
		require.NoError(t, err)
	}
	require.True(t, own.Equal(of(t, another)))
}

// Where there is no card to try at, the same steps are taken at none: the offer is opened and compared.
func TestNobodysCardTakesTheSameSteps(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	none := w.second(t, pin.NewCard{NoPIN: true})
	lost := w.second(t, pin.NewCard{Status: pin.StatusLost})
	opened := 0
	offer := func(context.Context, *pin.Vault, pin.Record) (pin.PIN, error) {
		opened++
		return of(t, right), nil
	}
	for _, test := range []struct {
		q    pin.Query
		want pin.Code
	}{
		{pin.Query{CardID: "nobody"}, pin.NotFound}, {pin.Query{CardID: none.ID}, pin.NoPIN}, {pin.Query{CardID: lost.ID}, pin.CardStatus}, {w.q, ""},
	} {
		opened = 0
		_, err := w.Verify(by(t), test.q, offer, pin.Memo{})
		require.Equal(t, test.want, pin.CodeOf(err))
		require.Equal(t, 1, opened, test.want)
		opened = 0
		_, err = w.ChangePIN(by(t), test.q, offer, offer, pin.Memo{})
		require.Equal(t, test.want, pin.CodeOf(err))
		require.Equal(t, 2, opened, test.want)
	}
	keys := &faultyKeys{n: -1}
	v := w.with(keys, nil)
	steps := func(q pin.Query) int {
		keys.made = 0
		_, _ = v.Verify(by(t), q, block(t, wrong), pin.Memo{})
		return keys.made
	}
	_ = steps(pin.Query{CardID: "nobody"}) // whose card is made once
	require.Equal(t, steps(w.q), steps(pin.Query{CardID: "nobody"}))
}

// Whatever stands where a PIN was kept, nothing of it is told if it is no PIN.
func TestWhatWasKeptAndIsNoPINIsNotTold(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	rec := w.record(t)
	db := w.store.(*memory)
	rest := func(what string) {
		rec.PIN.Ciphertext, _ = w.ring.Seal(pin.UsePIN, []byte(what), pin.Frame(w.program.ID, w.card.ID))
		db.cards[w.card.ID] = w.rest(t, db.cards[w.card.ID], rec.PIN)
	}
	rest("48x6")
	p, err := w.RevealPIN(by(t), w.q)
	require.Equal(t, pin.Internal, pin.CodeOf(err))
	require.Zero(t, p.Len())
	require.NotContains(t, err.Error(), "48x6")
	require.Equal(t, []string{"card.created"}, w.told(t, w.card.ID), "and nobody is told to have read it")
	rest(right)
	p, err = w.RevealPIN(by(t), w.q)
	require.NoError(t, err)
	require.True(t, p.Equal(of(t, right)))
}

// A PIN that was read back and not handed out, because somebody came between, is wiped.
func TestARevealThatIsDecidedAgainTellsThePINThatStands(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.tap.before = meanwhile("Swap", func() { require.NoError(t, w.sibling().SetPIN(by(t), w.q, plain(t, another), pin.Memo{})) })
	p, err := w.RevealPIN(by(t), w.q)
	require.NoError(t, err)
	require.True(t, p.Equal(of(t, another)))
	require.Equal(t, []string{"card.created", "pin.set", "pin.revealed"}, w.told(t, w.card.ID))

	w.tap.before = both(meanwhile("Swap", func() { require.NoError(t, w.sibling().Unblock(by(t), w.q, pin.Memo{})) }), once("Locked", errDown))
	p, err = w.RevealPIN(by(t), w.q)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	require.Zero(t, p.Len())
}

// Under the lock a card is believed as little as anywhere else.
func TestACardThatIsTamperedWithMeanwhileIsAnAlarm(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	db := w.store.(*memory)
	w.tap.before = meanwhile("Swap", func() {
		r := db.cards[w.card.ID]
		r.Revision++
		db.cards[w.card.ID] = r
	})
	_, err := w.Verify(by(t), w.q, plain(t, right), pin.Memo{})
	require.True(t, pin.Tampered(err))
}
