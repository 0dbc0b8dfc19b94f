package pinblock

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPANFields(t *testing.T) {
	for _, v := range []struct{ pan, account, whole string }{
		{"1", "", "00000000000010000000000000000000"},
		{"12", "", "00000000000120000000000000000000"},
		{"1234567890", "", "00012345678900000000000000000000"},
		{"12345678901", "", "00123456789010000000000000000000"},
		{"123456789012", "0000012345678901", "01234567890120000000000000000000"},
		{"1234567890123", "0000123456789012", "11234567890123000000000000000000"},
		{"12345678901234", "0000234567890123", "21234567890123400000000000000000"},
		{"123456789012345", "0000345678901234", "31234567890123450000000000000000"},
		{"1234567890123456", "0000456789012345", "41234567890123456000000000000000"},
		{"12345678901234567", "0000567890123456", "51234567890123456700000000000000"},
		{"123456789012345678", "0000678901234567", "61234567890123456780000000000000"},
		{"1234567890123456789", "0000789012345678", "71234567890123456789000000000000"},
		{"112233445566778899", "0000344556677889", "61122334455667788990000000000000"},
	} {
		l, err := ISO4.layout()
		require.NoError(t, err)
		whole, err := l.account(v.pan)
		require.NoError(t, err)
		require.Equal(t, v.whole, upper(whole[:]), "a PAN of %d digits", len(v.pan))
		for _, f := range []Format{ISO0, ISO3} {
			l, err = f.layout()
			require.NoError(t, err)
			account, err := l.account(v.pan)
			if v.account == "" {
				require.ErrorIs(t, err, ErrPAN)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, v.account, upper(account[:8]), "a PAN of %d digits", len(v.pan))
		}
	}
}

func TestClearPINFieldsOfFormat4(t *testing.T) {
	l, err := ISO4.layout()
	require.NoError(t, err)
	for _, v := range []struct{ pin, random, want string }{
		{"1234", "548ED7FD65495950", "441234AAAAAAAAAA548ED7FD65495950"},
		{"12345", "517F9481BA5275FA", "4512345AAAAAAAAA517F9481BA5275FA"},
		{"1234567", "CAF92E156B7D4489", "471234567AAAAAAACAF92E156B7D4489"},
		{"12345678901", "9B263A096EA64687", "4B12345678901AAA9B263A096EA64687"},
		{"123456789012", "8A268C65E92C3B39", "4C123456789012AA8A268C65E92C3B39"},
	} {
		random, err := hex.DecodeString(v.random)
		require.NoError(t, err)
		field, err := l.pinField([]byte(v.pin), bytes.NewReader(random))
		require.NoError(t, err)
		require.Equal(t, v.want, upper(field))
	}
}

func TestNothingOfAnOpenedBlockStaysBehind(t *testing.T) {
	inner, err := aes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	for _, pan := range []string{"4111111111111111", "4111111111111112"} {
		spy := &spyBlock{Block: inner}
		key := Key{block: spy}
		block, err := key.Encrypt(ISO4, []byte("1234"), "4111111111111111", bytes.NewReader(make([]byte, 8)))
		require.NoError(t, err)
		_, err = key.Decrypt(ISO4, block, pan)
		require.Equal(t, pan != "4111111111111111", err != nil)
		require.Len(t, spy.decryptedInto, 16)
		require.Zero(t, bytes.Trim(spy.decryptedInto, "\x00"), "the PIN field is cleared, also when the block is refused")
	}
}

func TestNothingOfTheDrawStaysBehind(t *testing.T) {
	for _, f := range []Format{ISO1, ISO3} {
		spy := &spyReader{}
		block, err := Encode(f, []byte("1234"), "4111111111111111", spy)
		require.NoError(t, err)
		require.Equal(t, make([]byte, 8), spy.readInto)
		require.Equal(t, 8, cap(block))
	}
}

// spyBlock remembers where it decrypted to.
type spyBlock struct {
	cipher.Block
	decryptedInto []byte
}

func (s *spyBlock) Decrypt(dst, src []byte) {
	s.Block.Decrypt(dst, src)
	s.decryptedInto = dst
}

// spyReader reads ones and remembers where to.
type spyReader struct{ readInto []byte }

func (s *spyReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0xFF
	}
	s.readInto = p
	return len(p), nil
}

func upper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
