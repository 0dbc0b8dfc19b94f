// Package pinservices is what hosts ask of a security module: PIN verification values, offsets and natural PINs of a card's
// PIN, PIN blocks for printers, and PIN blocks of one zone for another.
//
// It knows the vault, which finds cards, counts tries and tells the trail, and the keyring, which has the keys. The rules of
// blocks are package pinblock's, those of values package pinverification's. A PIN never leaves in the clear: a natural PIN,
// which follows from the PAN, leaves in a block as well.
package pinservices

import (
	"context"
	"crypto/rand"
	"errors"
	"io"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
)

// Vault is what is asked of [pin.Vault].
type Vault interface {
	UsePIN(ctx context.Context, q pin.Query, o pin.Offer, h pin.Happening, use pin.PINUse) (pin.Verification, error)
	UsePAN(ctx context.Context, q pin.Query, h pin.Happening, use func(rec pin.Record, pan string) error) error
	Program(ctx context.Context, id string) (pin.Program, error)
	Tell(ctx context.Context, t pin.EventType, programID, keyID string, outcome pin.Code, m pin.Memo) error
}

// Ring is what is asked of [keyring.Ring].
type Ring interface {
	VerificationKey(ctx context.Context, programID, keyID string) (pin.VerificationKey, error)
	SealPIN(ctx context.Context, usage pin.KeyUsage, programID, keyID string, f pinblock.Format, p pin.PIN, pan string, random io.Reader) ([]byte, error)
	Translate(ctx context.Context, programID string, from, to keyring.Carrier, block []byte, pan string, random io.Reader) ([]byte, error)
}

// Services are safe for concurrent use.
type Services struct {
	vault  Vault
	ring   Ring
	random io.Reader
}

// New makes the services of a vault. random defaults to the system's random source.
func New(v Vault, r Ring, random io.Reader) *Services {
	if random == nil {
		random = rand.Reader
	}
	return &Services{v, r, random}
}

// PVV is the Visa PIN verification value of the card's PIN, 4 digits. index is the key's, 0 to 9. The PIN is as for
// [pin.Vault.UsePIN], whose errors it returns: without a match there is none. UnknownKey; UnfitBlock for a card whose PAN is
// too short.
func (s *Services) PVV(ctx context.Context, cardID, keyID string, index int, o pin.Offer) (pvv string, v pin.Verification, err error) {
	return s.value(ctx, cardID, keyID, "pvv", o, func(k pin.VerificationKey, p pin.PIN, pan string) (string, error) {
		return k.PVV(pan, index, p.Digits())
	})
}

// Offset is the IBM 3624 offset of the card's PIN, as long as that: errors as [Services.PVV], and InvalidField
// (decimalizationTable, validationData) for a method that cannot be.
func (s *Services) Offset(ctx context.Context, cardID, keyID string, m pinverification.IBM3624, o pin.Offer) (offset string, v pin.Verification, err error) {
	return s.value(ctx, cardID, keyID, "offset", o, func(k pin.VerificationKey, p pin.PIN, pan string) (string, error) {
		return k.Offset(m, pan, p.Digits())
	})
}

// value makes a value of the card's PIN with a PIN verification key.
func (s *Services) value(ctx context.Context, cardID, keyID, what string, o pin.Offer,
	of func(pin.VerificationKey, pin.PIN, string) (string, error)) (value string, v pin.Verification, err error) {
	h := pin.Happening{Type: pin.EventPINDerived, Outcome: what, Subject: keyID}
	v, err = s.vault.UsePIN(ctx, pin.Query{CardID: cardID}, o, h, func(rec pin.Record, p pin.PIN, pan string) error {
		k, err := s.ring.VerificationKey(ctx, rec.Program.ID, keyID)
		if err == nil {
			value, err = of(k, p, pan)
		}
		return told(err)
	})
	if err != nil || v.Result != pin.Match { // what a rehearsal made
		value = ""
	}
	return value, v, err
}

// told is the vault's error for what cannot be computed.
func told(err error) error {
	switch {
	case errors.Is(err, pinverification.ErrPAN):
		return &pin.Error{Code: pin.UnfitBlock}
	case errors.Is(err, pinverification.ErrTable):
		return &pin.Error{Code: pin.InvalidField, Field: "decimalizationTable"}
	case errors.Is(err, pinverification.ErrValidationData):
		return &pin.Error{Code: pin.InvalidField, Field: "validationData"}
	case errors.Is(err, pinverification.ErrIndex):
		return &pin.Error{Code: pin.InvalidField, Field: "keyIndex"}
	}
	return err
}

// NaturalPIN is the IBM 3624 natural PIN of the card's PAN, of so many digits, in a PIN block under a zone PIN key: errors as
// [Services.Offset], and UnfitBlock for a format that does not go with the key or the PAN. That no PIN of the card is looked
// at, and no try taken, makes it no less of a PIN.
func (s *Services) NaturalPIN(ctx context.Context, cardID, keyID string, m pinverification.IBM3624, length int, to keyring.Carrier) (block []byte, err error) {
	h := pin.Happening{Type: pin.EventPINDerived, Outcome: "natural-pin", Subject: keyID}
	err = s.vault.UsePAN(ctx, pin.Query{CardID: cardID}, h, func(rec pin.Record, pan string) error {
		k, err := s.ring.VerificationKey(ctx, rec.Program.ID, keyID)
		if err != nil {
			return err
		}
		digits, err := k.NaturalPIN(m, pan, length)
		defer clear(digits)
		if err != nil {
			return told(err)
		}
		p, err := pin.New(digits)
		if err != nil {
			return err
		}
		defer p.Clear()
		block, err = s.ring.SealPIN(ctx, pin.UsageZonePIN, rec.Program.ID, to.KeyID, to.Format, p, pan, s.random)
		return err
	})
	return block, err
}

// Mailer is the card's PIN, as it is kept for retrieval, in a PIN block under a printer's key: NotFound, CardStatus, NoPIN,
// RetrievalOff, UnknownKey, UnfitBlock.
func (s *Services) Mailer(ctx context.Context, cardID string, to keyring.Carrier) (block []byte, err error) {
	h := pin.Happening{Type: pin.EventPINMailed, Subject: to.KeyID}
	_, err = s.vault.UsePIN(ctx, pin.Query{CardID: cardID}, nil, h, func(rec pin.Record, p pin.PIN, pan string) error {
		var err error
		block, err = s.ring.SealPIN(ctx, pin.UsagePINMailer, rec.Program.ID, to.KeyID, to.Format, p, pan, s.random)
		return err
	})
	return block, err
}

// Translate is a PIN block of one zone for another, both keys ones that the program may use, for the one PAN. Every block
// that does not open is the same Unopenable, and is in the trail like one that does, so that neither the answer nor its time
// tells why. UnknownKey, UnfitBlock and InvalidField (to.format, with pin.WeakerPINBinding) are of what can be seen without
// opening it; NotFound for the program.
func (s *Services) Translate(ctx context.Context, programID string, from, to keyring.Carrier, block []byte, pan string) ([]byte, error) {
	if _, err := s.vault.Program(ctx, programID); err != nil {
		return nil, err
	}
	out, err := s.ring.Translate(ctx, programID, from, to, block, pan, s.random)
	if err != nil && pin.CodeOf(err) != pin.Unopenable {
		return nil, err
	}
	if told := s.vault.Tell(ctx, pin.EventPINTranslated, programID, to.KeyID, pin.CodeOf(err), pin.Memo{}); told != nil {
		return nil, told
	}
	return out, err
}
