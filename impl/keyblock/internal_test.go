package keyblock

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The padding of the standards' blocks is theirs, so they are opened to learn it.
func TestBlocksOfTheStandardsAreWritten(t *testing.T) {
	for _, v := range []struct {
		name, kbpk, block string
		hidden            bool // whether the key's length is
	}{
		{
			"TR-31:2018, A.7.2.2", "DD7515F2BFC17F85CE48F3CA25CB21F6",
			"B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E", false,
		},
		{
			"TR-31:2018, A.7.4", "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
			"D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34", false,
		},
		{
			"X9.143:2021, 8.1", "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",
			"D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082557", true,
		},
		{
			"X9.143:2021, 8.4.2", "1D22BF32387C600AD97F9B97A51311AC",
			"B0120B0TX12S0100KS1800604B120F929280000015CEB14B76D551F21EC43A75390FA118A98C6CB049E3B9E864A5F4A8B9A5108A6DB5635C95B042D7", true,
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			k := newKey(t, v.block[:1], v.kbpk)
			h, header, err := parse(v.block)
			require.NoError(t, err)
			data := decrypted(t, k, header, v.block)
			key := bytes.Clone(data[2 : 2+int(data[1])/8])
			if v.hidden {
				block, err := k.Wrap(h, key, bytes.NewReader(data[2+len(key):]))
				require.NoError(t, err)
				require.Equal(t, v.block, block)
			}
			require.Equal(t, v.block, k.seal(header, data))
		})
	}
}

