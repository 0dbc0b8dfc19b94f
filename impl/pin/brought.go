package pin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pinvault/impl/pinverification"
)

// A card may move in without its PIN: with what its former host kept in place of one, a Visa PVV or an IBM 3624 offset.
// Until its holder shows the PIN for the first time that is what offers are held against; the first right one
// leaves a verifier of the PIN itself in the same swap, and what was brought along is gone.
//
//   - A PVV says less than a PIN: about one PIN in ten thousand has the same, and no more than four digits count. Any PIN
//     that fits counts as right, as it did at the former host; from then on that one alone is. The digits beyond the
//     fourth are not held against anything, so that a PIN of another length than the card's is wrong.
//   - What was learned is the PIN that the card had already: its version, the time of its change and where it came from
//     stay. The policy on PINs that a cardholder chooses does not ask for it.
//   - A PIN that nobody ever showed is not remembered once another one takes its place: nobody knows what it was. While
//     the card has what it brought along, a PIN that fits is refused as the current one.
//   - It cannot be read back before it was shown. Then it can, where the program allows retrieval.

// Brought is what a card moved in with, at rest.
type Brought struct {
	KeyID  string `json:"keyId"`  // the partner's PIN verification key that it was made under
	Sealed []byte `json:"sealed"` // AEAD (UsePIN) over a VerificationValue, bound to program and card
}

// VerificationValue is what an issuer keeps in place of a PIN, a PVV or an offset, and how it was made. It is a secret as the
// PIN is, prints as **** and is at rest sealed only.
type VerificationValue struct {
	KeyID   string `json:"-"`                // of the PIN verification key
	PVV     string `json:"pvv,omitempty"`    // 4 digits, or
	Offset  string `json:"offset,omitempty"` // as many digits as the PIN
	Index   int    `json:"index,omitempty"`  // of a PVV: which of the issuer's keys, 0..9
	Length  int    `json:"length,omitempty"` // of a PVV: digits of the PIN
	IBM3624 `json:"ibm3624,omitzero"`
}

// IBM3624 is how an issuer makes natural PINs of PANs.
type IBM3624 = pinverification.IBM3624

// Format prints **** for every verb.
func (VerificationValue) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// errVerificationKey is the cause of an Internal: the cardholder can do nothing about it.
var errVerificationKey = errors.New("the key of what a card brought along in place of its PIN cannot be used")

// bring makes a verification value's form at rest.
func (v *Vault) bring(c Card, value VerificationValue) (*Brought, error) {
	text, err := encode(value)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	sealed, err := v.keys.Seal(UsePIN, text, broughtBy(c))
	return &Brought{KeyID: value.KeyID, Sealed: sealed}, err
}

// broughtBy is what a verification value at rest is bound to. Its three parts are not the two of a PIN.
func broughtBy(c Card) []byte { return frame(c.ProgramID, c.ID, "verification value") }

// brought opens what a card moved in with.
func (v *Vault) brought(c Card, b *Brought) (VerificationValue, error) {
	text, err := v.keys.Open(UsePIN, b.Sealed, broughtBy(c))
	defer clear(text)
	if err != nil {
		return VerificationValue{}, err
	}
	value := VerificationValue{KeyID: b.KeyID}
	if !decode(text, &value) {
		return VerificationValue{}, &Error{Code: Internal, Err: errors.New("what was kept is no verification value")}
	}
	return value, nil
}

// fitsBrought tells whether a PIN is one that the card's verification value stands for.
func (v *Vault) fitsBrought(ctx context.Context, c Card, b *Brought, p PIN) (bool, error) {
	value, err := v.brought(c, b)
	if err != nil {
		return false, err
	}
	pan, err := v.pan(c)
	if err != nil {
		return false, err
	}
	right := false
	key, err := v.keys.VerificationKey(ctx, c.ProgramID, value.KeyID)
	if err == nil {
		right, err = value.fits(key, pan, p)
	}
	if CodeOf(err) == UnknownKey {
		err = &Error{Code: Internal, Err: errVerificationKey}
	}
	return right, err
}

// fits tells, in constant time, whether a PIN is one that the value stands for: Internal where it is none for this PAN, and what
// the key fails with.
func (value VerificationValue) fits(key VerificationKey, pan string, p PIN) (bool, error) {
	var right bool
	var err error
	if value.Offset != "" {
		right, err = key.VerifyOffset(value.IBM3624, pan, p.Digits(), value.Offset)
	} else {
		right, err = key.VerifyPVV(pan, value.Index, p.Digits(), value.PVV)
		right = right && p.Len() == value.Length
	}
	if _, ours := errors.AsType[*Error](err); err != nil && !ours {
		err = &Error{Code: Internal, Err: err}
	}
	return right && err == nil, err
}

// shown holds an offered PIN against what the card brought along. own is the PIN's form at rest, which is made whether
// it is right or not, and whether tries are left or not: the time that it takes tells nobody anything.
func (v *Vault) shown(ctx context.Context, rec Record, p PIN) (right bool, own Choice, err error) {
	if right, err = v.fitsBrought(ctx, rec.Card, rec.PIN.Brought, p); err == nil {
		own, err = v.rest(rec.Card.ID, rec.Program, p)
	}
	return right, own, err
}

// Learned is the value after a guess at its PIN: a right one, while there are tries, takes the place of what the card
// brought along, and own is its form at rest.
func (v Value) Learned(p Program, g Guess, own Choice) Value {
	if v.Brought == nil || g != Right || v.Remaining(p) == 0 {
		return v
	}
	v.Brought, v.Verifier = nil, own.Verifier
	return v.readable(p, own)
}
