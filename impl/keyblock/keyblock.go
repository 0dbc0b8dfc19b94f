// Package keyblock wraps keys into key blocks and takes them out again: what ANSI X9.143 and, before it, ASC X9 TR-31 say.
// It knows bytes and nothing else: no key store, no partner, and not what a key that it took out may be used for.
//
// A key block is a text: a header in the clear, which says what the key may be used for, the encrypted key, and a MAC over
// both. It is protected by a key block protection key (KBPK). The versions:
//
//	A, C  TDES, keys by variants of the KBPK, a MAC of four bytes over the ciphertext; read only
//	B     TDES, keys derived by CMAC, a MAC of eight bytes
//	D     AES, keys derived by CMAC, a MAC of sixteen bytes
//
// The protected key is one of TDES or AES, and never stronger than the KBPK ([keymaterial.Cipher.Strength]). What is
// written hides the length of the key: TDES keys are padded to 24 bytes, AES keys to 32, with random bytes.
//
// # What a block that opens proves
//
// Who made it held the KBPK, and nobody changed the header, optional blocks included, or the key. Until [Key.Unwrap] has
// said so, a header is a claim. A block that does not open is [ErrUnwrap] for whatever reason. What is refused before
// any cryptography is what everybody can see: [ErrHeader], [ErrVersion], [ErrAlgorithm].
package keyblock

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"pinvault/impl/cmac"
	"pinvault/impl/keymaterial"
)

// Error is a reason why a key was not wrapped or a block not unwrapped. Its values are constants to be compared with
// errors.Is; their texts hold nothing of a block or a key.
type Error string

// Error is the text of the reason.
func (e Error) Error() string { return string(e) }

// What can be wrong.
const (
	ErrHeader    Error = "keyblock: header is malformed, or the block not as long as it says"
	ErrVersion   Error = "keyblock: version does not go with the protection key, or is not written"
	ErrAlgorithm Error = "keyblock: key is for another algorithm than TDES and AES"
	ErrUsage     Error = "keyblock: mode of use does not go with the usage, or the usage is not one of a TDES or AES key"
	ErrStrength  Error = "keyblock: key is stronger than the one that protects it"
	ErrRandom    Error = "keyblock: no random bytes for the padding"
	ErrUnwrap    Error = "keyblock: block does not open"
)

// Version is how a block is protected.
type Version string

// The versions.
const (
	VersionA Version = "A" // TR-31:2005
	VersionB Version = "B" // TR-31:2010
	VersionC Version = "C" // TR-31:2010
	VersionD Version = "D" // TR-31:2018
)

// layout is what tells one version from another.
type layout struct {
	under     keymaterial.Cipher // the KBPK's
	derived   bool               // keys are derived and the MAC is over the clear key, which is why it can be the IV
	blockSize int                // bytes of the cipher's block, of which header and encrypted key are multiples
	macSize   int                // bytes
}

var layouts = map[Version]layout{
	VersionA: {under: keymaterial.TDES, derived: false, blockSize: 8, macSize: 4},
	VersionB: {under: keymaterial.TDES, derived: true, blockSize: 8, macSize: 8},
	VersionC: {under: keymaterial.TDES, derived: false, blockSize: 8, macSize: 4},
	VersionD: {under: keymaterial.AES, derived: true, blockSize: 16, macSize: 16},
}

// lengthSize is how many bytes before the key say how many bits it has.
const lengthSize = 2

// Key is a key block protection key. It may be used by many goroutines at once, keeps nothing but expanded keys, and
// prints as ****. The zero Key opens and wraps nothing: ErrVersion.
type Key struct {
	under            keymaterial.Cipher
	strength         int // bits
	derived, variant binding
}

const redacted = "****"

// binding is the two keys that a KBPK becomes.
type binding struct{ encrypt, authenticate cipher.Block }

