package pinverification_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keymaterial"
	"pinvault/impl/pinverification"
)

const (
	pvk   = "0123456789ABCDEFFEDCBA9876543210"
	pan   = "1122334455667788"
	table = "1234567890123456"
)

// whole is how the known answers make natural PINs: of all 16 digits.
var whole = pinverification.IBM3624{Table: table, Start: 0, Digits: 16}

func TestPVVsAreTheKnownOnes(t *testing.T) {
	for _, v := range []struct {
		name, pan string
		index     int
		pin, want string
	}{
		{"the first four digits are decimal ones", pan, 1, "4524", "8523"},
		{"another index", pan, 3, "4524", "4021"},
		{"another PIN", pan, 2, "1912", "3244"},
		{"a letter is needed", "1122334455667718", 1, "0570", "3144"},
		{"letters are needed", "1122334455667708", 1, "8299", "4422"},
		{"three digits and a letter, of ABD3FDFE2CF4DEFB", "4000000027550", 1, "1234", "3240"},
		{"two and two, of BCBEEBDEDDC5DA8F", "4000000097660", 1, "1234", "5812"},
		{"one and three, of BDAFAAB8EBDCDDDE", "4000001185170", 1, "1234", "8130"},
		{"a PIN of six digits by its first four", pan, 1, "452499", "8523"},
		{"a PIN of twelve digits by its first four", pan, 1, "452412345678", "8523"},
		{"another check digit", "1122334455667780", 1, "4524", "8523"},
		{"another beginning of the PAN", "9999334455667788", 1, "4524", "8523"},
		{"the shortest PAN", "334455667788", 1, "4524", "8523"},
		{"the longest PAN", "9871122334455667788", 1, "4524", "8523"},
	} {
		t.Run(v.name, func(t *testing.T) {
			k := newKey(t, pvk)
			got, err := k.PVV(v.pan, v.index, []byte(v.pin))
			require.NoError(t, err)
			require.Equal(t, v.want, got)

			ok, err := k.VerifyPVV(v.pan, v.index, []byte(v.pin), v.want)
			require.NoError(t, err)
			require.True(t, ok)
			for i := range v.want {
				other := []byte(v.want)
				other[i] = '0' + (other[i]-'0'+1)%10
				ok, err = k.VerifyPVV(v.pan, v.index, []byte(v.pin), string(other))
				require.NoError(t, err)
				require.False(t, ok)
			}
		})
	}
}

func TestWhatAPVVIsNotMadeOf(t *testing.T) {
	k := newKey(t, pvk)
	for name, v := range map[string]struct {
		pan   string
		index int
		pin   string
		want  error
	}{
		"a PAN of eleven digits":                  {"12345678901", 1, "1234", pinverification.ErrPAN},
		"a PAN of twenty digits":                  {"12345678901234567890", 1, "1234", pinverification.ErrPAN},
		"no PAN":                                  {"", 1, "1234", pinverification.ErrPAN},
		"a PAN with a letter":                     {"112233445566778A", 1, "1234", pinverification.ErrPAN},
		"a PAN with a letter that does not count": {"A122334455667788", 1, "1234", pinverification.ErrPAN},
		"an index below":                          {pan, -1, "1234", pinverification.ErrIndex},
		"an index above":                          {pan, 10, "1234", pinverification.ErrIndex},
		"a PIN of three digits":                   {pan, 1, "123", pinverification.ErrPIN},
		"a PIN of thirteen digits":                {pan, 1, "1234567890123", pinverification.ErrPIN},
		"no PIN":                                  {pan, 1, "", pinverification.ErrPIN},
		"a PIN with a letter":                     {pan, 1, "123A", pinverification.ErrPIN},
		"a PIN with a sign below the digits":      {pan, 1, "12/4", pinverification.ErrPIN},
		"a PIN with a sign above the digits":      {pan, 1, "12:4", pinverification.ErrPIN},
		"a PIN with a letter that does not count": {pan, 1, "1234A", pinverification.ErrPIN},
	} {
		got, err := k.PVV(v.pan, v.index, []byte(v.pin))
		require.Equal(t, v.want, err, name)
		require.Empty(t, got, name)
		ok, err := k.VerifyPVV(v.pan, v.index, []byte(v.pin), "1234")
		require.Equal(t, v.want, err, name)
		require.False(t, ok, name)
	}
	for _, index := range []int{0, 9} {
		_, err := k.PVV(pan, index, []byte("1234"))
		require.NoError(t, err)
	}
	for _, pvv := range []string{"", "852", "85230", "852A", "8523\x00", " 8523"} {
		ok, err := k.VerifyPVV(pan, 1, []byte("4524"), pvv)
		require.Equal(t, pinverification.ErrPVV, err)
		require.False(t, ok)
	}
}

