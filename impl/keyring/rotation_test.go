package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/pin"
)

// clock is a clock in the test's hands.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.at.Store(&at)
	return c
}

func (c *clock) Now() time.Time { return *c.at.Load() }

func (c *clock) forward(d time.Duration) {
	at := c.Now().Add(d)
	c.at.Store(&at)
}

func aKEK(t *testing.T) tink.AEAD {
	t.Helper()
	kek, err := MasterKey(make([]byte, keySize))
	require.NoError(t, err)
	return kek
}

// rotated is the keyset with a new active key for every use, after a way through its file, and the keys that it got.
func rotated(t *testing.T, ks *Keyset, now time.Time) (*Keyset, map[pin.Use]Standing) {
	t.Helper()
	next, made, err := ks.Rotated(Uses(), now, true, rand.Reader, now)
	require.NoError(t, err)
	require.Equal(t, ks.Revision()+1, next.Revision())
	var text bytes.Buffer
	require.NoError(t, next.Write(&text, aKEK(t)))
	read, err := Read(&text, aKEK(t))
	require.NoError(t, err)
	require.Equal(t, next.Keys(now), read.Keys(now))
	require.NoError(t, read.Follows(ks))
	byUse := map[pin.Use]Standing{}
	for _, k := range made {
		require.Equal(t, Active, k.State)
		byUse[k.Use] = k
	}
	require.Len(t, byUse, len(uses))
	return read, byUse
}

// usesOf are the uses whose keys are at work as a P.
func usesOf[P any]() (of []pin.Use) {
	ks := Sandbox()
	for _, u := range uses {
		if _, ok := ks.Primitive(u.use).(P); ok {
			of = append(of, u.use)
		}
	}
	return of
}

