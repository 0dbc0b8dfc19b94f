// Package capability foretells what can be done with a card's PIN now, through which contract, and why not.
//
// What a contract's operations do and what they need of a card, the contract's document says, in x-capability; this package
// reads that and holds it against a card. It decides nothing: a test calls every contract with cards in every state and holds what
// came out against what was foretold. It knows the vault's values and the documents, and no contract by name.
package capability

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// Operation is what is done with a PIN, in no contract's words.
type Operation string

// Operations are all of them, in the order in which they are told.
var Operations = []Operation{Set, Change, Verify, Unblock, Reset, Reveal, Mail}

// The operations.
const (
	Set     Operation = "set"    // a PIN is chosen
	Change  Operation = "change" // knowing the current one
	Verify  Operation = "verify"
	Unblock Operation = "unblock"
	Reset   Operation = "reset" // in place of a forgotten one
	Reveal  Operation = "reveal"
	Mail    Operation = "mail" // to a printer
)

// approvals are the approvals that operations need where the program asks for them.
var approvals = map[Operation]pin.ApprovalAction{Unblock: pin.ApproveUnblock, Reveal: pin.ApproveReveal, Mail: pin.ApproveReveal}

// Reason is why something cannot be done.
type Reason string

// The reasons, the first one first that an operation would answer with.
const (
	NoClient       Reason = "no_client"    // nobody who speaks the contract reaches the card and may do this
	NoReference    Reason = "no_reference" // the card has nothing that the contract's requests could name it by
	CardStatus     Reason = "card_status"
	PINChosen      Reason = "pin_chosen" // a first PIN cannot be set any more
	NoPIN          Reason = "no_pin"
	Blocked        Reason = "blocked"
	RetrievalOff   Reason = "retrieval_off"
	UnblocksUsedUp Reason = "unblocks_used_up" // for the day
	ApprovalNeeded Reason = "approval_needed"
)

// needs are what an operation may need of a card, by the document's words, each with the reason why a card does not have it,
// "" where it does.
var needs = map[string]func(pin.Record) Reason{
	"operable": func(r pin.Record) Reason { return unless(r.Card.Operable(), CardStatus) },
	"usable":   func(r pin.Record) Reason { return unless(r.Card.Usable(), CardStatus) },
	"unchosen": func(r pin.Record) Reason { return unless(r.PIN.State != pin.PINChosen, PINChosen) },
	"pin":      func(r pin.Record) Reason { return unless(r.PIN.State != pin.PINNone, NoPIN) },
	"tries":    func(r pin.Record) Reason { return unless(!r.Blocked(), Blocked) },
	"kept":     func(r pin.Record) Reason { return Reason(r.PIN.Reveal(r.Program).Refusal) }, // no_pin or retrieval_off
}

func unless(has bool, otherwise Reason) Reason {
	if has {
		return ""
	}
	return otherwise
}

// attributes are those of a card by which requests name it or that they must repeat, besides its references.
var attributes = map[string]func(pin.Card) string{
	"pan":             func(c pin.Card) string { return c.PANIndex },
	"expiry":          func(c pin.Card) string { return c.Expiry },
	"customerId":      func(c pin.Card) string { return c.CustomerID },
	"mobileNumber":    func(c pin.Card) string { return c.MobileNumber },
	"institutionCode": func(c pin.Card) string { return c.InstitutionCode },
	"devicePlanCode":  func(c pin.Card) string { return c.DevicePlanCode },
	"cardholderId":    func(c pin.Card) string { return c.CardholderID },
	"walletId":        func(c pin.Card) string { return c.WalletID },
}

// Way is an operation of a contract's document.
type Way struct {
	Contract  string
	Operation Operation
	Scopes    []string   // that its client must have
	Needs     []string   // in the order in which they are asked for
	By        [][]string // any of these sets of references names a card; none: its id does
}

// Ways are those of documents, in the order of the contracts' names: an error for a word that there is not.
func Ways(documents map[string]*contract.Document) ([]Way, error) {
	var all []Way
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		for _, op := range documents[name].Operations() {
			said, ok := op.Spec.Extensions["x-capability"].(map[string]any)
			if !ok {
				continue
			}
			w := Way{Contract: name, Scopes: op.Scopes, Needs: texts(said["needs"])}
			if text, ok := said["operation"].(string); ok {
				w.Operation = Operation(text)
			}
			lists, _ := said["by"].([]any)
			for _, list := range lists {
				w.By = append(w.By, texts(list))
			}
			if err := w.check(); err != nil {
				return nil, fmt.Errorf("%s: %s: x-capability: %w", name, op.ID, err)
			}
			all = append(all, w)
		}
	}
	return all, nil
}

func (w Way) check() error {
	if !slices.Contains(Operations, w.Operation) {
		return fmt.Errorf("there is no operation %q", w.Operation)
	}
	for _, need := range w.Needs {
		if needs[need] == nil {
			return fmt.Errorf("there is no need %q", need)
		}
	}
	return nil
}

