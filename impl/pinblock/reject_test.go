package pinblock_test

import (
	"crypto/aes"
	"crypto/des"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pinblock"
)

// panOfZeros adds nothing to a PIN field of formats 0 and 3, so that a block can be read as it stands.
const panOfZeros = "0000000000000"

var formats = []pinblock.Format{pinblock.ISO0, pinblock.ISO1, pinblock.ISO3, pinblock.ISO4}

// Each row is a PIN field for panOfZeros; of format 4 it is the first half.
var badFields = []struct {
	name   string
	format pinblock.Format
	field  string
	want   error
}{
	{"format 0 with the control nibble of format 1", pinblock.ISO0, "141234FFFFFFFFFF", pinblock.ErrControl},
	{"format 0 with the control nibble of format 3", pinblock.ISO0, "341234FFFFFFFFFF", pinblock.ErrControl},
	{"format 1 with the control nibble of format 0", pinblock.ISO1, "041234FFFFFFFFFF", pinblock.ErrControl},
	{"format 3 with the control nibble of format 0", pinblock.ISO3, "041234FFFFFFFFFF", pinblock.ErrControl},
	{"format 4 with the control nibble of format 0", pinblock.ISO4, "041234AAAAAAAAAA", pinblock.ErrControl},
	{"format 0 with no PIN", pinblock.ISO0, "00FFFFFFFFFFFFFF", pinblock.ErrPINLength},
	{"format 0 with three digits", pinblock.ISO0, "03123FFFFFFFFFFF", pinblock.ErrPINLength},
	{"format 0 with thirteen digits", pinblock.ISO0, "0D1234567890123F", pinblock.ErrPINLength},
	{"format 0 with fifteen digits", pinblock.ISO0, "0F12345678901234", pinblock.ErrPINLength},
	{"format 1 with three digits", pinblock.ISO1, "13123FFFFFFFFFFF", pinblock.ErrPINLength},
	{"format 1 with thirteen digits", pinblock.ISO1, "1D1234567890123F", pinblock.ErrPINLength},
	{"format 3 with three digits", pinblock.ISO3, "33123FFFFFFFFFFF", pinblock.ErrPINLength},
	{"format 3 with thirteen digits", pinblock.ISO3, "3D1234567890123F", pinblock.ErrPINLength},
	{"format 4 with three digits", pinblock.ISO4, "43123AAAAAAAAAAA", pinblock.ErrPINLength},
	{"format 4 with thirteen digits", pinblock.ISO4, "4D1234567890123A", pinblock.ErrPINLength},
	{"format 0 with a letter first", pinblock.ISO0, "04A234FFFFFFFFFF", pinblock.ErrPINDigit},
	{"format 0 with a letter last", pinblock.ISO0, "04123FFFFFFFFFFF", pinblock.ErrPINDigit},
	{"format 1 with a letter last", pinblock.ISO1, "14123AFFFFFFFFFF", pinblock.ErrPINDigit},
	{"format 3 with a letter last", pinblock.ISO3, "34123AFFFFFFFFFF", pinblock.ErrPINDigit},
	{"format 4 with a letter last", pinblock.ISO4, "44123AAAAAAAAAAA", pinblock.ErrPINDigit},
	{"format 0 with a digit as the first fill", pinblock.ISO0, "0412345FFFFFFFFF", pinblock.ErrFill},
	{"format 0 with the fill of format 3", pinblock.ISO0, "041234FFFFFFFFFE", pinblock.ErrFill},
	{"format 3 with a digit as the last fill", pinblock.ISO3, "341234FFFFFFFFF9", pinblock.ErrFill},
	{"format 4 with the fill of format 0", pinblock.ISO4, "441234FFFFFFFFFF", pinblock.ErrFill},
	{"format 4 with B as the last fill", pinblock.ISO4, "441234AAAAAAAAAB", pinblock.ErrFill},
}

func TestEveryKindOfBadBlockIsRefused(t *testing.T) {
	for _, v := range badFields {
		t.Run(v.name, func(t *testing.T) {
			for how, err := range openings(t, v.format, v.field) {
				require.ErrorIs(t, err, v.want, how)
			}
		})
	}
}

