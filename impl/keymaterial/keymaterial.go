// Package keymaterial tells what can be told of a symmetric key by its bytes: which cipher it makes, its check value, its
// strength, whether it is sound, and what components make it. It knows bytes and nothing else: no store, no use of a key.
//
// The rules are those of NIST SP 800-67 (TDES and its weak keys), NIST SP 800-57 part 1 (strengths), ANSI X9.24-1:2017
// (components; annex A, check values) and FIPS 46-3 (parity).
package keymaterial

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"fmt"
	"math/bits"
	"slices"

	"pinvault/impl/cmac"
)

// Error is a reason why a key is not taken. Its values are constants to be compared with errors.Is; their texts hold
// nothing of a key.
type Error string

// Error is the text of the reason.
func (e Error) Error() string { return string(e) }

// What can be wrong with a key.
const (
	ErrLength     Error = "keymaterial: key has a length that the cipher does not take"
	ErrZero       Error = "keymaterial: key is all zeros"
	ErrWeak       Error = "keymaterial: a part of the key is a weak or semi-weak key of DES"
	ErrEqualParts Error = "keymaterial: neighbouring parts of the key are equal, so it is no better than single DES"
)

// Cipher is what a key is for. The zero Cipher takes no key.
type Cipher uint8

// The ciphers.
const (
	TDES Cipher = iota + 1 // 16 bytes (K1 K2, used as K1 K2 K1) or 24
	AES                    // 16, 24 or 32 bytes
)

var lengths = map[Cipher][]int{TDES: {16, 24}, AES: {16, 24, 32}}

// part is the length of one of the single DES keys that make a TDES key.
const part = des.BlockSize

// Takes tells whether keys of the cipher may have n bytes.
func (c Cipher) Takes(n int) bool { return slices.Contains(lengths[c], n) }

// Longest is the length of the cipher's longest key, in bytes.
func (c Cipher) Longest() int { return slices.Max(lengths[c]) }

// New makes the cipher of a key. Parity bits of a TDES key are ignored, and a key that is not sound is taken: see
// [Cipher.Check]. The error is ErrLength; any other means that this process may not use TDES. The caller keeps key and
// clears it.
func (c Cipher) New(key []byte) (cipher.Block, error) {
	switch {
	case !c.Takes(len(key)):
		return nil, ErrLength
	case c == AES:
		return aes.NewCipher(key)
	}
	var whole [3 * part]byte
	defer clear(whole[:])
	copy(whole[copy(whole[:], key):], key)
	block, err := des.NewTripleDESCipher(whole[:])
	if err != nil { // a Go runtime held to FIPS 140 has no TDES
		return nil, fmt.Errorf("keymaterial: no TDES: %w", err)
	}
	return block, nil
}

// Check tells whether a key, or a component of one, is sound: ErrLength, ErrZero, ErrWeak, ErrEqualParts. What parity bits
// a TDES key has does not matter. Whoever imports keys for production refuses what it reports.
func (c Cipher) Check(key []byte) error {
	if !c.Takes(len(key)) {
		return ErrLength
	}
	if c == AES {
		if allZero(key) {
			return ErrZero
		}
		return nil
	}
	parts := effective(key)
	defer clear(parts)
	switch {
	case allZero(parts):
		return ErrZero
	case slices.ContainsFunc(slices.Collect(slices.Chunk(parts, part)), weakDES):
		return ErrWeak
	case neighboursEqual(parts):
		return ErrEqualParts
	}
	return nil
}

// Strength is the security strength of a key in bits (NIST SP 800-57 part 1, table 2): of TDES 112 with three keys, 80
// with two, 56 where neighbouring parts are equal; of AES the length. It is 0 of a key that the cipher does not take.
func (c Cipher) Strength(key []byte) int {
	switch {
	case !c.Takes(len(key)):
		return 0
	case c == AES:
		return 8 * len(key)
	}
	parts := effective(key)
	defer clear(parts)
	switch {
	case neighboursEqual(parts):
		return 56
	case len(parts) == 2*part, equal(parts[:part], parts[2*part:]):
		return 80
	}
	return 112
}

// Combine makes a key of its components: their XOR, of TDES with odd parity. ErrLength where there is none, where they
// are not of one length, or of one that the cipher does not take. Whether the components and the key are sound
// [Cipher.Check] tells. The caller clears the key and the components.
func (c Cipher) Combine(components ...[]byte) ([]byte, error) {
	if len(components) == 0 || !c.Takes(len(components[0])) {
		return nil, ErrLength
	}
	key := make([]byte, len(components[0]))
	for _, component := range components {
		if len(component) != len(key) {
			clear(key)
			return nil, ErrLength
		}
		subtle.XORBytes(key, key, component)
	}
	if c == TDES {
		for i, b := range key {
			key[i] = b ^ ^byte(bits.OnesCount8(b))&1
		}
	}
	return key, nil
}

// OddParity tells whether every byte has an odd number of ones, as DES keys are written (FIPS 46-3).
func OddParity(key []byte) bool {
	return !slices.ContainsFunc(key, func(b byte) bool { return bits.OnesCount8(b)%2 == 0 })
}

// CheckValue is what two parties compare to see that they hold the same key: sixteen upper-case hexadecimal digits, of a
// block of zeros encrypted under a TDES key, of which the first six count (ANSI X9.24-1, A.2), or of the CMAC of a block of
// zeros under an AES key, of which six to ten do (A.3). It is no secret.
func CheckValue(block cipher.Block) string {
	zeros := make([]byte, block.BlockSize())
	value := zeros
	if block.BlockSize() == aes.BlockSize {
		value = cmac.Sum(block, zeros)
	} else {
		block.Encrypt(value, zeros)
	}
	return fmt.Sprintf("%X", value[:8])
}

// effective is a TDES key without the parity bit of each byte, which DES does not use. The caller clears it.
func effective(key []byte) []byte {
	out := make([]byte, len(key))
	for i, b := range key {
		out[i] = b &^ 1
	}
	return out
}

func allZero(key []byte) bool {
	var bits byte
	for _, b := range key {
		bits |= b
	}
	return bits == 0
}

// neighboursEqual tells whether two neighbouring parts of an effective TDES key are equal: they cancel each other out.
func neighboursEqual(parts []byte) bool {
	for rest := parts; len(rest) > part; rest = rest[part:] {
		if equal(rest[:part], rest[part:2*part]) {
			return true
		}
	}
	return false
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// weakDES tells whether an effective single DES key is weak or semi-weak. Such a key repeats two bytes in its left half
// and two in its right one, and each byte of the left goes with one of the right.
func weakDES(b []byte) bool {
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
