// Package cmac computes the CMAC of NIST SP 800-38B (ISO/IEC 9797-1 MAC algorithm 5) under a block cipher: TDES for key
// blocks of version B, AES for those of version D and for check values. It knows nothing but bytes.
package cmac

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
)

// reductions are, by the size of a block in bytes, what a carry out of doubling comes back as (5.3).
var reductions = map[int]byte{des.BlockSize: 0x1B, aes.BlockSize: 0x87}

// Sum is the whole tag of a message, one block of the cipher, TDES or AES. The message may be empty.
func Sum(block cipher.Block, message []byte) []byte {
	size := block.BlockSize()
	tag, subkey := make([]byte, size), make([]byte, size)
	block.Encrypt(subkey, subkey)
	double(subkey)
	for len(message) > size {
		subtle.XORBytes(tag, tag, message[:size])
		block.Encrypt(tag, tag)
		message = message[size:]
	}
	subtle.XORBytes(tag, tag, message)
	if len(message) < size { // 6.2, step 4: what is no whole block is padded, and has the second subkey
		tag[len(message)] ^= 0x80
		double(subkey)
	}
	subtle.XORBytes(tag, tag, subkey)
	block.Encrypt(tag, tag)
	return tag
}

// double multiplies by x in GF(2^64) or GF(2^128), in constant time.
func double(b []byte) {
	carry := byte(0)
	for i := len(b) - 1; i >= 0; i-- {
		b[i], carry = b[i]<<1|carry, b[i]>>7
	}
	b[len(b)-1] ^= carry * reductions[len(b)]
}
