package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"

	"pinvault/impl/pin"
)

// Keyset is all keys of a vault. It prints as ****.
type Keyset struct {
	hidden
	createdAt  time.Time
	handles    map[pin.Use]*keyset.Handle
	primitives map[pin.Use]any         // what the use's kind makes of the handle
	ids        map[pin.Use][]string    // of the use's enabled keys, the current one first
	signing    map[string][]SigningKey // by the lists' names
}

// uses says what each use may do.
var uses = []struct {
	use  pin.Use
	kind kind
}{
	{pin.UseVerifier, aeadKind},
	{pin.UsePIN, aeadKind},
	{pin.UsePAN, aeadKind},
	{pin.UsePANIndex, indexKind},
	{pin.UseAudit, macKind},
	{pin.UseFingerprint, macKind},
	{pin.UseSecret, aeadKind},
	{pin.UseKeyWrap, aeadKind},
	{pin.UseSeal, macKind},
	{pin.UseReplayKey, indexKind},
}

// source draws n bytes for the key of that name. The caller clears them.
type source func(name string, n int) ([]byte, error)

// Generate draws a fresh keyset from random, which is crypto/rand.Reader in production; now is kept as the time of its
// making. It fails when random does, and once in 2^32 times because the bytes drawn are no P-256 key.
func Generate(random io.Reader, now time.Time) (*Keyset, error) {
	return generate(now.UTC(), func(_ string, n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(random, b)
		return b, err
	})
}

// Sandbox is the keyset of every sandbox: derived from a public constant (HKDF-SHA256, RFC 5869), so that processes
// share it without a file. Everybody has its keys. It protects nothing.
func Sandbox() *Keyset {
	created := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	ks, err := generate(created, func(name string, n int) ([]byte, error) {
		return hkdf.Key(sha256.New, []byte("pinvault sandbox"), nil, name, n)
	})
	if err != nil {
		panic(err) // of a constant, so it would fail always or never
	}
	return ks
}

func generate(createdAt time.Time, draw source) (*Keyset, error) {
	handles := make(map[pin.Use]*keyset.Handle, len(uses))
	for _, u := range uses {
		h, err := newHandle(string(u.use), u.kind, draw)
		if err != nil {
			return nil, fmt.Errorf("keyring: generate the keys for %s: %w", u.use, err)
		}
		handles[u.use] = h
	}
	signing := make(map[string][]SigningKey, len(signers))
	for _, name := range signers {
		key, err := drawSigningKey(name, draw)
		if err != nil {
			return nil, fmt.Errorf("keyring: generate the %s key: %w", name, err)
		}
		signing[name] = []SigningKey{key}
	}
	return newKeyset(createdAt, handles, signing)
}

// newHandle makes a key set of one key.
func newHandle(name string, k kind, draw source) (*keyset.Handle, error) {
	b, err := draw(name, keySize+keyIDSize)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	material := secretdata.NewBytesFromData(b[:keySize], insecuresecretdataaccess.Token{})
	key, err := k.key(material, binary.BigEndian.Uint32(b[keySize:]))
	if err != nil {
		return nil, err
	}
	m := keyset.NewManager()
	id, err := m.AddKey(key)
	if err != nil {
		return nil, err
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, err
	}
	return m.Handle()
}

// newKeyset makes the keys ready for use. Each handle must be of its use's kind.
func newKeyset(createdAt time.Time, handles map[pin.Use]*keyset.Handle, signing map[string][]SigningKey) (*Keyset, error) {
	ks := &Keyset{createdAt: createdAt, handles: handles, primitives: make(map[pin.Use]any, len(uses)),
		ids: make(map[pin.Use][]string, len(uses)), signing: signing}
	for _, u := range uses {
		p, err := u.kind.primitive(handles[u.use])
		if err != nil {
			return nil, fmt.Errorf("keyring: keys for %s: %w", u.use, err)
		}
		ks.primitives[u.use] = p
		if ks.ids[u.use], err = enabled(handles[u.use], p); err != nil {
			return nil, fmt.Errorf("keyring: keys for %s: %w", u.use, err)
		}
	}
	return ks, nil
}

// enabled are the ids by which outputs name a handle's enabled keys, the primary one's first and the others' in the order of
// their making.
func enabled(h *keyset.Handle, primitive any) (ids []string, err error) {
	if keys, ok := primitive.(Index); ok {
		for _, key := range keys {
			ids = append(ids, key.id)
		}
		return ids, nil
	}
	primary, err := h.Primary()
	if err != nil {
		return nil, err
	}
	ids = []string{keyID(primary.KeyID())}
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return nil, err
		}
		if e.KeyStatus() == keyset.Enabled && !e.IsPrimary() {
			ids = append(ids, keyID(e.KeyID()))
		}
	}
	return ids, nil
}

// keyID is a key's id in text: eight lower-case hex digits.
func keyID(id uint32) string { return fmt.Sprintf("%08x", id) }

// SigningKeys are the keys of access tokens, the one to sign with first. The others verify what they signed before.
func (ks *Keyset) SigningKeys() []SigningKey { return slices.Clone(ks.signing[tokenSigners]) }

// CheckpointKeys are the keys of checkpoints of the audit trail, the one to sign with first. The others verify what they
// signed before.
func (ks *Keyset) CheckpointKeys() []SigningKey { return slices.Clone(ks.signing[checkpointSigners]) }
