package keyring

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"pinvault/impl/pin"
)

// rotated is the keyset with a new primary key for every use and a new first key in each list of signing keys, after a way through its
// file. It also returns the ids of the primary keys.
func rotated(t *testing.T, ks *Keyset) (*Keyset, map[pin.Use]uint32) {
	t.Helper()
	handles, ids := maps.Clone(ks.handles), map[pin.Use]uint32{}
	for use, h := range handles {
		old, err := h.Primary()
		require.NoError(t, err)
		m := keyset.NewManagerFromHandle(h)
		ids[use], err = m.AddNewKeyFromParameters(old.Key().Parameters())
		require.NoError(t, err)
		require.NoError(t, m.SetPrimary(ids[use]))
		handles[use], err = m.Handle()
		require.NoError(t, err)
	}
	fresh, err := Generate(rand.Reader, time.Time{})
	require.NoError(t, err)
	signing := map[string][]SigningKey{}
	for _, name := range signers {
		signing[name] = slices.Concat(fresh.signing[name], ks.signing[name])
	}
	out, err := newKeyset(ks.createdAt, handles, signing)
	require.NoError(t, err)

	var text bytes.Buffer
	master, err := MasterKey(make([]byte, keySize))
	require.NoError(t, err)
	require.NoError(t, out.Write(&text, master))
	out, err = Read(&text, master)
	require.NoError(t, err)
	require.Equal(t, fresh.SigningKeys()[0].KID, out.SigningKeys()[0].KID)
	require.Equal(t, fresh.CheckpointKeys()[0].KID, out.CheckpointKeys()[0].KID)
	return out, ids
}

