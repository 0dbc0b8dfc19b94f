package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	tinkhmac "github.com/tink-crypto/tink-go/v2/mac/hmac"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"pinvault/impl/keymaterial"
)

// Sizes in bytes.
const (
	keySize   = 32 // of every key, the master key included
	keyIDSize = 4
	tagSize   = 32 // HMAC-SHA256 in full, and so the index
)

// The algorithms of the vault's own keys.
const (
	HMAC    = "HMAC-SHA256"
	GCM     = "AES-256-GCM"
	ECDSA   = "ES256"
	Ed25519 = "Ed25519"
)

// kind is what the keys of a use can do.
type kind struct {
	algorithm string
	drawn     int // bytes for a key: its material and, where the key has no id of its own, its id
	// about is what is told of a key of that material.
	about func(material []byte) (about, error)
	// key is a key of that material and, except for indexes, whose outputs name no key, of that id; nil for signing keys,
	// which Tink does not hold.
	key func(material secretdata.Bytes, id uint32) (key.Key, error)
	// primitive is a tink.MAC, a tink.AEAD or an [Index], over all keys of the handle, whose ids these are.
	primitive func(h *keyset.Handle, ids []string) (any, error)
	// sign is a signing key of that material, nil for all others.
	sign func(material []byte) (SigningKey, error)
}

// about is what may be told of a key. The id is "" where it is drawn.
type about struct{ checkValue, id string }

// checkDigits is how many hex digits a check value has: as many as ANSI X9.24-1 (A.3) allows of an AES key.
const checkDigits = 10

// aboutHMAC checks a key by the MAC of a text that begins like no input of the vault's: these begin with a length.
func aboutHMAC(material []byte) (about, error) {
	m := hmac.New(sha256.New, material)
	m.Write([]byte("pinvault check value"))
	return about{checkValue: fmt.Sprintf("%X", m.Sum(nil))[:checkDigits]}, nil
}

// aboutAES checks a key by the CMAC of zeros.
func aboutAES(material []byte) (about, error) {
	block, err := keymaterial.AES.New(material)
	if err != nil {
		return about{}, err
	}
	return about{checkValue: keymaterial.CheckValue(block)[:checkDigits]}, nil
}

var (
	macKind = kind{
		algorithm: HMAC, drawn: keySize + keyIDSize, about: aboutHMAC,
		key: func(material secretdata.Bytes, id uint32) (key.Key, error) {
			p, err := tinkhmac.NewParameters(tinkhmac.ParametersOpts{
				KeySizeInBytes: keySize, TagSizeInBytes: tagSize, HashType: tinkhmac.SHA256, Variant: tinkhmac.VariantTink})
			if err != nil {
				return nil, err
			}
			return tinkhmac.NewKey(material, p, id)
		},
		primitive: func(h *keyset.Handle, _ []string) (any, error) { return mac.New(h) },
	}
	aeadKind = kind{
		algorithm: GCM, drawn: keySize + keyIDSize, about: aboutAES,
		key: func(material secretdata.Bytes, id uint32) (key.Key, error) {
			p, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
				KeySizeInBytes: keySize, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink})
			if err != nil {
				return nil, err
			}
			return aesgcm.NewKey(material, id, p)
		},
		primitive: func(h *keyset.Handle, _ []string) (any, error) { return aead.New(h) },
	}
	indexKind = kind{
		algorithm: HMAC, drawn: keySize + keyIDSize, about: aboutIndex,
		key: func(material secretdata.Bytes, _ uint32) (key.Key, error) {
			p, err := hmacprf.NewParameters(keySize, hmacprf.SHA256)
			if err != nil {
				return nil, err
			}
			return hmacprf.NewKey(material, p)
		},
		primitive: func(h *keyset.Handle, ids []string) (any, error) { return newIndex(h, ids) },
	}
	signKind = kind{algorithm: ECDSA, drawn: keySize, about: aboutSigning(parseSigningKey), sign: parseSigningKey}
	noteKind = kind{algorithm: Ed25519, drawn: keySize, about: aboutSigning(parseNoteKey), sign: parseNoteKey}
)

var errKeyID = errors.New("the id of a key is not eight hex digits")

// parse is a key as Tink has it.
func (k kind) parse(one heldKey) (key.Key, error) {
	id, err := hex.DecodeString(one.ID)
	if err != nil || len(id) != keyIDSize {
		return nil, errKeyID
	}
	return k.key(secretdata.NewBytesFromData(one.material, insecuresecretdataaccess.Token{}), binary.BigEndian.Uint32(id))
}

// Index is the keys of an index use, the active one first and the others in the order of their making.
type Index []indexKey

// indexKey is a key with the id that its outputs begin with. Tink names such keys at random, wherever a key set is made,
// so the id is the key's own.
type indexKey struct {
	prf.PRF
	id string
}

// aboutIndex names a key by what it makes of a text that no input is, since inputs begin with a length.
func aboutIndex(material []byte) (about, error) {
	m := hmac.New(sha256.New, material)
	m.Write([]byte("pinvault: id of an index key"))
	of, err := aboutHMAC(material)
	of.id = hex.EncodeToString(m.Sum(nil)[:keyIDSize])
	return of, err
}

// newIndex makes the keys of an index use ready, which are in the handle in their order.
func newIndex(h *keyset.Handle, ids []string) (Index, error) {
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return nil, err
	}
	var out Index
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, err
		}
		at := len(out)
		if e.IsPrimary() {
			at = 0
		}
		out = slices.Insert(out, at, indexKey{set.PRFs[e.KeyID()], ids[i]})
	}
	return out, nil
}
