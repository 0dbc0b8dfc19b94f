package cmac_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/cmac"
)

// message is that of the examples of NIST SP 800-38B, which take its beginning.
const message = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"

func TestTagsAreThoseOfSP80038B(t *testing.T) {
	for _, v := range []struct {
		name, key string
		tags      map[int]string // by the length of the message in bytes
	}{
		{"AES-128", "2b7e151628aed2a6abf7158809cf4f3c", map[int]string{
			0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
			40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe",
		}},
		{"AES-192", "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", map[int]string{
			0: "d17ddf46adaacde531cac483de7a9367", 16: "9e99a7bf31e710900662f65e617c5184",
			40: "8a1de5be2eb31aad089a82e6ee908b0e", 64: "a1d5df0eed790f794d77589659f39a11",
		}},
		{"AES-256", "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", map[int]string{
			0: "028962f61b7bf89efc6b551f4667d983", 16: "28a7023f452e8f82bd4bf28d8c37c35c",
			40: "aaf3d8f1de5640c232f5b169b9c911e6", 64: "e1992190549f6ed5696a2c056c315410",
		}},
		{"TDES with three keys", "8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5", map[int]string{
			0: "b7a688e122ffaf95", 8: "8e8f293136283797", 20: "743ddbe0ce2dc2ed", 32: "33e6b1092400eae5",
		}},
		{"TDES with two keys", "4cf15134a2850dd58a3d10ba80570d384cf15134a2850dd5", map[int]string{
			0: "bd2ebf9a3ba00361", 8: "4ff2ab813c53ce83", 20: "62dd1b471902bd4e", 32: "31b1e431dabc4eb8",
		}},
	} {
		for size, want := range v.tags {
			m := unhex(message)[:size]
			given := slices.Clone(m)
			require.Equal(t, want, hex.EncodeToString(cmac.Sum(newCipher(t, unhex(v.key)), m)), "%s, %d bytes", v.name, size)
			require.Equal(t, given, m, "the message is the caller's")
		}
	}
}

// newCipher is AES, or TDES where the key's name above says so: both take 24 bytes.
func newCipher(t *testing.T, key []byte) cipher.Block {
	t.Helper()
	of := aes.NewCipher
	if key[0] == 0x8a || key[0] == 0x4c {
		of = des.NewTripleDESCipher
	}
	block, err := of(key)
	require.NoError(t, err)
	return block
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