// NewTDES returns a KBPK for versions A, B and C, of 16 or 24 bytes: keymaterial.ErrLength. Any other error means that this
// process may not use TDES. The caller keeps key and clears it.
func NewTDES(key []byte) (*Key, error) {
	k, err := derive(keymaterial.TDES, key)
	if err != nil {
		return nil, err
	}
	// TR-31:2005: the variants of the KBPK.
	k.variant.encrypt, err = variant(key, 'E')
	if err != nil {
		return nil, err
	}
	k.variant.authenticate, err = variant(key, 'M')
	return k, err
}

// NewAES returns a KBPK for version D, of 16, 24 or 32 bytes: keymaterial.ErrLength. The caller keeps key and clears it.
func NewAES(key []byte) (*Key, error) { return derive(keymaterial.AES, key) }

func derive(under keymaterial.Cipher, kbpk []byte) (k *Key, err error) {
	master, err := under.New(kbpk)
	if err != nil {
		return nil, err
	}
	k = &Key{under: under, strength: under.Strength(kbpk)}
	if k.derived.encrypt, err = derived(under, master, len(kbpk), forEncryption); err != nil {
		return nil, err
	}
	k.derived.authenticate, err = derived(under, master, len(kbpk), forAuthentication)
	return k, err
}

// What a derived key is for, as the derivation data says it.
const (
	forEncryption     = 0
	forAuthentication = 1
)

// algorithmOf is the KBPK's algorithm and length, as the derivation data says it.
var algorithmOf = map[keymaterial.Cipher]map[int]uint16{
	keymaterial.TDES: {16: 0, 24: 1},
	keymaterial.AES:  {16: 2, 24: 3, 32: 4},
}

// derived is the cipher of a key as long as the KBPK: of CMACs under it, of data that count from 1, and of the last one what
// is needed.
func derived(under keymaterial.Cipher, master cipher.Block, size int, use uint16) (cipher.Block, error) {
	key := make([]byte, size)
	defer clear(key)
	counter := byte(0)
	for chunk := range slices.Chunk(key, master.BlockSize()) {
		counter++
		data := binary.BigEndian.AppendUint16([]byte{counter}, use)
		data = binary.BigEndian.AppendUint16(append(data, 0), algorithmOf[under][size])
		data = binary.BigEndian.AppendUint16(data, uint16(8*size))
		copy(chunk, cmac.Sum(master, data))
	}
	return under.New(key)
}

func variant(kbpk []byte, mask byte) (cipher.Block, error) {
	key := slices.Clone(kbpk)
	defer clear(key)
	for i := range key {
		key[i] ^= mask
	}
	return keymaterial.TDES.New(key)
}

// Wrap makes a key block of a key. rand fills it up.
//
// Of the header, Version is B under a TDES and D under an AES key; the block's length and what pads the optional blocks are
// added. The errors are ErrVersion, ErrHeader, ErrUsage, ErrAlgorithm, keymaterial.ErrLength, ErrStrength and ErrRandom. The
// caller clears key.
func (k *Key) Wrap(h Header, key []byte, rand io.Reader) (string, error) {
	l := layouts[h.Version]
	of := ciphers[h.Algorithm]
	switch {
	case l.under != k.under || !l.derived:
		return "", ErrVersion
	case !h.wellFormed():
		return "", ErrHeader
	case of == 0:
		return "", ErrAlgorithm
	case !h.usable():
		return "", ErrUsage
	case !of.Takes(len(key)):
		return "", keymaterial.ErrLength
	case of.Strength(key) > k.strength:
		return "", ErrStrength
	}
	data := make([]byte, roundUp(lengthSize+of.Longest(), l.blockSize))
	defer clear(data)
	binary.BigEndian.PutUint16(data, uint16(8*len(key)))
	n := lengthSize + copy(data[lengthSize:], key)
	if rand == nil {
		return "", ErrRandom
	}
	if _, err := io.ReadFull(rand, data[n:]); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRandom, err)
	}
	header, err := h.text(l, len(data))
	if err != nil {
		return "", err
	}
	return k.seal(header, data), nil
}

