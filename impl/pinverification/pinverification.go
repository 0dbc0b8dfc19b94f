// Package pinverification computes and compares what issuers keep or print instead of a PIN: the Visa PIN verification
// value (PVV), and the natural PIN and offset of IBM 3624. It knows digits and a key and nothing else: no card, no counter.
//
// Both are made with a PIN verification key (PVK) of TDES from digits of the PAN. A PVV holds the first four digits of a PIN
// only, and one PIN in some thousands has the same, so a match means less than one of the PIN itself. A natural PIN
// follows from the PAN, and an offset is the difference of the PIN from it, so whoever has an offset and the PVK has the
// PIN. All of them are secrets; the errors hold nothing of them.
//
// The rules are those of the Visa Payment Technology Standards Manual (PVV) and of IBM's 3624 (natural PIN, offset), as
// host security modules document them.
package pinverification

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"pinvault/impl/keymaterial"
)

// Error is a reason why nothing was computed or compared. Its values are constants to be compared with errors.Is.
type Error string

// Error is the text of the reason.
func (e Error) Error() string { return string(e) }

// What can be wrong.
const (
	ErrPIN            Error = "pinverification: PIN is not 4 to 12 digits"
	ErrPAN            Error = "pinverification: PAN is not digits of a length that the method takes"
	ErrIndex          Error = "pinverification: key index is not 0 to 9"
	ErrPVV            Error = "pinverification: PVV is not 4 digits"
	ErrOffset         Error = "pinverification: offset is not 4 to 12 digits"
	ErrTable          Error = "pinverification: decimalization table is not 16 digits, eight of them different and none more than four times"
	ErrValidationData Error = "pinverification: validation data are not 4 to 16 digits of the PAN, with a hexadecimal digit to fill up with"
)

const (
	minPIN   = 4 // ISO 9564-1, 8.1
	maxPIN   = 12
	maxPAN   = 19 // ISO/IEC 7812-1
	pvvSize  = 4
	accounts = 11 // digits of the PAN in a PVV
	nibbles  = 16 // of a block
)

// Key is a PIN verification key. It may be used by many goroutines at once, keeps nothing but the expanded key, and prints
// as ****.
type Key struct{ block cipher.Block }

const redacted = "****"

// NewKey returns the PVK of 16 bytes (the pair of keys of Visa) or 24: keymaterial.ErrLength; any other error means that this
// process may not use TDES. The caller keeps key and clears it.
func NewKey(key []byte) (*Key, error) {
	block, err := keymaterial.TDES.New(key)
	if err != nil {
		return nil, err
	}
	return &Key{block}, nil
}

// Lent is a key that is somewhere else and has lent its cipher, which is TDES.
func Lent(block cipher.Block) Key { return Key{block} }

// PVV is the Visa PIN verification value of a PIN, 4 digits: those of a block that holds the 11 rightmost digits of the PAN
// without its check digit, the key index and the first four digits of the PIN, encrypted.
//
// Visa's index is 1 to 6, and 0 stands for no PVV; other issuers have used all ten. The PAN has 12 to 19 digits. The errors
// are ErrPAN, ErrIndex and ErrPIN.
func (k Key) PVV(pan string, index int, pin []byte) (string, error) {
	switch {
	case len(pan) <= accounts || len(pan) > maxPAN || !allDigits(pan):
		return "", ErrPAN
	case index < 0 || index > 9:
		return "", ErrIndex
	case !validPIN(pin):
		return "", ErrPIN
	}
	account := pan[len(pan)-1-accounts : len(pan)-1]
	all := k.encrypt(fmt.Sprintf("%s%d%s", account, index, pin[:pvvSize]))
	defer clear(all)
	// The decimal digits, from the left; where they are too few, then the others less ten, from the left again.
	found := make([]byte, 0, nibbles)
	for _, n := range all {
		if n < 10 {
			found = append(found, '0'+n)
		}
	}
	for _, n := range all {
		if n >= 10 {
			found = append(found, '0'+n-10)
		}
	}
	return string(found[:pvvSize]), nil
}

// VerifyPVV tells, in constant time, whether a PVV is that of the PIN: errors as [Key.PVV], and ErrPVV.
func (k Key) VerifyPVV(pan string, index int, pin []byte, pvv string) (bool, error) {
	if len(pvv) != pvvSize || !allDigits(pvv) {
		return false, ErrPVV
	}
	own, err := k.PVV(pan, index, pin)
	return err == nil && subtle.ConstantTimeCompare([]byte(own), []byte(pvv)) == 1, err
}

