// Package sdk holds what client teams get besides the documents: see README.md. Here the server's own
// code passes the vectors that the wrappers of all languages pass.
package sdk_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

type sealing struct{ Name, IV, Header, Clear, Sealed string }

type refusal struct{ Name, Sealed string }

type vectors struct {
	JWE struct {
		Key, KID string
		Seal     []sealing
		Refuse   []refusal
	}
	Token struct {
		Key    string
		Seal   []sealing
		Refuse []refusal
	}
	PINBlock []struct{ Name, Format, Algorithm, Key, PAN, PIN, Fill, Block string }
}

func read(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("vectors.json")
	require.NoError(t, err)
	var v vectors
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&v))
	require.NotEmpty(t, v.JWE.Seal)
	require.NotEmpty(t, v.JWE.Refuse)
	require.NotEmpty(t, v.Token.Seal)
	require.NotEmpty(t, v.Token.Refuse)
	require.NotEmpty(t, v.PINBlock)
	return v
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	require.NoError(t, err)
	return raw
}

// row is a store with one key.
type row pin.ZoneKey

func (r row) ZoneKey(context.Context, string) (pin.ZoneKey, error) { return pin.ZoneKey(r), nil }

func TestTheServerPassesTheVectorsOfMessages(t *testing.T) {
	v := read(t).JWE
	wrapped, err := keyring.New(keyring.Sandbox(), nil, time.Now).WrapZoneKey(v.KID, "program", pin.UsageMessage, "AES", unhex(t, v.Key))
	require.NoError(t, err)
	ring := keyring.New(keyring.Sandbox(), row(wrapped), time.Now)
	block, err := aes.NewCipher(unhex(t, v.Key))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	for _, s := range v.Seal {
		// What RFC 7516, 5.1 says of dir and A256GCM, without a library: it would draw an IV.
		header, encode := base64.RawURLEncoding.EncodeToString([]byte(s.Header)), base64.RawURLEncoding.EncodeToString
		out := gcm.Seal(nil, unhex(t, s.IV), []byte(s.Clear), []byte(header))
		tag := len(out) - gcm.Overhead()
		require.Equal(t, strings.Join([]string{header, "", encode(unhex(t, s.IV)), encode(out[:tag]), encode(out[tag:])}, "."), s.Sealed, s.Name)
		opened, err := ring.OpenMessage(t.Context(), "program", []string{v.KID}, []byte(s.Sealed))
		require.NoError(t, err, s.Name)
		require.Equal(t, s.Clear, string(opened), s.Name)
	}
	for _, r := range v.Refuse {
		_, err := ring.OpenMessage(t.Context(), "program", []string{v.KID}, []byte(r.Sealed))
		require.Equal(t, pin.Unopenable, pin.CodeOf(err), r.Name)
	}
}

func TestTheServerPassesTheVectorsOfTokens(t *testing.T) {
	v := read(t).Token
	key, err := keyring.NewTokenKey(unhex(t, v.Key), nil)
	require.NoError(t, err)
	for _, s := range v.Seal {
		token, err := key.Seal(bytes.NewReader(unhex(t, s.IV)), []byte(s.Clear))
		require.NoError(t, err, s.Name)
		require.Equal(t, token, s.Sealed, s.Name)
		opened, ok := key.Open(s.Sealed)
		require.True(t, ok, s.Name)
		require.Equal(t, s.Clear, string(opened), s.Name)
	}
	for _, r := range v.Refuse {
		_, ok := key.Open(r.Sealed)
		require.False(t, ok, r.Name)
	}
}

func TestTheServerPassesTheVectorsOfPINBlocks(t *testing.T) {
	for _, v := range read(t).PINBlock {
		format, err := pinblock.ParseFormat(v.Format)
		require.NoError(t, err, v.Name)
		of := map[string]func([]byte) (*pinblock.Key, error){"TDES": pinblock.NewTDES, "AES": pinblock.NewAES}[v.Algorithm]
		key, err := of(unhex(t, v.Key))
		require.NoError(t, err, v.Name)
		block, err := key.Encrypt(format, []byte(v.PIN), v.PAN, bytes.NewReader(drawn(t, format, v.Fill)))
		require.NoError(t, err, v.Name)
		require.Equal(t, strings.ToUpper(hex.EncodeToString(block)), v.Block, v.Name)
		opened, err := key.Decrypt(format, block, v.PAN)
		require.NoError(t, err, v.Name)
		require.Equal(t, v.PIN, string(opened), v.Name)
	}
}

// drawn is what the server has to draw for a fill: the digits of a number, the last one first, or the bytes as they are.
func drawn(t *testing.T, format pinblock.Format, fill string) []byte {
	t.Helper()
	least, choices := uint64(0), uint64(16)
	switch format {
	case pinblock.ISO4:
		return unhex(t, fill)
	case pinblock.ISO3:
		least, choices = 0xA, 6
	}
	number := uint64(0)
	for i := len(fill) - 1; i >= 0; i-- {
		digit, err := strconv.ParseUint(fill[i:i+1], 16, 8)
		require.NoError(t, err)
		number = number*choices + digit - least
	}
	return binary.BigEndian.AppendUint64(nil, number)
}
