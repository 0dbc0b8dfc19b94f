package pinblock

// Error is a reason why a PIN was not packed or a block not opened. Its values are constants to be compared with
// errors.Is; their texts hold nothing of a PIN, a PAN, a block or a key.
type Error string

// Error is the text of the reason.
func (e Error) Error() string { return string(e) }

// What was wrong with the call.
const (
	ErrFormat       Error = "pinblock: unknown format"
	ErrNoClearBlock Error = "pinblock: the format has no clear block of its own, only one under a key"
	ErrKeyLength    Error = "pinblock: key has a length that the cipher does not take"
	ErrKeyFormat    Error = "pinblock: the format does not go with the key's cipher"
	ErrPAN          Error = "pinblock: PAN is not digits of a length that the format binds"
	ErrTranslation  Error = "pinblock: a PIN bound to a PAN must not become one that is bound to none"
	ErrRandom       Error = "pinblock: no random bytes for the fill"
)

// What was wrong with the PIN, or with what was found where the PIN should be.
const (
	ErrBlockSize Error = "pinblock: block has the wrong size for the format"
	ErrControl   Error = "pinblock: control nibble is not the format's"
	ErrPINLength Error = "pinblock: PIN length is not 4 to 12 digits"
	ErrPINDigit  Error = "pinblock: PIN holds something other than digits"
	ErrFill      Error = "pinblock: fill after the PIN is not the format's"
)
