package pin

import (
	"fmt"
	"maps"
	"slices"
)

// Codes are all codes, in the order in which they are declared.
func Codes() []Code {
	return []Code{
		Internal, Unavailable, Unauthorized, Forbidden, NotFound, Ambiguous, Conflict, Duplicate, InvalidField, InvalidPIN,
		PINLength, WeakPIN, RecentPIN, CardStatus, NoPIN, RetrievalOff, ApprovalNeeded, WrongPIN, Blocked, Unopenable, UnfitBlock, UnknownKey,
		ReplayOther, ReplayChanged, ReplayUnderway, TooMany, Halted,
	}
}

// ErrorTable is a contract's error table: a row, of whatever the contract's replies are made from, for
// each of [Codes].
type ErrorTable[R any] struct{ rows map[Code]R }

// MustErrorTable makes a table. One that lacks a code, or has a row for what is none, is a mistake in the
// program, for which it panics: tables are package variables, and so nothing is served with such a one.
func MustErrorTable[R any](rows map[Code]R) ErrorTable[R] {
	for _, code := range Codes() {
		if _, ok := rows[code]; !ok {
			panic(fmt.Sprintf("the error table has no row for the code %q", code))
		}
	}
	for _, code := range slices.Sorted(maps.Keys(rows)) {
		if !slices.Contains(Codes(), code) {
			panic(fmt.Sprintf("the error table has a row for %q, which is no code of pin.Codes", code))
		}
	}
	return ErrorTable[R]{rows}
}

// Row is the row of a code, and that of Internal for what is none.
func (t ErrorTable[R]) Row(code Code) R {
	if r, ok := t.rows[code]; ok {
		return r
	}
	return t.rows[Internal]
}

// Of is the row of an error's code, see [CodeOf].
func (t ErrorTable[R]) Of(err error) R { return t.Row(CodeOf(err)) }
