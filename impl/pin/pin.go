package pin

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Shortest and longest PIN, in digits (ISO 9564-1, 8.1).
const (
	MinLength = 4
	MaxLength = 12
)

const redacted = "****"

// PIN holds the digits of one PIN, ASCII '0' to '9', MinLength to MaxLength of them.
//
// It prints as **** in every way that Go can print a value. Copies share the digits, so Clear on
// one clears them all. The zero PIN is empty and matches nothing.
type PIN struct{ held *held }

// held are the digits. A PIN points at them because fmt asks no method for the verb %p, and prints no
// more than the pointer.
type held struct {
	n      int
	digits [MaxLength]byte
}

// New copies digits into a PIN. A wrong length or a character other than a digit is [InvalidPIN].
func New(digits []byte) (PIN, error) {
	if len(digits) < MinLength || len(digits) > MaxLength {
		return PIN{}, &Error{Code: InvalidPIN}
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return PIN{}, &Error{Code: InvalidPIN}
		}
	}
	p := PIN{&held{n: len(digits)}}
	copy(p.held.digits[:], digits)
	return p, nil
}

// Random draws a PIN of n digits, each equally likely.
func Random(source io.Reader, n int) (PIN, error) {
	if n < MinLength || n > MaxLength {
		return PIN{}, &Error{Code: InvalidPIN}
	}
	digits, err := randomDigits(source, n)
	if err != nil {
		return PIN{}, err
	}
	defer clear(digits)
	return New(digits)
}

// randomDigits draws n ASCII digits. Bytes of 250 and above are thrown away: they would make the
// low digits likelier than the high ones.
func randomDigits(source io.Reader, n int) ([]byte, error) {
	if source == nil {
		source = rand.Reader
	}
	digits := make([]byte, 0, n)
	var b [32]byte
	for len(digits) < n {
		if _, err := io.ReadFull(source, b[:]); err != nil {
			return nil, &Error{Code: Internal, Err: fmt.Errorf("random source: %w", err)}
		}
		for _, x := range b {
			if x < 250 && len(digits) < n {
				digits = append(digits, '0'+x%10)
			}
		}
	}
	clear(b[:])
	return digits, nil
}

// Len is the number of digits.
func (p PIN) Len() int { return len(p.Digits()) }

// Digits are the digits themselves, not a copy: for PIN blocks, verifiers and the one reply that a
// contract documents to carry a PIN.
func (p PIN) Digits() []byte {
	if p.held == nil {
		return nil
	}
	return p.held.digits[:p.held.n]
}

// Clear overwrites the digits, in all copies.
func (p PIN) Clear() { clear(p.Digits()) }

// Equal compares in constant time.
func (p PIN) Equal(q PIN) bool { return subtle.ConstantTimeCompare(p.Digits(), q.Digits()) == 1 }

// String, GoString, Format, MarshalJSON, MarshalText and LogValue print ****.
func (PIN) String() string { return redacted }

// GoString prints ****.
func (PIN) GoString() string { return redacted }

// Format prints **** for every verb.
func (PIN) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalJSON prints "****".
func (PIN) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// MarshalText prints ****.
func (PIN) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue prints ****.
func (PIN) LogValue() slog.Value { return slog.StringValue(redacted) }
