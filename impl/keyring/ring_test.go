package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// ways are what can be asked of a use.
var ways = map[string]struct {
	uses []pin.Use
	ask  func(r *keyring.Ring, use pin.Use) error
}{
	"MAC": {macUses, func(r *keyring.Ring, use pin.Use) error {
		_, err := r.MAC(use, []byte("data"))
		return err
	}},
	"Seal": {aeadUses, func(r *keyring.Ring, use pin.Use) error {
		_, err := r.Seal(use, []byte("data"), nil)
		return err
	}},
	"Open": {aeadUses, func(r *keyring.Ring, use pin.Use) error {
		sealed, _ := r.Seal(use, []byte("data"), nil)
		_, err := r.Open(use, sealed, nil)
		return err
	}},
	"Index": {[]pin.Use{pin.UsePANIndex}, func(r *keyring.Ring, use pin.Use) error {
		_, err := r.Index(use, []byte("data"))
		return err
	}},
}

func TestKeysServeTheirUseAndNoOther(t *testing.T) {
	ring := keyring.New(keyring.Sandbox(), nil, atNoon)
	all := slices.Concat(macUses, aeadUses, []pin.Use{pin.UsePANIndex, "", "no such use"})
	for way, w := range ways {
		for _, use := range all {
			t.Run(way+" with "+string(use), func(t *testing.T) {
				err := w.ask(ring, use)
				if slices.Contains(w.uses, use) {
					require.NoError(t, err)
					return
				}
				require.Equal(t, pin.Internal, pin.CodeOf(err))
				require.EqualError(t, err, "internal: keyring: keys of that use are not for this")
			})
		}
	}
}

func TestMACIsGoodForItsUseAndDataOnly(t *testing.T) {
	ring := keyring.New(keyring.Sandbox(), nil, atNoon)
	rapid.Check(t, func(t *rapid.T) {
		use := rapid.SampledFrom(macUses).Draw(t, "use")
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		mac, err := ring.MAC(use, data)
		require.NoError(t, err)
		require.Len(t, mac, 37)
		again, err := ring.MAC(use, data)
		require.NoError(t, err)
		require.Equal(t, mac, again, "MACs are compared where they are stored")
		require.True(t, ring.VerifyMAC(use, data, mac))

		for _, other := range slices.Concat(macUses, aeadUses, []pin.Use{pin.UsePANIndex, "no such use"}) {
			require.Equal(t, other == use, ring.VerifyMAC(other, data, mac), other)
		}
		require.False(t, ring.VerifyMAC(use, append(bytes.Clone(data), 0), mac), "longer data")
		require.False(t, ring.VerifyMAC(use, data, append(bytes.Clone(mac), 0)), "longer MAC")
		require.False(t, ring.VerifyMAC(use, data, mac[:rapid.IntRange(0, 36).Draw(t, "length")]), "shorter MAC")
		bad := bytes.Clone(mac)
		bad[rapid.IntRange(0, 36).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		require.False(t, ring.VerifyMAC(use, data, bad), "flipped bit")
	})
}

func TestCiphertextOpensForItsUseAndAssociatedDataOnly(t *testing.T) {
	ring := keyring.New(keyring.Sandbox(), nil, atNoon)
	rapid.Check(t, func(t *rapid.T) {
		use := rapid.SampledFrom(aeadUses).Draw(t, "use")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		associated := rapid.SliceOf(rapid.Byte()).Draw(t, "associated")
		sealed, err := ring.Seal(use, plain, associated)
		require.NoError(t, err)
		require.Len(t, sealed, len(plain)+33)
		again, err := ring.Seal(use, plain, associated)
		require.NoError(t, err)
		require.NotEqual(t, sealed, again, "equal plaintexts must not show")
		opened, err := ring.Open(use, sealed, associated)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, opened))

		bad := bytes.Clone(sealed)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		failures := map[string]func() ([]byte, error){
			"flipped bit": func() ([]byte, error) { return ring.Open(use, bad, associated) },
			"shorter": func() ([]byte, error) {
				return ring.Open(use, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "length")], associated)
			},
			"longer":                func() ([]byte, error) { return ring.Open(use, append(bytes.Clone(sealed), 0), associated) },
			"other associated data": func() ([]byte, error) { return ring.Open(use, sealed, append(bytes.Clone(associated), 0)) },
		}
		for _, other := range aeadUses {
			if other != use {
				failures["other use "+string(other)] = func() ([]byte, error) { return ring.Open(other, sealed, associated) }
			}
		}
		for name, open := range failures {
			got, err := open()
			requireNotOpened(t, err, name)
			require.Nil(t, got, name)
		}
	})
}

// requireNotOpened asks for the one error of everything that does not open.
func requireNotOpened(t require.TestingT, err error, what ...any) {
	require.Equal(t, pin.Internal, pin.CodeOf(err), what...)
	require.EqualError(t, err, "internal: keyring: the ciphertext does not open", what...)
	require.NoError(t, errors.Unwrap(errors.Unwrap(err)), what...)
}

func TestIndexIsTheSameForTheSameDataOnly(t *testing.T) {
	ring := keyring.New(keyring.Sandbox(), nil, atNoon)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOf(rapid.Byte()).Draw(t, "a")
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		of := func(data []byte) string {
			index, err := ring.Index(pin.UsePANIndex, data)
			require.NoError(t, err)
			require.Len(t, index, 1)
			require.Regexp(t, `^[0-9a-f]{72}$`, index[0])
			return index[0]
		}
		first, again := of(a), of(bytes.Clone(a))
		require.Equal(t, first, again)
		require.Equal(t, bytes.Equal(a, b), first == of(b))
	})
}

func TestRingServesManyAtOnce(t *testing.T) {
	store, clock := newStore(), newClock()
	ring := keyring.New(keyring.Sandbox(), store, clock.now)
	store.add(t, ring, "zpk", "", pin.UsageZonePIN, "AES", aesKey)
	block := encrypt(t, "AES", aesKey, pinblock.ISO4)
	verifier, err := ring.Seal(pin.UseVerifier, []byte("digest"), nil)
	require.NoError(t, err)
	sealed, err := ring.Seal(pin.UsePAN, []byte(pan), nil)
	require.NoError(t, err)

	var all sync.WaitGroup
	results := make([]string, 8)
	for i := range results {
		all.Go(func() {
			for range 100 {
				clock.forward(keyring.ZoneKeyLife / 10) // so that rows are read again meanwhile
				results[i] = verifyOnce(ring, verifier, sealed, block)
				if results[i] != "" {
					return
				}
			}
		})
	}
	all.Wait()
	require.Empty(t, strings.Join(results, ""))
}

// verifyOnce does a PIN verification's cryptography and says what went wrong.
func verifyOnce(ring *keyring.Ring, verifier, sealed, block []byte) string {
	number, err := ring.Open(pin.UsePAN, sealed, nil)
	if err != nil {
		return err.Error()
	}
	key, err := ring.ZoneKey(context.Background(), "program", "zpk")
	if err != nil {
		return err.Error()
	}
	p, err := key.OpenBlock(pinblock.ISO4, block, string(number))
	if err != nil {
		return err.Error()
	}
	defer p.Clear()
	if known, err := ring.Open(pin.UseVerifier, verifier, nil); p.Len() != len(digits) || err != nil || string(known) != "digest" {
		return "another PIN"
	}
	return ""
}
