package keymaterial_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keymaterial"
)

// Parts of keys, and the first of them with other parity bits.
const (
	k1, k2, k3    = "0123456789ABCDEF", "FEDCBA9876543210", "0F1E2D3C4B5A6978"
	k1OtherParity = "0022446688AACCEE"
)

func TestLengths(t *testing.T) {
	for c, taken := range map[keymaterial.Cipher][]int{keymaterial.TDES: {16, 24}, keymaterial.AES: {16, 24, 32}, 0: nil, 3: nil} {
		for n := range 41 {
			takes := slices.Contains(taken, n)
			key := slices.Repeat([]byte{0x3D}, n)
			require.Equal(t, takes, c.Takes(n), "cipher %d, %d bytes", c, n)
			block, err := c.New(key)
			_, combineErr := c.Combine(key)
			if takes {
				require.NoError(t, err)
				require.NoError(t, combineErr)
				continue
			}
			require.Equal(t, keymaterial.ErrLength, err)
			require.Nil(t, block)
			require.Equal(t, keymaterial.ErrLength, c.Check(key))
			require.Equal(t, keymaterial.ErrLength, combineErr)
			require.Zero(t, c.Strength(key))
		}
	}
	require.Equal(t, 24, keymaterial.TDES.Longest())
	require.Equal(t, 32, keymaterial.AES.Longest())
}

func TestTDESIsEncryptDecryptEncrypt(t *testing.T) {
	twice, err := keymaterial.TDES.New(unhex(k1 + k2))
	require.NoError(t, err)
	thrice, err := keymaterial.TDES.New(unhex(k1 + k2 + k1))
	require.NoError(t, err)
	a, b := []byte("8 bytes."), []byte("8 bytes.")
	twice.Encrypt(a, a)
	thrice.Encrypt(b, b)
	require.Equal(t, a, b, "K1 K2 is K1 K2 K1")
}

func TestAKeyAndItsBytesPartWays(t *testing.T) {
	for _, c := range []keymaterial.Cipher{keymaterial.TDES, keymaterial.AES} {
		raw := unhex(k1 + k2)
		block, err := c.New(raw)
		require.NoError(t, err)
		require.Equal(t, unhex(k1+k2), raw)
		before := keymaterial.CheckValue(block)
		clear(raw)
		require.Equal(t, before, keymaterial.CheckValue(block))
	}
}

func TestCheckValuesAreTheKnownOnes(t *testing.T) {
	for _, v := range []struct {
		name   string
		cipher keymaterial.Cipher
		key    string
		want   string
	}{
		{"double length TDES", keymaterial.TDES, k1 + k2, "08D7B4FB629D0885"},
		{"triple length TDES", keymaterial.TDES, k1 + k2 + k3, "56EF4F"},
		{"TDES of TR-31:2018, A.7.2.2", keymaterial.TDES, "3F419E1CB7079442AA37474C2EFBF8B8", "57C409"},
		{"AES of X9.143:2021, 8.1, ten digits", keymaterial.AES, "3F419E1CB7079442AA37474C2EFBF8B8", "08793E25AB"},
		{"KBPK of X9.143:2021, 8.6, ten digits", keymaterial.AES,
			"88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6", "2331550BC9"},
		{"KBPK of X9.143:2021, 8.5, ten digits", keymaterial.AES, "FA36E44278DB3AB5F298F9F7DA8F1F88", "D77F007724"},
		{"AES-192 of SP 800-38B", keymaterial.AES, "8E73B0F7DA0E6452C810F32B809079E562F8EAD2522C6B7B", "3A072A"},
	} {
		block, err := v.cipher.New(unhex(v.key))
		require.NoError(t, err)
		value := keymaterial.CheckValue(block)
		require.Len(t, value, 16)
		require.Equal(t, v.want, value[:len(v.want)], v.name)
	}
}

