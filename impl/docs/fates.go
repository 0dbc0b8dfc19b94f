package docs

import (
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// fated is a card of the sandbox's fixtures, or a PIN, that makes rows of a contract come out by itself.
type fated struct {
	Card, PIN, Text string
	Rows            []outcome
}

// outcome is a row of a contract's page.
type outcome struct{ ID, Name string }

// fatesOf are the cards and PINs with a fate in a contract by which cards are reached. Those whose calls only take longer have no
// rows.
func fatesOf(name string, fates []rows.Fate) (all []fated) {
	reached := false
	for _, f := range fates {
		reached = reached || len(f.Rows[name]) > 0
	}
	for _, f := range fates {
		if !reached || len(f.Rows[name]) == 0 && f.DelayMs == 0 {
			continue
		}
		one := fated{Card: f.Card, PIN: f.PIN, Text: f.Text}
		for _, step := range f.Rows[name] {
			one.Rows = append(one.Rows, outcome{rows.StepOf(step).ID(), step})
		}
		all = append(all, one)
	}
	return all
}

// allFates are those of all documents; only a sandbox's has any.
func allFates(documents []*contract.Document) (all []rows.Fate, err error) {
	for _, d := range documents {
		fates, err := rows.Fates(d.Spec())
		if err != nil {
			return nil, err
		}
		all = append(all, fates...)
	}
	return all, nil
}
