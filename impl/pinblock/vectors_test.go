package pinblock_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pinblock"
)

// Keys of the known answers.
const (
	tdesHalvesEqual  = "12345678123456781234567812345678"
	tdesDouble       = "E8DD93B8AF13999C7644C0FE11F5D2A7"
	tdesDoubleFIPS   = "0123456789ABCDEFFEDCBA9876543210"
	tdesTriple       = "0123456789ABCDEFFEDCBA98765432100F1E2D3C4B5A6978"
	aes128           = "00112233445566778899AABBCCDDEEFF"
	aes128Counter1   = "AF8CB133A78F8DC2D1359F18527593FB"
	aes128Counter2   = "D30BDC73EC9714B000BEC66BDB7B6D09"
	aes128Counter3   = "7D69F01F3B45449F62C7816ECE723268"
	aes192           = "8E73B0F7DA0E6452C810F32B809079E562F8EAD2522C6B7B"
	aes256           = "603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4"
	panSixteen       = "1234567890123456"
	panTestCard      = "4111111111111111"
	panOfClearVector = "43219876543210987"
)

// Clear blocks of ISO 9564-1, 9.3. fill is what follows the PIN, before the PAN is added.
var clearVectors = []struct {
	format               pinblock.Format
	pin, pan, fill, want string
}{
	{pinblock.ISO0, "1234", panOfClearVector, "", "0412AC89ABCDEF67"},
	{pinblock.ISO0, "1234", "5544332211009966", "", "041277CDDEEFF669"},
	{pinblock.ISO0, "1234", "5555555551234567", "", "041261AAAAEDCBA9"},
	{pinblock.ISO0, "4315", "6799998900000070017", "", "04439CFFFFFF8FFE"},
	{pinblock.ISO0, "123456", "5413339000001513", "", "0612076FFFFFFEAE"},
	{pinblock.ISO0, "123456", "4451234567890129", "", "06122662A9876FED"},
	{pinblock.ISO0, "123456789", "5555555551234567", "", "091261032D8DCBA9"},
	{pinblock.ISO0, "1234567890", "5555555551234567", "", "0A1261032D82CBA9"},
	{pinblock.ISO0, "123456789012", "5555555551234567", "", "0C1261032D8226A9"},
	{pinblock.ISO1, "1234", "", "7B09E3A5C1", "1412347B09E3A5C1"},
	{pinblock.ISO1, "12345", "", "EDCBA9876", "1512345EDCBA9876"},
	{pinblock.ISO3, "1234", panOfClearVector, "BFEDBECFDB", "3412ACC9B98CDF43"},
	{pinblock.ISO3, "1234", "5544332211009966", "DCCEDCBDAA", "341277EEEFCCB43C"},
	{pinblock.ISO3, "1234", "5555555551234567", "FFFFFFFFFF", "341261AAAAEDCBA9"},
	{pinblock.ISO3, "123456", "1112223334445559", "AFBECDDC", "361216759CFA8889"},
	{pinblock.ISO3, "123456789012", "5555555551234567", "FF", "3C1261032D8226A9"},
}

// Blocks under a key. Those of the three counters are the PIN encryption keys and the blocks of the test vectors that
// accompany ANSI X9.24-3:2017. Format 4 with fill "" is a block whose random bytes are not known: it can only be opened.
var keyVectors = []struct {
	format                    pinblock.Format
	key, pin, pan, fill, want string
}{
	{pinblock.ISO0, tdesHalvesEqual, "1234", panSixteen, "", "ABE38E29B58EA392"},
	{pinblock.ISO0, tdesDouble, "123456", "4451234567890129", "", "ABC5E23474210DAC"},
	{pinblock.ISO1, tdesDoubleFIPS, "12345", "", "EDCBA9876", "5FC6DA8B769F8E85"},
	{pinblock.ISO3, tdesTriple, "123456", "1112223334445559", "AFBECDDC", "3B32792D2EFDE31D"},
	{pinblock.ISO4, aes128, "1234", "1234567890123456789", "FFFFFFFFFFFFFFFF", "28B41FDDD29B743E93124BD8E32D921E"},
	{pinblock.ISO4, aes128, "1234", panSixteen, "1122334455667788", "7CDF645C86CAF763AE34637A66997534"},
	{pinblock.ISO4, aes128Counter1, "1234", panTestCard, "2F69ADDE2E9E7ACE", "A912150391AB65A67E52883D81CE2D15"},
	{pinblock.ISO4, aes128Counter2, "1234", panTestCard, "2F69ADDE2E9E7ACE", "52A00503BD34BA1383F6A7EE9FE2547F"},
	{pinblock.ISO4, aes128Counter3, "1234", panTestCard, "2F69ADDE2E9E7ACE", "A5A27E82B43A9A866A93D7ABE89CEF93"},
	{pinblock.ISO4, aes192, "12345", panTestCard, "0123456789ABCDEF", "2BA30D2965A90EA395D7E9461C7741A7"},
	{pinblock.ISO4, aes256, "12345", panTestCard, "0123456789ABCDEF", "5F88CCE83D875D1D5586843A378CFD4E"},
	{pinblock.ISO4, aes128, "1234", panSixteen, "", "52DB178C6EDCE52E3A70F7FBC8E9C758"},
	{pinblock.ISO4, aes128, "1234", "432198765432109870", "", "88E33C3ACF404F234F10F889C364E377"},
	{pinblock.ISO4, aes128, "123456", "123456789012345678", "", "847A0209C659E4C4A79CA6A2A2217D31"},
	{pinblock.ISO4, aes128, "12345678", "1234567890123456789", "", "018BFEC8B5EF60181A327AD8325A2BA4"},
	{pinblock.ISO4, aes128, "123456", "1", "", "39B69B1B91FE05D48F7EF0D68EB2CBD6"},
	{pinblock.ISO4, "C1D0F8FB4958670DBA40AB1F3752EF0D", "1234", "432198765432109870", "", "CC17F65586BFD0953010226C4FC5B3CA"},
}

