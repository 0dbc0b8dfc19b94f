package pinblock_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pinblock"
)

func TestKeyLengths(t *testing.T) {
	taken := map[string][]int{"TDES": {16, 24}, "AES": {16, 24, 32}}
	for cipher, construct := range map[string]func([]byte) (*pinblock.Key, error){
		"TDES": pinblock.NewTDES, "AES": pinblock.NewAES,
	} {
		for n := range 41 {
			key, err := construct(make([]byte, n))
			if !slices.Contains(taken[cipher], n) {
				require.ErrorIs(t, err, pinblock.ErrKeyLength, "%s of %d bytes", cipher, n)
				require.Nil(t, key)
				continue
			}
			require.NoError(t, err, "%s of %d bytes", cipher, n)
		}
	}
}

func TestAKeyOutlivesTheBytesItWasMadeOf(t *testing.T) {
	for _, f := range []pinblock.Format{pinblock.ISO0, pinblock.ISO4} {
		raw := unhex(sealKey(f))
		construct := pinblock.NewTDES
		if f == pinblock.ISO4 {
			construct = pinblock.NewAES
		}
		key, err := construct(raw)
		require.NoError(t, err)
		require.Equal(t, unhex(sealKey(f)), raw, "the caller's bytes are the caller's")
		clear(raw)

		want, err := newKey(t, f, sealKey(f)).Encrypt(f, []byte("1234"), panSixteen, zeros{})
		require.NoError(t, err)
		got, err := key.Encrypt(f, []byte("1234"), panSixteen, zeros{})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestDegenerateKeys(t *testing.T) {
	const k1, k2, k3 = "0123456789ABCDEF", "FEDCBA9876543210", "0F1E2D3C4B5A6978"
	const k1OtherParity = "0022446688AACCEE"
	for _, v := range []struct {
		name, key string
		want      bool
	}{
		{"two different halves", k1 + k2, false},
		{"two equal halves", k1 + k1, true},
		{"halves that differ in parity bits only", k1 + k1OtherParity, true},
		{"halves that differ in one bit that counts", k1 + "0123456789ABCDED", false},
		{"halves that differ in their first byte alone", k1 + "0323456789ABCDEF", false},
		{"halves that differ in a byte between equal ones", k1 + "0123456F89ABCDEF", false},
		{"three different parts", k1 + k2 + k3, false},
		{"first and last part equal, as strong as double length", k1 + k2 + k1, false},
		{"first two parts equal", k1 + k1 + k3, true},
		{"last two parts equal", k1 + k3 + k3, true},
		{"last two parts equal but for parity", k2 + k1 + k1OtherParity, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			require.Equal(t, v.want, newKey(t, pinblock.ISO0, v.key).Degenerate())
		})
	}
	require.False(t, newKey(t, pinblock.ISO4, k1+k1).Degenerate(), "AES has no parts")
}

func TestWeakKeys(t *testing.T) {
	const k1, k2 = "0123456789ABCDEF", "FEDCBA9876543210"
	for _, weak := range []string{ // NIST SP 800-67, 3.3.2
		"0101010101010101", "FEFEFEFEFEFEFEFE", "E0E0E0E0F1F1F1F1", "1F1F1F1F0E0E0E0E",
		"011F011F010E010E", "1F011F010E010E01", "01E001E001F101F1", "E001E001F101F101",
		"01FE01FE01FE01FE", "FE01FE01FE01FE01", "1FE01FE00EF10EF1", "E01FE01FF10EF10E",
		"1FFE1FFE0EFE0EFE", "FE1FFE1FFE0EFE0E", "E0FEE0FEF1FEF1FE", "FEE0FEE0FEF1FEF1",
		"0000000000000000", "FFFFFFFFFFFFFFFF", "001E001E000E000F", // other parity
	} {
		require.True(t, newKey(t, pinblock.ISO0, weak+k2).Weak(), "%s first", weak)
		require.True(t, newKey(t, pinblock.ISO0, k1+weak).Weak(), "%s second", weak)
		require.True(t, newKey(t, pinblock.ISO0, k1+k2+weak).Weak(), "%s third", weak)
	}
	for _, strong := range []string{
		k1, k2, "0301010101010101", "0103010101010101", "0101030101010101", "0101010301010101",
		"0101010103010101", "0101010101030101", "0101010101010301", "0101010101010103",
		"E0E0E0E0E0E0E0E0", "1F1F1F1F1F1F1F1F", "1F1F1F1FF1F1F1F1", "E0E0E0E00E0E0E0E",
		"011F011F011F011F", "0E0E0E0E1F1F1F1F", "0202020202020202", "1F0E1F0E1F0E1F0E",
	} {
		require.False(t, newKey(t, pinblock.ISO0, strong+"0F1E2D3C4B5A6978").Weak(), strong)
	}
	require.False(t, newKey(t, pinblock.ISO4, "01010101010101010101010101010101").Weak(), "AES has no parts")
}

func TestLongCheckValueBeginsWithTheShortOne(t *testing.T) {
	for f, want := range map[pinblock.Format]string{pinblock.ISO0: "08D7B4FB629D0885", pinblock.ISO4: "2090A673750F9D15"} {
		key := newKey(t, f, "0123456789ABCDEFFEDCBA9876543210")
		require.Equal(t, want, key.LongCheckValue())
		require.Equal(t, want[:6], key.CheckValue())
	}
	require.Empty(t, pinblock.Key{}.LongCheckValue())
}

func TestAKeyPrintsStarsOnly(t *testing.T) {
	for _, f := range []pinblock.Format{pinblock.ISO0, pinblock.ISO4} {
		key := newKey(t, f, sealKey(f))
		for _, printed := range []any{key, *key} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%30.2s"} {
				require.Equal(t, "****", fmt.Sprintf(verb, printed), "%s of a %T", verb, printed)
			}
			text, err := json.Marshal(map[string]any{"key": printed})
			require.NoError(t, err)
			require.JSONEq(t, `{"key":"****"}`, string(text))

			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", printed)
			slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", printed)
			require.Contains(t, log.String(), "key=****")
			require.Contains(t, log.String(), `"key":"****"`)
		}
		require.Equal(t, "****", key.String())
		require.Equal(t, "****", key.GoString())
		require.Equal(t, "****", key.LogValue().String())
	}
}

