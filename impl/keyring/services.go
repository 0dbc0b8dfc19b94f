package keyring

import (
	"context"
	"errors"
	"io"

	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// SealPIN packs a PIN into a block under a key of the usage that the program may use, in use and not retiring: UnknownKey,
// UnfitBlock for a format that does not go with the key, or a PAN with the format.
func (r *Ring) SealPIN(ctx context.Context, usage pin.KeyUsage, programID, keyID string, format pinblock.Format, p pin.PIN, pan string, random io.Reader) ([]byte, error) {
	k, err := r.zoneKey(ctx, programID, keyID, usage, pin.ZoneKey.Seals)
	if err != nil {
		return nil, err
	}
	var block []byte
	err = k.key.lend(func(key pinblock.Key) (err error) {
		block, err = key.Encrypt(format, p.Digits(), pan, random)
		return err
	})
	if err != nil {
		return nil, unfit(err)
	}
	return block, nil
}

// unfit is the error of a block that cannot be made, or is not what its key is for.
func unfit(err error) error {
	switch {
	case errors.Is(err, pinblock.ErrRandom):
		return internal(err)
	case pin.CodeOf(err) == pin.Unavailable:
		return err
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
	var out []byte
	err = opener.key.lend(func(fromKey pinblock.Key) error {
		return sealer.key.lend(func(toKey pinblock.Key) (err error) {
			out, err = pinblock.Translate(pinblock.Zone{Key: &fromKey, Format: from.Format}, pinblock.Zone{Key: &toKey, Format: to.Format}, block, pan, random)
			if err != nil && notOfTheBlock(err) == nil {
				_, _ = toKey.Encrypt(to.Format, []byte("0000"), pan, random) // as much work as for a block that opens
			}
			return err
		})
	})
	switch {
	case err == nil:
		return out, nil
	case notOfTheBlock(err) != nil:
		return nil, notOfTheBlock(err)
	}
	return nil, &pin.Error{Code: pin.Unopenable}
}

// notOfTheBlock is the error of what stands in the way of every such translation, nil for one of this block.
func notOfTheBlock(err error) error {
	for _, own := range []error{pinblock.ErrFormat, pinblock.ErrKeyFormat, pinblock.ErrBlockSize, pinblock.ErrPAN, pinblock.ErrRandom} {
		if errors.Is(err, own) {
			return unfit(err)
		}
	}
	switch {
	case errors.Is(err, pinblock.ErrTranslation):
		return &pin.Error{Code: pin.InvalidField, Field: "to.format", Err: pin.WeakerPINBinding}
	case pin.CodeOf(err) == pin.Unavailable:
		return err
	}
	return nil
}
