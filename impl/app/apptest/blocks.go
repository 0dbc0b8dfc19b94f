package apptest

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pinblock"
)

// PINBlock is a PIN block under a key of a kind, both in hexadecimal digits.
func PINBlock(t testing.TB, of func([]byte) (*pinblock.Key, error), key string, format pinblock.Format, digits, pan string) string {
	t.Helper()
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	k, err := of(raw)
	require.NoError(t, err)
	block, err := k.Encrypt(format, []byte(digits), pan, rand.Reader)
	require.NoError(t, err)
	return strings.ToUpper(hex.EncodeToString(block))
}