func TestNaturalPINsAndOffsetsAreTheKnownOnes(t *testing.T) {
	for _, v := range []struct {
		name        string
		method      pinverification.IBM3624
		pan         string
		pin, offset string
	}{
		{"the natural PIN", whole, pan, "4524", "0000"},
		{"an offset of ones", whole, pan, "5635", "1111"},
		{"a PIN of zeros", whole, pan, "0000", "6586"},
		{"a PIN of ones", whole, pan, "1111", "7697"},
		{"any PIN", whole, pan, "1234", "7710"},
		{"fourteen digits", pinverification.IBM3624{Table: table, Digits: 14, Pad: 'F'}, pan, "5518", "0000"},
		{"fourteen digits after one", pinverification.IBM3624{Table: table, Start: 1, Digits: 14, Pad: '1'}, pan, "3675", "0000"},
		{"the last fourteen digits", pinverification.IBM3624{Table: table, Start: 2, Digits: 14, Pad: '1'}, pan, "5550", "0000"},
		{"sixteen digits of a longer PAN", pinverification.IBM3624{Table: table, Start: 3, Digits: 16}, "987" + pan, "1234", "7710"},
		{"sixteen digits of which what fills up is not looked at", pinverification.IBM3624{Table: table, Digits: 16, Pad: 'x'}, pan, "1234", "7710"},
	} {
		t.Run(v.name, func(t *testing.T) {
			k := newKey(t, pvk)
			offset, err := k.Offset(v.method, v.pan, []byte(v.pin))
			require.NoError(t, err)
			require.Equal(t, v.offset, offset)
			got, err := k.PIN(v.method, v.pan, v.offset)
			require.NoError(t, err)
			require.Equal(t, v.pin, string(got))
			if v.offset == "0000" {
				natural, err := k.NaturalPIN(v.method, v.pan, 4)
				require.NoError(t, err)
				require.Equal(t, v.pin, string(natural))
			}
			ok, err := k.VerifyOffset(v.method, v.pan, []byte(v.pin), v.offset)
			require.NoError(t, err)
			require.True(t, ok)
			for i := range v.offset {
				other := []byte(v.offset)
				other[i] = '0' + (other[i]-'0'+1)%10
				ok, err = k.VerifyOffset(v.method, v.pan, []byte(v.pin), string(other))
				require.NoError(t, err)
				require.False(t, ok)
			}
		})
	}
}

func TestPINsOfEveryLengthHaveOffsets(t *testing.T) {
	k := newKey(t, pvk)
	longest, err := k.NaturalPIN(whole, pan, 12)
	require.NoError(t, err)
	require.Equal(t, "4524", string(longest[:4]))
	for n := 4; n <= 12; n++ {
		natural, err := k.NaturalPIN(whole, pan, n)
		require.NoError(t, err)
		require.Equal(t, string(longest[:n]), string(natural))
		pin := []byte(strings.Repeat("9", n))
		offset, err := k.Offset(whole, pan, pin)
		require.NoError(t, err)
		require.Len(t, offset, n)
		ok, err := k.VerifyOffset(whole, pan, pin, offset)
		require.NoError(t, err)
		require.True(t, ok)
		if n > 4 {
			ok, err = k.VerifyOffset(whole, pan, pin[1:], offset)
			require.NoError(t, err)
			require.False(t, ok, "of another length than the PIN")
		}
	}
}