// What a format allows at a nibble is stated once more here, for every nibble and every value, over the longest and
// the shortest PIN.
func TestEveryNibbleIsAcceptedOrRefusedAsTheFormatSays(t *testing.T) {
	fills := map[pinblock.Format]string{
		pinblock.ISO0: "F", pinblock.ISO1: "0123456789ABCDEF", pinblock.ISO3: "ABCDEF", pinblock.ISO4: "A",
	}
	controls := map[pinblock.Format]string{
		pinblock.ISO0: "0", pinblock.ISO1: "1", pinblock.ISO3: "3", pinblock.ISO4: "4",
	}
	for _, f := range formats {
		for _, pin := range []string{"9876", "987654321098"} {
			head := fmt.Sprintf("%s%X%s", controls[f], len(pin), pin)
			good := head + strings.Repeat(fills[f][:1], 16-len(head))
			for i := range good {
				if i == 1 {
					continue // another PIN length moves the border to the fill: see TestEveryKindOfBadBlockIsRefused
				}
				allowed, refusal := fills[f], pinblock.ErrFill
				switch {
				case i == 0:
					allowed, refusal = controls[f], pinblock.ErrControl
				case i < len(head):
					allowed, refusal = "0123456789", pinblock.ErrPINDigit
				}
				for _, v := range "0123456789ABCDEF" {
					field := good[:i] + string(v) + good[i+1:]
					for how, err := range openings(t, f, field) {
						if strings.ContainsRune(allowed, v) {
							require.NoError(t, err, "%s %s %s", f, how, field)
						} else {
							require.ErrorIs(t, err, refusal, "%s %s %s", f, how, field)
						}
					}
				}
			}
		}
	}
}

func TestFormat4AllowsAnyRandomBytes(t *testing.T) {
	for _, random := range []string{"0000000000000000", "FFFFFFFFFFFFFFFF", "0123456789ABCDEF"} {
		block := seal(t, pinblock.ISO4, unhex("441234AAAAAAAAAA"+random))
		pin, err := newKey(t, pinblock.ISO4, aes128).Decrypt(pinblock.ISO4, block, panOfZeros)
		require.NoError(t, err)
		require.Equal(t, "1234", string(pin))
	}
}

func TestABlockOfAnotherSizeIsRefused(t *testing.T) {
	for _, f := range formats {
		right := len(seal(t, f, make([]byte, 16)))
		for size := range 34 {
			if size == right {
				continue
			}
			_, err := newKey(t, f, sealKey(f)).Decrypt(f, make([]byte, size), panOfZeros)
			require.ErrorIs(t, err, pinblock.ErrBlockSize)
			if f != pinblock.ISO4 {
				_, err = pinblock.Decode(f, make([]byte, size), panOfZeros)
				require.ErrorIs(t, err, pinblock.ErrBlockSize)
			}
		}
	}
}

func TestAMalformedPINIsNotPacked(t *testing.T) {
	for _, v := range []struct {
		name, pin string
		want      error
	}{
		{"no PIN", "", pinblock.ErrPINLength},
		{"three digits", "123", pinblock.ErrPINLength},
		{"thirteen digits", "1234567890123", pinblock.ErrPINLength},
		{"a letter", "12A4", pinblock.ErrPINDigit},
		{"the character below 0", "12/4", pinblock.ErrPINDigit},
		{"the character above 9", "12:4", pinblock.ErrPINDigit},
		{"a space", "1234 ", pinblock.ErrPINDigit},
		{"a NUL", "1234\x00", pinblock.ErrPINDigit},
		{"a digit of another script", "12\u0663", pinblock.ErrPINDigit},
		{"digits in value, not in ASCII", "\x01\x02\x03\x04", pinblock.ErrPINDigit},
	} {
		t.Run(v.name, func(t *testing.T) {
			for _, f := range formats {
				for how, err := range packings(t, f, v.pin, panSixteen, zeros{}) {
					require.ErrorIs(t, err, v.want, "%s %s", f, how)
				}
			}
		})
	}
}