// IBM3624 is how an issuer makes natural PINs of PANs.
type IBM3624 struct {
	// Table is the decimalization table: the decimal digits that the hexadecimal ones become, 0 to F. One in which few
	// digits stand for many gives PINs away (Bond and Zieliński, 2003), and is refused as host security modules refuse it.
	Table string
	// Start and Digits say which digits of the PAN are the validation data: how many, and how many come before them.
	Start, Digits int
	// Pad is the hexadecimal digit, in upper case, that fills up validation data of less than 16 digits from the right.
	Pad byte
}

// validationData is the block that a natural PIN is made of: ErrTable, ErrPAN, ErrValidationData.
func (m IBM3624) validationData(pan string) (string, error) {
	seen, most := 0, 0
	for digit := '0'; digit <= '9'; digit++ {
		n := strings.Count(m.Table, string(digit))
		seen += min(n, 1)
		most = max(most, n)
	}
	switch {
	case len(m.Table) != nibbles || !allDigits(m.Table) || seen < 8 || most > 4:
		return "", ErrTable
	case len(pan) > maxPAN || !allDigits(pan):
		return "", ErrPAN
	case m.Digits < 4 || m.Digits > nibbles || m.Start < 0 || m.Start > len(pan)-m.Digits,
		m.Digits < nibbles && !strings.ContainsRune("0123456789ABCDEF", rune(m.Pad)):
		return "", ErrValidationData
	}
	return pan[m.Start:m.Start+m.Digits] + strings.Repeat(string(rune(m.Pad)), nibbles-m.Digits), nil
}

// NaturalPIN is the PIN of so many digits that follows from the PAN, 4 to 12 ASCII digits that the caller clears: ErrPIN,
// ErrTable, ErrPAN, ErrValidationData.
func (k Key) NaturalPIN(m IBM3624, pan string, length int) ([]byte, error) {
	if length < minPIN || length > maxPIN {
		return nil, ErrPIN
	}
	data, err := m.validationData(pan)
	if err != nil {
		return nil, err
	}
	all := k.encrypt(data)
	defer clear(all)
	pin := make([]byte, length)
	for i := range pin {
		pin[i] = m.Table[all[i]]
	}
	return pin, nil
}

// Offset is the difference of a PIN from the natural one of its length, digit by digit modulo ten: errors as [Key.NaturalPIN].
func (k Key) Offset(m IBM3624, pan string, pin []byte) (string, error) {
	if !validPIN(pin) {
		return "", ErrPIN
	}
	natural, err := k.NaturalPIN(m, pan, len(pin))
	defer clear(natural)
	if err != nil {
		return "", err
	}
	offset := make([]byte, len(pin))
	for i := range offset {
		offset[i] = '0' + (10+pin[i]-natural[i])%10
	}
	return string(offset), nil
}

// PIN is the PIN that an offset stands for, as long as it, which the caller clears: errors as [Key.NaturalPIN], and ErrOffset.
func (k Key) PIN(m IBM3624, pan, offset string) ([]byte, error) {
	if len(offset) < minPIN || len(offset) > maxPIN || !allDigits(offset) {
		return nil, ErrOffset
	}
	pin, err := k.NaturalPIN(m, pan, len(offset))
	for i := range pin {
		pin[i] = '0' + (pin[i]-'0'+offset[i]-'0')%10
	}
	return pin, err
}

// VerifyOffset tells, in constant time, whether an offset is that of the PIN; one of another length is not: errors as
// [Key.PIN].
func (k Key) VerifyOffset(m IBM3624, pan string, pin []byte, offset string) (bool, error) {
	if !validPIN(pin) {
		return false, ErrPIN
	}
	own, err := k.PIN(m, pan, offset)
	defer clear(own)
	return err == nil && subtle.ConstantTimeCompare(own, pin) == 1, err
}

// encrypt is a block of 16 hexadecimal digits under the key, a digit a byte. The caller clears it.
func (k Key) encrypt(digits string) []byte {
	var block [nibbles / 2]byte
	defer clear(block[:])
	_, _ = hex.Decode(block[:], []byte(digits)) // hexadecimal, as all who call it have seen
	k.block.Encrypt(block[:], block[:])
	out := make([]byte, 0, nibbles)
	for _, b := range block {
		out = append(out, b>>4, b&0xF)
	}
	return out
}

func validPIN(pin []byte) bool { return len(pin) >= minPIN && len(pin) <= maxPIN && allDigits(pin) }

func allDigits[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Format prints **** for every verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalJSON is "****".
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