func TestWhatAnOffsetIsNotMadeOf(t *testing.T) {
	k := newKey(t, pvk)
	with := func(change func(*pinverification.IBM3624)) pinverification.IBM3624 {
		m := pinverification.IBM3624{Table: table, Start: 0, Digits: 12, Pad: 'F'}
		change(&m)
		return m
	}
	for name, v := range map[string]struct {
		method pinverification.IBM3624
		pan    string
		want   error
	}{
		"nothing wrong":                         {with(func(*pinverification.IBM3624) {}), pan, nil},
		"four digits":                           {with(func(m *pinverification.IBM3624) { m.Digits = 4 }), pan, nil},
		"up to the last digit":                  {with(func(m *pinverification.IBM3624) { m.Start = 4 }), pan, nil},
		"a table of fifteen digits":             {with(func(m *pinverification.IBM3624) { m.Table = table[1:] }), pan, pinverification.ErrTable},
		"a table of seventeen digits":           {with(func(m *pinverification.IBM3624) { m.Table += "7" }), pan, pinverification.ErrTable},
		"a table with a letter":                 {with(func(m *pinverification.IBM3624) { m.Table = "A" + table[1:] }), pan, pinverification.ErrTable},
		"no table":                              {with(func(m *pinverification.IBM3624) { m.Table = "" }), pan, pinverification.ErrTable},
		"a table of zeros":                      {with(func(m *pinverification.IBM3624) { m.Table = strings.Repeat("0", 16) }), pan, pinverification.ErrTable},
		"eight different digits, four of three": {with(func(m *pinverification.IBM3624) { m.Table = "0000111122345677" }), pan, nil},
		"seven different digits":                {with(func(m *pinverification.IBM3624) { m.Table = "0001112223345566" }), pan, pinverification.ErrTable},
		"one digit five times":                  {with(func(m *pinverification.IBM3624) { m.Table = "0123456789000099" }), pan, pinverification.ErrTable},
		"the last digit five times":             {with(func(m *pinverification.IBM3624) { m.Table = "0123456789999900" }), pan, pinverification.ErrTable},
		"a PAN of twenty digits":                {with(func(*pinverification.IBM3624) {}), "12345678901234567890", pinverification.ErrPAN},
		"a PAN of nineteen digits":              {with(func(*pinverification.IBM3624) {}), "1234567890123456789", nil},
		"a PAN with a letter":                   {with(func(*pinverification.IBM3624) {}), "112233445566778A", pinverification.ErrPAN},
		"no PAN":                                {with(func(*pinverification.IBM3624) {}), "", pinverification.ErrValidationData},
		"three digits":                          {with(func(m *pinverification.IBM3624) { m.Digits = 3 }), pan, pinverification.ErrValidationData},
		"seventeen digits":                      {with(func(m *pinverification.IBM3624) { m.Digits = 17 }), pan + "9", pinverification.ErrValidationData},
		"less than no digits":                   {with(func(m *pinverification.IBM3624) { m.Digits = -1 }), pan, pinverification.ErrValidationData},
		"digits before the PAN":                 {with(func(m *pinverification.IBM3624) { m.Start = -1 }), pan, pinverification.ErrValidationData},
		"one digit more than the PAN":           {with(func(m *pinverification.IBM3624) { m.Start = 5 }), pan, pinverification.ErrValidationData},
		"digits far behind the PAN":             {with(func(m *pinverification.IBM3624) { m.Start = int(^uint(0) >> 1) }), pan, pinverification.ErrValidationData},
		"nothing to fill up with":               {with(func(m *pinverification.IBM3624) { m.Pad = 0 }), pan, pinverification.ErrValidationData},
		"a letter in lower case to fill up":     {with(func(m *pinverification.IBM3624) { m.Pad = 'f' }), pan, pinverification.ErrValidationData},
		"fifteen digits and nothing to fill up": {with(func(m *pinverification.IBM3624) { m.Digits, m.Pad = 15, 0 }), pan, pinverification.ErrValidationData},
	} {
		natural, err := k.NaturalPIN(v.method, v.pan, 4)
		require.Equal(t, v.want, err, name)
		require.Equal(t, v.want != nil, natural == nil, name)
		offset, err := k.Offset(v.method, v.pan, []byte("1234"))
		require.Equal(t, v.want, err, name)
		require.Equal(t, v.want != nil, offset == "", name)
		pin, err := k.PIN(v.method, v.pan, "1234")
		require.Equal(t, v.want, err, name)
		require.Equal(t, v.want != nil, pin == nil, name)
		ok, err := k.VerifyOffset(v.method, v.pan, []byte("1234"), "1234")
		require.Equal(t, v.want, err, name)
		require.False(t, ok, name)
	}
	for _, bad := range []string{"", "123", "1234567890123", "123A", "1234A"} {
		_, err := k.Offset(whole, pan, []byte(bad))
		require.Equal(t, pinverification.ErrPIN, err, bad)
		_, err = k.VerifyOffset(whole, pan, []byte(bad), "1234")
		require.Equal(t, pinverification.ErrPIN, err, bad)
		_, err = k.VerifyOffset(whole, pan, []byte("1234"), bad)
		require.Equal(t, pinverification.ErrOffset, err, bad)
		_, err = k.PIN(whole, pan, bad)
		require.Equal(t, pinverification.ErrOffset, err, bad)
	}
	for _, length := range []int{-1, 0, 3, 13, 16} {
		_, err := k.NaturalPIN(whole, pan, length)
		require.Equal(t, pinverification.ErrPIN, err)
	}
}

