package main

import (
	"time"

	"github.com/anishathalye/porcupine"

	"pinvault/impl/pin"
)

// held is what is known of a card between two calls.
type held struct {
	pin  string
	left int
}

// rules are the program's that scripts/cluster/run makes.
func rules() pin.Program {
	p := pin.NewProgram("")
	p.RetrievalAllowed, p.Policy = true, pin.PolicyOff
	return p
}

// value is the card as the vault's transitions take it. Nothing is sealed here: PINs are their own verifiers.
func (h held) value(p pin.Program) pin.Value {
	return pin.Value{State: pin.PINChosen, Verifier: []byte(h.pin), Ciphertext: []byte(h.pin), KeptUnder: p.RetrievalEpoch, TriesLeft: h.left}
}

// guess is how an offered PIN compares.
func (h held) guess(offered string) pin.Guess {
	if offered == h.pin {
		return pin.Right
	}
	return pin.Wrong
}

// after are the states in which a call with its answer can leave a card, none where the answer cannot be: by the vault's own
// transitions. Who was told nothing may have had an effect, or none.
func after(h held, e errand, a answer) []held {
	p := rules()
	v := h.value(p)
	chosen := pin.Choice{Verifier: []byte(e.PIN), Ciphertext: []byte(e.PIN)}
	var s pin.Step
	fits := true
	switch e.Do {
	case set:
		s = v.Set(p, chosen, time.Time{})
	case unblock:
		s = v.Unblock(p, 0, time.Time{}) // however often
	case reset:
		s = v.Reset(p, chosen, time.Time{})
		if a.Told && a.Result == "refused" { // a link that is over
			return []held{h}
		}
	case verify:
		s = v.Verify(p, h.guess(e.PIN))
		fits = a.Result == string(s.Result) && a.Left == s.RemainingTries
	case change:
		s = v.Change(p, h.guess(e.Old), chosen, time.Time{})
		fits = (a.Result == string(pin.Match)) == (s.Result == pin.Match)
	case reveal:
		s = v.Reveal(p)
		fits = a.PIN == string(v.Ciphertext)
	case status:
		s = v.Noted()
		fits = a.Left == v.Remaining(p)
	}
	next := held{string(s.Next.Ciphertext), s.Next.Remaining(p)}
	switch {
	case !a.Told && next == h:
		return []held{h}
	case !a.Told:
		return []held{h, next}
	case fits && s.Refusal == "":
		return []held{next}
	}
	return nil
}

// late is how long after it was sent a call can take effect that nobody was told of: longer than a server works at
// it, and than any fault lasts.
const late = 2 * time.Minute

// history is what happened to one card, for porcupine.
func history(calls []call) []porcupine.Operation {
	operations := make([]porcupine.Operation, 0, len(calls))
	for i, c := range calls {
		to := c.To
		if !c.Told {
			to = c.From + late
		}
		operations = append(operations, porcupine.Operation{ClientId: i, Input: c.errand, Output: c.answer, Call: int64(c.From), Return: int64(to)})
	}
	return operations
}

// linearizable tells whether there is an order of the calls to a card, none before one that had ended when it began, in
// which the vault would have given all these answers.
func linearizable(first string, calls []call, within time.Duration) porcupine.CheckResult {
	model := &porcupine.NondeterministicModel{
		Init: func() []any { return []any{held{first, rules().TryLimit}} },
		Step: func(state, input, output any) (next []any) {
			for _, h := range after(state.(held), input.(errand), output.(answer)) {
				next = append(next, h)
			}
			return next
		},
	}
	return porcupine.CheckOperationsTimeout(model.ToModel(), history(calls), within)
}
