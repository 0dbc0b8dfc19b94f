// Package settings is how a contract owns what it needs to know of programs and clients: JSON that rests
// with them under their seals and that nobody reads but the contract's own package, which says what it is
// in Go ([Of]) and what can never work ([Owner]).
//
// What a single member may be stands in openapi/issuer.yaml. This package knows JSON and the vault's
// errors, and no contract.
package settings

import (
	"encoding/json"
	"errors"
	"maps"

	strict "github.com/go-json-experiment/json"

	"pinvault/impl/pin"
)

// Owner is a contract for whoever makes programs and clients. The zero Owner needs to know nothing, and
// takes any.
type Owner struct {
	Program Kind // of settings; nil: none
	Client  Kind

	LongestPIN int // digits of the longest PIN that can be set through the contract, 0: any

	// Suits tells what keeps a client of the contract from ever working, whatever its program; nil: nothing
	// does. Its errors are InvalidField and contract.Broken, with the fields of openapi/issuer.yaml:
	// accosa.messageKeyIds.
	Suits func(c pin.Client) error

	// Keys are the partners' keys that a client names, which have to be of use to it; nil: it names none.
	Keys func(c pin.Client) ([]Key, error)
}

// Key is a partner's key that a client's settings name.
type Key struct {
	Field string // of openapi/issuer.yaml that names it: accosa.messageKeyIds
	ID    string
	Usage pin.KeyUsage
	Size  int // in bytes, 0: any
}

// KeysOf are keys that one field names.
func KeysOf(field string, ids []string, usage pin.KeyUsage, size int) []Key {
	keys := make([]Key, len(ids))
	for i, id := range ids {
		keys[i] = Key{field, id, usage, size}
	}
	return keys
}

// Carries tells whether PINs of so many digits, and longer ones, can be set through the contract.
func (o Owner) Carries(digits int) bool { return o.LongestPIN == 0 || digits <= o.LongestPIN }

// Kind is a kind of settings: a contract's of programs, or of clients. An [Of] is one.
type Kind interface {
	// Set is what settings become when others are named: these replace what they name, and the rest stays.
	// What is secret of them comes back by name and is not kept: InvalidField.
	Set(before, named json.RawMessage) (kept json.RawMessage, secrets map[string]string, err error)
	// Show is all of the settings, with what they are unless given.
	Show(kept json.RawMessage) (json.RawMessage, error)
}

// Of are settings that a T holds, each in a member of the same name.
type Of[T any] struct {
	Contract    string                      // whose they are
	UnlessGiven func() T                    // nil: the zero T
	Secrets     []string                    // what T does not hold, since a MAC is all that is kept of it: see [pin.Client]
	Check       func(before, after T) error // nil: what keeps the document can be
}

var errUnreadable = errors.New("settings that cannot be read")

// Read reads settings as they are kept; nil are none. A member that a later version has written is passed
// over, so that two versions may serve one database.
func (o Of[T]) Read(kept json.RawMessage) (into T, err error) {
	if o.UnlessGiven != nil {
		into = o.UnlessGiven()
	}
	if len(kept) > 0 && strict.Unmarshal(kept, &into) != nil { // whose text would quote it
		err = &pin.Error{Code: pin.Internal, Err: errUnreadable}
	}
	return into, err
}

// Set is Kind's.
func (o Of[T]) Set(before, named json.RawMessage) (json.RawMessage, map[string]string, error) {
	invalid := &pin.Error{Code: pin.InvalidField, Field: o.Contract}
	kept, secrets, fresh := map[string]json.RawMessage{}, map[string]string{}, map[string]json.RawMessage{}
	if before != nil && json.Unmarshal(before, &kept) != nil {
		return nil, nil, &pin.Error{Code: pin.Internal, Err: errUnreadable}
	}
	if json.Unmarshal(named, &fresh) != nil {
		return nil, nil, invalid
	}
	for _, name := range o.Secrets {
		var secret string
		if text, ok := fresh[name]; ok && json.Unmarshal(text, &secret) == nil {
			secrets[name] = secret
			delete(fresh, name)
		}
	}
	known, err := json.Marshal(fresh)
	if err != nil || strict.Unmarshal(known, new(T), strict.RejectUnknownMembers(true)) != nil {
		return nil, nil, invalid
	}
	maps.Copy(kept, fresh)
	text, err := json.Marshal(kept)
	if err == nil {
		err = o.check(before, text)
	}
	return text, secrets, err
}

func (o Of[T]) check(before, after json.RawMessage) error {
	if o.Check == nil {
		return nil
	}
	was, err := o.Read(before)
	if err != nil {
		return err
	}
	is, err := o.Read(after)
	if err != nil {
		return err
	}
	return o.Check(was, is)
}

// Show is Kind's.
func (o Of[T]) Show(kept json.RawMessage) (json.RawMessage, error) {
	all, err := o.Read(kept)
	if err != nil {
		return nil, err
	}
	return strict.Marshal(all, strict.Deterministic(true)) // an empty list is [], and never null
}
