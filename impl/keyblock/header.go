package keyblock

import (
	"fmt"
	"strconv"
	"strings"

	"pinvault/impl/keymaterial"
)

// Header is what a key block says of its key in the clear (X9.143). The digits that each field but Context may have
// beside the values below are proprietary.
type Header struct {
	Version       Version
	Usage         Usage
	Algorithm     Algorithm
	Mode          Mode
	KeyVersion    KeyVersion
	Exportability Exportability
	Context       Context
	Blocks        []Optional // as they come, without the one that pads them
}

// Usage is what the key is for: two characters. usages has all that a TDES or AES key may have.
type Usage string

// The usages of keys that the vault has, or gets from partners.
const (
	UsageData          Usage = "D0" // data encryption
	UsageKeyEncryption Usage = "K0" // key encryption, other than in key blocks
	UsageProtection    Usage = "K1" // key block protection: a zone master key
	UsagePINEncryption Usage = "P0" // PIN blocks: a zone PIN key
	UsageIBM3624       Usage = "V1" // PIN verification by IBM 3624
	UsageVisaPVV       Usage = "V2" // PIN verification by Visa PVV
)

// Algorithm is what the key is used with.
type Algorithm string

// The algorithms of keys that can be wrapped and unwrapped.
const (
	AlgorithmTDES Algorithm = "T"
	AlgorithmAES  Algorithm = "A"
)

var ciphers = map[Algorithm]keymaterial.Cipher{AlgorithmTDES: keymaterial.TDES, AlgorithmAES: keymaterial.AES}

// Mode is which operations the key may be used in.
type Mode string

// The modes of use of symmetric keys.
const (
	ModeEncryptDecrypt Mode = "B" // or wrap and unwrap
	ModeDecrypt        Mode = "D" // or unwrap
	ModeEncrypt        Mode = "E" // or wrap
	ModeGenerateVerify Mode = "C"
	ModeGenerate       Mode = "G"
	ModeVerify         Mode = "V"
	ModeDerive         Mode = "X" // other keys
	ModeAny            Mode = "N" // whatever the usage implies
)

// KeyVersion is the key's version, two characters: "00" where it has none, "c" and a character for a component.
type KeyVersion string

// NoKeyVersion is that of keys without one.
const NoKeyVersion KeyVersion = "00"

// Exportability is under which keys the key may leave the place where it is unwrapped.
type Exportability string

// The exportabilities.
const (
	Exportable    Exportability = "E" // under keys in the forms of X9.24
	NotExportable Exportability = "N"
	Sensitive     Exportability = "S" // under other keys too
)

// Context is where the block itself may be: X9.143 only, before it a reserved zero.
type Context string

// The contexts.
const (
	ContextAny      Context = "0"
	ContextStorage  Context = "1"
	ContextExchange Context = "2"
)

// Optional is a block that the header carries for the key's users, of an ID of two characters and printable ASCII.
type Optional struct{ ID, Data string }

// padID is the ID of the optional block that makes the header a multiple of the cipher's block.
const padID = "PB"

// usages are the usages of TDES and AES keys (X9.143) with the modes that each may have; every one may have ModeAny.
var usages = map[Usage]string{
	"B0": "X", "B1": "X", "B2": "X", "B3": "X",
	"C0": "CGV",
	"D0": "BDE", "D2": "BDE", "D3": "BDE",
	"E0": "X", "E1": "X", "E2": "X", "E3": "X", "E4": "X", "E5": "X", "E6": "X",
	"I0": "",
	"K0": "BDE", "K1": "BDE", "K4": "BDE",
	"M0": "CGV", "M1": "CGV", "M2": "CGV", "M3": "CGV", "M4": "CGV", "M5": "CGV", "M6": "CGV", "M8": "CGV",
	"P0": "BDE",
	"V0": "CGV", "V1": "CGV", "V2": "CGV", "V3": "CGV", "V4": "CGV", "V5": "CGV",
}

// Sizes in characters.
const (
	fixedSize    = 16 // of the header without optional blocks
	shortHead    = 4  // of an optional block before its data
	longHead     = 10 // of one that is longer than two hexadecimal digits can say
	maxShort     = 0xFF
	tooLong      = 10_000 // of a block, for four digits
	maxOptionals = 99
)

// Characters of header fields.
const (
	decimals   = "0123456789"
	capitals   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	algorithms = "ADEHRST" + decimals
	modes      = "BCDEGNSTVXY" + decimals
	exports    = "ENS" + decimals
	contexts   = "012"
)

// Component tells whether the block has a component and not a whole key, which must not be used as one.
func (h Header) Component() bool { return strings.HasPrefix(string(h.KeyVersion), "c") }

// Parse reads the header of a block, such as to find the protection key. It proves nothing of it: see the package comment.
// ErrHeader.
func Parse(block string) (Header, error) {
	h, _, err := parse(block)
	return h, err
}