func TestSoundKeys(t *testing.T) {
	for _, v := range []struct {
		name, key string
		cipher    keymaterial.Cipher
		want      error
	}{
		{"two different halves", k1 + k2, keymaterial.TDES, nil},
		{"two equal halves", k1 + k1, keymaterial.TDES, keymaterial.ErrEqualParts},
		{"halves that differ in parity bits only", k1 + k1OtherParity, keymaterial.TDES, keymaterial.ErrEqualParts},
		{"halves that differ in one bit that counts", k1 + "0123456789ABCDED", keymaterial.TDES, nil},
		{"halves that differ in their first byte alone", k1 + "0323456789ABCDEF", keymaterial.TDES, nil},
		{"halves that differ in a byte between equal ones", k1 + "0123456F89ABCDEF", keymaterial.TDES, nil},
		{"three different parts", k1 + k2 + k3, keymaterial.TDES, nil},
		{"first and last part equal, as strong as double length", k1 + k2 + k1, keymaterial.TDES, nil},
		{"first two parts equal", k1 + k1 + k3, keymaterial.TDES, keymaterial.ErrEqualParts},
		{"last two parts equal", k1 + k3 + k3, keymaterial.TDES, keymaterial.ErrEqualParts},
		{"last two parts equal except for parity", k2 + k1 + k1OtherParity, keymaterial.TDES, keymaterial.ErrEqualParts},
		{"zeros", strings.Repeat("00", 16), keymaterial.TDES, keymaterial.ErrZero},
		{"zeros with odd parity", strings.Repeat("01", 24), keymaterial.TDES, keymaterial.ErrZero},
		{"zeros with any parity", strings.Repeat("0001", 8), keymaterial.TDES, keymaterial.ErrZero},
		{"zeros except for one bit", strings.Repeat("00", 15) + "02", keymaterial.TDES, keymaterial.ErrWeak},
		{"a half of zeros", k1 + strings.Repeat("00", 8), keymaterial.TDES, keymaterial.ErrWeak},
		{"AES zeros", strings.Repeat("00", 32), keymaterial.AES, keymaterial.ErrZero},
		{"AES zeros except for one bit", strings.Repeat("00", 15) + "01", keymaterial.AES, nil},
		{"AES zeros except for the first bit", "80" + strings.Repeat("00", 15), keymaterial.AES, nil},
		{"AES has no parts", k1 + k1, keymaterial.AES, nil},
		{"AES has no weak keys", strings.Repeat("01", 16), keymaterial.AES, nil},
	} {
		key := unhex(v.key)
		require.Equal(t, v.want, v.cipher.Check(key), v.name)
		require.Equal(t, v.key, upper(key), "the bytes are the caller's")
	}
}

func TestWeakKeys(t *testing.T) {
	for _, weak := range []string{ // NIST SP 800-67, 3.3.2
		"0101010101010101", "FEFEFEFEFEFEFEFE", "E0E0E0E0F1F1F1F1", "1F1F1F1F0E0E0E0E",
		"011F011F010E010E", "1F011F010E010E01", "01E001E001F101F1", "E001E001F101F101",
		"01FE01FE01FE01FE", "FE01FE01FE01FE01", "1FE01FE00EF10EF1", "E01FE01FF10EF10E",
		"1FFE1FFE0EFE0EFE", "FE1FFE1FFE0EFE0E", "E0FEE0FEF1FEF1FE", "FEE0FEE0FEF1FEF1",
		"0000000000000000", "FFFFFFFFFFFFFFFF", "001E001E000E000F", // other parity
	} {
		for _, key := range []string{weak + k2, k1 + weak, k1 + k2 + weak, k1 + weak + k3} {
			require.Equal(t, keymaterial.ErrWeak, keymaterial.TDES.Check(unhex(key)), key)
		}
	}
	for _, strong := range []string{
		k1, k2, "0301010101010101", "0103010101010101", "0101030101010101", "0101010301010101",
		"0101010103010101", "0101010101030101", "0101010101010301", "0101010101010103",
		"E0E0E0E0E0E0E0E0", "1F1F1F1F1F1F1F1F", "1F1F1F1FF1F1F1F1", "E0E0E0E00E0E0E0E",
		"011F011F011F011F", "0E0E0E0E1F1F1F1F", "0202020202020202", "1F0E1F0E1F0E1F0E",
	} {
		require.NoError(t, keymaterial.TDES.Check(unhex(strong+k3)), strong)
	}
}

