package pinblock_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pinblock"
)

func TestFormatNamesReadBack(t *testing.T) {
	for f, name := range map[pinblock.Format]string{
		pinblock.ISO0: "ISO-0", pinblock.ISO1: "ISO-1", pinblock.ISO3: "ISO-3", pinblock.ISO4: "ISO-4",
	} {
		require.Equal(t, name, f.String())
		got, err := pinblock.ParseFormat(name)
		require.NoError(t, err)
		require.Equal(t, f, got)
	}
	for _, name := range []string{"", "ISO-2", "iso-0", "ISO0", " ISO-0", "ISO-0\x00", "Format(0)", "Format(5)"} {
		_, err := pinblock.ParseFormat(name)
		require.ErrorIs(t, err, pinblock.ErrFormat, name)
	}
	require.Equal(t, "Format(0)", pinblock.Format(0).String())
	require.Equal(t, "Format(255)", pinblock.Format(255).String())
}

func TestWhatIsPackedComesOutAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(formats).Draw(t, "format")
		pin, pan := drawPIN(t), drawPAN(t, f)
		random := drawRandom(t)
		key := drawKey(t, f)

		sealed, err := key.Encrypt(f, pin, pan, bytes.NewReader(random))
		require.NoError(t, err)
		opened, err := key.Decrypt(f, bytes.Clone(sealed), pan)
		require.NoError(t, err)
		require.Equal(t, pin, opened)

		if f == pinblock.ISO4 {
			require.Len(t, sealed, 16)
			return
		}
		require.Len(t, sealed, 8)
		block, err := pinblock.Encode(f, pin, pan, bytes.NewReader(random))
		require.NoError(t, err)
		require.Len(t, block, 8)
		opened, err = pinblock.Decode(f, block, pan)
		require.NoError(t, err)
		require.Equal(t, pin, opened)
	})
}

func TestNothingThatTheCallerHandsOverIsChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(formats).Draw(t, "format")
		pin, pan, key := drawPIN(t), drawPAN(t, f), drawKey(t, f)
		pinBefore := bytes.Clone(pin)
		block, err := key.Encrypt(f, pin, pan, bytes.NewReader(drawRandom(t)))
		require.NoError(t, err)
		blockBefore := bytes.Clone(block)
		_, err = key.Decrypt(f, block, pan)
		require.NoError(t, err)
		require.Equal(t, pinBefore, pin)
		require.Equal(t, blockBefore, block)
	})
}

func TestTheSamePINGivesAnotherBlockExceptInFormat0(t *testing.T) {
	source := rand.NewChaCha8([32]byte{1})
	for _, f := range formats {
		blocks := map[string]bool{}
		for range 100 {
			block, err := newKey(t, f, sealKey(f)).Encrypt(f, []byte("1234"), panSixteen, source)
			require.NoError(t, err)
			blocks[string(block)] = true
		}
		want := 100
		if f == pinblock.ISO0 {
			want = 1
		}
		require.Len(t, blocks, want, f)
	}
}

// 6,000 draws at each of ten places: 1,000 of each value, give or take 29. The source is fixed, so is the outcome.
func TestTheFillOfFormat3IsEvenlyDrawn(t *testing.T) {
	source := rand.NewChaCha8([32]byte{2})
	var seen [16][16]int
	for range 6000 {
		block, err := pinblock.Encode(pinblock.ISO3, []byte("1234"), panOfZeros, source)
		require.NoError(t, err)
		for i, digit := range upperHex(block) {
			seen[i][bytes.IndexRune([]byte("0123456789ABCDEF"), digit)]++
		}
	}
	for place := 6; place < 16; place++ {
		for value := 0xA; value <= 0xF; value++ {
			require.InDelta(t, 1000, seen[place][value], 150, "place %d value %X", place, value)
		}
	}
}

func TestFormat0NeverGivesTheSamePINForAnotherPAN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pin, pan := drawPIN(t), drawPAN(t, pinblock.ISO0)
		other, fillDiffers := drawOtherPAN(t, pan, len(pin))
		block, err := pinblock.Encode(pinblock.ISO0, pin, pan, nil)
		require.NoError(t, err)

		got, err := pinblock.Decode(pinblock.ISO0, block, other)
		if fillDiffers {
			require.Error(t, err, "a PAN that differs under the fill is always seen")
		}
		if err == nil {
			require.NotEqual(t, pin, got)
			require.Len(t, got, len(pin))
		}
	})
}

// The same PIN would take 64 given bits to come out of AES by chance.
func TestFormat4NeverGivesTheSamePINForAnotherPAN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pin, pan, key := drawPIN(t), drawPAN(t, pinblock.ISO0), drawKey(t, pinblock.ISO4)
		other, _ := drawOtherPAN(t, pan, len(pin))
		block, err := key.Encrypt(pinblock.ISO4, pin, pan, bytes.NewReader(drawRandom(t)))
		require.NoError(t, err)

		got, err := key.Decrypt(pinblock.ISO4, block, other)
		if err == nil {
			require.NotEqual(t, pin, got)
		}
	})
}

