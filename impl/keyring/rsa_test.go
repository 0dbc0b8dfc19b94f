package keyring_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

func newRSA(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(tb, err)
	return key
}

func pkcs8(tb testing.TB, key any) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	return der
}

// keptRSA is a key of testdata: PKCS#8, DER. Keys that take long to draw, or that outputs are known of, are kept there.
func keptRSA(tb testing.TB, bits int) []byte {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/rsa-%d.pem", bits))
	require.NoError(tb, err)
	block, _ := pem.Decode(text)
	require.NotNil(tb, block)
	return block.Bytes
}

// rsaRing is a ring with the key as zone key "rsa" of "program".
func rsaRing(tb testing.TB, key *rsa.PrivateKey) *keyring.Ring {
	tb.Helper()
	store := newStore()
	ring := keyring.New(keyring.Sandbox(), store, atNoon)
	store.add(tb, ring, "rsa", "program", pin.UsageZonePIN, keyring.RSA, hex.EncodeToString(pkcs8(tb, key)))
	store.add(tb, ring, "tdes", "program", pin.UsageZonePIN, keyring.TDES, tdesKey)
	store.add(tb, ring, "aes", "program", pin.UsageZonePIN, keyring.AES, aesKey)
	store.add(tb, ring, "message", "program", pin.UsageMessage, keyring.AES, aesKey)
	return ring
}

// padded encrypts what stands after the first byte of a padded message, which makes PKCS#1 v1.5 by hand.
func padded(tb testing.TB, key *rsa.PublicKey, message []byte) []byte {
	tb.Helper()
	m := new(big.Int).SetBytes(message)
	return m.Exp(m, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
}

func TestRSAKeyOpensBlocks(t *testing.T) {
	for _, size := range []int{2048, 3072} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			key := newRSA(t, size)
			opener, err := rsaRing(t, key).ZoneKey(t.Context(), "program", "rsa")
			require.NoError(t, err)
			clearBlock, err := pinblock.Encode(pinblock.ISO0, []byte(digits), pan, nil)
			require.NoError(t, err)
			//lint:ignore SA1019 the contract has this padding
			block, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, clearBlock) //nolint:staticcheck // see above
			require.NoError(t, err)
			p, err := opener.OpenBlock(pinblock.ISO0, block, pan)
			require.NoError(t, err)
			require.Equal(t, digits, string(p.Digits()))
		})
	}
}

// Whatever is wrong inside, under the padding or about it, is one error.
func TestEveryWayAnRSABlockFailsIsTheSame(t *testing.T) {
	key := newRSA(t, 2048)
	opener, err := rsaRing(t, key).ZoneKey(t.Context(), "program", "rsa")
	require.NoError(t, err)
	good, err := pinblock.Encode(pinblock.ISO0, []byte(digits), pan, nil)
	require.NoError(t, err)
	// message is 00 02, padding, 00 and the block.
	message := func(change func(m []byte)) []byte {
		m := make([]byte, key.Size())
		for i := range m {
			m[i] = 0xAA
		}
		m[0], m[1], m[len(m)-9] = 0, 2, 0
		copy(m[len(m)-8:], good)
		change(m)
		return padded(t, &key.PublicKey, m)
	}
	p, err := opener.OpenBlock(pinblock.ISO0, message(func([]byte) {}), pan)
	require.NoError(t, err)
	require.Equal(t, digits, string(p.Digits()), "what is changed below is good")
	for _, test := range []struct {
		name  string
		block []byte
		pan   string
	}{
		{"another block type", message(func(m []byte) { m[1] = 1 }), pan},
		{"a first byte", message(func(m []byte) { m[0] = 1 }), pan},
		{"no end of the padding", message(func(m []byte) { m[len(m)-9] = 0xAA }), pan},
		{"a padding that ends at once", message(func(m []byte) { m[2] = 0 }), pan},
		{"a message of seven bytes", message(func(m []byte) { m[len(m)-9], m[len(m)-8] = 0xAA, 0 }), pan},
		{"a message of nine bytes", message(func(m []byte) { m[len(m)-10] = 0 }), pan},
		{"a block of another format", message(func(m []byte) { m[len(m)-8] |= 0x10 }), pan},
		{"a block without a PIN", message(func(m []byte) { clear(m[len(m)-8:]) }), pan},
		{"another PAN", message(func([]byte) {}), "5413339876543210"},
		{"no PAN", message(func([]byte) {}), ""},
		{"zero", make([]byte, key.Size()), pan},
		{"the modulus", key.N.FillBytes(make([]byte, key.Size())), pan},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := opener.OpenBlock(pinblock.ISO0, test.block, test.pan)
			require.Equal(t, &pin.Error{Code: pin.Unopenable}, err)
			require.Zero(t, p.Len())
		})
	}
	for _, test := range []struct {
		name   string
		format pinblock.Format
		block  []byte
	}{
		{"one byte less than the modulus has", pinblock.ISO0, message(func([]byte) {})[1:]},
		{"a symmetric block", pinblock.ISO0, make([]byte, 8)},
		{"nothing", pinblock.ISO0, nil},
		{"format 4", pinblock.ISO4, message(func([]byte) {})},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := opener.OpenBlock(test.format, test.block, pan)
			require.Equal(t, &pin.Error{Code: pin.UnfitBlock}, err)
		})
	}
}

