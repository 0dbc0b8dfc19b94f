package keyring

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// NIST SP 800-38A, F.2.3 CBC-AES192.Encrypt and F.2.4 CBC-AES192.Decrypt.
const (
	nistKey    = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
	nistIV     = "000102030405060708090a0b0c0d0e0f"
	nistText   = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
	nistCipher = "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a 571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd"
)

func TestTokensAreAES192CBCAsNISTHasIt(t *testing.T) {
	iv, text, want := unhex(t, nistIV), unhex(t, nistText), unhex(t, nistCipher)
	for _, mode := range []struct {
		name  string
		fixed []byte
		head  []byte // what stands before the ciphertext
	}{
		{"with the IV before the ciphertext", nil, iv},
		{"with a fixed IV", iv, nil},
	} {
		t.Run(mode.name, func(t *testing.T) {
			k, err := NewTokenKey(unhex(t, nistKey), mode.fixed)
			require.NoError(t, err)
			token, err := k.Seal(bytes.NewReader(iv), text)
			require.NoError(t, err)
			sealed, err := base64.StdEncoding.DecodeString(token)
			require.NoError(t, err)
			require.Len(t, sealed, len(mode.head)+len(want)+aes.BlockSize, "whole blocks get a block of padding")
			require.Equal(t, append(bytes.Clone(mode.head), want...), sealed[:len(mode.head)+len(want)])
			opened, ok := k.Open(token)
			require.True(t, ok)
			require.Equal(t, text, opened)
		})
	}
}

func TestWhatIsSealedOpens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 24).Draw(t, "key")
		iv := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "iv")
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		var fixed []byte
		if rapid.Bool().Draw(t, "fixed") {
			fixed = iv
		}
		k, err := NewTokenKey(key, fixed)
		require.NoError(t, err)
		token, err := k.Seal(bytes.NewReader(iv), text)
		require.NoError(t, err)
		opened, ok := k.Open(token)
		require.True(t, ok)
		require.True(t, bytes.Equal(text, opened))
	})
}

// sealRaw encrypts whole blocks as they are: what a wrong padding is made with.
func sealRaw(t testing.TB, k *TokenKey, blocks []byte) string {
	t.Helper()
	token, err := k.Seal(bytes.NewReader(make([]byte, aes.BlockSize)), blocks)
	require.NoError(t, err)
	sealed, err := base64.StdEncoding.DecodeString(token)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(sealed[:len(sealed)-aes.BlockSize])
}

func TestATokenThatDoesNotOpen(t *testing.T) {
	key := unhex(t, nistKey)
	k, err := NewTokenKey(key, nil)
	require.NoError(t, err)
	good, err := k.Seal(bytes.NewReader(make([]byte, 16)), []byte(`{"messageCode":"1120","urn":70000000001}`))
	require.NoError(t, err)
	for name, token := range map[string]string{
		"is empty":                                   "",
		"is not base64":                              "no base64!",
		"is base64 for URLs":                         "__" + good[2:],
		"has too little padding":                     strings.TrimSuffix(good, "="),
		"has too much padding":                       good + "=",
		"has padding in place of digits":             good + "====",
		"has another blank":                          good[:8] + "\u00a0" + good[8:],
		"has bits behind its end":                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
		"is an IV alone":                             base64.StdEncoding.EncodeToString(make([]byte, 16)),
		"is not whole blocks":                        base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"is padded with 0":                           sealRaw(t, k, append(bytes.Repeat([]byte{'x'}, 15), 0)),
		"is padded with 17":                          sealRaw(t, k, bytes.Repeat([]byte{17}, 16)),
		"is padded with 255":                         sealRaw(t, k, bytes.Repeat([]byte{255}, 16)),
		"is padded with 2, of which the first is 3":  sealRaw(t, k, append(bytes.Repeat([]byte{'x'}, 14), 3, 2)),
		"is padded with 16, of which the first is 0": sealRaw(t, k, append([]byte{0}, bytes.Repeat([]byte{16}, 15)...)),
	} {
		t.Run(name, func(t *testing.T) {
			text, ok := k.Open(token)
			require.False(t, ok)
			require.NotEmpty(t, text, "there must be work to do")
		})
	}
	fixed, err := NewTokenKey(key, make([]byte, 16))
	require.NoError(t, err)
	text, ok := fixed.Open("")
	require.False(t, ok)
	require.NotEmpty(t, text)
}

