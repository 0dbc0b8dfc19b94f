package ondemand

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// Catalogue has every documented row of every contract. It is made of the documents when it is first asked.
type Catalogue struct {
	documents map[string]*contract.Document
	fates     func() []rows.Fate
	index     func() *index
}

// index is what a catalogue is made into.
type index struct {
	all    []*Row
	byStep map[step]*Row
	of     map[operation][]*Row // in the document's order
	steps  map[string]bool      // of whatever contract

	operations map[string]bool // the same
}

type step struct{ contract, row string }

type operation struct{ contract, id string }

// By is what makes a row come out without a header.
type By string

// What can.
const (
	ByRequest By = "request" // the request alone
	ByState   By = "state"   // the state of a card, or what was called before
	BySession By = "session" // a session of the hosted page
	ByFault   By = "fault"   // a fault, for which a rule can be set
)

// Row is a documented reply of a contract's operation.
type Row struct {
	rows.Row
	Contract string
	Code     string // the reply's, "" where it has none
	By       By

	op    *contract.Operation
	plain *rows.Row // a request of the operation with nothing special about it
	marks marks
}

// NewCatalogue is the catalogue of documents, by name.
func NewCatalogue(documents map[string]*contract.Document) *Catalogue {
	c := &Catalogue{documents: documents}
	c.fates, c.index = sync.OnceValue(c.readFates), sync.OnceValue(c.make)
	return c
}

// All are all rows, by contract and in the order of their document.
func (c *Catalogue) All() []*Row { return c.index().all }

// Row is a contract's row, such as "setCardPin/pin-set"; nil where it has none of this name.
func (c *Catalogue) Row(contract, row string) *Row { return c.index().byStep[step{contract, row}] }

// Has tells whether some contract has the row.
func (c *Catalogue) Has(row string) bool { return c.index().steps[row] }

// HasOperation tells whether some contract has the operation.
func (c *Catalogue) HasOperation(id string) bool { return c.index().operations[id] }

// mostNear is how many names are told in the place of one that there is not.
const mostNear = 3

// near are operations with a name like this one, the nearest first.
func (c *Catalogue) near(name string) []string {
	apart := map[string]int{}
	for id := range c.index().operations {
		if d := distance(strings.ToLower(id), strings.ToLower(name)); d <= len(name)/3 {
			apart[id] = d
		}
	}
	all := slices.SortedFunc(maps.Keys(apart), func(a, b string) int { return cmp.Or(apart[a]-apart[b], strings.Compare(a, b)) })
	return all[:min(len(all), mostNear)]
}

// distance is how many letters must be changed, added or removed to make a text another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // from what there is of a so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := before
			if a[i] != b[j] {
				changed++
			}
			before = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Find is the row that a call of an operation asks for.
func (c *Catalogue) Find(contract, operationID string, ask Ask) (*Row, bool) {
	if ask.Must {
		row := c.Row(contract, ask.Row)
		return row, row != nil && row.Operation == operationID
	}
	all := c.index().of[operation{contract, operationID}]
	at := slices.IndexFunc(all, func(r *Row) bool {
		return (ask.Status == 0 || r.Reply.Status == ask.Status) && (ask.Name == "" || r.Example == ask.Name)
	})
	if at < 0 {
		return nil, false
	}
	return all[at], true
}

// Fates are what cards and PINs make come out by themselves: see x-fates in openapi/sandbox.yaml.
func (c *Catalogue) Fates() []rows.Fate { return c.fates() }

func (c *Catalogue) readFates() (all []rows.Fate) {
	for _, d := range c.documents {
		fates, _ := rows.Fates(d.Spec()) // a test of the documents reads them too
		all = append(all, fates...)
	}
	return all
}

// FateRules are the rules by which PINs have a fate, and cards one that is not in their state; id is a card's, "" for none
// of that name.
func FateRules(fates []rows.Fate, id func(card string) string) (all []Rule) {
	for _, f := range fates {
		rule := Rule{ID: f.ID(), PIN: f.PIN, Fault: f.Fault}
		if f.Card != "" {
			rule.Card = id(f.Card)
		}
		if f.DelayMs > 0 {
			rule.Delay = &Delay{Distribution: Fixed, MinMs: f.DelayMs}
		}
		if rule.Card+rule.PIN != "" && (rule.Fault != "" || rule.Delay != nil) {
			all = append(all, rule)
		}
	}
	return all
}

func (c *Catalogue) make() *index {
	x := &index{byStep: map[step]*Row{}, of: map[operation][]*Row{}, steps: map[string]bool{}, operations: map[string]bool{}}
	fated := map[step]bool{}
	for _, f := range c.Fates() {
		for name, all := range f.Rows {
			for _, row := range all {
				fated[step{name, row}] = fated[step{name, row}] || f.Card != "" // a PIN is in the request
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.documents)) {
		x.add(c.documents[name], fated)
	}
	return x
}

// add adds a document's rows. An example that cannot be one fails the tests of its document, and is none here.
func (x *index) add(d *contract.Document, fated map[step]bool) {
	all, _ := rows.All(d.Spec())
	told, _ := rows.ErrorReferenceOf(d.Spec())
	operations := map[string]*contract.Operation{}
	for _, op := range d.Operations() {
		operations[op.ID], x.operations[op.ID] = op, true
	}
	plain := rows.Plain(all)
	for _, one := range all {
		row := &Row{Row: one, Contract: d.Name(), By: by(one, fated[step{d.Name(), one.String()}]),
			op: operations[one.Operation], plain: plain[one.Operation]}
		if value, err := one.Reply.Decode(one.Reply.Body); err == nil {
			row.Code = told.CodeOf(value)
			row.marks = marksOf(one, value)
		}
		x.all = append(x.all, row)
		x.byStep[step{d.Name(), one.String()}] = row
		x.of[operation{d.Name(), one.Operation}] = append(x.of[operation{d.Name(), one.Operation}], row)
		x.steps[one.String()] = true
	}
}

// by is what makes a row come out, by its document alone. A row is fated where some card has it come out by itself.
func by(r rows.Row, fated bool) By {
	switch {
	case r.Fault != "":
		return ByFault
	case r.Session != nil:
		return BySession
	case len(r.After) > 0 || fated:
		return ByState
	}
	return ByRequest
}
