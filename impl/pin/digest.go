package pin

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"sync"
)

// What is only ever compared with, PINs and secrets, rests as the ciphertext of a digest, bound to whose it is. Whoever
// has the keys can put it under another key without the PIN or the secret; whoever has not learns nothing from it, not
// even that two are the same.
//
// A PIN's digest is salted, since there are few PINs: where digests come to light, each must be guessed by itself. A
// secret has more to guess than anybody can.

// saltSize is that of a verifier, in bytes.
const saltSize = 16

// KeepSecret makes what rests of a secret. bound says whose it is and what for.
func KeepSecret(keys AEADs, secret string, bound ...string) ([]byte, error) {
	digest := sha256.Sum256([]byte(secret))
	return keys.Seal(UseSecret, digest[:], Frame(bound...))
}

// SecretMatches tells whether a secret is the one that something was kept of, in constant time. The error is for what
// is wrong with us.
func SecretMatches(keys AEADs, kept []byte, secret string, bound ...string) (bool, error) {
	digest := sha256.Sum256([]byte(secret))
	known, err := keys.Open(UseSecret, kept, Frame(bound...))
	return err == nil && subtle.ConstantTimeCompare(known, digest[:]) == 1, err
}

// secretMatches is [SecretMatches] that takes the same steps where nothing was kept, and is false.
func (v *Vault) secretMatches(kept []byte, secret string, bound ...string) (bool, error) {
	if len(kept) > 0 {
		return SecretMatches(v.keys, kept, secret, bound...)
	}
	decoy, err := v.decoySecret.get(func(kept []byte) bool { return !v.keys.Stale(UseSecret, kept) },
		func() ([]byte, error) { return KeepSecret(v.keys, "") })
	if err == nil {
		_, err = SecretMatches(v.keys, decoy, secret)
	}
	return false, err
}

// verifier makes what a PIN is compared with later, bound to its card.
func (v *Vault) verifier(cardID string, p PIN) ([]byte, error) {
	var salt [saltSize]byte
	if _, err := io.ReadFull(v.rand, salt[:]); err != nil {
		return nil, &Error{Code: Internal, Err: err}
	}
	digest := pinDigest(salt[:], cardID, p)
	kept := append(salt[:], digest[:]...)
	defer clear(kept)
	return v.keys.Seal(UseVerifier, kept, verifierBound(cardID))
}

// matches holds a PIN against a verifier, in constant time. None matches no PIN, and takes the same steps. The error is
// for what is wrong with us.
func (v *Vault) matches(cardID string, p PIN, verifier []byte) (bool, error) {
	if len(verifier) == 0 {
		decoy, err := v.decoyVerifier.get(func(kept []byte) bool { return !v.keys.Stale(UseVerifier, kept) },
			func() ([]byte, error) { return v.verifier(nobodyID, PIN{}) })
		if err == nil {
			_, err = v.matches(nobodyID, p, decoy)
		}
		return false, err
	}
	known, err := v.keys.Open(UseVerifier, verifier, verifierBound(cardID))
	if err != nil {
		return false, err
	}
	defer clear(known)
	if len(known) != saltSize+sha256.Size {
		return false, &Error{Code: Internal, Err: errTampered}
	}
	digest := pinDigest(known[:saltSize], cardID, p)
	return subtle.ConstantTimeCompare(known[saltSize:], digest[:]) == 1, nil
}

func pinDigest(salt []byte, cardID string, p PIN) [sha256.Size]byte {
	input := frame(string(salt), cardID, string(p.Digits()))
	defer clear(input)
	return sha256.Sum256(input)
}

// verifierBound is what a card's verifiers are bound to.
func verifierBound(cardID string) []byte { return frame(cardID) }

// lasting is a value that is made when it is first asked for, and made anew once it is no good any more.
type lasting[T any] struct {
	mu    sync.Mutex
	there bool
	value T
}

func (l *lasting[T]) get(good func(T) bool, anew func() (T, error)) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.there && good(l.value) {
		return l.value, nil
	}
	made, err := anew()
	l.value, l.there = made, err == nil
	return made, err
}