func TestAMalformedPANIsRefusedByTheFormatsBoundToIt(t *testing.T) {
	bound := []pinblock.Format{pinblock.ISO0, pinblock.ISO3}
	all := []pinblock.Format{pinblock.ISO0, pinblock.ISO3, pinblock.ISO4}
	for _, v := range []struct {
		name, pan string
		refusedBy []pinblock.Format
	}{
		{"no PAN", "", all},
		{"a single digit", "1", bound},
		{"eleven digits", "12345678901", bound},
		{"twelve digits", "123456789012", nil},
		{"nineteen digits", "1234567890123456789", nil},
		{"twenty digits", "12345678901234567890", all},
		{"a letter among those that count", "123456789012345A7", all},
		{"a letter as check digit", "123456789012345A", all},
		{"a letter before the digits that count", "A234567890123456", all},
		{"spaces", "1234 5678 9012 3456", all},
		{"a NUL", "123456789012345\x00", all},
		{"digits of another script", "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", all},
	} {
		t.Run(v.name, func(t *testing.T) {
			for _, f := range formats {
				var want error
				if slices.Contains(v.refusedBy, f) {
					want = pinblock.ErrPAN
				}
				for how, err := range packings(t, f, "1234", v.pan, zeros{}) {
					require.ErrorIs(t, err, want, "%s %s", f, how)
				}
				if want == nil {
					continue
				}
				block := seal(t, f, make([]byte, 16))
				_, err := newKey(t, f, sealKey(f)).Decrypt(f, block, v.pan)
				require.ErrorIs(t, err, want, f)
				if f != pinblock.ISO4 {
					_, err = pinblock.Decode(f, block, v.pan)
					require.ErrorIs(t, err, want, f)
				}
			}
		})
	}
}

func TestARandomFormatNeedsRandomness(t *testing.T) {
	broken := errors.New("no entropy")
	for _, f := range []pinblock.Format{pinblock.ISO1, pinblock.ISO3, pinblock.ISO4} {
		for how, err := range packings(t, f, "1234", panSixteen, nil) {
			require.ErrorIs(t, err, pinblock.ErrRandom, "%s %s without a reader", f, how)
		}
		for how, err := range packings(t, f, "1234", panSixteen, iotest.ErrReader(broken)) {
			require.ErrorIs(t, err, pinblock.ErrRandom, "%s %s", f, how)
			require.ErrorIs(t, err, broken, "%s %s", f, how)
		}
		for how, err := range packings(t, f, "1234", panSixteen, io.LimitReader(zeros{}, 7)) {
			require.ErrorIs(t, err, pinblock.ErrRandom, "%s %s with too few bytes", f, how)
		}
	}
	for how, err := range packings(t, pinblock.ISO0, "1234", panSixteen, nil) {
		require.NoError(t, err, "ISO-0 %s", how)
	}
}

func TestAFormatGoesWithOneCipherOnly(t *testing.T) {
	for _, f := range slices.Concat(formats, []pinblock.Format{0, 5, 255}) {
		for _, cipher := range []pinblock.Format{pinblock.ISO0, pinblock.ISO4} {
			key := newKey(t, cipher, sealKey(cipher))
			var want error
			switch {
			case f < pinblock.ISO0 || f > pinblock.ISO4:
				want = pinblock.ErrFormat
			case (f == pinblock.ISO4) != (cipher == pinblock.ISO4):
				want = pinblock.ErrKeyFormat
			}
			_, err := key.Encrypt(f, []byte("1234"), panSixteen, zeros{})
			require.ErrorIs(t, err, want, f)
			if want != nil {
				for _, size := range []int{8, 16} {
					_, err = key.Decrypt(f, make([]byte, size), panSixteen)
					require.ErrorIs(t, err, want, f)
				}
			}
		}
	}
}

func TestTheZeroKeyGoesWithNoFormat(t *testing.T) {
	var key pinblock.Key
	for _, f := range formats {
		_, err := key.Encrypt(f, []byte("1234"), panSixteen, zeros{})
		require.ErrorIs(t, err, pinblock.ErrKeyFormat)
		_, err = key.Decrypt(f, make([]byte, 16), panSixteen)
		require.ErrorIs(t, err, pinblock.ErrKeyFormat)
	}
	require.Empty(t, key.CheckValue())
}

func TestFormatsWithoutAClearBlockAreNotCodedInTheClear(t *testing.T) {
	for f, want := range map[pinblock.Format]error{
		pinblock.ISO4: pinblock.ErrNoClearBlock, 0: pinblock.ErrFormat, 5: pinblock.ErrFormat, 255: pinblock.ErrFormat,
	} {
		_, err := pinblock.Encode(f, []byte("1234"), panSixteen, zeros{})
		require.ErrorIs(t, err, want)
		_, err = pinblock.Decode(f, make([]byte, 16), panSixteen)
		require.ErrorIs(t, err, want)
	}
}