func TestRSAKeysThatAreNotTaken(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key := newRSA(t, 2048)
	ring := keyring.New(keyring.Sandbox(), newStore(), atNoon)
	for name, der := range map[string][]byte{
		"an elliptic curve's": pkcs8(t, ec),
		"PKCS#1":              x509.MarshalPKCS1PrivateKey(key),
		"too short":           pkcs8(t, newRSA(t, 1024)),
		"a byte too long":     keptRSA(t, 4104),
		"not of whole bytes":  keptRSA(t, 2052),
		"a public key":        x509.MarshalPKCS1PublicKey(&key.PublicKey),
		"nothing":             nil,
	} {
		_, err := ring.WrapZoneKey("rsa", "program", pin.UsageZonePIN, keyring.RSA, der)
		require.Equal(t, &pin.Error{Code: pin.InvalidField, Field: "key"}, err, name)
	}
}

func TestTheLongestRSAKeyIsTaken(t *testing.T) {
	ring := keyring.New(keyring.Sandbox(), newStore(), atNoon)
	row, err := ring.WrapZoneKey("rsa", "program", pin.UsageZonePIN, keyring.RSA, keptRSA(t, 4096))
	require.NoError(t, err)
	require.Equal(t, "BB0048", row.CheckValue)
}

func TestPINKeyDescribesKeysThatTheProgramMayUse(t *testing.T) {
	ring := rsaRing(t, newRSA(t, 2048))
	for id, want := range map[string]keyring.PINKey{
		"tdes": {Algorithm: "TDES", Format: pinblock.ISO0, BlockSize: 8},
		"aes":  {Algorithm: "AES", Format: pinblock.ISO4, BlockSize: 16},
		"rsa":  {Algorithm: "RSA", Format: pinblock.ISO0, BlockSize: 256},
	} {
		got, err := ring.PINKey(t.Context(), "program", id)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = ring.PINKey(t.Context(), "other", id)
		require.Equal(t, pin.UnknownKey, pin.CodeOf(err))
	}
	for _, id := range []string{"nobody", "message"} {
		_, err := ring.PINKey(t.Context(), "program", id)
		require.Equal(t, pin.UnknownKey, pin.CodeOf(err), id)
	}
}

func TestPINCertificateIsTheKeysOwnAndAlwaysTheSame(t *testing.T) {
	key := newRSA(t, 2048)
	ring := rsaRing(t, key)
	der, err := ring.PINCertificate(t.Context(), "program", "rsa")
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature))
	require.True(t, key.PublicKey.Equal(c.PublicKey))
	require.Equal(t, "rsa", c.Subject.CommonName)
	require.Equal(t, x509.KeyUsageDataEncipherment, c.KeyUsage)
	require.False(t, c.IsCA)
	require.Equal(t, noon, c.NotBefore)
	require.Equal(t, noon.AddDate(10, 0, 0), c.NotAfter)
	require.Positive(t, c.SerialNumber.Sign())

	again, err := rsaRing(t, key).PINCertificate(t.Context(), "program", "rsa")
	require.NoError(t, err)
	require.Equal(t, der, again, "another process has the same one")

	for _, id := range []string{"tdes", "aes", "message", "nobody"} {
		_, err := ring.PINCertificate(t.Context(), "program", id)
		require.Equal(t, pin.UnknownKey, pin.CodeOf(err), id)
	}
	_, err = ring.PINCertificate(t.Context(), "other", "rsa")
	require.Equal(t, pin.UnknownKey, pin.CodeOf(err))
}

// The serial number is the SHA-256 of the public key (bb0048ae…), cut to 20 bytes that begin with the bits 01.
func TestSerialNumberOfAPINCertificateFollowsFromTheKey(t *testing.T) {
	parsed, err := x509.ParsePKCS8PrivateKey(keptRSA(t, 4096))
	require.NoError(t, err)
	der, err := rsaRing(t, parsed.(*rsa.PrivateKey)).PINCertificate(t.Context(), "program", "rsa")
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Equal(t, "7b0048aef044395217cecb9a12cb711cc890e8b9", c.SerialNumber.Text(16))
}

func TestCheckValueOfAnRSAKeyIsThatOfItsPublicKey(t *testing.T) {
	key := newRSA(t, 2048)
	ring := keyring.New(keyring.Sandbox(), newStore(), func() time.Time { return noon })
	one, err := ring.WrapZoneKey("a", "", pin.UsageZonePIN, keyring.RSA, pkcs8(t, key))
	require.NoError(t, err)
	two, err := ring.WrapZoneKey("b", "program", pin.UsageZonePIN, keyring.RSA, pkcs8(t, key))
	require.NoError(t, err)
	require.Equal(t, one.CheckValue, two.CheckValue)
	require.Regexp(t, `^[0-9A-F]{6}$`, one.CheckValue)
}
