package pin

import (
	"errors"
	"time"
)

// Code says what went wrong in the vault's own terms. Every contract has one [ErrorTable] from Code to
// its documented reply; [Codes] lists them.
type Code string

// The codes. A comment names the field of [Error] that goes with it.
const (
	Internal       Code = "internal"        // our own fault
	Unavailable    Code = "unavailable"     // database or HSM cannot be reached; trying again helps
	Unauthorized   Code = "unauthorized"    // nobody we know: credentials or token wrong, expired or revoked
	Forbidden      Code = "forbidden"       // somebody we know who may not do this
	NotFound       Code = "not_found"       // no such card, program, client or key in the caller's reach
	Ambiguous      Code = "ambiguous"       // several cards match
	Conflict       Code = "conflict"        // changed by somebody else meanwhile; trying again helps
	Duplicate      Code = "duplicate"       // Field: the reference or id that exists already
	InvalidField   Code = "invalid_field"   // Field: what the contract could not rule out but the domain must
	InvalidPIN     Code = "invalid_pin"     // not 4 to 12 digits
	PINLength      Code = "pin_length"      // outside the program's range
	WeakPIN        Code = "weak_pin"        // refused by the program's policy
	RecentPIN      Code = "recent_pin"      // used before, refused by the program's policy
	CardStatus     Code = "card_status"     // the card's status allows no PIN operation
	NoPIN          Code = "no_pin"          // the card has no PIN
	RetrievalOff   Code = "retrieval_off"   // the program keeps no PIN that could be read back
	ApprovalNeeded Code = "approval_needed" // the program asks for a second client's approval, and there is none
	WrongPIN       Code = "wrong_pin"       // the old PIN does not match
	Blocked        Code = "blocked"         // no tries left
	Unopenable     Code = "unopenable"      // the PIN block cannot be opened, for whatever reason
	UnfitBlock     Code = "unfit_block"     // the PIN block is not of the size or format that its key is for
	UnknownKey     Code = "unknown_key"     // no usable key of that id
	ReplayOther    Code = "replay_other"    // idempotency key was used on another endpoint
	ReplayChanged  Code = "replay_changed"  // idempotency key was used with other content
	ReplayUnderway Code = "replay_underway" // the first request with this idempotency key has not ended
	TooMany        Code = "too_many"        // Field: the limit that is used up; Wait: until it has room again
	Halted         Code = "halted"          // the client's verifications, by the alarm, until somebody releases it
)

// Error is what the vault, the store and the keys report. Its text never holds a value that came
// in with a request.
type Error struct {
	Code  Code
	Field string // a field's or reference kind's name, never its content
	Err   error  // for the log

	// Client is, for the log, the id of a client that is known and was not let in: Unauthorized.
	Client string

	Wait time.Duration // of TooMany, more than 0
}

// Error is the code, the field and the cause.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Field != "" {
		text += " (" + e.Field + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is compare with &Error{Code: …}: codes alone count.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf is the code of the first [Error] in err's chain, Internal for any other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// FieldOf is the field of the first [Error] in err's chain, or "".
func FieldOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Field
	}
	return ""
}

// WaitOf is how long the first [Error] in err's chain says to wait, or 0.
func WaitOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Wait
	}
	return 0
}

// ClientOf is the client of the first [Error] in err's chain, or "".
func ClientOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Client
	}
	return ""
}