func texts(list any) []string {
	items, _ := list.([]any)
	var all []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// Through is whether something can be done through a contract.
type Through struct {
	Contract string
	Reasons  []Reason  // why not; none: it can
	AgainAt  time.Time // when UnblocksUsedUp is no reason any more, zero where it is none
}

// easier puts that before what stands in the way of less, and of as much what is over sooner.
func easier(one, other Through) int {
	return cmp.Or(cmp.Compare(len(one.Reasons), len(other.Reasons)), one.AgainAt.Compare(other.AgainAt))
}

// Capability is whether something can be done with a card's PIN now.
type Capability struct {
	Operation Operation
	Through   []Through // all contracts that have such an operation, by name
	Step      Step      // what the cardholder must do next
}

// Possible tells whether it can be done through any contract.
func (c Capability) Possible() bool {
	return slices.ContainsFunc(c.Through, func(t Through) bool { return len(t.Reasons) == 0 })
}

// Of foretells for a card what can be done with its PIN at a time. clients are those that reach its program, limits those of clients that
// have none of their own.
func Of(rec pin.Record, clients []pin.Client, limits pin.Limits, ways []Way, now time.Time) []Capability {
	all := make([]Capability, len(Operations))
	for i, o := range Operations {
		c := Capability{Operation: o}
		for _, w := range ways {
			if w.Operation == o {
				c.Through = best(c.Through, w.through(rec, clients, limits, now))
			}
		}
		c.Step = next(c)
		all[i] = c
	}
	return all
}

// best adds a way to those through contracts: of several of one contract the one that least stands in the way of.
func best(all []Through, one Through) []Through {
	last := len(all) - 1
	switch {
	case last < 0 || all[last].Contract != one.Contract:
		return append(all, one)
	case easier(one, all[last]) < 0:
		all[last] = one
	}
	return all
}

// through is whether a card's PIN can be dealt with in a way, by the client for which it is easiest.
func (w Way) through(rec pin.Record, clients []pin.Client, limits pin.Limits, now time.Time) Through {
	t := Through{Contract: w.Contract}
	add := func(r Reason) {
		if r != "" && !slices.Contains(t.Reasons, r) {
			t.Reasons = append(t.Reasons, r)
		}
	}
	able := w.able(clients, rec.Card.ProgramID)
	add(unless(len(able) > 0, NoClient))
	add(unless(w.names(rec.Card), NoReference))
	for _, need := range w.Needs {
		add(needs[need](rec))
	}
	if len(able) == 0 {
		able = []pin.Client{{}} // as one would fare that there is not
	}
	by := make([]Through, len(able))
	for i, c := range able {
		by[i] = w.by(c, rec, limits, now)
	}
	best := slices.MinFunc(by, easier)
	t.Reasons, t.AgainAt = append(t.Reasons, best.Reasons...), best.AgainAt
	return t
}

// by is what stands in the way of a client alone.
func (w Way) by(c pin.Client, rec pin.Record, limits pin.Limits, now time.Time) (t Through) {
	if w.Operation == Unblock {
		if wait := rec.PIN.UnblockWait(c.Limits.Over(limits)[pin.LimitUnblocks], now); wait > 0 {
			t.Reasons, t.AgainAt = append(t.Reasons, UnblocksUsedUp), now.Add(wait).UTC().Truncate(time.Microsecond)
		}
	}
	if action, ok := approvals[w.Operation]; ok && rec.Program.Asks(action) {
		if _, approved := rec.PIN.Approves(action, c.ID, now); !approved {
			t.Reasons = append(t.Reasons, ApprovalNeeded)
		}
	}
	return t
}

// able are the clients that may do it for cards of a program.
func (w Way) able(clients []pin.Client, programID string) (some []pin.Client) {
	for _, c := range clients {
		if who := c.Caller(); c.Active() && c.Contract == w.Contract && who.Reaches(programID) && who.May(w.Scopes...) {
			some = append(some, c)
		}
	}
	return some
}

// names tells whether a request can name the card. What several cards have may still not be enough.
func (w Way) names(c pin.Card) bool {
	return w.By == nil || slices.ContainsFunc(w.By, func(set []string) bool {
		return !slices.ContainsFunc(set, func(kind string) bool {
			if of := attributes[kind]; of != nil {
				return of(c) == ""
			}
			return c.Reference(pin.Kind(kind)) == ""
		})
	})
}

// Step is what a cardholder must do next.
type Step string

// The steps.
const (
	ChoosePIN     Step = "choose_pin"
	ChooseNewPIN  Step = "choose_new_pin"
	ChangePIN     Step = "change_pin"
	EnterPIN      Step = "enter_pin"
	AskUnblock    Step = "ask_unblock"
	AskReveal     Step = "ask_reveal"
	AskLetter     Step = "ask_letter"
	AskLater      Step = "ask_later"
	AwaitApproval Step = "await_approval"
	PINBlocked    Step = "pin_blocked"
	ContactIssuer Step = "contact_issuer"
)

// Steps are all steps.
var Steps = []Step{ChoosePIN, ChooseNewPIN, ChangePIN, EnterPIN, AskUnblock, AskReveal, AskLetter, AskLater, AwaitApproval, PINBlocked, ContactIssuer}

// possible are the steps where something can be done, and impossible those where it cannot, for one reason. Of what nobody but the issuer
// can help, the cardholder is told no more than that.
var (
	possible   = map[Operation]Step{Set: ChoosePIN, Change: ChangePIN, Verify: EnterPIN, Unblock: AskUnblock, Reset: ChooseNewPIN, Reveal: AskReveal, Mail: AskLetter}
	impossible = map[Reason]Step{PINChosen: ChangePIN, NoPIN: ChoosePIN, Blocked: PINBlocked, UnblocksUsedUp: AskLater, ApprovalNeeded: AwaitApproval}
)

// next is what the cardholder must do: where it cannot be done, by the first reason of the contract where the fewest stand in the way.
func next(c Capability) Step {
	if c.Possible() {
		return possible[c.Operation]
	}
	var fewest []Reason
	for _, t := range c.Through {
		if fewest == nil || len(t.Reasons) < len(fewest) {
			fewest = t.Reasons
		}
	}
	if slices.Contains(fewest, CardStatus) || slices.Contains(fewest, NoClient) || slices.Contains(fewest, NoReference) {
		return ContactIssuer
	}
	for _, r := range fewest {
		if step := impossible[r]; step != "" {
			return step
		}
	}
	return ContactIssuer
}
