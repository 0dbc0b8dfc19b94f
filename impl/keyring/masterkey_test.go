package keyring

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMasterKeysAreDrawnAtRandom(t *testing.T) {
	t.Parallel()
	series := make([]byte, keySize)
	for i := range series {
		series[i] = byte(5 + 7*i)
	}
	half := make([]byte, keySize/2)
	_, err := rand.Read(half)
	require.NoError(t, err)
	for name, key := range map[string][]byte{
		"zeros":                       make([]byte, keySize),
		"one byte":                    bytes.Repeat([]byte{0xA7}, keySize),
		"letters":                     []byte("correct horse battery staple 42!"),
		"letters of another script":   []byte("सहीघोड़ाबै42"),
		"hexadecimal digits":          []byte("0123456789abcdef0123456789abcdef"),
		"a few bytes over and over":   bytes.Repeat([]byte{1, 200, 31, 9}, keySize/4),
		"sixteen random bytes, twice": append(bytes.Clone(half), half...),
		"a series":                    series,
		"a series downwards":          reversed(keySize),
		"random bytes in front of a long row of zeros": append(bytes.Clone(half[:12]), make([]byte, 20)...),
	} {
		require.Len(t, key, keySize, name)
		require.ErrorIs(t, CheckMasterKey(key), errWeakKey, name)
	}
	for distinct, want := range map[int]error{minDistinct - 1: errWeakKey, minDistinct: nil} {
		key := make([]byte, keySize)
		for i := range key { // upwards, then downwards: neither a series nor the same half twice
			key[i] = byte(37 * (i % distinct))
			if i >= keySize/2 {
				key[i] = key[keySize-1-i]
			}
		}
		require.ErrorIs(t, CheckMasterKey(key), want, "%d different bytes", distinct)
	}
	for range 10_000 {
		key := make([]byte, keySize)
		_, err := rand.Read(key)
		require.NoError(t, err)
		require.NoError(t, CheckMasterKey(key))
	}
}

func reversed(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(n - i)
	}
	return out
}
