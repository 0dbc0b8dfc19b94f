package pin

import (
	"context"
	"errors"
)

// PINUse makes something of a card's PIN and PAN that leaves, such as a PIN block for a printer or an offset. It may run
// several times, and keeps no PIN.
type PINUse func(rec Record, p PIN, pan string) error

// UsePIN has use make something of the card's PIN, and tells the trail so before that may leave. The PIN is the one that is
// kept for retrieval, and where an offer is given the offered one, if it is the card's: then that is a verification like any
// other, which takes a try. What of the outcome is not a match has made nothing.
//
// NotFound, Ambiguous, CardStatus, NoPIN; without an offer RetrievalOff and ApprovalNeeded; errors of the offer as [Vault.Verify]. Before a PIN
// is looked at, use is tried on another one: an error of it ends the operation, whatever the offer.
func (v *Vault) UsePIN(ctx context.Context, q Query, o Offer, h Happening, use PINUse) (Verification, error) {
	if o == nil {
		return Verification{Result: Match}, v.useKept(ctx, q, h, use)
	}
	var right PIN
	defer func() { right.Clear() }()
	caught := func(ctx context.Context, v *Vault, rec Record) (PIN, error) {
		right.Clear()
		if err := v.rehearse(rec, use); err != nil {
			return PIN{}, err
		}
		p, err := o(ctx, v, rec)
		if err != nil {
			return p, err
		}
		right, err = New(p.Digits())
		return p, err
	}
	return v.attempt(ctx, q, Memo{}, []Offer{caught}, func(rec Record, g Guess) (Step, error) {
		s := rec.PIN.guess(rec.Program, g, h)
		if s.Result != Match {
			return s, nil
		}
		pan, err := v.pan(rec.Card)
		if err == nil {
			err = use(rec, right, pan)
		}
		return s, err
	})
}

// rehearse tries a use on a PIN that is nobody's.
func (v *Vault) rehearse(rec Record, use PINUse) error {
	pan, err := v.pan(rec.Card)
	if err != nil {
		return err
	}
	p, err := New([]byte("0000"))
	if err != nil {
		return err
	}
	return use(rec, p, pan)
}

// useKept is UsePIN with the PIN that is kept. Whatever is made of it tells who has the key for it of the PIN, as an offset does beside
// the natural PIN, so it is a reveal.
func (v *Vault) useKept(ctx context.Context, q Query, h Happening, use PINUse) error {
	_, err := v.act(ctx, q, Memo{}, func(rec Record) (deed, error) {
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		d := deed{Step: rec.PIN.Reveal(rec.Program)}
		if d.Refusal != "" {
			return d, nil
		}
		d.Happenings = []Happening{h}
		if err := v.approved(ctx, rec, ApproveReveal, &d); err != nil {
			return deed{}, err
		}
		p, err := v.kept(rec)
		if err != nil {
			return deed{}, err
		}
		defer p.Clear()
		pan, err := v.pan(rec.Card)
		if err == nil {
			err = use(rec, p, pan)
		}
		return d, err
	})
	return v.unapproved(ctx, ApproveReveal, err)
}

// kept opens the PIN that is kept for retrieval. The caller clears it.
func (v *Vault) kept(rec Record) (PIN, error) {
	digits, err := v.keys.Open(UsePIN, rec.PIN.Ciphertext, pinBound(rec.Program.ID, rec.Card.ID))
	if err != nil {
		return PIN{}, err
	}
	defer clear(digits)
	p, err := New(digits)
	if err != nil {
		return PIN{}, &Error{Code: Internal, Err: errors.New("what was kept is no PIN")}
	}
	return p, nil
}

// UsePAN has use make something of the card's PAN alone, and tells the trail so: NotFound, Ambiguous, CardStatus.
func (v *Vault) UsePAN(ctx context.Context, q Query, h Happening, use func(rec Record, pan string) error) error {
	_, err := v.act(ctx, q, Memo{}, func(rec Record) (deed, error) {
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		pan, err := v.pan(rec.Card)
		if err == nil {
			err = use(rec, pan)
		}
		return deed{Step: rec.PIN.Noted(h)}, err
	})
	return err
}
