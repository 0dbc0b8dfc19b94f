package auditlog

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/keyring"
)

// signer signs notes by a key of the vault's.
type signer struct {
	note.Verifier // of its own signatures: name and hash are the same
	key           crypto.Signer
}

// Sign is note.Signer's.
func (s signer) Sign(message []byte) ([]byte, error) { return s.key.Sign(nil, message, crypto.Hash(0)) }

// errNoKey is what a keyset says that is older than the log.
var errNoKey = errors.New("the keyset has no key for the audit log: make one with 'pinvault keys rotate --use audit-log'")

// signers are the keys of a log of that origin, the current one first.
func signers(origin string, keys []keyring.SigningKey) ([]note.Signer, error) {
	names, err := Verifiers(origin, keys)
	if err != nil {
		return nil, err
	}
	out := make([]note.Signer, len(keys))
	for i, name := range names {
		v, err := note.NewVerifier(name)
		if err != nil {
			return nil, err
		}
		out[i] = signer{v, keys[i].Key}
	}
	return out, nil
}

// Verifiers are what notes of a log are verified by (C2SP signed-note, vkey), the current key's first. The origin is the log's
// name; see [CheckOrigin].
func Verifiers(origin string, keys []keyring.SigningKey) ([]string, error) {
	if len(keys) == 0 {
		return nil, errNoKey
	}
	out := make([]string, len(keys))
	for i, k := range keys {
		public, ok := k.Key.Public().(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("the key %s of the audit log is not one of Ed25519", k.KID)
		}
		v, err := note.NewEd25519VerifierKey(origin, public)
		if err != nil {
			return nil, err
		}
		if _, err := note.NewVerifier(v); err != nil {
			return nil, fmt.Errorf("%q is no name of a log", origin)
		}
		out[i] = v
	}
	return out, nil
}
