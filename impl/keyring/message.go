package keyring

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"pinvault/impl/compactjwe"
	"pinvault/impl/pin"
)

const (
	// maxMessage bounds a sealed message, in bytes; no contract takes a longer body.
	maxMessage = 2 << 20
	// maxHeader bounds the first part of one: alg, enc and kid need a tenth of it.
	maxHeader = 1 << 10
	// MessageKeySize is that of A256GCM (RFC 7518, 5.3), in bytes.
	MessageKeySize = compactjwe.KeySize
)

// OpenMessage decrypts a JWE in compact serialization (RFC 7516) with "alg":"dir", "enc":"A256GCM" and the "kid" of one
// of the allowed message keys, or of one that came in the place of one of them, which must be usable by the program and not
// retired. What else such a message may not be, compressed for one, [compactjwe.Parse] says; one message has one text, so that a
// repetition is known by it.
//
// Whatever is wrong with the message is the same Unopenable, without a cause. What the store reports, and a row that
// does not open, is passed on: it says nothing about the message.
func (r *Ring) OpenMessage(ctx context.Context, programID string, allowed []string, compact []byte) ([]byte, error) {
	unopenable := &pin.Error{Code: pin.Unopenable}
	header, _, ok := bytes.Cut(compact, []byte{'.'})
	if !ok || len(header) > maxHeader || len(compact) > maxMessage || len(allowed) == 0 {
		return nil, unopenable
	}
	m, ok := compactjwe.Parse(compact, compactjwe.Direct)
	if !ok {
		return nil, unopenable
	}
	row, key, err := r.unwrap(ctx, r.recent, m.KeyID(), []pin.KeyUsage{pin.UsageMessage}, pin.ZoneKey.Opens)
	defer clear(key)
	switch {
	case errors.Is(err, &pin.Error{Code: pin.UnknownKey}):
		return nil, unopenable
	case err != nil:
		return nil, err
	case !slices.ContainsFunc(allowed, func(id string) bool { return id == m.KeyID() || row.Follows(id) }),
		!serves(row, programID), row.Algorithm != AES, len(key) != MessageKeySize:
		return nil, unopenable
	}
	plain, ok := m.Open(key)
	if !ok {
		return nil, unopenable
	}
	return plain, nil
}
