package pinblock

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Key is a zone PIN key: a TDES key for formats 0, 1 and 3 or an AES key for format 4. It may be used by many
// goroutines at once. It keeps nothing but the expanded key, and prints as **** wherever it is printed; the methods
// are the value's so that a copy does too. The zero Key goes with no format.
type Key struct {
	block      cipher.Block
	checkValue string // sixteen digits
	degenerate bool
	weak       bool
}

const redacted = "****"

// NewTDES returns the TDES key of 16 bytes (double length, K1 K2 used as K1 K2 K1) or 24 bytes (triple length);
// another length is ErrKeyLength, any other error means that this process may not use TDES. Parity bits are ignored, and a key that is no better than single DES is taken: see
// [Key.Degenerate]. The caller keeps key and clears it.
func NewTDES(key []byte) (*Key, error) {
	if len(key) != 16 && len(key) != 24 {
		return nil, ErrKeyLength
	}
	parts := make([]byte, 24)
	defer clear(parts)
	n := copy(parts, key)
	copy(parts[n:], key)
	block, err := des.NewTripleDESCipher(parts)
	if err != nil { // a Go runtime held to FIPS 140 has no TDES
		return nil, fmt.Errorf("pinblock: no TDES: %w", err)
	}
	zero := make([]byte, des.BlockSize)
	block.Encrypt(zero, zero)
	k1, k2, k3 := parts[:8], parts[8:16], parts[16:]
	return &Key{block: block, checkValue: checkValue(zero), degenerate: sameDES(k1, k2) || sameDES(k2, k3),
		weak: weakDES(k1) || weakDES(k2) || weakDES(k3)}, nil
}

// NewAES returns the AES key of 16, 24 or 32 bytes; another length is ErrKeyLength. The caller keeps key and clears it.
func NewAES(key []byte) (*Key, error) {
	block, err := aes.NewCipher(key)
	if err != nil { // the length is all that can be wrong
		return nil, ErrKeyLength
	}
	return &Key{block: block, checkValue: checkValue(cmacOfZeros(block))}, nil
}

// Degenerate says that a TDES key is no better than single DES, since neighbouring parts are equal but for their
// parity bits and cancel each other out. Whoever imports keys for production refuses it.
func (k Key) Degenerate() bool { return k.degenerate }

// Weak says that a part of a TDES key is one of the four weak or twelve semi-weak keys of DES, of which encrypting twice
// gives the clear text back. Whoever imports keys for production refuses it.
func (k Key) Weak() bool { return k.weak }

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

func checkValue(mac []byte) string { return fmt.Sprintf("%X", mac[:8]) }

// cmacOfZeros is the CMAC (NIST SP 800-38B) of one block of zeros: of a single whole block it is the encryption of
// that block XOR the first subkey, which is the encryption of zeros doubled in GF(2^128).
func cmacOfZeros(block cipher.Block) []byte {
	mac := make([]byte, aes.BlockSize)
	block.Encrypt(mac, mac)
	carry := byte(0)
	for i := len(mac) - 1; i >= 0; i-- {
		mac[i], carry = mac[i]<<1|carry, mac[i]>>7
	}
	mac[len(mac)-1] ^= carry * 0x87
	block.Encrypt(mac, mac)
	return mac
}

// sameDES compares two single DES keys without the parity bit of each byte, in constant time.
func sameDES(a, b []byte) bool {
	var difference byte
	for i := range a {
		difference |= (a[i] ^ b[i]) &^ 1
	}
	return difference == 0
}

// weakDES tells whether a single DES key is weak or semi-weak, whatever its parity bits are. Such a key repeats two bytes
// in its left half and two in its right one, and each byte of the left goes with one of the right.
func weakDES(key []byte) bool {
	var b [8]byte
	for i := range b {
		b[i] = key[i] &^ 1
	}
	goes := func(left, right byte) bool {
		switch left {
		case 0x00, 0xFE:
			return right == left
		case 0x1E:
			return right == 0x0E
		case 0xE0:
			return right == 0xF0
		}
		return false
	}
	return b[0] == b[2] && b[1] == b[3] && b[4] == b[6] && b[5] == b[7] && goes(b[0], b[4]) && goes(b[1], b[5])
}
