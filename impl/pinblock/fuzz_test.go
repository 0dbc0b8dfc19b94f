package pinblock_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pinblock"
)

func FuzzDecode(f *testing.F) {
	for _, v := range clearVectors {
		f.Add(uint8(v.format), unhex(v.want), v.pan)
	}
	for _, v := range badFields {
		f.Add(uint8(v.format), unhex(v.field), panOfZeros)
	}
	f.Add(uint8(0), []byte(nil), "")
	f.Add(uint8(pinblock.ISO0), []byte{4}, "12A4")
	f.Fuzz(func(t *testing.T, format uint8, block []byte, pan string) {
		as := pinblock.Format(format)
		pin, err := pinblock.Decode(as, block, pan)
		if !checkOpened(t, pin, err) {
			return
		}
		again, err := pinblock.Encode(as, pin, pan, zeros{})
		require.NoError(t, err)
		if as == pinblock.ISO0 {
			require.Equal(t, block, again)
		}
		reopened, err := pinblock.Decode(as, again, pan)
		require.NoError(t, err)
		require.Equal(t, pin, reopened)
	})
}

func FuzzDecrypt(f *testing.F) {
	for _, v := range keyVectors {
		f.Add(uint8(v.format), unhex(v.key), unhex(v.want), v.pan)
	}
	f.Add(uint8(pinblock.ISO4), unhex(tdesDouble), unhex("ABC5E23474210DAC"), "4451234567890129")
	f.Add(uint8(0), []byte(nil), []byte(nil), "")
	f.Fuzz(func(t *testing.T, format uint8, raw, block []byte, pan string) {
		as := pinblock.Format(format)
		for _, construct := range []func([]byte) (*pinblock.Key, error){pinblock.NewTDES, pinblock.NewAES} {
			key, err := construct(raw)
			if err != nil {
				require.ErrorIs(t, err, pinblock.ErrKeyLength)
				continue
			}
			pin, err := key.Decrypt(as, block, pan)
			if !checkOpened(t, pin, err) {
				continue
			}
			again, err := key.Encrypt(as, pin, pan, zeros{})
			require.NoError(t, err)
			if as == pinblock.ISO0 {
				require.Equal(t, block, again)
			}
			reopened, err := key.Decrypt(as, again, pan)
			require.NoError(t, err)
			require.Equal(t, pin, reopened)
		}
	})
}

// checkOpened holds what an opening gave against what it may give: a PIN or one of the package's reasons, never both.
// It says whether it was a PIN.
func checkOpened(t *testing.T, pin []byte, err error) bool {
	t.Helper()
	if err != nil {
		var reason pinblock.Error
		require.ErrorAs(t, err, &reason)
		require.Nil(t, pin)
		return false
	}
	require.Regexp(t, `^[0-9]{4,12}$`, string(pin))
	return true
}