// Android's and MIME's encoders break lines, OpenSSL ends with one, and some encoders leave the padding out.
func TestATokenOpensHoweverItsBase64IsWritten(t *testing.T) {
	k, err := NewTokenKey(unhex(t, nistKey), nil)
	require.NoError(t, err)
	good, err := k.Seal(bytes.NewReader(make([]byte, 16)), []byte(`{"messageCode":"1120","urn":70000000001}`))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(good, "=="))
	for name, token := range map[string]string{
		"in one piece":              good,
		"with a line break":         good[:8] + "\n" + good[8:],
		"in lines as MIME has them": good[:20] + "\r\n" + good[20:40] + "\r\n" + good[40:],
		"with a line break behind":  good + "\n",
		"with blanks behind":        good + " \t \r\n",
		"without padding":           strings.TrimRight(good, "="),
		"with a break and without":  strings.TrimRight(good, "=") + "\n",
		"with a break within it":    strings.TrimRight(good, "=") + "\n" + strings.Repeat("=", strings.Count(good, "=")),
	} {
		text, ok := k.Open(token)
		require.True(t, ok, name)
		require.Equal(t, `{"messageCode":"1120","urn":70000000001}`, string(text), name)
	}
}

// The padding check agrees with the plain reading of RFC 5652 on every last block.
func TestUnpadIsPKCS7(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.ByteRange(0, 18), 16, 16).Draw(t, "text")
		size := rapid.IntRange(0, 16).Draw(t, "padded with")
		copy(text[16-size:], bytes.Repeat([]byte{byte(size)}, size))
		last := int(text[15])
		want := last >= 1 && last <= 16 && bytes.Equal(text[16-last:], bytes.Repeat([]byte{byte(last)}, last))
		n, padded := unpad(text)
		require.Equal(t, want, padded == 1)
		if want {
			require.Equal(t, 16-last, n)
		} else {
			require.Equal(t, 16, n)
		}
	})
}

// rowsOf answers with what was put in.
type rowsOf map[string]pin.ZoneKey

func (r rowsOf) ZoneKey(_ context.Context, id string) (pin.ZoneKey, error) {
	row, ok := r[id]
	if !ok {
		return row, &pin.Error{Code: pin.NotFound}
	}
	return row, nil
}

func TestTheRingGivesTokenKeysForTokensOnly(t *testing.T) {
	rows := rowsOf{}
	ring := New(Sandbox(), rows, nil)
	for _, k := range []struct {
		id, program string
		usage       pin.KeyUsage
		algorithm   string
		size        int
	}{
		{"good", "program", pin.UsageMessage, "AES", 24}, {"everybody's", "", pin.UsageMessage, "AES", 24},
		{"zone", "program", pin.UsageZonePIN, "AES", 24}, {"tdes", "program", pin.UsageMessage, "TDES", 24},
		{"long", "program", pin.UsageMessage, "AES", 32}, {"retired", "program", pin.UsageMessage, "AES", 24},
		{"tampered", "program", pin.UsageMessage, "AES", 24},
	} {
		row, err := ring.WrapZoneKey(k.id, k.program, k.usage, k.algorithm, bytes.Repeat([]byte{7, 1}, k.size/2))
		require.NoError(t, err)
		rows[k.id] = row
	}
	row := rows["retired"]
	row.State = pin.KeyRetired
	rows["retired"] = row
	row = rows["tampered"]
	row.Wrapped = append(bytes.Clone(row.Wrapped[:len(row.Wrapped)-1]), row.Wrapped[len(row.Wrapped)-1]^1)
	rows["tampered"] = row

	for _, test := range []struct {
		program, id string
		want        pin.Code
	}{
		{"program", "good", ""}, {"other", "everybody's", ""}, {"other", "good", pin.UnknownKey}, {"program", "nobody's", pin.UnknownKey},
		{"program", "zone", pin.UnknownKey}, {"program", "tdes", pin.UnknownKey}, {"program", "long", pin.UnknownKey},
		{"program", "retired", pin.UnknownKey}, {"program", "tampered", pin.Internal},
	} {
		found, err := ring.TokenKeys(t.Context(), test.program, test.id, nil)
		require.Equal(t, test.want, pin.CodeOf(err), test.id)
		if err == nil {
			require.Len(t, found, 1)
			require.Equal(t, "**** ****", fmt.Sprintf("%v %+v", found[0], *found[0]))
		}
	}
}

func TestATokenKeyHas24BytesAndAnIV16(t *testing.T) {
	for _, test := range []struct{ key, iv int }{{16, 16}, {32, 16}, {0, 16}, {24, 15}, {24, 1}} {
		_, err := NewTokenKey(make([]byte, test.key), make([]byte, test.iv))
		require.ErrorIs(t, err, ErrTokenKey)
	}
}
