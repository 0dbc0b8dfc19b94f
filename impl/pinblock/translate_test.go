package pinblock_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pinblock"
)

// may is the table of PCI PIN 3.1, requirement 3-3, for online formats.
var may = map[pinblock.Format][]pinblock.Format{
	pinblock.ISO0: {pinblock.ISO0, pinblock.ISO3, pinblock.ISO4},
	pinblock.ISO1: {pinblock.ISO0, pinblock.ISO1, pinblock.ISO3, pinblock.ISO4},
	pinblock.ISO3: {pinblock.ISO0, pinblock.ISO3, pinblock.ISO4},
	pinblock.ISO4: {pinblock.ISO0, pinblock.ISO3, pinblock.ISO4},
}

// zoneOf is a zone of a format. The two have different keys.
func zoneOf(t *testing.T, f pinblock.Format, second bool) pinblock.Zone {
	t.Helper()
	key := sealKey(f)
	switch {
	case second && f == pinblock.ISO4:
		key = aes256
	case second:
		key = tdesTriple
	}
	return pinblock.Zone{Key: newKey(t, f, key), Format: f}
}

func TestWhichFormatsMayBecomeWhich(t *testing.T) {
	for from := range pinblock.Format(7) {
		for to := range pinblock.Format(7) {
			var want bool
			for _, f := range may[from] {
				want = want || f == to
			}
			require.Equal(t, want, from.MayBecome(to), "%s to %s", from, to)
		}
	}
}

func TestATranslatedBlockHasThePINForThePAN(t *testing.T) {
	for _, from := range formats {
		for _, to := range formats {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				in, out := zoneOf(t, from, false), zoneOf(t, to, true)
				for _, pin := range []string{"1234", "123456789012"} {
					block, err := in.Key.Encrypt(from, []byte(pin), panSixteen, zeros{})
					require.NoError(t, err)
					given := string(block)
					translated, err := pinblock.Translate(in, out, block, panSixteen, zeros{})
					require.Equal(t, given, string(block), "the block is the caller's")
					if !from.MayBecome(to) {
						require.Equal(t, pinblock.ErrTranslation, err)
						require.Nil(t, translated)
						continue
					}
					require.NoError(t, err)
					got, err := out.Key.Decrypt(to, translated, panSixteen)
					require.NoError(t, err)
					require.Equal(t, pin, string(got))
					want, err := out.Key.Encrypt(to, []byte(pin), panSixteen, zeros{})
					require.NoError(t, err)
					require.Equal(t, want, translated)
				}
			})
		}
	}
}

func TestABlockIsNotTranslatedForAnotherPAN(t *testing.T) {
	const other = "9876543210987654"
	for _, from := range []pinblock.Format{pinblock.ISO0, pinblock.ISO3, pinblock.ISO4} {
		in := zoneOf(t, from, false)
		block, err := in.Key.Encrypt(from, []byte("123456789012"), panSixteen, zeros{})
		require.NoError(t, err)
		for _, to := range may[from] {
			out := zoneOf(t, to, true)
			_, want := in.Key.Decrypt(from, block, other)
			require.Error(t, want)
			translated, err := pinblock.Translate(in, out, block, other, zeros{})
			require.Equal(t, want, err, "%s to %s", from, to)
			require.Nil(t, translated)
		}
	}
}

// What is refused of every block is refused whatever is in this one, so it tells nothing of it.
func TestRefusalsBeforeABlockIsOpened(t *testing.T) {
	tdes, other := zoneOf(t, pinblock.ISO0, false), zoneOf(t, pinblock.ISO3, true)
	aes := zoneOf(t, pinblock.ISO4, true)
	garbage := unhex("0102030405060708")
	_, err := tdes.Key.Decrypt(pinblock.ISO0, garbage, panSixteen)
	require.Error(t, err, "it does not open")
	for name, v := range map[string]struct {
		from, to pinblock.Zone
		pan      string
		want     error
	}{
		"to an unknown format":             {tdes, pinblock.Zone{Key: other.Key, Format: 9}, panSixteen, pinblock.ErrFormat},
		"to no format":                     {tdes, pinblock.Zone{Key: other.Key}, panSixteen, pinblock.ErrFormat},
		"from no format":                   {pinblock.Zone{Key: tdes.Key}, other, panSixteen, pinblock.ErrFormat},
		"to a format of another cipher":    {tdes, pinblock.Zone{Key: other.Key, Format: pinblock.ISO4}, panSixteen, pinblock.ErrKeyFormat},
		"from a format of another cipher":  {pinblock.Zone{Key: tdes.Key, Format: pinblock.ISO4}, other, panSixteen, pinblock.ErrKeyFormat},
		"to no key":                        {tdes, pinblock.Zone{Format: pinblock.ISO0}, panSixteen, pinblock.ErrKeyFormat},
		"from no key":                      {pinblock.Zone{Format: pinblock.ISO0}, other, panSixteen, pinblock.ErrKeyFormat},
		"to a zero key":                    {tdes, pinblock.Zone{Key: &pinblock.Key{}, Format: pinblock.ISO0}, panSixteen, pinblock.ErrKeyFormat},
		"from a zero key":                  {pinblock.Zone{Key: &pinblock.Key{}, Format: pinblock.ISO0}, other, panSixteen, pinblock.ErrKeyFormat},
		"to a format not bound":            {tdes, pinblock.Zone{Key: other.Key, Format: pinblock.ISO1}, panSixteen, pinblock.ErrTranslation},
		"for a PAN that neither can bind":  {tdes, other, "1234", pinblock.ErrPAN},
		"for a PAN that the first cannot":  {tdes, aes, "1234", pinblock.ErrPAN},
		"for a PAN that the second cannot": {zoneOf(t, pinblock.ISO1, false), other, "1234", pinblock.ErrPAN},
	} {
		translated, err := pinblock.Translate(v.from, v.to, garbage, v.pan, zeros{})
		require.Equal(t, v.want, err, name)
		require.Nil(t, translated, name)
	}
	_, err = pinblock.Translate(aes, tdes, make([]byte, 16), "1234", zeros{})
	require.Equal(t, pinblock.ErrPAN, err, "a PAN that format 4 binds and format 0 does not")
	_, err = pinblock.Translate(tdes, other, garbage, panSixteen, nil)
	require.Equal(t, pinblock.ErrRandom, err, "no randomness")
	_, err = pinblock.Translate(tdes, other, garbage[:7], panSixteen, zeros{})
	require.Equal(t, pinblock.ErrBlockSize, err)
}

func TestRandomnessOfATranslation(t *testing.T) {
	in := zoneOf(t, pinblock.ISO0, false)
	block, err := in.Key.Encrypt(pinblock.ISO0, []byte("1234"), panSixteen, nil)
	require.NoError(t, err)
	_, err = pinblock.Translate(in, zoneOf(t, pinblock.ISO0, true), block, panSixteen, nil)
	require.NoError(t, err, "format 0 draws nothing")
	broken := errors.New("no entropy")
	translated, err := pinblock.Translate(in, zoneOf(t, pinblock.ISO3, true), block, panSixteen, iotest.ErrReader(broken))
	require.ErrorIs(t, err, pinblock.ErrRandom)
	require.ErrorIs(t, err, broken)
	require.Nil(t, translated)
}