func TestStrengths(t *testing.T) {
	for key, want := range map[string]int{
		k1 + k2: 80, k1 + k1: 56, k1 + k1OtherParity: 56,
		k1 + k2 + k3: 112, k1 + k2 + k1: 80, k1 + k2 + k1OtherParity: 80, k1 + k1 + k3: 56, k1 + k3 + k3: 56, k1 + k1 + k1: 56,
	} {
		require.Equal(t, want, keymaterial.TDES.Strength(unhex(key)), key)
	}
	for _, size := range []int{16, 24, 32} {
		require.Equal(t, 8*size, keymaterial.AES.Strength(make([]byte, size)))
	}
}

func TestComponentsMakeAKey(t *testing.T) {
	for _, v := range []struct {
		name       string
		cipher     keymaterial.Cipher
		components []string
		want       string
	}{
		{"two of AES", keymaterial.AES, []string{k1 + k2, k3 + k3}, "0E3D685BC2F1A497F1C297A43D0E5B68"},
		{"three of AES cancel out", keymaterial.AES, []string{k1 + k2, k2 + k1, k1 + k2}, k2 + k1},
		{"two of odd parity make even bytes, which become odd", keymaterial.TDES,
			[]string{"0123456789ABCDEF" + "0202020202020202", "0101010101010101" + "0404040404040404"}, "0123456789ABCDEF" + "0707070707070707"},
		{"three of odd parity", keymaterial.TDES, []string{strings.Repeat("01", 16), strings.Repeat("02", 16), strings.Repeat("04", 16)},
			strings.Repeat("07", 16)},
		{"one, to odd parity", keymaterial.TDES, []string{"00FF01FE80" + "7F0203" + k3}, "01FE01FE80" + "7F0202" + "0E1F2C3D4A5B6879"},
		{"one of AES as it is", keymaterial.AES, []string{"00FF01FE80" + "7F0203" + k3}, "00FF01FE80" + "7F0203" + k3},
	} {
		var parts [][]byte
		for _, c := range v.components {
			parts = append(parts, unhex(c))
		}
		key, err := v.cipher.Combine(parts...)
		require.NoError(t, err, v.name)
		require.Equal(t, v.want, upper(key), v.name)
		for i, c := range v.components {
			require.Equal(t, c, upper(parts[i]), "components are the caller's")
		}
		if v.cipher == keymaterial.TDES {
			require.True(t, keymaterial.OddParity(key))
		}
	}
	for name, parts := range map[string][][]byte{
		"none":                   nil,
		"the second is shorter":  {make([]byte, 24), make([]byte, 16)},
		"the second is longer":   {make([]byte, 16), make([]byte, 24)},
		"the third is empty":     {make([]byte, 16), make([]byte, 16), nil},
		"of no cipher's length":  {make([]byte, 8), make([]byte, 8)},
		"the first one is empty": {nil, make([]byte, 16)},
	} {
		for _, c := range []keymaterial.Cipher{keymaterial.TDES, keymaterial.AES} {
			key, err := c.Combine(parts...)
			require.Equal(t, keymaterial.ErrLength, err, name)
			require.Nil(t, key, name)
		}
	}
}

func TestOddParity(t *testing.T) {
	for key, want := range map[string]bool{"": true, "01": true, "00": false, "0102FE": true, "010203": false, "03": false, "0301": false} {
		require.Equal(t, want, keymaterial.OddParity(unhex(key)), key)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func upper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
