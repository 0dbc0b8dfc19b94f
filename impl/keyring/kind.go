package keyring

import (
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	"github.com/tink-crypto/tink-go/v2/mac/hmac"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/secretdata"
)

// Sizes in bytes.
const (
	keySize   = 32 // of every key, the master key included
	keyIDSize = 4
	tagSize   = 32 // HMAC-SHA256 in full, and so the index
)

// kind is what the keys of a use can do.
type kind struct {
	// key is a key of that material and, but for indexes, whose outputs name no key, of that id.
	key func(material secretdata.Bytes, id uint32) (key.Key, error)
	// primitive is a tink.MAC, a tink.AEAD or an [Index], over all enabled keys of the handle.
	primitive func(*keyset.Handle) (any, error)
}

var (
	macKind = kind{
		key: func(material secretdata.Bytes, id uint32) (key.Key, error) {
			p, err := hmac.NewParameters(hmac.ParametersOpts{
				KeySizeInBytes: keySize, TagSizeInBytes: tagSize, HashType: hmac.SHA256, Variant: hmac.VariantTink})
			if err != nil {
				return nil, err
			}
			return hmac.NewKey(material, p, id)
		},
		primitive: func(h *keyset.Handle) (any, error) { return mac.New(h) },
	}
	aeadKind = kind{
		key: func(material secretdata.Bytes, id uint32) (key.Key, error) {
			p, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
				KeySizeInBytes: keySize, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink})
			if err != nil {
				return nil, err
			}
			return aesgcm.NewKey(material, id, p)
		},
		primitive: func(h *keyset.Handle) (any, error) { return aead.New(h) },
	}
	indexKind = kind{
		key: func(material secretdata.Bytes, _ uint32) (key.Key, error) {
			p, err := hmacprf.NewParameters(keySize, hmacprf.SHA256)
			if err != nil {
				return nil, err
			}
			return hmacprf.NewKey(material, p)
		},
		primitive: func(h *keyset.Handle) (any, error) { return newIndex(h) },
	}
)

// Index is the enabled keys of an index use, the primary one first and the others in the order of their making.
type Index []prf.PRF

func newIndex(h *keyset.Handle) (Index, error) {
	set, err := prf.NewPRFSet(h)
	if err != nil {
		return nil, err
	}
	out := Index{set.PRFs[set.PrimaryID]}
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, err
		}
		if f, enabled := set.PRFs[e.KeyID()]; enabled && !e.IsPrimary() {
			out = append(out, f)
		}
	}
	return out, nil
}
