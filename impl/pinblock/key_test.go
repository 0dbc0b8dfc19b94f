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
