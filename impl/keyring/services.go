package keyring

import (
	"context"
	"errors"
	"io"

	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
)

// VerificationKey makes and compares PVVs, natural PINs and offsets. Who uses it asks it first what it may do.
type VerificationKey struct {
	*pinverification.Key
	usage     string // that its key block had
	Generates bool   // whether it may make values, and not only compare with them
}

// VerificationKey finds a PIN verification key that the program may use: errors as [Ring.ZoneKey].
func (r *Ring) VerificationKey(ctx context.Context, programID, keyID string) (VerificationKey, error) {
	row, raw, err := r.unwrap(ctx, keyID, []pin.KeyUsage{pin.UsageVerification}, either)
	if err != nil {
		return VerificationKey{}, err
	}
	defer clear(raw)
	if !serves(row, programID) {
		return VerificationKey{}, &pin.Error{Code: pin.UnknownKey}
	}
	k, err := pinverification.NewKey(raw)
	if err != nil {
		return VerificationKey{}, internal(errNotOpened)
	}
	return VerificationKey{Key: k, usage: row.Block.Usage, Generates: row.Seals(r.now())}, nil
}

// Usages of PIN verification keys whose key block says which method they are for (X9.143).
const (
	onlyIBM3624 = "V1"
	onlyVisaPVV = "V2"
)

// ForPVV tells whether the key may generate and verify PVVs, by the usage that its key block had.
func (k VerificationKey) ForPVV() bool { return k.usage != onlyIBM3624 }

// ForIBM3624 tells the same of natural PINs and offsets.
func (k VerificationKey) ForIBM3624() bool { return k.usage != onlyVisaPVV }

// SealPIN packs a PIN into a block under a key of the usage that the program may use, in use and not retiring: UnknownKey,
// UnfitBlock for a format that does not go with the key, or a PAN with the format.
func (r *Ring) SealPIN(ctx context.Context, usage pin.KeyUsage, programID, keyID string, format pinblock.Format, p pin.PIN, pan string, random io.Reader) ([]byte, error) {
	k, err := r.zoneKey(ctx, programID, keyID, usage, pin.ZoneKey.Seals)
	if err != nil {
		return nil, err
	}
	to := k.key.zone(format)
	if to.Key == nil {
		return nil, &pin.Error{Code: pin.UnfitBlock}
	}
	block, err := to.Key.Encrypt(format, p.Digits(), pan, random)
	return block, unfit(err)
}

// unfit is the error of a block that cannot be made.
func unfit(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pinblock.ErrRandom):
		return internal(err)
	}
	return &pin.Error{Code: pin.UnfitBlock}
}

// Carrier names a zone PIN key and a format that goes with it.
type Carrier struct {
	KeyID  string
	Format pinblock.Format
}

// Translate opens a block and packs its PIN for another zone, for the one PAN: UnknownKey, UnfitBlock for a format or size
// that does not go with its key, InvalidField (to.format) with WeakerPINBinding; and of a block that does not open the one
// Unopenable, after as much work as for one that does.
func (r *Ring) Translate(ctx context.Context, programID string, from, to Carrier, block []byte, pan string, random io.Reader) ([]byte, error) {
	opener, err := r.zoneKey(ctx, programID, from.KeyID, pin.UsageZonePIN, pin.ZoneKey.Opens)
	if err != nil {
		return nil, err
	}
	sealer, err := r.zoneKey(ctx, programID, to.KeyID, pin.UsageZonePIN, pin.ZoneKey.Seals)
	if err != nil {
		return nil, err
	}
	target := sealer.key.zone(to.Format)
	out, err := pinblock.Translate(opener.key.zone(from.Format), target, block, pan, random)
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, pinblock.ErrTranslation):
		return nil, &pin.Error{Code: pin.InvalidField, Field: "to.format", Err: pin.WeakerPINBinding}
	case errors.Is(err, pinblock.ErrRandom):
		return nil, internal(err)
	case errors.Is(err, pinblock.ErrFormat), errors.Is(err, pinblock.ErrKeyFormat), errors.Is(err, pinblock.ErrBlockSize), errors.Is(err, pinblock.ErrPAN):
		return nil, &pin.Error{Code: pin.UnfitBlock}
	}
	_, _ = target.Key.Encrypt(to.Format, []byte("0000"), pan, random) // as much work as for a block that opens
	return nil, &pin.Error{Code: pin.Unopenable}
}
