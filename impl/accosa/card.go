package accosa

import (
	"context"
	"errors"
	"slices"
	"strings"

	"pinvault/impl/pin"
)

// mostLookedAt bounds how many cards of one customer or mobile number are looked at.
const mostLookedAt = 100

// candidate is a card that may be the one that a message names, and what is known of it.
type candidate struct {
	pin.Card
	last4           string // digits of its PAN
	profileDemanded bool   // by its program
}

// agreements are what a card must have of what a message says, in the order in which they are answered for. An
// attribute that the card does not have is not held against a message, except for those that name a customer or profile.
var agreements = []struct {
	holds     func(candidate, message) bool
	otherwise func(message) error
}{
	{func(c candidate, m message) bool { return m.last4Digits == "" || m.last4Digits == c.last4 }, func(message) error { return dataNotFound }},
	{func(c candidate, m message) bool { return m.customerID == "" || m.customerID == c.CustomerID },
		func(m message) error { return elsewhere{pin.Holder{CustomerID: m.customerID}, unknownCustomer} }},
	{func(c candidate, m message) bool { return agree(m.mobileNumber, c.MobileNumber) }, func(message) error { return dataNotFound }},
	{func(c candidate, m message) bool { return agree(m.emailAddress, c.EmailAddress) }, func(message) error { return dataNotFound }},
	{func(c candidate, m message) bool { return m.cardProfileID != "" || !c.profileDemanded }, func(message) error { return profileMandatory }},
	{func(c candidate, m message) bool { return m.cardProfileID == "" || m.cardProfileID == c.CardProfileID },
		func(m message) error { return elsewhere{pin.Holder{CardProfileID: m.cardProfileID}, invalidProfile} }},
}

// agree tells whether a message may say this of a card that has that: capitals make no difference.
func agree(said, has string) bool { return said == "" || has == "" || strings.EqualFold(said, has) }

// narrow leaves the candidates that agree with a message, or is the row of the first thing that none of them has.
func narrow(all []candidate, m message) ([]candidate, error) {
	for _, a := range agreements {
		var left []candidate
		for _, c := range all {
			if a.holds(c, m) {
				left = append(left, c)
			}
		}
		if len(left) == 0 {
			return nil, a.otherwise(m)
		}
		all = left
	}
	return all, nil
}

// single is the one candidate, or the row of several customers or of several cards.
func single(all []candidate) (candidate, error) {
	for _, c := range all[1:] {
		if c.CustomerID != all[0].CustomerID {
			return candidate{}, severalCustomers
		}
	}
	if len(all) > 1 {
		return candidate{}, mismatch
	}
	return all[0], nil
}

// choose is the one candidate that agrees with a message. Where there are as many as are looked at, others may
// agree as well.
func choose(all []candidate, m message) (candidate, error) {
	if len(all) < mostLookedAt {
		var err error
		if all, err = narrow(all, m); err != nil {
			return candidate{}, err
		}
	}
	return single(all)
}

// selected is what a message names its card by, and the row of a card that is not there.
func selected(m message) (pin.Query, row) {
	switch {
	case m.urn != "":
		return pin.Query{References: []pin.Reference{{Kind: pin.KindURN, Value: m.urn}}}, dataNotFound
	case m.customerID != "":
		return pin.Query{Holder: pin.Holder{CustomerID: m.customerID}}, unknownCustomer
	}
	return pin.Query{Holder: pin.Holder{MobileNumber: m.mobileNumber}}, dataNotFound
}

// query asks for the card that a message names. told hears which one it is, before anything is decided.
func (a *API) query(m message, told func(pin.Card) error) pin.Query {
	q, unknown := selected(m)
	q.Choose = func(found []pin.Record) (pin.Record, error) {
		chosen, err := a.chosen(found, m, unknown)
		if err == nil {
			err = told(chosen.Card)
		}
		return chosen, err
	}
	q.Check = func(rec pin.Record) error {
		c, err := a.candidate(rec)
		if err == nil {
			_, err = narrow([]candidate{c}, m)
		}
		return err
	}
	return q
}

// chosen is the one record that agrees with a message; of none the error is unknown.
func (a *API) chosen(found []pin.Record, m message, unknown row) (pin.Record, error) {
	if len(found) == 0 {
		return pin.Record{}, unknown
	}
	all := make([]candidate, len(found))
	for i, rec := range found {
		var err error
		if all[i], err = a.candidate(rec); err != nil {
			return pin.Record{}, err
		}
	}
	one, err := choose(all, m)
	if err != nil {
		return pin.Record{}, err
	}
	return found[slices.IndexFunc(found, func(rec pin.Record) bool { return rec.Card.ID == one.ID })], nil
}

// candidate is a record as messages are held against it.
func (a *API) candidate(rec pin.Record) (candidate, error) {
	own, err := ofPrograms.Read(rec.Program.Settings[Name])
	if err != nil {
		return candidate{}, err
	}
	masked, err := a.vault.MaskedPAN(rec.Card)
	return candidate{Card: rec.Card, last4: masked[max(0, len(masked)-4):], profileDemanded: own.CardProfileMandatory}, err
}

// elsewhere is what no candidate has: another card has it, or it is unknown.
type elsewhere struct {
	holder  pin.Holder
	unknown row
}

// Error is that of the row for what is unknown.
func (e elsewhere) Error() string { return e.unknown.Error() }

// whose is an error; of what belongs to other cards the mismatch, of what belongs to none unknown.
func (a *API) whose(ctx context.Context, err error) error {
	e, ok := errors.AsType[elsewhere](err)
	if !ok {
		return err
	}
	others, err := a.vault.Find(ctx, pin.Query{Holder: e.holder}, 1)
	switch {
	case err != nil:
		return err
	case len(others) == 0:
		return e.unknown
	}
	return mismatch
}
