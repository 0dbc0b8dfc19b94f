package pinvault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// ErrPINBlock is the refusal of a PIN, a PAN, a key or a format of which there is no PIN block.
const ErrPINBlock = Refusal("pinvault: no PIN block of that")

// PINBlock is a PIN block of ISO 9564-1 under a zone PIN key in hexadecimal, as Network International's and the
// issuer's contracts take it: format ISO-0, ISO-1 or ISO-3 under a TDES key, ISO-4 under an AES key.
func PINBlock(format, key, pan, pin string) (string, error) {
	fill, err := draw(format, pin)
	if err != nil {
		return "", err
	}
	return pinBlock(format, key, pan, pin, fill)
}

// draw is what a format leaves to chance: the digits after the PIN in formats 1 and 3, eight bytes in format 4.
func draw(format, pin string) (string, error) {
	digits, from := max(0, 14-len(pin)), ""
	switch format {
	case "ISO-0":
		return "", nil
	case "ISO-1":
		from = "0123456789ABCDEF"
	case "ISO-3":
		from = "ABCDEF"
	case "ISO-4":
		digits, from = 16, "0123456789ABCDEF"
	}
	var fill strings.Builder
	for range digits {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(max(1, len(from)))))
		if err != nil {
			return "", err
		}
		fill.WriteString(from[i.Int64():][:1])
	}
	return fill.String(), nil
}

func pinBlock(format, key, pan, pin, fill string) (string, error) {
	raw, err := hex.DecodeString(key)
	if err != nil || !digits(pin, 4, 12) || !digits(pan, 12, 19) {
		return "", ErrPINBlock
	}
	account := pan[max(0, len(pan)-13) : len(pan)-1] // its twelve rightmost digits without the check digit
	account = strings.Repeat("0", 16-len(account)) + account
	var block cipher.Block
	switch format {
	case "ISO-0":
		fill = strings.Repeat("F", 14-len(pin))
		block, err = tdes(raw)
	case "ISO-1":
		account = strings.Repeat("0", 16)
		block, err = tdes(raw)
	case "ISO-3":
		block, err = tdes(raw)
	case "ISO-4":
		fill = strings.Repeat("A", 14-len(pin)) + fill
		account = strconv.Itoa(len(pan)-12) + pan + strings.Repeat("0", 31-len(pan))
		block, err = aes.NewCipher(raw)
	default:
		err = ErrPINBlock
	}
	if err != nil {
		return "", ErrPINBlock
	}
	field, err := hex.DecodeString(fmt.Sprintf("%c%X%s%s", format[len(format)-1], len(pin), pin, fill))
	if err != nil || len(field) != block.BlockSize() {
		return "", ErrPINBlock
	}
	bound, err := hex.DecodeString(account)
	if err != nil {
		return "", ErrPINBlock
	}
	if format == "ISO-4" { // the PAN joins the PIN once that is encrypted
		block.Encrypt(field, field)
	}
	subtle.XORBytes(field, field, bound)
	block.Encrypt(field, field)
	return strings.ToUpper(hex.EncodeToString(field)), nil
}

// tdes takes two parts, of which the first serves twice, or three.
func tdes(key []byte) (cipher.Block, error) {
	if len(key) == 16 {
		key = append(key[:16:16], key[:8]...)
	}
	return des.NewTripleDESCipher(key)
}

func digits(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, "0123456789") == ""
}
