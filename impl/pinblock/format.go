package pinblock

import (
	"crypto/aes"
	"crypto/des"
	"encoding/binary"
	"fmt"
	"io"
)

// Format is a PIN block format of ISO 9564-1. The zero Format is none of them, so that a forgotten one is refused and
// not taken for format 0.
type Format uint8

// The formats for PINs on their way between systems. Format 2 is not among them: it is for the offline PIN of a chip.
const (
	ISO0 Format = iota + 1 // bound to the PAN, fixed fill: the same PIN and PAN give the same block
	ISO1                   // not bound to a PAN, random fill
	ISO3                   // bound to the PAN, random fill
	ISO4                   // bound to the PAN, random, AES
)

const (
	minPIN    = 4  // ISO 9564-1, 8.1
	maxPIN    = 12 // ISO 9564-1, 8.1
	maxPAN    = 19 // ISO/IEC 7812-1
	clearSize = des.BlockSize
	fieldSize = aes.BlockSize
	headSize  = 2  // nibbles before the PIN: control and length
	bodyEnd   = 16 // nibble after the last one of PIN and fill, in every format
)

// String is the name that ParseFormat reads: ISO-0, ISO-1, ISO-3, ISO-4.
func (f Format) String() string {
	l, err := f.layout()
	if err != nil {
		return fmt.Sprintf("Format(%d)", uint8(f))
	}
	return l.name
}

// ParseFormat reads ISO-0, ISO-1, ISO-3 or ISO-4, spelled exactly so. Anything else is ErrFormat, which does not
// repeat it.
func ParseFormat(s string) (Format, error) {
	for f := ISO0; f <= ISO4; f++ {
		if f.String() == s {
			return f, nil
		}
	}
	return 0, ErrFormat
}

// layout is what tells one format from another.
type layout struct {
	name             string
	control          byte                             // first nibble
	fillMin, fillMax byte                             // nibbles allowed after the PIN
	random           bool                             // whether the fill, or what follows it, is drawn
	size             int                              // bytes of the block, and of the only cipher's block that it goes with
	minPAN           int                              // digits
	panField         func(pan string) [fieldSize]byte // nil: not bound to a PAN
}

func (f Format) layout() (layout, error) {
	switch f {
	case ISO0: // 9.3.2
		return layout{name: "ISO-0", control: 0, fillMin: 0xF, fillMax: 0xF, random: false,
			size: des.BlockSize, minPAN: minBoundPAN, panField: accountField}, nil
	case ISO1: // 9.3.3
		return layout{name: "ISO-1", control: 1, fillMin: 0x0, fillMax: 0xF, random: true,
			size: des.BlockSize, minPAN: 0, panField: nil}, nil
	case ISO3: // 9.3.5
		return layout{name: "ISO-3", control: 3, fillMin: 0xA, fillMax: 0xF, random: true,
			size: des.BlockSize, minPAN: minBoundPAN, panField: accountField}, nil
	case ISO4: // 9.4.2
		return layout{name: "ISO-4", control: 4, fillMin: 0xA, fillMax: 0xA, random: true,
			size: aes.BlockSize, minPAN: 1, panField: wholePANField}, nil
	}
	return layout{}, ErrFormat
}

// clearLayout is the layout of a format whose clear block is a block by itself. Format 4 has two clear fields, and
// they meet only between two encryptions (9.4.2.3).
func (f Format) clearLayout() (layout, error) {
	l, err := f.layout()
	if err == nil && l.size != clearSize {
		err = ErrNoClearBlock
	}
	return l, err
}

// minBoundPAN is the shortest PAN for formats 0 and 3. The zeros that stand for missing digits fall on the PIN and
// leave it unbound there, so a PAN shorter than those of payment cards is refused although 9.3.2.3 would pad it.
const minBoundPAN = 12

// accountField holds the 12 rightmost digits of the PAN without its check digit, right-aligned, zeros before them
// (9.3.2.3, 9.3.5.3).
func accountField(pan string) (field [fieldSize]byte) {
	digits := pan[max(0, len(pan)-13) : len(pan)-1]
	putDigits(field[:], bodyEnd-len(digits), digits)
	return field
}

// wholePANField holds the number of digits beyond 12, the PAN, zeros before it to make 12 digits, and zeros after it
// (9.4.2.2.3).
func wholePANField(pan string) (field [fieldSize]byte) {
	putNibble(field[:], 0, byte(max(0, len(pan)-12)))
	putDigits(field[:], 1+max(0, 12-len(pan)), pan)
	return field
}

// account is what the format makes of the PAN; zeros where it makes nothing of it.
func (l layout) account(pan string) (field [fieldSize]byte, err error) {
	if l.panField == nil {
		return field, nil
	}
	if len(pan) < l.minPAN || len(pan) > maxPAN || !allDigits(pan) {
		return field, ErrPAN
	}
	return l.panField(pan), nil
}

// pinField lays the PIN out over l.size bytes: control, length, PIN and fill in the first eight, random bytes in the
// rest.
//
// The fill is taken from the same eight random bytes in every format. Format 3 takes ten digits to the base 6 from
// those 64 bits at most, which is uniform except for less than one part in 2^38.
func (l layout) pinField(pin []byte, rand io.Reader) ([]byte, error) {
	if len(pin) < minPIN || len(pin) > maxPIN {
		return nil, ErrPINLength
	}
	if !allDigits(pin) {
		return nil, ErrPINDigit
	}
	field := make([]byte, fieldSize)
	if l.random {
		if err := draw(field[clearSize:], rand); err != nil {
			return nil, err
		}
	}
	putNibble(field, 0, l.control)
	putNibble(field, 1, byte(len(pin)))
	putDigits(field, headSize, pin)
	drawn, choices := binary.BigEndian.Uint64(field[clearSize:]), uint64(l.fillMax-l.fillMin)+1
	for i := headSize + len(pin); i < bodyEnd; i++ {
		putNibble(field, i, l.fillMin+byte(drawn%choices))
		drawn /= choices
	}
	clear(field[l.size:]) // formats 1 and 3: what the fill was made of
	return field[:l.size:l.size], nil
}

// pin takes the PIN out of a PIN field after checking all of it.
func (l layout) pin(field []byte) ([]byte, error) {
	if nibble(field, 0) != l.control {
		return nil, ErrControl
	}
	n := int(nibble(field, 1))
	if n < minPIN || n > maxPIN {
		return nil, ErrPINLength
	}
	end := headSize + n
	for i := headSize; i < end; i++ {
		if nibble(field, i) > 9 {
			return nil, ErrPINDigit
		}
	}
	for i := end; i < bodyEnd; i++ {
		if v := nibble(field, i); v < l.fillMin || v > l.fillMax {
			return nil, ErrFill
		}
	}
	pin := make([]byte, n)
	for i := range pin {
		pin[i] = '0' + nibble(field, headSize+i)
	}
	return pin, nil
}

func draw(dst []byte, rand io.Reader) error {
	if rand == nil {
		return ErrRandom
	}
	if _, err := io.ReadFull(rand, dst); err != nil {
		return fmt.Errorf("%w: %w", ErrRandom, err)
	}
	return nil
}

func allDigits[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func putDigits[T string | []byte](field []byte, at int, digits T) {
	for i := range len(digits) {
		putNibble(field, at+i, digits[i]-'0')
	}
}

// putNibble sets nibble i, counted from the left, of a field that holds zero there.
func putNibble(field []byte, i int, v byte) { field[i/2] |= v << (4 * (1 - i%2)) }

func nibble(field []byte, i int) byte { return field[i/2] >> (4 * (1 - i%2)) & 0xF }
