package pin

import (
	"slices"
	"strconv"
	"time"
)

// Ceremony is how a key comes to be of components that several custodians hold, none of whom sees another's: each
// enters one, and when all are there each confirms the check value of the key that they make.
type Ceremony struct {
	Components    int            `json:"components"` // how many
	Initiator     string         `json:"initiator,omitempty"`
	ExpiresAt     time.Time      `json:"expiresAt"`
	Parts         []Part         `json:"parts,omitempty"` // as they were entered
	Confirmations []Confirmation `json:"confirmations,omitempty"`
}

// Part is a component that was entered.
type Part struct {
	Number     int       `json:"number"` // 1..Components
	Custodian  string    `json:"custodian"`
	CheckValue string    `json:"checkValue"`
	Size       int       `json:"size"`              // bits
	Wrapped    []byte    `json:"wrapped,omitempty"` // until the key is whole
	At         time.Time `json:"at"`
}

// Confirmation is a custodian's word that the key's check value is the one that they expect.
type Confirmation struct {
	Custodian string    `json:"custodian"`
	At        time.Time `json:"at"`
}

// Bounds of a ceremony.
const (
	MinComponents = 2
	MaxComponents = 9
)

// whole tells whether all components are there.
func (c *Ceremony) whole() bool { return len(c.Parts) == c.Components }

func (c *Ceremony) confirmed() bool { return len(c.Confirmations) == c.Components }

// withoutMaterial is the ceremony without what is kept of the components.
func (c *Ceremony) withoutMaterial() *Ceremony {
	out := *c
	out.Parts = slices.Clone(c.Parts)
	for i := range out.Parts {
		out.Parts[i].Wrapped = nil
	}
	return &out
}

// open is Conflict, KeyStateForbids for a key that is not in a ceremony, or in one whose time is over.
func (k ZoneKey) open(now time.Time) error {
	if k.Ceremony == nil || k.StateAt(now) != KeyPending || !now.Before(k.Ceremony.ExpiresAt) {
		return refusedKey(KeyStateForbids)
	}
	return nil
}

// Expects is whether the ceremony waits for a custodian's component of a number: Conflict with KeyStateForbids (no
// ceremony, over, or whole) or SameCustodian, InvalidField (number), Duplicate (number).
func (k ZoneKey) Expects(custodian string, number int, now time.Time) error {
	if err := k.open(now); err != nil {
		return err
	}
	switch c := k.Ceremony; {
	case c.whole():
		return refusedKey(KeyStateForbids)
	case slices.ContainsFunc(c.Parts, func(p Part) bool { return p.Custodian == custodian }):
		return refusedKey(SameCustodian)
	case number < 1 || number > c.Components:
		return &Error{Code: InvalidField, Field: "number"}
	case slices.ContainsFunc(c.Parts, func(p Part) bool { return p.Number == number }):
		return &Error{Code: Duplicate, Field: "number"}
	}
	return nil
}

// Entered is the key with one component more: errors as [ZoneKey.Expects], and InvalidField (component) for one that is
// not as long as those before it.
func (k ZoneKey) Entered(p Part, now time.Time) (ZoneKey, error) {
	if err := k.Expects(p.Custodian, p.Number, now); err != nil {
		return k, err
	}
	if len(k.Ceremony.Parts) > 0 && p.Size != k.Ceremony.Parts[0].Size || k.Size != 0 && p.Size != k.Size {
		return k, &Error{Code: InvalidField, Field: "component"}
	}
	c := *k.Ceremony
	p.At = now
	c.Parts = append(slices.Clone(c.Parts), p)
	k.Ceremony = &c
	return k, nil
}

// Whole tells whether all components of the key's ceremony are there.
func (k ZoneKey) Whole() bool { return k.Ceremony != nil && k.Ceremony.whole() }

// Combined is the key of all its components, which are not kept any longer.
func (k ZoneKey) Combined(wrapped []byte, checkValue string) ZoneKey {
	k.Wrapped, k.CheckValue, k.Size = wrapped, checkValue, k.Ceremony.Parts[0].Size
	k.Ceremony = k.Ceremony.withoutMaterial()
	return k
}

// Confirmed is the key with a custodian's word for its check value: Conflict with KeyStateForbids (not whole, over) or
// SameCustodian, Forbidden for who entered no component, InvalidField (checkValue) where it is another.
func (k ZoneKey) Confirmed(custodian, checkValue string, now time.Time) (ZoneKey, error) {
	if err := k.open(now); err != nil {
		return k, err
	}
	switch c := k.Ceremony; {
	case !slices.ContainsFunc(c.Parts, func(p Part) bool { return p.Custodian == custodian }):
		return k, &Error{Code: Forbidden}
	case !c.whole():
		return k, refusedKey(KeyStateForbids)
	case slices.ContainsFunc(c.Confirmations, func(w Confirmation) bool { return w.Custodian == custodian }):
		return k, refusedKey(SameCustodian)
	case checkValue != k.CheckValue:
		return k, &Error{Code: InvalidField, Field: "checkValue"}
	}
	c := *k.Ceremony
	c.Confirmations = append(slices.Clone(c.Confirmations), Confirmation{Custodian: custodian, At: now})
	k.Ceremony = &c
	return k, nil
}

// Approved tells whether all custodians have confirmed.
func (k ZoneKey) Approved() bool { return k.Ceremony != nil && k.Ceremony.confirmed() }

// told is what the trail tells of the ceremony.
func (c *Ceremony) told() string {
	if c == nil {
		return ""
	}
	return strconv.Itoa(len(c.Parts)) + " of " + strconv.Itoa(c.Components) + " entered, " + strconv.Itoa(len(c.Confirmations)) + " confirmed"
}
