package simulation

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"pinvault/impl/pin"
)

// keys protect nothing and cost nothing, but what was changed fails as with real ones. Those of MACs rotate: their
// generation is a MAC's first byte.
type keys struct{ generation byte }

var errOpen = errors.New("it does not open")

// sum is a hash over a use, a generation and parts.
func sum(use pin.Use, generation byte, parts ...[]byte) []byte {
	h := xxhash.New()
	_, _ = h.WriteString(string(use))
	_, _ = h.Write([]byte{generation})
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		_, _ = h.Write(size[:])
		_, _ = h.Write(p)
	}
	return h.Sum(nil)
}

// MAC is that of pin.Keys.
func (k *keys) MAC(use pin.Use, data []byte) ([]byte, error) {
	return append([]byte{k.generation}, sum(use, k.generation, data)...), nil
}

// VerifyMAC is that of pin.Keys.
func (*keys) VerifyMAC(use pin.Use, data, mac []byte) bool {
	return len(mac) > 0 && bytes.Equal(mac[1:], sum(use, mac[0], data))
}

// Stale is that of pin.Keys. Only MACs ever are.
func (k *keys) Stale(use pin.Use, output []byte) bool {
	return (use == pin.UseAudit || use == pin.UseSeal) && len(output) > 0 && output[0] != k.generation
}

// KeyID is that of pin.Keys.
func (*keys) KeyID(_ pin.Use, output []byte) (id string, there bool) {
	if len(output) == 0 {
		return "", true
	}
	return strconv.Itoa(int(output[0])), true
}

// Seal is that of pin.Keys.
func (*keys) Seal(use pin.Use, plaintext, associated []byte) ([]byte, error) {
	return append(bytes.Clone(plaintext), sum(use, 0, plaintext, associated)...), nil
}

// Open is that of pin.Keys.
func (*keys) Open(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	at := len(ciphertext) - 8
	if at < 0 || !bytes.Equal(ciphertext[at:], sum(use, 0, ciphertext[:at], associated)) {
		return nil, &pin.Error{Code: pin.Internal, Err: errOpen}
	}
	return bytes.Clone(ciphertext[:at]), nil
}

// Rewrap is that of pin.Keys.
func (*keys) Rewrap(_ pin.Use, ciphertext, _ []byte) ([]byte, error) {
	return bytes.Clone(ciphertext), nil
}

// Index is that of pin.Keys.
func (*keys) Index(use pin.Use, data []byte) ([]string, error) {
	return []string{strconv.FormatUint(binary.BigEndian.Uint64(sum(use, 0, data)), 16)}, nil
}

// ZoneKey is that of pin.Keys: there is none.
func (*keys) ZoneKey(context.Context, string, string) (pin.BlockOpener, error) {
	return nil, &pin.Error{Code: pin.UnknownKey}
}

// VerificationKey is that of pin.Keys: there is none.
func (*keys) VerificationKey(context.Context, string, string) (pin.VerificationKey, error) {
	return nil, &pin.Error{Code: pin.UnknownKey}
}