// parse is a block's header, and its text.
func parse(block string) (Header, string, error) {
	if len(block) < fixedSize {
		return Header{}, "", ErrHeader
	}
	h := Header{
		Version: Version(block[0:1]), Usage: Usage(block[5:7]), Algorithm: Algorithm(block[7:8]), Mode: Mode(block[8:9]),
		KeyVersion: KeyVersion(block[9:11]), Exportability: Exportability(block[11:12]), Context: Context(block[14:15]),
	}
	length, err := strconv.ParseUint(block[1:5], 10, 32)
	count, err2 := strconv.ParseUint(block[12:14], 10, 32)
	if err != nil || err2 != nil || length != uint64(len(block)) || block[15] != '0' {
		return Header{}, "", ErrHeader
	}
	rest := block[fixedSize:]
	for i := range count {
		optional, size, err := readOptional(rest)
		if err != nil || optional.ID == padID && i != count-1 {
			return Header{}, "", ErrHeader
		}
		rest = rest[size:]
		if optional.ID != padID {
			h.Blocks = append(h.Blocks, optional)
		}
	}
	header := block[:len(block)-len(rest)]
	if !h.wellFormed() || len(header)%layouts[h.Version].blockSize != 0 {
		return Header{}, "", ErrHeader
	}
	return h, header, nil
}

// readOptional is the first optional block of a text, and how many characters it has.
func readOptional(text string) (Optional, int, error) {
	head := shortHead
	length, err := hexadecimal(text, 2, 4)
	if err == nil && length == 0 { // it has four digits, which are counted before: as digits by X9.143 (8.5, 8.6), in pairs by TR-31:2018
		if n, _ := hexadecimal(text, 4, 6); n != 4 && n != 2 {
			return Optional{}, 0, ErrHeader
		}
		head = longHead
		length, err = hexadecimal(text, 6, 10)
	}
	if err != nil || length < head || length > len(text) {
		return Optional{}, 0, ErrHeader
	}
	return Optional{ID: text[:2], Data: text[head:length]}, length, nil
}

// hexadecimal is the number in a part of a text.
func hexadecimal(text string, from, to int) (int, error) {
	if len(text) < to {
		return 0, ErrHeader
	}
	n, err := strconv.ParseUint(text[from:to], 16, 16)
	return int(n), err
}

// wellFormed tells whether every field has a value that it can have in a block.
func (h Header) wellFormed() bool {
	_, known := layouts[h.Version]
	for _, field := range []struct {
		value string
		size  int
		of    string
	}{
		{string(h.Usage), 2, capitals + decimals},
		{string(h.Algorithm), 1, algorithms},
		{string(h.Mode), 1, modes},
		{string(h.KeyVersion), 2, capitals + decimals + "abcdefghijklmnopqrstuvwxyz"},
		{string(h.Exportability), 1, exports},
		{string(h.Context), 1, contexts},
	} {
		known = known && len(field.value) == field.size && strings.Trim(field.value, field.of) == ""
	}
	for _, o := range h.Blocks {
		known = known && len(o.ID) == 2 && o.ID != padID && strings.Trim(o.ID, capitals+decimals) == "" &&
			!strings.ContainsFunc(o.Data, func(r rune) bool { return r < ' ' || r > '~' })
	}
	return known
}

// usable tells whether the usage is one of a TDES or AES key, and the mode one of the usage.
func (h Header) usable() bool {
	modes, ok := usages[h.Usage]
	return ok && (h.Mode == ModeAny || strings.Contains(modes, string(h.Mode)))
}

// text is the header of a block with so many encrypted bytes: ErrHeader where the optional blocks are too many or too long.
func (h Header) text(l layout, encrypted int) (string, error) {
	var optionals strings.Builder
	count := len(h.Blocks)
	for _, o := range h.Blocks {
		optionals.WriteString(o.text())
	}
	if over := optionals.Len() % l.blockSize; over != 0 {
		count++
		pad := roundUp(over+shortHead, l.blockSize) - over - shortHead
		optionals.WriteString(Optional{ID: padID, Data: strings.Repeat("0", pad)}.text())
	}
	length := fixedSize + optionals.Len() + 2*(encrypted+l.macSize)
	if count > maxOptionals || length >= tooLong {
		return "", ErrHeader
	}
	return fmt.Sprintf("%s%04d%s%s%s%s%s%02d%s0%s", h.Version, length, h.Usage, h.Algorithm, h.Mode, h.KeyVersion,
		h.Exportability, count, h.Context, optionals.String()), nil
}

func (o Optional) text() string {
	if size := shortHead + len(o.Data); size <= maxShort {
		return fmt.Sprintf("%s%02X%s", o.ID, size, o.Data)
	}
	return fmt.Sprintf("%s0004%04X%s", o.ID, longHead+len(o.Data), o.Data)
}
