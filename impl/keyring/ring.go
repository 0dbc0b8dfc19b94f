package keyring

import (
	"encoding/hex"
	"errors"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/tink-crypto/tink-go/v2/core/cryptofmt"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/pin"
)

// Causes of Internal errors. There is one for every way of not opening, so that a log tells nobody which.
var (
	errNotOpened = errors.New("keyring: the ciphertext does not open")
	errUse       = errors.New("keyring: keys of that use are not for this")
)

// Ring is an engine at work: [pin.Keys]. It is safe for concurrent use and prints as ****.
type Ring struct {
	hidden
	keys   Engine
	zone   ZoneKeys
	now    func() time.Time
	opened *lru.Cache[string, *zoneKey] // by id
	recent *recentRows                  // of message keys
}

var _ pin.Keys = (*Ring)(nil)

// New makes a ring of the engine and the zone keys, whose ciphertexts that engine opens. now is the clock by which
// zone keys are looked up again; it defaults to time.Now.
func New(keys Engine, zone ZoneKeys, now func() time.Time) *Ring {
	if now == nil {
		now = time.Now
	}
	opened, err := lru.New[string, *zoneKey](maxZoneKeys)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &Ring{keys: keys, zone: zone, now: now, opened: opened, recent: &recentRows{zone: zone, now: now, kept: map[string]recentRow{}}}
}

// Open makes the ring of an engine and the zone keys of a store, which it believes under their seals only.
func Open(keys Engine, store pin.Rows, now func() time.Time) *Ring {
	return New(keys, pin.NewZoneKeys(store, New(keys, nil, now)), now)
}

// primitive is the use's keys as a P. It is what keeps keys from being used for something else.
func primitive[P any](r *Ring, use pin.Use) (P, error) {
	p, ok := r.keys.Primitive(use).(P)
	if !ok {
		return p, internal(errUse)
	}
	return p, nil
}

func internal(cause error) error { return &pin.Error{Code: pin.Internal, Err: cause} }

// failed is the error of an engine: Unavailable as it is, any other as Internal with this cause.
func failed(err, cause error) error {
	if pin.CodeOf(err) == pin.Unavailable {
		return err
	}
	return internal(cause)
}

// MAC is 37 bytes: five that name the key and the 32 of HMAC-SHA256. Uses: audit, fingerprint, seal;
// Internal for others.
func (r *Ring) MAC(use pin.Use, data []byte) ([]byte, error) {
	m, err := primitive[tink.MAC](r, use)
	if err != nil {
		return nil, err
	}
	out, err := m.ComputeMAC(data)
	if err != nil {
		return nil, failed(err, err)
	}
	return out, nil
}

// VerifyMAC tells whether mac is one of data under any enabled key of the use, in constant time. It is false for a use
// without MACs.
func (r *Ring) VerifyMAC(use pin.Use, data, mac []byte) bool {
	m, err := primitive[tink.MAC](r, use)
	return err == nil && m.VerifyMAC(mac, data) == nil
}

// Seal encrypts and authenticates plaintext and authenticates associated with it. The ciphertext is 33 bytes longer:
// five that name the key, a random nonce of 12, a tag of 16. Uses: pin-verifier, pin, pan, secret, key-wrap; Internal for others.
func (r *Ring) Seal(use pin.Use, plaintext, associated []byte) ([]byte, error) {
	a, err := primitive[tink.AEAD](r, use)
	if err != nil {
		return nil, err
	}
	out, err := a.Encrypt(plaintext, associated)
	if err != nil {
		return nil, failed(err, err)
	}
	return out, nil
}

// Open undoes [Ring.Seal] under any enabled key of the use. Whatever keeps a ciphertext from opening, the error is the
// same Internal; Unavailable where the engine does not answer. The caller clears the plaintext.
func (r *Ring) Open(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	a, err := primitive[tink.AEAD](r, use)
	if err != nil {
		return nil, err
	}
	out, err := a.Decrypt(ciphertext, associated)
	if err != nil {
		return nil, failed(err, errNotOpened)
	}
	return out, nil
}

// Index is 72 lower-case hex digits for each enabled key, that of the primary key first: eight that name the key and the
// 64 of the HMAC-SHA256 of data.
// Uses: pan-index, replay-key; Internal for others.
func (r *Ring) Index(use pin.Use, data []byte) ([]string, error) {
	keys, err := primitive[Index](r, use)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(keys))
	for i, key := range keys {
		sum, err := key.ComputePRF(data, tagSize)
		if err != nil {
			return nil, failed(err, err)
		}
		out[i] = key.id + hex.EncodeToString(sum)
	}
	return out, nil
}

// Rewrap is [Ring.Open] and then [Ring.Seal], under the primary key: errors as of both.
func (r *Ring) Rewrap(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	plain, err := r.Open(use, ciphertext, associated)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return r.Seal(use, plain, associated)
}

// Stale tells whether an output was made under another key than the use's primary one. No output is stale.
func (r *Ring) Stale(use pin.Use, output []byte) bool {
	id := r.named(use, output)
	return len(output) > 0 && (id == "" || id != r.keys.KeyIDs(use)[0])
}

// KeyID is the id of the key that made an output, eight hex digits, and whether it is an enabled key of the use.
func (r *Ring) KeyID(use pin.Use, output []byte) (string, bool) {
	id := r.named(use, output)
	return id, id != "" && slices.Contains(r.keys.KeyIDs(use), id)
}

// named is the id of the key that an output says it was made under, "" where it says nothing or there is no such use.
func (r *Ring) named(use pin.Use, output []byte) string {
	switch _, isIndex := r.keys.Primitive(use).(Index); {
	case len(r.keys.KeyIDs(use)) == 0:
	case isIndex && len(output) > 2*keyIDSize:
		return string(output[:2*keyIDSize])
	case !isIndex && len(output) > 1+keyIDSize && output[0] == cryptofmt.TinkStartByte:
		return hex.EncodeToString(output[1 : 1+keyIDSize])
	}
	return ""
}
