package pin

import (
	"slices"
)

// Kind is a kind of reference by which a program's cards are found.
type Kind string

// The kinds. Within a program a value of a kind belongs to one card, except for those that are shared, see
// [Kind.Shared]. KindPAN is written to the store as a keyed hash only.
const (
	KindPublicToken    Kind = "publicToken"
	KindPAN            Kind = "pan"
	KindURN            Kind = "urn"
	KindIdentifier     Kind = "identifier"
	KindPackID         Kind = "packId"
	KindNumber         Kind = "number"
	KindAlias          Kind = "alias"
	KindHashdtCardID   Kind = "hashdtCardId"
	KindEXID           Kind = "exid"
	KindContractNumber Kind = "contractNumber"
)

// KindDevice is of references by which requests name a card and which no card has: its device number, or its
// PAN. Credit+ does not tell them apart.
const KindDevice Kind = "device"

// Kinds of look-ups that are no references: attributes that cards are found by, a PAN with its sequence
// number, which two cards of a program cannot both have, and what belongs to a card.
const (
	kindCustomer    Kind = "customerId"
	kindMobile      Kind = "mobileNumber"
	kindProfile     Kind = "cardProfileId"
	kindPANSequence Kind = "panSequence"
	KindSession     Kind = "pinSession"
	KindApproval    Kind = "approval"
	KindRecord      Kind = "record"
)

// Shared tells whether several cards of a program may have one value of the kind.
func (k Kind) Shared() bool {
	switch k {
	case KindAlias, KindPAN, KindDevice, kindCustomer, kindMobile, kindProfile:
		return true
	}
	return false
}

// Reference finds a card within a program.
type Reference struct {
	Kind  Kind   `json:"kind"`
	Value string `json:"value"`
}

// lookup is the row by which a value of a kind finds a card.
func lookup(c Card, kind Kind, value string) Lookup {
	l := Lookup{Kind: kind, Value: value, ProgramID: c.ProgramID, CardID: c.ID}
	if kind.Shared() {
		l.Slot = c.ID
	}
	return l
}

// Lookups are the rows by which a card is found. They follow from what its seal covers, so a row that
// leads to a card which does not have it is a forgery.
func (c Card) Lookups() []Lookup {
	out := make([]Lookup, 0, len(c.References)+5)
	for _, r := range c.References {
		out = append(out, lookup(c, r.Kind, r.Value))
	}
	if c.PANIndex != "" {
		out = append(out, lookup(c, KindPAN, c.PANIndex), lookup(c, kindPANSequence, c.PANIndex+"/"+c.Sequence))
	}
	for kind, value := range map[Kind]string{kindCustomer: c.CustomerID, kindMobile: c.MobileNumber, kindProfile: c.CardProfileID} {
		if value != "" {
			out = append(out, lookup(c, kind, value))
		}
	}
	return out
}

// foundBy tells whether a card has one of the values.
func (c Card) foundBy(kind Kind, values []string) bool {
	switch kind {
	case KindPAN:
		return slices.Contains(values, c.PANIndex)
	case kindCustomer:
		return slices.Contains(values, c.CustomerID)
	case kindMobile:
		return slices.Contains(values, c.MobileNumber)
	case kindProfile:
		return slices.Contains(values, c.CardProfileID)
	}
	return slices.ContainsFunc(c.References, func(r Reference) bool { return r.Kind == kind && slices.Contains(values, r.Value) })
}
