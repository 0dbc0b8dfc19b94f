package keyring

import (
	"context"

	"pinvault/impl/pin"
	"pinvault/impl/pinverification"
)

// VerificationKey finds a PIN verification key that the program may use: errors as [Ring.ZoneKey]. Its row is read at
// each call: a card is verified under such a key once.
func (r *Ring) VerificationKey(ctx context.Context, programID, keyID string) (pin.VerificationKey, error) {
	row, raw, err := r.unwrap(ctx, keyID, pin.UsageVerification)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	if row.Algorithm != TDES || row.ProgramID != "" && row.ProgramID != programID {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	key, err := pinverification.NewKey(raw)
	if err != nil {
		return nil, internal(errNotOpened)
	}
	return key, nil
}
