//go:build cgo

package pkcs11

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"pinvault/impl/keyring"
)

// signer is a pair on P-256 in the token. It prints as ****.
type signer struct {
	keyring.Hidden
	t       *Token
	name    string
	version uint32
	public  *ecdsa.PublicKey
}

// signers are the versions of a pair, the newest first.
func (t *Token) signers(name string) ([]keyring.SigningKey, error) {
	c, err := t.connection()
	if err != nil {
		return nil, unavailable(err)
	}
	c.mu.Lock()
	points := c.keys[name].points
	c.mu.Unlock()
	var keys []keyring.SigningKey
	for _, version := range slices.SortedFunc(maps.Keys(points), func(a, b uint32) int { return cmp.Compare(b, a) }) {
		var point []byte
		if _, err := asn1.Unmarshal(points[version], &point); err != nil {
			return nil, fmt.Errorf("pkcs11: public half of %q: %w", t.label(name), err)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, fmt.Errorf("pkcs11: public half of %q: %w", t.label(name), err)
		}
		key, err := keyring.NewSigningKey(signer{t: t, name: name, version: version, public: public})
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errMissing(t.label(name))
	}
	return keys, nil
}

func (s signer) Public() crypto.PublicKey { return s.public }

// Sign is ECDSA of a digest of 32 bytes, ASN.1 as crypto.Signer has it.
func (s signer) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	signature, err := s.t.do("sign", func(c *connection, h p11.SessionHandle) ([]byte, error) {
		key, ok, err := c.version(h, s.name, s.version)
		if err != nil || !ok {
			return nil, errors.Join(err, errMissing(s.t.label(s.name)))
		}
		if err := c.t.module.SignInit(h, mechanism(p11.CKM_ECDSA, nil), key); err != nil {
			return nil, err
		}
		return c.t.module.Sign(h, digest)
	})
	if err != nil {
		return nil, err
	}
	if len(signature) != 64 {
		return nil, errors.New("pkcs11: the token gives a signature of another size")
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])})
}