// Three parts are another key than the first two, and the bytes stay the caller's.
func TestKeys(t *testing.T) {
	for n := range 41 {
		raw := slices.Repeat([]byte{0x37}, n)
		_, err := pinverification.NewKey(raw)
		if n == 16 || n == 24 {
			require.NoError(t, err)
			continue
		}
		require.Equal(t, keymaterial.ErrLength, err)
	}
	triple, err := newKey(t, pvk+"0F1E2D3C4B5A6978").PVV(pan, 1, []byte("4524"))
	require.NoError(t, err)
	require.NotEqual(t, "8523", triple)
	same, err := newKey(t, pvk+pvk[:16]).PVV(pan, 1, []byte("4524"))
	require.NoError(t, err)
	require.Equal(t, "8523", same)

	raw := unhex(pvk)
	k, err := pinverification.NewKey(raw)
	require.NoError(t, err)
	require.Equal(t, unhex(pvk), raw)
	clear(raw)
	pvv, err := k.PVV(pan, 1, []byte("4524"))
	require.NoError(t, err)
	require.Equal(t, "8523", pvv)
}

func TestTheCallersPINStaysAsItIs(t *testing.T) {
	k, pin := newKey(t, pvk), []byte("1234")
	_, err := k.PVV(pan, 1, pin)
	require.NoError(t, err)
	_, err = k.Offset(whole, pan, pin)
	require.NoError(t, err)
	_, err = k.VerifyOffset(whole, pan, pin, "7710")
	require.NoError(t, err)
	require.Equal(t, "1234", string(pin))
}

func TestAKeyPrintsStarsOnly(t *testing.T) {
	k := newKey(t, pvk)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.Equal(t, "****", fmt.Sprintf(verb, k))
		require.Equal(t, "****", fmt.Sprintf(verb, *k))
	}
	text, err := json.Marshal(map[string]any{"key": k, "value": *k})
	require.NoError(t, err)
	require.JSONEq(t, `{"key":"****","value":"****"}`, string(text))
}

func newKey(t *testing.T, pvk string) *pinverification.Key {
	t.Helper()
	k, err := pinverification.NewKey(unhex(pvk))
	require.NoError(t, err)
	return k
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