func TestRotationKeepsWhatOlderKeysMade(t *testing.T) {
	t.Parallel()
	before := New(Sandbox(), nil, nil)
	ks, _ := rotated(t, Sandbox(), morning)
	ks, newest := rotated(t, ks, morning.Add(time.Hour))
	after := New(ks, nil, nil)
	made := func(use pin.Use) []byte { // what outputs of the newest key begin with
		id, err := hex.DecodeString(newest[use].ID)
		require.NoError(t, err)
		return append([]byte{1}, id...)
	}

	for _, use := range usesOf[tink.MAC]() {
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
	for _, use := range usesOf[tink.AEAD]() {
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
	require.Equal(t, []pin.Use{pin.UsePANIndex, pin.UseReplayKey}, usesOf[Index]())
	for _, use := range usesOf[Index]() {
		t.Run("indexes of "+string(use), func(t *testing.T) {
			old, err := before.Index(use, []byte("data"))
			require.NoError(t, err)
			all, err := after.Index(use, []byte("data"))
			require.NoError(t, err)
			require.Len(t, all, 3, "one for each key")
			require.Equal(t, old[0], all[1], "the active key's first, then the others' in the order of their making")
			again, err := after.Index(use, []byte("data"))
			require.NoError(t, err)
			require.Equal(t, all, again)
		})
	}
	t.Run("signing keys", func(t *testing.T) {
		first := Sandbox()
		for name, keys := range map[pin.Use][2][]SigningKey{
			UseTokens:      {ks.SigningKeys(), first.SigningKeys()},
			UseCheckpoints: {ks.CheckpointKeys(), first.CheckpointKeys()},
			UseAuditLog:    {ks.LogKeys(), first.LogKeys()},
		} {
			require.Len(t, keys[0], 3)
			require.Equal(t, newest[name].ID, keys[0][0].KID)
			require.Equal(t, keys[1][0].KID, keys[0][2].KID, "the oldest comes last")
			require.Equal(t, keys[1][0].Key, keys[0][2].Key)
		}
	})
}

// What every key has made is told apart: which key it was, whether that is the current one, and whether it is there still.
func TestOutputsNameTheirKeys(t *testing.T) {
	first := New(Sandbox(), nil, time.Now)
	ks, newest := rotated(t, Sandbox(), morning)
	second := New(ks, nil, time.Now)
	made := func(r *Ring, use pin.Use) []byte {
		for _, u := range uses {
			if u.use != use {
				continue
			}
			switch r.keys.Primitive(use).(type) {
			case Index:
				all, err := r.Index(use, []byte("data"))
				require.NoError(t, err)
				return []byte(all[0])
			case tink.AEAD:
				out, err := r.Seal(use, []byte("data"), nil)
				require.NoError(t, err)
				return out
			}
		}
		out, err := r.MAC(use, []byte("data"))
		require.NoError(t, err)
		return out
	}
	for _, u := range uses {
		if u.kind.key == nil {
			continue // what signs names its key by a thumbprint
		}
		t.Run(string(u.use), func(t *testing.T) {
			old, fresh := made(first, u.use), made(second, u.use)
			require.False(t, first.Stale(u.use, old))
			require.True(t, second.Stale(u.use, old))
			require.False(t, second.Stale(u.use, fresh))
			require.True(t, first.Stale(u.use, fresh), "a key that is not there is not the current one")
			require.False(t, second.Stale(u.use, nil), "nothing is under no key")
			require.True(t, second.Stale(u.use, []byte("x")), "what names no key is under none that is known")

			was, there := second.KeyID(u.use, old)
			require.True(t, there)
			is, there := second.KeyID(u.use, fresh)
			require.True(t, there)
			require.Equal(t, newest[u.use].ID, is)
			require.NotEqual(t, was, is)
			id, there := first.KeyID(u.use, fresh)
			require.False(t, there)
			require.Equal(t, is, id)
			id, there = second.KeyID(u.use, []byte("x"))
			require.False(t, there)
			require.Empty(t, id)
		})
	}
	_, there := second.KeyID("no such use", made(second, pin.UseSeal))
	require.False(t, there)
}

// step is the keyset after a step of version 1 of every use.
func step(t *testing.T, ks *Keyset, s Step, now time.Time) *Keyset {
	t.Helper()
	for _, u := range uses {
		var err error
		ks, _, err = ks.After(Wish{Use: u.use, Version: 1, Step: s, Hasty: true}, now)
		require.NoError(t, err)
	}
	return ks
}

func TestRetiredKeysOpenNothingAndRestoredOnesOpenAgain(t *testing.T) {
	t.Parallel()
	before := New(Sandbox(), nil, nil)
	ks, _ := rotated(t, Sandbox(), morning)
	ks = step(t, ks, Retire, morning)
	opens := func(ks *Keyset) (opened int) {
		ring := New(ks, nil, nil)
		for _, use := range usesOf[tink.MAC]() {
			mac, err := before.MAC(use, []byte("data"))
			require.NoError(t, err)
			if ring.VerifyMAC(use, []byte("data"), mac) {
				opened++
			}
		}
		for _, use := range usesOf[tink.AEAD]() {
			sealed, err := before.Seal(use, []byte("plaintext"), nil)
			require.NoError(t, err)
			if _, err := ring.Open(use, sealed, nil); err == nil {
				opened++
			}
		}
		for _, use := range usesOf[Index]() {
			index, err := ring.Index(use, []byte("data"))
			require.NoError(t, err)
			opened += len(index) - 1
		}
		return opened + len(ks.SigningKeys()) - 1 + len(ks.CheckpointKeys()) - 1 + len(ks.LogKeys()) - 1
	}
	require.Zero(t, opens(ks))
	require.Equal(t, len(uses), opens(step(t, ks, Restore, morning)))

	destroyed := step(t, ks, Destroy, morning)
	require.Zero(t, opens(destroyed))
	var text bytes.Buffer
	require.NoError(t, destroyed.Write(&text, aKEK(t)))
	f, err := parseFile(bytes.NewReader(text.Bytes()))
	require.NoError(t, err)
	var about bytes.Buffer
	require.NoError(t, json.Compact(&about, f.Keyset))
	secret, err := aKEK(t).Decrypt(f.Material, associated("material", about.Bytes()))
	require.NoError(t, err)
	require.NotContains(t, string(secret), `/1"`, "the material of version 1 is gone")
	require.Contains(t, string(secret), `"pan/2"`)
	read, err := Read(&text, aKEK(t))
	require.NoError(t, err)
	k, err := read.Key(pin.UsePAN, 1, morning)
	require.NoError(t, err)
	require.Equal(t, Destroyed, k.State, "its record stays")
	require.NotEmpty(t, k.CheckValue)
}

// However many are at work while a key becomes active and keysets take each other's place, each output is opened by all
// who have read of the key, before its time and after.
func TestKeysRotateWhileTheVaultWorks(t *testing.T) {
	t.Parallel()
	const callers, rotations = 16, 5
	now := newClock(morning)
	ks, err := Generate(rand.Reader, morning)
	require.NoError(t, err)
	one, two := NewLive(ks, now.Now), NewLive(ks, now.Now) // two processes
	rings := []*Ring{New(one, nil, now.Now), New(two, nil, now.Now)}
	var done atomic.Bool
	var work sync.WaitGroup
	var calls atomic.Int64
	for i := range callers {
		work.Go(func() {
			by, other := rings[i%2], rings[(i+1)%2]
			for n := 0; n < 50 || !done.Load(); n++ {
				mac, err := by.MAC(pin.UseSeal, []byte("data"))
				if err != nil || !other.VerifyMAC(pin.UseSeal, []byte("data"), mac) {
					t.Errorf("a MAC of the one process is not good in the other: %v", err)
					return
				}
				sealed, err := by.Seal(pin.UsePAN, []byte("plaintext"), nil)
				if err == nil {
					_, err = other.Open(pin.UsePAN, sealed, nil)
				}
				index, _ := by.Index(pin.UsePANIndex, []byte("data"))
				all, _ := other.Index(pin.UsePANIndex, []byte("data"))
				if err != nil || !slices.Contains(all, index[0]) {
					t.Errorf("what the one process made the other does not find: %v", err)
					return
				}
				if kid := by.keys.SigningKeys()[0].KID; !slices.ContainsFunc(other.keys.SigningKeys(), func(k SigningKey) bool { return k.KID == kid }) {
					t.Error("the other process does not know the signing key")
					return
				}
				calls.Add(1)
			}
		})
	}
	for range rotations {
		before := calls.Load()
		next, _, err := one.Keyset().Rotated(Uses(), now.Now().Add(2*time.Minute), false, rand.Reader, now.Now())
		require.NoError(t, err)
		require.NoError(t, two.Replace(next)) // one after the other: in between only one of them knows
		for calls.Load() < before+callers && !t.Failed() {
			runtime.Gosched() // until all have worked in between
		}
		require.NoError(t, one.Replace(next))
		now.forward(2 * time.Minute)
	}
	done.Store(true)
	work.Wait()
	require.Greater(t, calls.Load(), int64(callers*50-1))
	active, err := one.Keyset().Key(pin.UseSeal, rotations+1, now.Now())
	require.NoError(t, err)
	require.Equal(t, Active, active.State)
}

func TestAKeysetIsReplacedByNothingButWhatHasBecomeOfIt(t *testing.T) {
	t.Parallel()
	ks, err := Generate(rand.Reader, morning)
	require.NoError(t, err)
	other, err := Generate(rand.Reader, morning)
	require.NoError(t, err)
	next, _ := rotated(t, ks, morning)
	live := NewLive(next, nil)
	require.ErrorIs(t, live.Replace(ks), ErrForeign, "an older one")
	require.ErrorIs(t, live.Replace(other), ErrForeign, "another vault's")
	otherNext, _ := rotated(t, other, morning)
	require.ErrorIs(t, live.Replace(otherNext), ErrForeign, "another vault's, as old")
	require.Equal(t, next.Keys(morning), live.Keyset().Keys(morning))
	require.NoError(t, live.Replace(next), "the same")
}

// By a clock that is put back no key comes back to work.
func TestTheActiveKeyStaysWhenTheClockIsPutBack(t *testing.T) {
	t.Parallel()
	now := newClock(morning.Add(time.Hour))
	ks, made := rotated(t, Sandbox(), morning)
	live := NewLive(ks, now.Now)
	require.Equal(t, made[UseTokens].ID, live.SigningKeys()[0].KID)
	now.forward(-24 * time.Hour)
	require.Equal(t, made[UseTokens].ID, live.SigningKeys()[0].KID)
}

func TestThereAreNoKeysForOtherUses(t *testing.T) {
	t.Parallel()
	_, _, err := Sandbox().With("moon", rand.Reader, morning)
	require.ErrorIs(t, err, ErrNoUse)
	_, _, err = Sandbox().After(Wish{Use: "moon", Version: 1, Step: Retire}, morning)
	require.ErrorIs(t, err, ErrNoUse)
	_, _, err = Sandbox().After(Wish{Use: pin.UsePAN, Version: 2, Step: Retire}, morning)
	require.ErrorIs(t, err, ErrNoKey)
	_, err = Sandbox().Key("moon", 1, morning)
	require.ErrorIs(t, err, ErrNoKey)
	_, _, err = Sandbox().With(pin.UsePAN, bytes.NewReader(nil), morning)
	require.EqualError(t, err, "keyring: generate the keys for pan: EOF")
}

// A file that holds what is no key of its use, written by whoever has the master key, is refused when it is read.
func TestKeysThatAreNotWhatTheyAreSaidToBeAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(k *heldKey)
		want   error
	}{
		"another algorithm":        {func(k *heldKey) { k.Algorithm = ECDSA }, errNewer},
		"a use that nobody knows":  {func(k *heldKey) { k.Use = "later" }, errNewer},
		"another check value":      {func(k *heldKey) { k.CheckValue = "0000000000" }, errDamaged},
		"material of another size": {func(k *heldKey) { k.material = k.material[:31] }, errMissing("audit")},
		"no material":              {func(k *heldKey) { k.material = nil }, errMissing("audit")},
		"nothing active":           {func(k *heldKey) { k.ActiveFrom = time.Time{} }, errMissing("audit")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := Sandbox()
			for i := range wrong.keys {
				if wrong.keys[i].Use == pin.UseAudit {
					tc.change(&wrong.keys[i])
					break
				}
			}
			var text bytes.Buffer
			require.NoError(t, wrong.Write(&text, aKEK(t)))
			_, err := Read(&text, aKEK(t))
			require.Equal(t, tc.want, err)
		})
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
			row.Wrapped, err = ring.Seal(pin.UseKeyWrap, []byte("no key"), row.Bound())
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