func TestClearBlocksAreTheKnownOnes(t *testing.T) {
	for _, v := range clearVectors {
		t.Run(fmt.Sprintf("%s of %d digits for a PAN of %d", v.format, len(v.pin), len(v.pan)), func(t *testing.T) {
			block, err := pinblock.Encode(v.format, []byte(v.pin), v.pan, source(v.format, v.fill))
			require.NoError(t, err)
			require.Equal(t, v.want, upperHex(block))

			pin, err := pinblock.Decode(v.format, block, v.pan)
			require.NoError(t, err)
			require.Equal(t, v.pin, string(pin))
		})
	}
}

func TestBlocksUnderAKeyAreTheKnownOnes(t *testing.T) {
	for _, v := range keyVectors {
		t.Run(v.format.String()+" "+v.want, func(t *testing.T) {
			key := newKey(t, v.format, v.key)
			if v.format != pinblock.ISO4 || v.fill != "" {
				block, err := key.Encrypt(v.format, []byte(v.pin), v.pan, source(v.format, v.fill))
				require.NoError(t, err)
				require.Equal(t, v.want, upperHex(block))
			}
			pin, err := key.Decrypt(v.format, unhex(v.want), v.pan)
			require.NoError(t, err)
			require.Equal(t, v.pin, string(pin))
		})
	}
}

func TestKnownBadBlocksUnderAKeyAreRefused(t *testing.T) {
	for _, v := range []struct {
		name, key, block, pan string
		want                  error
	}{
		{
			"control nibble of format 3", "E60B15B90ABDF14CEE337C97440F0D6E",
			"7D5AF4C33667A2098626027FB7A9A1B7", "4266229809609384667", pinblock.ErrControl,
		},
		{
			"PIN of three digits", "4FE3F0311936FBCE44F17159F1659CF09B2BF8913BB514A1",
			"51334B00A6CBA3EC7B1C6F871F060AFC", "2129100799029059903", pinblock.ErrPINLength,
		},
		{
			"letter in the PIN", "C7BBEBA16C5AD97D5866450718C03750",
			"2F9C910447F17293EC95DEDE1E3CA201", "8220499325458689523", pinblock.ErrPINDigit,
		},
		{
			"fill of B", "820F6C7C12355BDFF1AB6CE12E8EED89",
			"CCF310A8300B46C925A86B1098089301", "939589847393485609", pinblock.ErrFill,
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			_, err := newKey(t, pinblock.ISO4, v.key).Decrypt(pinblock.ISO4, unhex(v.block), v.pan)
			require.ErrorIs(t, err, v.want)
		})
	}
}

func TestCheckValuesAreTheKnownOnes(t *testing.T) {
	for _, v := range []struct {
		name   string
		format pinblock.Format
		key    string
		want   string
	}{
		{"double length TDES", pinblock.ISO0, tdesDoubleFIPS, "08D7B4"},
		{"double length TDES without odd parity", pinblock.ISO0, tdesDouble, "F1652F"},
		{"triple length TDES", pinblock.ISO0, tdesTriple, "56EF4F"},
		{"AES-128", pinblock.ISO4, aes128, "53E107"},
		{"AES-128 of SP 800-38B", pinblock.ISO4, "2B7E151628AED2A6ABF7158809CF4F3C", "7AD386"},
		{"AES-192 of SP 800-38B", pinblock.ISO4, aes192, "3A072A"},
		{"AES-256 of SP 800-38B, whose first subkey carries", pinblock.ISO4, aes256, "1A0B2D"},
	} {
		t.Run(v.name, func(t *testing.T) {
			require.Equal(t, v.want, newKey(t, v.format, v.key).CheckValue())
		})
	}
}

// source is the randomness that makes a format draw this fill. Formats 1 and 3 take their nibbles from a number to the
// base of their choices, lowest first; format 4 takes the bytes as they are.
func source(f pinblock.Format, fill string) io.Reader {
	if f == pinblock.ISO0 {
		return nil
	}
	if f == pinblock.ISO4 {
		return bytes.NewReader(unhex(fill))
	}
	lowest, choices := uint64(0), uint64(16)
	if f == pinblock.ISO3 {
		lowest, choices = 0xA, 6
	}
	var n uint64
	for i := len(fill) - 1; i >= 0; i-- {
		n = n*choices + uint64(strings.IndexByte("0123456789ABCDEF", fill[i])) - lowest
	}
	return bytes.NewReader(binary.BigEndian.AppendUint64(nil, n))
}

func newKey(tb testing.TB, f pinblock.Format, key string) *pinblock.Key {
	tb.Helper()
	construct := pinblock.NewTDES
	if f == pinblock.ISO4 {
		construct = pinblock.NewAES
	}
	k, err := construct(unhex(key))
	require.NoError(tb, err)
	return k
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
