package pinblock

import "io"

// Zone is what PIN blocks on one side of a translation are: the zone's key, and the format that goes with it.
type Zone struct {
	Key    *Key
	Format Format
}

// MayBecome tells whether a block of the format may be translated into one of another (PCI PIN 3.1, requirement 3-3;
// ISO 9564-1). Formats that bind the PIN to the PAN, 0, 3 and 4, may become each other, and format 1 may become any. A PIN
// that is bound must never become one that is not: of a block of format 1 anybody could make one for another PAN, and from
// what comes of it learn the PIN.
func (f Format) MayBecome(other Format) bool {
	from, errFrom := f.layout()
	to, errTo := other.layout()
	return errFrom == nil && errTo == nil && (from.panField == nil || to.panField != nil)
}

// Translate opens a block of one zone and packs its PIN for another, both for the one PAN: no block is moved to another card.
//
// What stands in the way of every block is refused before this one is opened: ErrTranslation, ErrFormat, ErrKeyFormat,
// ErrPAN, ErrRandom without a rand that the other zone's format needs. The other errors are those of [Key.Decrypt], which
// all have to leave the server as one and the same answer (see the package comment), and of [Key.Encrypt].
func Translate(from, to Zone, block []byte, pan string, rand io.Reader) ([]byte, error) {
	if from.Key == nil || to.Key == nil {
		return nil, ErrKeyFormat
	}
	l, err := to.Key.layout(to.Format)
	if err != nil {
		return nil, err
	}
	if _, err := from.Key.layout(from.Format); err != nil {
		return nil, err
	}
	if !from.Format.MayBecome(to.Format) {
		return nil, ErrTranslation
	}
	if _, err := l.account(pan); err != nil {
		return nil, err
	}
	if l.random && rand == nil {
		return nil, ErrRandom
	}
	pin, err := from.Key.Decrypt(from.Format, block, pan)
	defer clear(pin)
	if err != nil {
		return nil, err
	}
	return to.Key.Encrypt(to.Format, pin, pan, rand)
}
