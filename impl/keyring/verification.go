package keyring

import (
	"context"
	"crypto/cipher"

	"pinvault/impl/pin"
	"pinvault/impl/pinverification"
)

// VerificationKey finds a PIN verification key that the program may use: errors as [Ring.ZoneKey]. Its row is read at
// each call: a card is verified under such a key once.
//
// What the key's state, or its key block, does not let it do is UnknownKey: a retiring key compares and makes nothing, and
// one whose usage is V1 (IBM 3624) or V2 (Visa PVV) is for that method alone.
func (r *Ring) VerificationKey(ctx context.Context, programID, keyID string) (pin.VerificationKey, error) {
	row, err := r.row(ctx, r.zone, keyID, []pin.KeyUsage{pin.UsageVerification}, either)
	switch {
	case err != nil:
		return nil, err
	case row.Algorithm != TDES || !serves(row, programID):
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	key, err := r.keys.UnwrapBlock(row.Algorithm, row.Wrapped, row.Bound())
	if err != nil {
		return nil, err
	}
	return verificationKey{key: key, usage: row.Block.Usage, compares: row.Opens(r.now()), makes: row.Seals(r.now())}, nil
}

// verificationKey is a key at work, and what it may do. It prints as ****.
type verificationKey struct {
	hidden
	key             BlockKey
	usage           string // that its key block had
	compares, makes bool
}

// Usages of PIN verification keys whose key block says which method they are for (X9.143).
const (
	onlyIBM3624 = "V1"
	onlyVisaPVV = "V2"
)

// use lends the key to work, if it may do that and is not for another method alone.
func (k verificationKey) use(may bool, not string, work func(pinverification.Key) error) error {
	if !may || k.usage == not {
		return &pin.Error{Code: pin.UnknownKey}
	}
	return k.key.Use(func(b cipher.Block) error { return work(pinverification.Lent(b)) })
}

// PVV is [pinverification.Key.PVV].
func (k verificationKey) PVV(pan string, index int, digits []byte) (pvv string, err error) {
	err = k.use(k.makes, onlyIBM3624, func(k pinverification.Key) (err error) {
		pvv, err = k.PVV(pan, index, digits)
		return err
	})
	return pvv, err
}

// VerifyPVV is [pinverification.Key.VerifyPVV].
func (k verificationKey) VerifyPVV(pan string, index int, digits []byte, pvv string) (right bool, err error) {
	err = k.use(k.compares, onlyIBM3624, func(k pinverification.Key) (err error) {
		right, err = k.VerifyPVV(pan, index, digits, pvv)
		return err
	})
	return right && err == nil, err
}

// NaturalPIN is [pinverification.Key.NaturalPIN].
func (k verificationKey) NaturalPIN(m pinverification.IBM3624, pan string, length int) (digits []byte, err error) {
	err = k.use(k.makes, onlyVisaPVV, func(k pinverification.Key) (err error) {
		digits, err = k.NaturalPIN(m, pan, length)
		return err
	})
	return digits, err
}

// Offset is [pinverification.Key.Offset].
func (k verificationKey) Offset(m pinverification.IBM3624, pan string, digits []byte) (offset string, err error) {
	err = k.use(k.makes, onlyVisaPVV, func(k pinverification.Key) (err error) {
		offset, err = k.Offset(m, pan, digits)
		return err
	})
	return offset, err
}

// VerifyOffset is [pinverification.Key.VerifyOffset].
func (k verificationKey) VerifyOffset(m pinverification.IBM3624, pan string, digits []byte, offset string) (right bool, err error) {
	err = k.use(k.compares, onlyVisaPVV, func(k pinverification.Key) (err error) {
		right, err = k.VerifyOffset(m, pan, digits, offset)
		return err
	})
	return right && err == nil, err
}
