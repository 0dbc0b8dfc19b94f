package pinblock

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"pinvault/impl/keymaterial"
)

// Key is a zone PIN key: a TDES key for formats 0, 1 and 3 or an AES key for format 4. It may be used by many
// goroutines at once. It keeps nothing but the expanded key, and prints as **** wherever it is printed; the methods
// are the value's so that a copy does too. The zero Key goes with no format.
type Key struct {
	block      cipher.Block
	checkValue string // sixteen digits
}

const redacted = "****"

// NewTDES returns the TDES key of 16 bytes (double length, K1 K2 used as K1 K2 K1) or 24 bytes (triple length);
// another length is ErrKeyLength, any other error means that this process may not use TDES. Parity bits are ignored, and a
// key that is no better than single DES is taken: see [keymaterial.Cipher.Check]. The caller keeps key and clears it.
func NewTDES(key []byte) (*Key, error) { return newKey(keymaterial.TDES, key) }

// NewAES returns the AES key of 16, 24 or 32 bytes; another length is ErrKeyLength. The caller keeps key and clears it.
func NewAES(key []byte) (*Key, error) { return newKey(keymaterial.AES, key) }

func newKey(c keymaterial.Cipher, key []byte) (*Key, error) {
	block, err := c.New(key)
	switch {
	case errors.Is(err, keymaterial.ErrLength):
		return nil, ErrKeyLength
	case err != nil:
		return nil, err
	}
	return &Key{block: block, checkValue: keymaterial.CheckValue(block)}, nil
}

// Lent is a key that is somewhere else and has lent its cipher, TDES or AES. It has no check value.
func Lent(block cipher.Block) Key { return Key{block: block} }

// CheckValue is what two parties compare to see that they hold the same key: six upper-case hexadecimal digits, the
// first three bytes of a block of zeros encrypted under a TDES key (ANSI X9.24-1, A.2), or of the CMAC of a block of
// zeros under an AES key (A.3, which allows up to five). It is no secret. The zero Key has none.
func (k Key) CheckValue() string { return k.checkValue[:min(checkDigits, len(k.checkValue))] }

// LongCheckValue is the check value with all the digits that anybody compares: the first sixteen of the block.
func (k Key) LongCheckValue() string { return k.checkValue }

// checkDigits is the length of a check value, in hexadecimal digits.
const checkDigits = 6

// Encrypt returns the PIN block under the key: 8 bytes for formats 0, 1 and 3 under TDES, one block in ECB mode, and
// 16 bytes for format 4 under AES.
//
// rand fills formats 1, 3 and 4, eight bytes a block; format 0 draws nothing and takes a nil rand. Formats 0 and 3
// take a PAN of 12 to 19 digits, format 4 of 1 to 19, and format 1 does not look at it. The errors are ErrFormat,
// ErrKeyFormat, ErrPAN, ErrPINLength, ErrPINDigit and ErrRandom.
func (k Key) Encrypt(f Format, pin []byte, pan string, rand io.Reader) ([]byte, error) {
	l, err := k.layout(f)
	if err != nil {
		return nil, err
	}
	account, err := l.account(pan)
	if err != nil {
		return nil, err
	}
	field, err := l.pinField(pin, rand)
	if err != nil {
		return nil, err
	}
	if l.size == aes.BlockSize { // 9.4.2.3: the PAN field joins the PIN field once that is encrypted
		k.block.Encrypt(field, field)
	}
	subtle.XORBytes(field, field, account[:])
	k.block.Encrypt(field, field)
	return field, nil
}

// Decrypt returns the PIN in a block under the key: 4 to 12 ASCII digits that the caller clears. It takes what
// [Key.Encrypt] gives.
//
// It checks everything that the format fixes, so a block under another key or for another PAN is refused as far as the
// package comment says. The errors are ErrFormat, ErrKeyFormat, ErrBlockSize, ErrPAN, ErrControl, ErrPINLength,
// ErrPINDigit and ErrFill.
func (k Key) Decrypt(f Format, block []byte, pan string) ([]byte, error) {
	l, err := k.layout(f)
	if err != nil {
		return nil, err
	}
	if len(block) != l.size {
		return nil, ErrBlockSize
	}
	account, err := l.account(pan)
	if err != nil {
		return nil, err
	}
	field := make([]byte, l.size)
	defer clear(field)
	k.block.Decrypt(field, block)
	subtle.XORBytes(field, field, account[:])
	if l.size == aes.BlockSize { // 9.4.2.4
		k.block.Decrypt(field, field)
	}
	return l.pin(field)
}

// layout is the layout of a format that goes with the key's cipher: the block sizes settle it.
func (k Key) layout(f Format) (layout, error) {
	l, err := f.layout()
	if err == nil && (k.block == nil || k.block.BlockSize() != l.size) {
		err = ErrKeyFormat
	}
	return l, err
}

// String is ****.
func (k Key) String() string { return redacted }

// GoString is ****.
func (k Key) GoString() string { return redacted }

// Format prints **** for every verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue is ****.
func (k Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is "****".
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
