package keyring

import (
	"crypto"
	"crypto/cipher"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keymaterial"
	"pinvault/impl/pin"
)

// Engine is where the vault's own keys are and do their work: a [Keyset] in this process's memory, or what keeps keys out
// of it. It says what stands in the way by a [pin.Error]: Unavailable for an engine that does not answer, after which
// the same call may succeed; Internal, or in a primitive any other error, for an input that no key of it takes.
type Engine interface {
	// Primitive is the use's keys at work: a [tink.MAC], a [tink.AEAD] or an [Index]; nil for a use without keys.
	Primitive(use pin.Use) any
	// KeyIDs are the ids by which outputs name the use's enabled keys, eight hex digits, the current one's first; none for
	// a use without keys.
	KeyIDs(use pin.Use) []string
	// SigningKeys are the keys of access tokens, the one to sign with first.
	SigningKeys() []SigningKey
	// CheckpointKeys are those of checkpoints of the audit trail, the one to sign with first.
	CheckpointKeys() []SigningKey
	// LogKeys are those of the log of checkpoints, Ed25519, the one to sign with first; none in a keyset that is older than this use.
	LogKeys() []SigningKey

	// WrapKey makes of a partner's key what UnwrapBlock or UnwrapRSA takes for the same associated data, to be kept
	// anywhere: what the keys of [pin.UseKeyWrap] seal. The caller clears key.
	WrapKey(algorithm string, key, associated []byte) ([]byte, error)
	// UnwrapBlock makes a partner's TDES or AES key ready for use.
	UnwrapBlock(algorithm string, wrapped, associated []byte) (BlockKey, error)
	// UnwrapRSA makes a partner's RSA key ready for use.
	UnwrapRSA(wrapped, associated []byte) (RSAKey, error)
}

// Answers has the keys of a use make something that nobody needs: an error where they cannot.
func Answers(e Engine, use pin.Use) (err error) {
	switch p := e.Primitive(use).(type) {
	case tink.AEAD:
		_, err = p.Encrypt([]byte("ready"), nil)
	case tink.MAC:
		_, err = p.ComputeMAC([]byte("ready"))
	case Index:
		if len(p) == 0 { // it has not answered yet
			return &pin.Error{Code: pin.Unavailable}
		}
		_, err = p[0].ComputePRF([]byte("ready"), tagSize)
	}
	return err
}

// BlockKey is a partner's TDES or AES key at work, wherever it is.
type BlockKey interface {
	// Use lends the key to work, which may not keep it. What the engine fails with is returned, Unavailable, and what
	// work has made is worth nothing then; otherwise what work returned.
	Use(work func(cipher.Block) error) error
}

// RSAKey is a partner's RSA key at work, wherever it is. Public is an *rsa.PublicKey. Decrypt takes
// *rsa.PKCS1v15DecryptOptions with a SessionKeyLen, and is then as rsa.DecryptPKCS1v15SessionKey is about padding.
type RSAKey interface {
	crypto.Signer
	crypto.Decrypter
}

// KeyID is a key's id in text, as [Engine.KeyIDs] has it.
func KeyID(id uint32) string { return fmt.Sprintf("%08x", id) }

var _, _ Engine = (*Keyset)(nil), (*Live)(nil)

// Primitive is a [tink.MAC], a [tink.AEAD] or an [Index].
func (ks *Keyset) Primitive(use pin.Use) any { return ks.view().primitives[use] }

// SigningKeys are the keys of access tokens, the one to sign with first. The others verify what they signed before, or
// will sign.
func (ks *Keyset) SigningKeys() []SigningKey { return slices.Clone(ks.view().signing[UseTokens]) }

// CheckpointKeys are the keys of checkpoints of the audit trail, the one to sign with first. The others verify what they
// signed before, or will sign.
func (ks *Keyset) CheckpointKeys() []SigningKey {
	return slices.Clone(ks.view().signing[UseCheckpoints])
}

// LogKeys are the keys of the log of checkpoints, the one to sign with first. The others sign beside it: who knows a former
// key or one to come verifies by that.
func (ks *Keyset) LogKeys() []SigningKey { return slices.Clone(ks.view().signing[UseAuditLog]) }

// KeyIDs are those of the keys that are pending, active or retiring.
func (ks *Keyset) KeyIDs(use pin.Use) []string { return ks.view().ids[use] }

// WrapKey is [InMemory]'s.
func (ks *Keyset) WrapKey(algorithm string, key, associated []byte) ([]byte, error) {
	return ks.partners().WrapKey(algorithm, key, associated)
}

// UnwrapBlock is [InMemory]'s.
func (ks *Keyset) UnwrapBlock(algorithm string, wrapped, associated []byte) (BlockKey, error) {
	return ks.partners().UnwrapBlock(algorithm, wrapped, associated)
}

// UnwrapRSA is [InMemory]'s.
func (ks *Keyset) UnwrapRSA(wrapped, associated []byte) (RSAKey, error) {
	return ks.partners().UnwrapRSA(wrapped, associated)
}

func (ks *Keyset) partners() InMemory { return InMemory{ks.Primitive(pin.UseKeyWrap).(tink.AEAD)} }

// NewIndex is the index of keys that are somewhere else, by the ids that their outputs begin with, the current one first.
func NewIndex(ids []string, keys []prf.PRF) Index {
	index := make(Index, len(keys))
	for i, key := range keys {
		index[i] = indexKey{key, ids[i]}
	}
	return index
}

// InMemory is how an engine works with partners' keys in this process's memory: they rest sealed by an AEAD, which may be
// somewhere else.
type InMemory struct{ AEAD tink.AEAD }

// WrapKey seals the key as it is.
func (m InMemory) WrapKey(_ string, key, associated []byte) ([]byte, error) {
	return m.AEAD.Encrypt(key, associated)
}

// UnwrapBlock is Internal for what does not open, or has another length than the algorithm's keys.
func (m InMemory) UnwrapBlock(algorithm string, wrapped, associated []byte) (BlockKey, error) {
	key, err := m.AEAD.Decrypt(wrapped, associated)
	if err != nil {
		return nil, failed(err, errNotOpened)
	}
	defer clear(key)
	block, err := blockCiphers[algorithm].New(key)
	if err != nil {
		return nil, internal(errNotOpened)
	}
	return blockKey{block: block}, nil
}

// UnwrapRSA is Internal for what does not open, or is no RSA key for partners.
func (m InMemory) UnwrapRSA(wrapped, associated []byte) (RSAKey, error) {
	der, err := m.AEAD.Decrypt(wrapped, associated)
	if err != nil {
		return nil, failed(err, errNotOpened)
	}
	defer clear(der)
	key, err := parseRSA(der)
	if err != nil {
		return nil, internal(errNotOpened)
	}
	return key, nil
}

// blockKey is a key in this process's memory. It prints as ****.
type blockKey struct {
	hidden
	block cipher.Block
}

// blockCiphers are the algorithms of partners' keys that are not RSA.
var blockCiphers = map[string]keymaterial.Cipher{TDES: keymaterial.TDES, AES: keymaterial.AES}

// Use never fails by itself.
func (k blockKey) Use(work func(cipher.Block) error) error { return work(k.block) }