// seal is the block of a header and of what is to be encrypted, which becomes the ciphertext: versions B and D.
func (k *Key) seal(header string, data []byte) string {
	mac := authenticate(k.derived.authenticate, header, data)
	cipher.NewCBCEncrypter(k.derived.encrypt, mac).CryptBlocks(data, data)
	return fmt.Sprintf("%s%X%X", header, data, mac)
}

// Unwrap takes the header and the key out of a block. The caller clears the key, and asks [keymaterial.Cipher.Check]
// whether it is sound and the header whether it is a component.
//
// The errors are ErrHeader, ErrVersion (the block is for another kind of KBPK) and ErrAlgorithm, all of what anybody can
// see; ErrUnwrap for every block that does not open, without a word about why; and of one that does, ErrStrength.
func (k *Key) Unwrap(block string) (Header, []byte, error) {
	h, header, err := parse(block)
	if err != nil {
		return Header{}, nil, err
	}
	l := layouts[h.Version]
	of := ciphers[h.Algorithm]
	switch {
	case l.under != k.under:
		return Header{}, nil, ErrVersion
	case of == 0:
		return Header{}, nil, ErrAlgorithm
	}
	key, ok := k.open(l, of, header, block[len(header):])
	if !ok {
		return Header{}, nil, ErrUnwrap
	}
	if of.Strength(key) > k.strength {
		clear(key)
		return Header{}, nil, ErrStrength
	}
	return h, key, nil
}

// open is the key in what follows the header, in upper-case hexadecimal, so that no character can be another: it decrypts, compares the MAC and looks at the length, in the
// same steps whatever is wrong.
func (k *Key) open(l layout, of keymaterial.Cipher, header, digits string) ([]byte, bool) {
	raw, err := hex.DecodeString(digits)
	size := len(raw) - l.macSize
	if err != nil || digits != strings.ToUpper(digits) || size <= 0 || size%l.blockSize != 0 {
		return nil, false
	}
	sealed, mac := raw[:size], raw[size:]
	data := make([]byte, size)
	defer clear(data)
	var expected []byte
	if l.derived {
		cipher.NewCBCDecrypter(k.derived.encrypt, mac).CryptBlocks(data, sealed)
		expected = authenticate(k.derived.authenticate, header, data)
	} else {
		cipher.NewCBCDecrypter(k.variant.encrypt, []byte(header[:l.blockSize])).CryptBlocks(data, sealed)
		expected = cbcMAC(k.variant.authenticate, header, sealed)[:l.macSize]
	}
	authentic := subtle.ConstantTimeCompare(expected, mac) == 1
	length := int(binary.BigEndian.Uint16(data))
	fits := length%8 == 0 && of.Takes(length/8) && length/8 < size // with room for itself: both are multiples of eight
	if !authentic || !fits {
		return nil, false
	}
	return slices.Clone(data[lengthSize : lengthSize+length/8]), true
}

// authenticate is the MAC of versions B and D: the CMAC of the header and of what is encrypted, in the clear.
func authenticate(block cipher.Block, header string, data []byte) []byte {
	message := append([]byte(header), data...)
	defer clear(message)
	return cmac.Sum(block, message)
}

// cbcMAC is the last block of the header and the ciphertext in CBC mode (ISO/IEC 9797-1 MAC algorithm 1), of which versions
// A and C have the beginning. Both are whole blocks.
func cbcMAC(block cipher.Block, header string, sealed []byte) []byte {
	message := append([]byte(header), sealed...)
	cipher.NewCBCEncrypter(block, make([]byte, block.BlockSize())).CryptBlocks(message, message) //nolint:gosec // a MAC has no IV
	return message[len(message)-block.BlockSize():]
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// Format prints **** for every verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalJSON is "****".
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
