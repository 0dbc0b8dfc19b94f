package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"pinvault/impl/pin"
)

// Keyset is all keys of a vault, past and present. It does not change: a step in the life of a key makes another keyset.
// As an [Engine] it goes by the system's clock; see [Live] for another. It prints as ****.
type Keyset struct {
	hidden
	createdAt time.Time
	revision  int64 // how many keysets came before this one
	keys      []heldKey
	now       func() time.Time
	current   *atomic.Pointer[view]
}

// heldKey is a key and its material, which is nil once the key is destroyed.
type heldKey struct {
	Key
	material []byte
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
	{UseTokens, signKind},
	{UseCheckpoints, signKind},
	{UseAuditLog, noteKind},
}

// Uses are the uses of the vault's own keys, those that sign included.
func Uses() []pin.Use {
	names := make([]pin.Use, len(uses))
	for i, u := range uses {
		names[i] = u.use
	}
	return names
}

// kindOf is what the keys of a use can do.
func kindOf(use pin.Use) (kind, bool) {
	for _, u := range uses {
		if u.use == use {
			return u.kind, true
		}
	}
	return kind{}, false
}

// What a keyset refuses.
var (
	ErrNoKey = errors.New("keyring: there is no such key")
	ErrNoUse = errors.New("keyring: there is no such use of keys")
)

// source draws n bytes for the key of that name. The caller clears them.
type source func(name string, n int) ([]byte, error)

// drawing is the source that reads from random.
func drawing(random io.Reader) source {
	return func(_ string, n int) ([]byte, error) {
		b := make([]byte, n)
		_, err := io.ReadFull(random, b)
		return b, err
	}
}

// Generate draws a fresh keyset from random, which is crypto/rand.Reader in production; now is kept as the time of its
// making. It fails when random does, and once in 2^32 times because the bytes drawn are no P-256 key.
func Generate(random io.Reader, now time.Time) (*Keyset, error) {
	return generate(exact(now), drawing(random))
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
	var keys []heldKey
	for _, u := range uses {
		k, err := draftKey(u.use, u.kind, 1, draw, createdAt)
		if err != nil {
			return nil, err
		}
		k.ActiveFrom = createdAt
		keys = append(keys, k)
	}
	return newKeyset(createdAt, 1, keys)
}

// draftKey draws a key, which is pending.
func draftKey(use pin.Use, k kind, version int, draw source, now time.Time) (heldKey, error) {
	b, err := draw(string(use), k.drawn)
	if err != nil {
		return heldKey{}, fmt.Errorf("keyring: generate the keys for %s: %w", use, err)
	}
	defer clear(b)
	material := bytes.Clone(b[:keySize])
	about, err := k.about(material)
	if err != nil {
		return heldKey{}, fmt.Errorf("keyring: generate the keys for %s: %w", use, err)
	}
	if about.id == "" {
		about.id = fmt.Sprintf("%x", b[keySize:])
	}
	return heldKey{Key{Use: use, Version: version, ID: about.id, Algorithm: k.algorithm, CheckValue: about.checkValue, CreatedAt: exact(now)}, material}, nil
}

// newKeyset makes the keys ready for use.
func newKeyset(createdAt time.Time, revision int64, keys []heldKey) (*Keyset, error) {
	ks := &Keyset{createdAt: createdAt, revision: revision, keys: keys, now: time.Now, current: &atomic.Pointer[view]{}}
	first, err := views(keys)
	if err != nil {
		return nil, err
	}
	ks.current.Store(first)
	return ks, nil
}

// by is the keyset that goes by a clock.
func (ks *Keyset) by(now func() time.Time) *Keyset {
	other := *ks
	other.now, other.current = now, &atomic.Pointer[view]{}
	other.current.Store(ks.current.Load())
	return &other
}

// of are the keys of a use, in the order of their versions.
func (ks *Keyset) of(use pin.Use) []Key { return known(held(ks.keys, use)) }

func held(keys []heldKey, use pin.Use) []heldKey {
	var out []heldKey
	for _, k := range keys {
		if k.Use == use {
			out = append(out, k)
		}
	}
	return out
}

func known(keys []heldKey) []Key {
	out := make([]Key, len(keys))
	for i, k := range keys {
		out[i] = k.Key
	}
	return out
}

// Keys are all keys as they stand at a time, use by use in the order of [Uses], the oldest of each first.
func (ks *Keyset) Keys(now time.Time) []Standing {
	var out []Standing
	for _, u := range uses {
		out = append(out, standings(ks.of(u.use), now)...)
	}
	return out
}

// Key is a key as it stands at a time: ErrNoKey.
func (ks *Keyset) Key(use pin.Use, version int, now time.Time) (Standing, error) {
	for _, s := range standings(ks.of(use), now) {
		if s.Version == version {
			return s, nil
		}
	}
	return Standing{}, ErrNoKey
}