// fmt does not call methods of unexported fields and takes %p for itself, so the key must not be within its reach.
func TestAKeyIsOutOfReachOfReflection(t *testing.T) {
	for _, f := range []pinblock.Format{pinblock.ISO0, pinblock.ISO4} {
		key := newKey(t, f, sealKey(f))
		for _, holder := range []any{struct{ key pinblock.Key }{*key}, struct{ key *pinblock.Key }{key}, *key} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%p"} {
				text := strings.ToUpper(fmt.Sprintf(verb, holder))
				for _, part := range []string{sealKey(f)[:8], sealKey(f)[8:16], sealKey(f)[24:32]} {
					b := unhex(part)
					require.NotContains(t, text, part)
					require.NotContains(t, text, fmt.Sprintf("%d %d %d %d", b[0], b[1], b[2], b[3]))
					require.NotContains(t, text, fmt.Sprintf("0X%X, 0X%X, 0X%X, 0X%X", b[0], b[1], b[2], b[3]))
				}
			}
		}
	}
}

func TestManyGoroutinesMayShareAKey(t *testing.T) {
	var group sync.WaitGroup
	for _, f := range formats {
		key := newKey(t, f, sealKey(f))
		for range 4 {
			group.Go(func() {
				for range 100 {
					block, err := key.Encrypt(f, []byte("1234"), panSixteen, zeros{})
					if err != nil {
						t.Error(err)
						return
					}
					if pin, err := key.Decrypt(f, block, panSixteen); err != nil || string(pin) != "1234" {
						t.Errorf("%s: PIN did not come out: %v", f, err)
						return
					}
				}
			})
		}
	}
	group.Wait()
}