func TestNoErrorTextHoldsPartOfASecret(t *testing.T) {
	const pin, pan = "804719", "5413339000001513"
	var errs []error
	keep := func(_ any, err error) {
		require.Error(t, err)
		errs = append(errs, err)
	}
	for _, v := range badFields {
		for _, err := range openings(t, v.format, v.field) {
			errs = append(errs, err)
		}
	}
	for _, f := range slices.Concat(formats, []pinblock.Format{0}) {
		key := newKey(t, f, sealKey(f))
		for _, bad := range []string{pin[:3], pin + pin + pin, pin + "x"} {
			keep(key.Encrypt(f, []byte(bad), pan, zeros{}))
			keep(pinblock.Encode(f, []byte(bad), pan, zeros{}))
		}
		keep(key.Decrypt(f, []byte(pin), pan))
		keep(pinblock.Decode(f, []byte(pin), pan))
		if f != pinblock.ISO1 {
			keep(key.Encrypt(f, []byte(pin), pan+"x", zeros{}))
			keep(pinblock.Encode(f, []byte(pin), pan+"x", zeros{}))
		}
		if f != pinblock.ISO0 {
			keep(key.Encrypt(f, []byte(pin), pan, nil))
			keep(pinblock.Encode(f, []byte(pin), pan, nil))
		}
	}
	keep(pinblock.NewTDES([]byte(pin)))
	keep(pinblock.NewAES([]byte(pin)))
	keep(pinblock.ParseFormat(pin))

	// Two digits in a row are enough to give something away; "4 to 12" is the one place that has them.
	digits := regexp.MustCompile(`\d{2,}`)
	for _, err := range errs {
		text := strings.ReplaceAll(err.Error(), "4 to 12 digits", "")
		require.NotRegexp(t, digits, text)
		require.LessOrEqual(t, strings.Count(text, "pinblock: "), 1, "one package, one prefix")
	}
}

// openings opens a PIN field for panOfZeros in every way that its format has.
func openings(t *testing.T, f pinblock.Format, field string) map[string]error {
	t.Helper()
	whole := append(unhex(field), make([]byte, 8)...)
	_, err := newKey(t, f, sealKey(f)).Decrypt(f, seal(t, f, whole), panOfZeros)
	how := map[string]error{"Decrypt": err}
	if f != pinblock.ISO4 {
		_, how["Decode"] = pinblock.Decode(f, whole[:8], panOfZeros)
	}
	return how
}

// packings packs a PIN in every way that the format has.
func packings(t *testing.T, f pinblock.Format, pin, pan string, rand io.Reader) map[string]error {
	t.Helper()
	block, err := newKey(t, f, sealKey(f)).Encrypt(f, []byte(pin), pan, rand)
	require.Equal(t, err != nil, block == nil)
	how := map[string]error{"Encrypt": err}
	if f != pinblock.ISO4 {
		block, err = pinblock.Encode(f, []byte(pin), pan, rand)
		require.Equal(t, err != nil, block == nil)
		how["Encode"] = err
	}
	return how
}

func sealKey(f pinblock.Format) string {
	if f == pinblock.ISO4 {
		return aes128
	}
	return tdesDouble
}

// seal encrypts a PIN field of 16 bytes for panOfZeros as the standard says, with nothing of the package under test:
// any field can be sealed, a forbidden one too.
func seal(t *testing.T, f pinblock.Format, field []byte) []byte {
	t.Helper()
	key := unhex(sealKey(f))
	if f != pinblock.ISO4 {
		tdes, err := des.NewTripleDESCipher(append(key, key[:8]...))
		require.NoError(t, err)
		block := make([]byte, 8)
		tdes.Encrypt(block, field[:8])
		return block
	}
	cipher, err := aes.NewCipher(key)
	require.NoError(t, err)
	block := make([]byte, 16)
	cipher.Encrypt(block, field)
	subtle.XORBytes(block, block, unhex("1"+panOfZeros+"000000000000000000"))
	cipher.Encrypt(block, block)
	return block
}

// zeros is randomness that is none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