// Revision counts the keysets that one vault has had, from 1.
func (ks *Keyset) Revision() int64 { return ks.revision }

// With is the keyset with a fresh key for the use, pending and without a date: ErrNoUse.
func (ks *Keyset) With(use pin.Use, random io.Reader, now time.Time) (*Keyset, Standing, error) {
	keys, version, err := enlarged(ks.keys, use, random, now)
	if err != nil {
		return nil, Standing{}, err
	}
	return ks.becomes(keys, use, version, now)
}

// enlarged are keys and a fresh one for the use, which has that version.
func enlarged(keys []heldKey, use pin.Use, random io.Reader, now time.Time) ([]heldKey, int, error) {
	k, ok := kindOf(use)
	if !ok {
		return nil, 0, ErrNoUse
	}
	all, version := held(keys, use), 1
	if len(all) > 0 {
		version = all[len(all)-1].Version + 1
	}
	fresh, err := draftKey(use, k, version, drawing(random), now)
	if err != nil {
		return nil, 0, err
	}
	if slices.ContainsFunc(all, func(k heldKey) bool { return k.ID == fresh.ID }) { // once in 2^32 times
		return enlarged(keys, use, random, now)
	}
	return append(slices.Clone(keys), fresh), fresh.Version, nil
}

// After is the keyset after a step of one key: a [Refusal], ErrNoUse, ErrNoKey. The material of a destroyed key is gone.
func (ks *Keyset) After(w Wish, now time.Time) (*Keyset, Standing, error) {
	keys, err := after(ks.keys, w, now)
	if err != nil {
		return nil, Standing{}, err
	}
	return ks.becomes(keys, w.Use, w.Version, now)
}

// after are keys after a step of one of them.
func after(keys []heldKey, w Wish, now time.Time) ([]heldKey, error) {
	if _, ok := kindOf(w.Use); !ok {
		return nil, ErrNoUse
	}
	changed, err := stepped(known(held(keys, w.Use)), w, now)
	if err != nil {
		return nil, err
	}
	keys = slices.Clone(keys)
	for i, k := range keys {
		if k.Use != w.Use {
			continue
		}
		at := slices.IndexFunc(changed, func(c Key) bool { return c.Version == k.Version })
		if keys[i].Key = changed[at]; !keys[i].DestroyedAt.IsZero() {
			keys[i].material = nil // not cleared: keysets share it, and the one before may be at work
		}
	}
	return keys, nil
}

// becomes is the next keyset, and a key of it.
func (ks *Keyset) becomes(keys []heldKey, use pin.Use, version int, now time.Time) (*Keyset, Standing, error) {
	next, err := newKeyset(ks.createdAt, ks.revision+1, keys)
	if err != nil {
		return nil, Standing{}, err
	}
	k, err := next.Key(use, version, now)
	return next, k, err
}

// Rotated is the keyset with a fresh key for each of the uses, which becomes active at that time: a [Refusal] where
// another key of one is about to already, or the time is before every process has had the time to read of it and the
// rotation is not hasty.
func (ks *Keyset) Rotated(of []pin.Use, at time.Time, hasty bool, random io.Reader, now time.Time) (*Keyset, []Standing, error) {
	keys, versions := ks.keys, make([]int, len(of))
	var err error
	for i, use := range of {
		if keys, versions[i], err = enlarged(keys, use, random, now); err != nil {
			return nil, nil, err
		}
		if keys, err = after(keys, Wish{Use: use, Version: versions[i], Step: Activate, At: at, Hasty: hasty}, now); err != nil {
			return nil, nil, err
		}
	}
	next, err := newKeyset(ks.createdAt, ks.revision+1, keys)
	if err != nil {
		return nil, nil, err
	}
	made := make([]Standing, len(of))
	for i, use := range of {
		if made[i], err = next.Key(use, versions[i], now); err != nil {
			return nil, nil, err
		}
	}
	return next, made, nil
}

// ErrForeign is the refusal of a keyset in the place of another one.
var ErrForeign = errors.New("keyring: this is another vault's keyset, or an older one of this vault's")

// Follows refuses a keyset that is not what has become of the other one: keys are never without a record, and no step
// is undone by an older file.
func (ks *Keyset) Follows(other *Keyset) error {
	if ks.revision < other.revision || !ks.createdAt.Equal(other.createdAt) {
		return ErrForeign
	}
	for _, k := range other.keys {
		if !slices.ContainsFunc(ks.keys, func(n heldKey) bool {
			return n.Use == k.Use && n.Version == k.Version && n.ID == k.ID && n.CheckValue == k.CheckValue
		}) {
			return ErrForeign
		}
	}
	return nil
}
