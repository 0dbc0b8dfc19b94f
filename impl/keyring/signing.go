package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"pinvault/impl/pin"
)

// The uses of the keys that sign, beside those of [pin.Keys]. Each signs one kind of thing, so that a signature of one use
// is worth nothing where the other is asked for.
const (
	UseTokens      pin.Use = "signing"    // access tokens
	UseCheckpoints pin.Use = "checkpoint" // checkpoints of the audit trail
	UseAuditLog    pin.Use = "audit-log"  // the log that these checkpoints go to
)

// SigningKey signs by ES256, so the curve is P-256, or, for [UseAuditLog], by Ed25519. It prints as ****.
type SigningKey struct {
	hidden
	KID string        // JWK thumbprint, SHA-256, base64url (RFC 7638)
	Key crypto.Signer // its Public is an *ecdsa.PublicKey, or an ed25519.PublicKey
}

// parseSigningKey is the signing key of that material.
func parseSigningKey(material []byte) (SigningKey, error) {
	// Bytes that are no key are refused and not drawn again: a random source that gives them twice is broken.
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), material)
	if err != nil {
		return SigningKey{}, err
	}
	return NewSigningKey(key)
}

// parseNoteKey is the key of the audit log of that material, which is a seed (RFC 8032, 5.1.5).
func parseNoteKey(material []byte) (SigningKey, error) {
	return NewSigningKey(ed25519.NewKeyFromSeed(material))
}

// NewSigningKey is the signing key of a signer on P-256, or of Ed25519.
func NewSigningKey(key crypto.Signer) (SigningKey, error) {
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

// aboutSigning names a key by its thumbprint and checks it by the SHA-256 of its public half (SubjectPublicKeyInfo, DER).
func aboutSigning(parse func(material []byte) (SigningKey, error)) func(material []byte) (about, error) {
	return func(material []byte) (about, error) {
		k, err := parse(material)
		if err != nil {
			return about{}, err
		}
		public, err := x509.MarshalPKIXPublicKey(k.Key.Public())
		if err != nil {
			return about{}, err
		}
		return about{checkValue: fmt.Sprintf("%X", sha256.Sum256(public))[:checkDigits], id: k.KID}, nil
	}
}
