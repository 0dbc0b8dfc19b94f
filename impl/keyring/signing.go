package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// The lists of signing keys, by their names beside the uses, in the file and in derivation. Each signs one kind of
// thing, so that a signature under one list is worth nothing where the other is asked for.
const (
	tokenSigners      = "signing"    // access tokens
	checkpointSigners = "checkpoint" // checkpoints of the audit trail
)

// signers are all of the lists.
var signers = []string{tokenSigners, checkpointSigners}

// SigningKey signs by ES256, so the curve is P-256. It prints as ****.
type SigningKey struct {
	hidden
	KID string        // JWK thumbprint, SHA-256, base64url (RFC 7638)
	Key crypto.Signer // its Public is an *ecdsa.PublicKey
}

func drawSigningKey(name string, draw source) (SigningKey, error) {
	b, err := draw(name, keySize)
	if err != nil {
		return SigningKey{}, err
	}
	defer clear(b)
	// Bytes that are no key are refused and not drawn again: a random source that gives them twice is broken.
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b)
	if err != nil {
		return SigningKey{}, err
	}
	return newSigningKey(key)
}

func newSigningKey(key crypto.Signer) (SigningKey, error) {
	public, err := jwk.Import(key.Public())
	if err != nil {
		return SigningKey{}, err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{KID: base64.RawURLEncoding.EncodeToString(thumbprint), Key: key}, nil
}

// marshalSigning is the keys as a JWK set (RFC 7517), private parts included. The caller clears it.
func marshalSigning(keys []SigningKey) ([]byte, error) {
	set := jwk.NewSet()
	for _, k := range keys {
		j, err := jwk.Import(k.Key)
		if err != nil {
			return nil, err
		}
		err = errors.Join(
			j.Set(jwk.KeyIDKey, k.KID), j.Set(jwk.AlgorithmKey, jwa.ES256()), j.Set(jwk.KeyUsageKey, jwk.ForSignature),
			set.AddKey(j))
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(set)
}

func parseSigning(text []byte) ([]SigningKey, error) {
	set, err := jwk.Parse(text)
	if err != nil {
		return nil, err
	}
	var keys []SigningKey
	for i := range set.Len() {
		j, _ := set.Key(i)
		var key ecdsa.PrivateKey
		if err := jwk.Export(j, &key); err != nil {
			return nil, err
		}
		k, err := newSigningKey(&key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