// An EC key is none that the package opens, but the MAC holds the header as it was read: a certificate in a block of more
// than 255 characters, two check values' worth of others, and a pad.
func TestTheStandardsLongHeaderIsAuthentic(t *testing.T) {
	text, err := os.ReadFile("testdata/x9143-8.6.txt")
	require.NoError(t, err)
	block := string(text)
	k := newKey(t, "D", "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
	h, header, err := parse(block)
	require.NoError(t, err)
	require.Len(t, h.Blocks, 3)
	require.Equal(t, "CT", h.Blocks[0].ID)
	require.Len(t, h.Blocks[0].Data, 0x5CC-10)
	require.Equal(t, []Optional{{ID: "KP", Data: "012331550BC9"}, {ID: "TS", Data: "20200818004100Z"}}, h.Blocks[1:])

	data := decrypted(t, k, header, block)
	require.Equal(t, "307702010104", fmt.Sprintf("%x", data[2:8]), "a private key in DER")
	mac := fmt.Sprintf("%X", authenticate(k.derived.authenticate, header, data))
	require.Equal(t, block[len(block)-32:], mac)

	written, err := h.text(layouts[VersionD], len(data))
	require.NoError(t, err)
	require.Equal(t, header, written)

	_, _, err = k.Unwrap(block)
	require.ErrorIs(t, err, ErrAlgorithm)
}

// What is sealed here is authentic, so that only the length keeps the block from opening.
func TestAnAuthenticBlockOfAWrongLengthDoesNotOpenEither(t *testing.T) {
	for _, v := range []struct {
		name, algorithm string
		bits            uint16
		size            int // bytes of what is encrypted
		want            error
	}{
		{"TDES of 16 bytes", "T", 128, 32, nil},
		{"TDES of 24 bytes", "T", 192, 32, nil},
		{"AES of 16 bytes", "A", 128, 32, nil},
		{"AES of 24 bytes", "A", 192, 32, nil},
		{"AES of 32 bytes", "A", 256, 48, nil},
		{"padded by two blocks", "A", 128, 64, nil},
		{"no key", "A", 0, 32, ErrUnwrap},
		{"bits that are no bytes", "A", 127, 32, ErrUnwrap},
		{"bits that are no bytes, rounded down a length", "A", 129, 32, ErrUnwrap},
		{"eight bits more", "A", 136, 32, ErrUnwrap},
		{"eight bits less", "A", 120, 32, ErrUnwrap},
		{"single DES", "T", 64, 32, ErrUnwrap},
		{"TDES as long as AES", "T", 256, 48, ErrUnwrap},
		{"two bytes more than there are", "A", 256, 32, ErrUnwrap},
		{"all but the length's two bytes", "A", 128, 16, ErrUnwrap},
		{"more than a block can have", "A", 65528, 32, ErrUnwrap},
	} {
		t.Run(v.name, func(t *testing.T) {
			k := newKey(t, "D", "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
			data := bytes.Repeat([]byte{0x5A, 0x3C, 0x71}, v.size)[:v.size]
			data[0], data[1] = byte(v.bits>>8), byte(v.bits)
			header := fmt.Sprintf("D%04dP0%sB00E0000", 16+2*(v.size+16), v.algorithm)
			want := bytes.Clone(data[2:])
			_, key, err := k.Unwrap(k.seal(header, data))
			if v.want != nil {
				require.Equal(t, v.want, err, "nothing else than the one error")
				require.Nil(t, key)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want[:v.bits/8], key)
		})
	}
}

func TestAnAuthenticBlockWithTooStrongAKeyIsRefused(t *testing.T) {
	data := bytes.Repeat([]byte{0x5A, 0x3C, 0x71}, 48)[:48]
	data[0], data[1] = 1, 0
	k := newKey(t, "D", "88E1AB2A2E3DD38C1FA039A536500CC8")
	_, key, err := k.Unwrap(k.seal("D0144P0AB00E0000", data))
	require.Equal(t, ErrStrength, err)
	require.Nil(t, key)
}

// Versions A and C are not written, so their blocks are made here.
func TestVariantBlocksAreHeldToTheirMAC(t *testing.T) {
	k := newKey(t, "A", "89E88CF7931444F334BD7547FC3F380C")
	seal := func(header string, data []byte) string {
		sealed := make([]byte, len(data))
		cipher.NewCBCEncrypter(k.variant.encrypt, []byte(header[:8])).CryptBlocks(sealed, data)
		return fmt.Sprintf("%s%X%X", header, sealed, cbcMAC(k.variant.authenticate, header, sealed)[:4])
	}
	data := bytes.Repeat([]byte{0x5A, 0x3C, 0x71}, 8)
	data[0], data[1] = 0, 128
	_, key, err := k.Unwrap(seal("A0072P0TB00E0000", data))
	require.NoError(t, err)
	require.Equal(t, data[2:18], key)

	data[1] = 64
	_, _, err = k.Unwrap(seal("A0072P0TB00E0000", data))
	require.Equal(t, ErrUnwrap, err, "single DES")
}

func TestNothingOfAnOpenedBlockStaysBehind(t *testing.T) {
	k := newKey(t, "D", "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6")
	key := bytes.Repeat([]byte{0x77, 0x35}, 8)
	h := Header{Version: "D", Usage: "P0", Algorithm: "A", Mode: "B", KeyVersion: "00", Exportability: "E", Context: "0"}
	block, err := k.Wrap(h, key, bytes.NewReader(make([]byte, 30)))
	require.NoError(t, err)
	_, out, err := k.Unwrap(block)
	require.NoError(t, err)
	require.Equal(t, 16, cap(out), "the key alone, and not the padding behind it")
}

// decrypted is what is encrypted in a block of version B or D.
func decrypted(t *testing.T, k *Key, header, block string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(block[len(header):])
	require.NoError(t, err)
	size := len(raw) - layouts[Version(block[:1])].macSize
	data := make([]byte, size)
	cipher.NewCBCDecrypter(k.derived.encrypt, raw[size:]).CryptBlocks(data, raw[:size])
	return data
}

func newKey(t *testing.T, version, kbpk string) *Key {
	t.Helper()
	raw, err := hex.DecodeString(kbpk)
	require.NoError(t, err)
	of := NewTDES
	if version == "D" {
		of = NewAES
	}
	k, err := of(raw)
	require.NoError(t, err)
	return k
}

func TestVariantsAreXORsWithLetters(t *testing.T) {
	kbpk := []byte(strings.Repeat("k", 16))
	k := newKey(t, "A", hex.EncodeToString(kbpk))
	for mask, got := range map[byte]cipher.Block{'E': k.variant.encrypt, 'M': k.variant.authenticate} {
		masked := make([]byte, 16)
		subtle.XORBytes(masked, kbpk, bytes.Repeat([]byte{mask}, 16))
		want, err := variant(masked, 0)
		require.NoError(t, err)
		a, b := make([]byte, 8), make([]byte, 8)
		want.Encrypt(a, a)
		got.Encrypt(b, b)
		require.Equal(t, a, b)
	}
}