func TestRotationKeepsWhatOlderKeysMade(t *testing.T) {
	before := New(Sandbox(), nil, time.Now)
	ks, ids := rotated(t, before.keys.(*Keyset))
	ks, newest := rotated(t, ks)
	require.NotEqual(t, ids, newest)
	after := New(ks, nil, time.Now)
	made := func(use pin.Use) []byte { // what outputs of the newest key begin with
		id := newest[use]
		return []byte{1, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
	}

	for _, use := range []pin.Use{pin.UseVerifier, pin.UseAudit, pin.UseFingerprint, pin.UseSecret, pin.UseSeal} {
		t.Run("MACs of "+string(use), func(t *testing.T) {
			old, err := before.MAC(use, []byte("data"))
			require.NoError(t, err)
			require.True(t, after.VerifyMAC(use, []byte("data"), old))
			fresh, err := after.MAC(use, []byte("data"))
			require.NoError(t, err)
			require.Equal(t, made(use), fresh[:5])
			require.True(t, after.VerifyMAC(use, []byte("data"), fresh))
			require.False(t, before.VerifyMAC(use, []byte("data"), fresh))
		})
	}
	for _, use := range []pin.Use{pin.UsePIN, pin.UsePAN, pin.UseKeyWrap} {
		t.Run("ciphertexts of "+string(use), func(t *testing.T) {
			old, err := before.Seal(use, []byte("plaintext"), nil)
			require.NoError(t, err)
			opened, err := after.Open(use, old, nil)
			require.NoError(t, err)
			require.Equal(t, "plaintext", string(opened))
			fresh, err := after.Seal(use, []byte("plaintext"), nil)
			require.NoError(t, err)
			require.Equal(t, made(use), fresh[:5])
			opened, err = after.Open(use, fresh, nil)
			require.NoError(t, err)
			require.Equal(t, "plaintext", string(opened))
			_, err = before.Open(use, fresh, nil)
			require.Error(t, err)
		})
	}
	t.Run("indexes", func(t *testing.T) {
		old, err := before.Index(pin.UsePANIndex, []byte("data"))
		require.NoError(t, err)
		all, err := after.Index(pin.UsePANIndex, []byte("data"))
		require.NoError(t, err)
		require.Len(t, all, 3, "one for each key")
		require.Equal(t, old[0], all[1], "the newest key's first, then the others' in the order of their making")
		again, err := after.Index(pin.UsePANIndex, []byte("data"))
		require.NoError(t, err)
		require.Equal(t, all, again)

		primary, err := ks.handles[pin.UsePANIndex].Primary()
		require.NoError(t, err)
		alone := keyset.NewManager()
		id, err := alone.AddKey(primary.Key())
		require.NoError(t, err)
		require.NoError(t, alone.SetPrimary(id))
		h, err := alone.Handle()
		require.NoError(t, err)
		keys, err := newIndex(h)
		require.NoError(t, err)
		require.Len(t, keys, 1)
		sum, err := keys[0].ComputePRF([]byte("data"), tagSize)
		require.NoError(t, err)
		require.Equal(t, all[0], hex.EncodeToString(sum))
	})
	t.Run("signing keys", func(t *testing.T) {
		for _, name := range signers {
			keys, first := ks.signing[name], before.keys.(*Keyset).signing[name][0]
			require.Len(t, keys, 3)
			require.Equal(t, first.KID, keys[2].KID, "the oldest comes last")
			require.True(t, first.Key.(*ecdsa.PrivateKey).Equal(keys[2].Key))
		}
	})
}

func TestDisabledKeysAreOutOfUse(t *testing.T) {
	before := New(Sandbox(), nil, time.Now)
	ks, _ := rotated(t, before.keys.(*Keyset))
	handles := maps.Clone(ks.handles)
	for use, h := range handles {
		oldest, err := h.Entry(0)
		require.NoError(t, err)
		m := keyset.NewManagerFromHandle(h)
		require.NoError(t, m.Disable(oldest.KeyID()))
		handles[use], err = m.Handle()
		require.NoError(t, err)
	}
	ks, err := newKeyset(ks.createdAt, handles, ks.signing)
	require.NoError(t, err)
	after := New(ks, nil, time.Now)

	mac, err := before.MAC(pin.UseVerifier, []byte("data"))
	require.NoError(t, err)
	require.False(t, after.VerifyMAC(pin.UseVerifier, []byte("data"), mac))
	sealed, err := before.Seal(pin.UsePAN, []byte("plaintext"), nil)
	require.NoError(t, err)
	_, err = after.Open(pin.UsePAN, sealed, nil)
	require.Error(t, err)
	index, err := after.Index(pin.UsePANIndex, []byte("data"))
	require.NoError(t, err)
	require.Len(t, index, 1)
}

// A file that holds keys of another kind, written by whoever has the master key, is refused when it is read.
func TestKeysOfTheWrongKindAreRefused(t *testing.T) {
	ks := Sandbox()
	kek, err := MasterKey(make([]byte, keySize))
	require.NoError(t, err)
	for _, u := range uses {
		for _, other := range uses {
			handles := maps.Clone(ks.handles)
			handles[u.use] = ks.handles[other.use]
			wrong := *ks
			wrong.handles = handles
			var text bytes.Buffer
			require.NoError(t, wrong.Write(&text, kek))
			_, err := Read(&text, kek)
			if reflect.TypeOf(ks.primitives[u.use]) == reflect.TypeOf(ks.primitives[other.use]) {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "keyring: keys for "+string(u.use)+": ")
			}
		}
	}
}

// The row of a zone key that opens and yet holds no key of its algorithm is as good as one that does not open.
func TestWrappedBytesThatAreNoKeyAreNotUsed(t *testing.T) {
	ring := New(Sandbox(), nil, time.Now)
	for name, row := range map[string]pin.ZoneKey{
		"unknown algorithm": {ID: "key", Usage: pin.UsageZonePIN, Algorithm: "RSA"},
		"wrong length":      {ID: "key", Usage: pin.UsageZonePIN, Algorithm: "AES"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			row.Wrapped, err = ring.Seal(pin.UseKeyWrap, []byte("no key"), bound(row))
			require.NoError(t, err)
			ring.zone = oneRow(row)
			_, err = ring.ZoneKey(t.Context(), "", "key")
			require.Equal(t, internal(errNotOpened), err)
		})
	}
}

// oneRow has one zone key.
type oneRow pin.ZoneKey

func (r oneRow) ZoneKey(context.Context, string) (pin.ZoneKey, error) { return pin.ZoneKey(r), nil }