func TestFormats1And3DoNotSeeEveryOtherPAN(t *testing.T) {
	for _, v := range []struct {
		name       string
		format     pinblock.Format
		pan, other string
	}{
		{"format 1 sees no PAN at all", pinblock.ISO1, panSixteen, "5413339000001513"},
		{"format 3 misses a digit that turns fill into fill", pinblock.ISO3, "1234567890120000", "1234567890120010"},
		{"format 3 does not look at the check digit", pinblock.ISO3, "1234567890123450", "1234567890123451"},
		{"format 0 does not look at the check digit", pinblock.ISO0, "1234567890123450", "1234567890123451"},
		{"format 0 does not look left of the twelve digits", pinblock.ISO0, "1114567890123456", "2224567890123456"},
	} {
		t.Run(v.name, func(t *testing.T) {
			block, err := pinblock.Encode(v.format, []byte("8047"), v.pan, zeros{})
			require.NoError(t, err)
			pin, err := pinblock.Decode(v.format, block, v.other)
			require.NoError(t, err)
			require.Equal(t, "8047", string(pin))
		})
	}
}

// The chances that the package comment gives. A block under another key is random bytes to whoever opens it. The
// source is fixed, so is the outcome.
func TestABlockUnderAnotherKeyOpensAsRarelyAsSaid(t *testing.T) {
	const blocks = 400_000
	for _, v := range []struct {
		format pinblock.Format
		fills  float64 // values that a fill nibble may have
		said   float64
	}{
		{pinblock.ISO0, 1, 6.0e-8}, {pinblock.ISO1, 16, 1.6e-3}, {pinblock.ISO3, 6, 4.8e-6}, {pinblock.ISO4, 1, 6.0e-8},
	} {
		t.Run(v.format.String(), func(t *testing.T) {
			chance := 0.0
			for n := 4; n <= 12; n++ { // control and length nibble, PIN, fill
				chance += math.Pow(10./16, float64(n)) * math.Pow(v.fills/16, float64(14-n)) / 256
			}
			require.InEpsilon(t, v.said, chance, 0.03)

			key, source := newKey(t, v.format, sealKey(v.format)), rand.NewChaCha8([32]byte{3})
			block, opened := make([]byte, len(seal(t, v.format, make([]byte, 16)))), 0
			for range blocks {
				_, _ = source.Read(block)
				if _, err := key.Decrypt(v.format, block, panSixteen); err == nil {
					opened++
				}
			}
			mean := chance * blocks
			require.InDelta(t, mean, opened, 5*math.Sqrt(mean)+1)
		})
	}
}

func drawPIN(t *rapid.T) []byte {
	return []byte(rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), 4, 12, -1).Draw(t, "pin"))
}

// drawPAN draws a PAN of any length that the format takes.
func drawPAN(t *rapid.T, f pinblock.Format) string {
	shortest := 12
	if f == pinblock.ISO4 {
		shortest = 1
	}
	return rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), shortest, 19, -1).Draw(t, "pan")
}

// drawOtherPAN changes one or more of the digits that formats 0 and 3 bind, and says whether one of them lies under
// the fill that follows a PIN of n digits. The first of twelve lies under the third digit of the PIN.
func drawOtherPAN(t *rapid.T, pan string, n int) (other string, fillDiffers bool) {
	bound := min(12, len(pan)-1)
	changed := []byte(pan)
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		place := rapid.IntRange(0, bound-1).Draw(t, "place, from the right")
		i := len(pan) - 2 - place
		changed[i] = '0' + (pan[i]-'0'+byte(rapid.IntRange(1, 9).Draw(t, "by")))%10
		fillDiffers = fillDiffers || 11-place+2 >= n
	}
	return string(changed), fillDiffers
}

func drawRandom(t *rapid.T) []byte {
	return rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "random")
}

func drawKey(t *rapid.T, f pinblock.Format) *pinblock.Key {
	construct, lengths := pinblock.NewTDES, []int{16, 24}
	if f == pinblock.ISO4 {
		construct, lengths = pinblock.NewAES, []int{16, 24, 32}
	}
	n := rapid.SampledFrom(lengths).Draw(t, "key length")
	key, err := construct(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "key"))
	require.NoError(t, err)
	return key
}

func BenchmarkKey(b *testing.B) {
	pin := []byte("1234")
	for _, f := range formats {
		key := newKey(b, f, sealKey(f))
		block, err := key.Encrypt(f, pin, panSixteen, zeros{})
		require.NoError(b, err)
		b.Run(fmt.Sprintf("Encrypt/%s", f), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = key.Encrypt(f, pin, panSixteen, zeros{})
			}
		})
		b.Run(fmt.Sprintf("Decrypt/%s", f), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = key.Decrypt(f, block, panSixteen)
			}
		})
	}
}
