// Package pinblock packs PINs into PIN blocks and takes them out again: formats 0, 1 and 3 under TDES, format 4 under
// AES. It knows bytes and nothing else: no card, no key store, no contract.
//
// The rules are those of ISO 9564-1:2017, clauses 8.1 (PIN length), 9.3 (formats 0, 1 and 3) and 9.4 (format 4), and
// of PCI PIN 3.1, requirement 3-3 (translation). A PIN is 4 to 12 ASCII digits in a []byte that its owner clears; a
// PAN is a string of digits, check digit included.
//
// # What a block that opens proves
//
// A PIN block carries no authentication code. A block that was made under another key or for another PAN is noticed
// only where it turns into a control nibble, a PIN length, a PIN digit or a fill that the format does not allow, so it
// shows as [ErrControl], [ErrPINLength], [ErrPINDigit] or [ErrFill], and sometimes not at all:
//
//	          a block under another key        a block for another PAN
//	          opens to some PIN
//	ISO-0     6 times in 100 million           opens to another PIN, never to the same one, and only where the
//	                                           12 digits that count differ under PIN digits alone
//	ISO-1     1.6 times in 1000                opens to the same PIN: the format is not bound to a PAN
//	ISO-3     4.8 times in a million           may open, even to the same PIN where the digits differ under the fill
//	ISO-4     6 times in 100 million           opens as rarely as a block under another key
//
// Another PAN is one that differs in the digits that the format binds: all of them in format 4, the 12 rightmost without
// the check digit in formats 0 and 3.
//
// So a block that opens is a guess at the PIN like any other and costs a try, and one that does not open must cost a
// try as well. The errors tell an operator what was wrong; a client that can tell them apart can work out PIN digits,
// so every failure to open a block has to leave the server as one and the same answer.
package pinblock

import (
	"crypto/subtle"
	"io"
)

// Encode returns the clear 8-byte block of formats 0, 1 and 3. Whoever holds it holds the PIN: the caller clears it.
//
// rand fills formats 1 and 3, eight bytes a block; format 0 draws nothing and takes a nil rand. Format 1 does not look
// at pan. The errors are ErrFormat, ErrNoClearBlock (format 4), ErrPAN, ErrPINLength, ErrPINDigit and ErrRandom.
func Encode(f Format, pin []byte, pan string, rand io.Reader) ([]byte, error) {
	l, err := f.clearLayout()
	if err != nil {
		return nil, err
	}
	account, err := l.account(pan)
	if err != nil {
		return nil, err
	}
	block, err := l.pinField(pin, rand)
	if err != nil {
		return nil, err
	}
	subtle.XORBytes(block, block, account[:])
	return block, nil
}

// Decode returns the PIN in a clear 8-byte block of format 0, 1 or 3: 4 to 12 ASCII digits that the caller clears.
//
// It checks everything that the format fixes, so a block for another PAN is refused as far as the package comment
// says. The errors are ErrFormat, ErrNoClearBlock (format 4), ErrBlockSize, ErrPAN, ErrControl, ErrPINLength,
// ErrPINDigit and ErrFill.
func Decode(f Format, block []byte, pan string) ([]byte, error) {
	l, err := f.clearLayout()
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
	var field [clearSize]byte
	defer clear(field[:])
	subtle.XORBytes(field[:], block, account[:])
	return l.pin(field[:])
}
