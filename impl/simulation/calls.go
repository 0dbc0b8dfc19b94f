package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
)

// call is what a client asks for, once or, with an idempotency key, over and over until it hears an answer.
type call struct {
	want
	number  int
	client  int
	card    *card
	key     string // "": none
	urn     string // of a card that is to be made
	session pin.Session
	rule    func(*pin.Program)

	began    int
	heard    int    // when the client heard an answer, 0 before
	first    string // which
	over     bool   // heard, or given up
	tries    int
	attempts int
	effect   *commitment
}

// thinks is a client that asks for something.
func (l *life) thinks(client int) {
	c := &call{number: len(l.calls), client: client, began: l.step, card: l.cards[0]}
	l.calls = append(l.calls, c)
	if l.random.IntN(2) == 0 { // half of all calls are for one card
		c.card = among(l, l.cards)
	}
	c.operation = verifying
	if l.random.IntN(2) == 0 {
		c.operation = operation(l.random.IntN(int(operations)))
	}
	if l.random.IntN(3) == 0 && c.operation <= resetting {
		c.key = "key " + strconv.Itoa(c.number)
	}
	c.guess = c.card.pin
	if l.random.IntN(3) == 0 {
		c.guess = among(l, goodPINs)
	}
	c.chosen = among(l, goodPINs)
	if l.random.IntN(8) == 0 {
		c.chosen = among(l, []string{weakPIN, longPIN, opaque})
		c.guess = opaque
	}
	switch c.operation {
	case updating:
		c.normal = l.random.IntN(5) > 0
	case choosing:
		if len(l.session) == 0 {
			c.operation = opening
			break
		}
		c.session = among(l, l.session)
		c.card, c.version = l.byID[c.session.CardID], c.session.PINVersion
		if c.chosen == opaque {
			c.chosen = weakPIN
		}
	case creating:
		if len(l.cards) > 40 {
			c.operation = reading
			break
		}
		c.urn = "urn " + strconv.Itoa(l.random.IntN(30))
		c.chosen = among(l, goodPINs)
		c.card = l.newCard()
	case ruling:
		c.rule = among(l, []func(*pin.Program){
			func(p *pin.Program) { p.TryLimit = 1 + (p.TryLimit+1)%5 },
			func(p *pin.Program) { p.RetrievalAllowed = !p.RetrievalAllowed },
			func(p *pin.Program) { p.Policy = pin.PolicyHistory },
			func(p *pin.Program) { p.Policy = pin.PolicyOff },
			func(p *pin.Program) { p.DualUnblock = !p.DualUnblock },
			func(p *pin.Program) { p.DualReveal = !p.DualReveal },
		})
	case requesting:
		c.action, c.approval = among(l, []pin.ApprovalAction{pin.ApproveUnblock, pin.ApproveReveal}), fmt.Sprintf("approval %d", c.number)
	case deciding:
		if len(l.approvals) == 0 {
			c.operation = reading
			break
		}
		of := l.approvals[len(l.approvals)-1-l.random.IntN(min(5, len(l.approvals)))]
		c.card, c.approval = of.card, of.approval
		c.grant, c.own = l.random.IntN(8) > 0, l.random.IntN(8) == 0
	}
	l.noteCall("a client asks to "+c.String(), c, c.key)
	l.asks(c)
}

// asks sends a call's request to some server.
func (l *life) asks(c *call) {
	l.again(event{kind: overdue, call: c, due: l.step + 200 + l.random.IntN(800)})
	if l.chance(l.odds.lost) {
		return
	}
	l.send(event{kind: requests, call: c, server: among(l, l.servers)})
	if c.key != "" && l.chance(l.odds.doubled) {
		l.later(event{kind: requests, call: c, server: among(l, l.servers)})
	}
}

// hears is an answer that a client gets.
func (l *life) hears(e event) {
	c := e.call
	switch {
	case c.over:
	case e.answer == unavailable && c.key != "" && c.tries < 4 && !l.quiet:
		c.tries++
		l.asks(c)
	case e.answer == unavailable:
		l.gives(c)
	default:
		c.heard, c.first = l.step, e.answer
		l.noteCall("the client hears", c, e.answer)
		if c.key != "" && l.chance(0.2) { // and asks once more
			l.later(event{kind: requests, call: c, server: among(l, l.servers)})
		}
		l.gives(c)
	}
}

// gives is a client that is done with a call.
func (l *life) gives(c *call) {
	c.over = true
	l.send(event{kind: thinks, client: c.client})
}

// impatient is a client that has waited for long.
func (l *life) impatient(c *call) {
	switch {
	case c.over:
	case c.key != "" && c.tries < 4 && !l.quiet:
		c.tries++
		l.asks(c)
	default:
		l.noteCall("the client gives up", c, "")
		l.gives(c)
	}
}

// describes is the card that a call asks for.
func (c *call) describes() pin.NewCard {
	p, _ := pin.New([]byte(c.chosen))
	return pin.NewCard{ID: c.card.id, ProgramID: "program", PIN: p, PINChosen: true, References: []pin.Reference{{Kind: pin.KindURN, Value: c.urn}}}
}

// forever is for how long is good what would end by itself, of which the rules know nothing.
const forever = 10_000 * time.Hour

const unavailable = "error " + string(pin.Unavailable)

// offers a PIN, or a block that does not open.
func offers(digits string) pin.Offer {
	if digits == opaque {
		return func(context.Context, *pin.Vault, pin.Record) (pin.PIN, error) {
			return pin.PIN{}, &pin.Error{Code: pin.Unopenable}
		}
	}
	return func(context.Context, *pin.Vault, pin.Record) (pin.PIN, error) { return pin.New([]byte(digits)) }
}

// run is what a server does with a request, and what it answers.
func (a *attempt) run(l *life) string {
	who := pin.Caller{ClientID: "client", ProgramID: l.program, Contract: "fax", TraceID: strconv.Itoa(a.number)}
	if a.operation == deciding && !a.own {
		who.ClientID = "approver"
	}
	answer, err := a.does(pin.WithCaller(context.Background(), who), a.server.vault)
	if err != nil {
		return "error " + string(pin.CodeOf(err))
	}
	return answer
}

// once has an effect under the call's idempotency key, if it has one.
func once[T any](ctx context.Context, a *attempt, effect func(pin.Memo) (T, error)) (T, error) {
	r := idempotency.Request{Scope: "client", Key: a.key, Endpoint: a.String(), Content: []byte(a.guess + " " + a.chosen), TTL: forever, OnCard: true}
	result, _, err := idempotency.Once(ctx, a.server.guard, r, pin.Memo{}, effect)
	return result, err
}

func (a *attempt) does(ctx context.Context, v *pin.Vault) (answer string, err error) {
	q := pin.Query{CardID: a.card.id}
	verified := func(done pin.Verification, err error) (string, error) {
		answer := fmt.Sprint(done.Result, " ", done.RemainingTries)
		if done.Reason != "" {
			answer += " " + string(done.Reason)
		}
		return answer, err
	}
	switch a.operation {
	case verifying:
		return verified(once(ctx, a, func(m pin.Memo) (pin.Verification, error) { return v.Verify(ctx, q, offers(a.guess), m) }))
	case changing:
		return verified(once(ctx, a, func(m pin.Memo) (pin.Verification, error) {
			return v.ChangePIN(ctx, q, offers(a.guess), offers(a.chosen), m)
		}))
	case setting:
		_, err = once(ctx, a, func(m pin.Memo) (struct{}, error) { return struct{}{}, v.SetPIN(ctx, q, offers(a.chosen), m) })
		return "set", err
	case resetting:
		_, err = once(ctx, a, func(m pin.Memo) (struct{}, error) { return struct{}{}, v.ResetPIN(ctx, q, offers(a.chosen), m) })
		return "set", err
	case unblocking:
		return "unblocked", a.unblocks(ctx, v, q)
	case revealing:
		p, err := v.RevealPIN(ctx, q)
		defer p.Clear()
		return "revealed " + string(p.Digits()), err
	case updating:
		_, err = v.UpdateCard(ctx, q, func(c *pin.Card) error {
			if c.Status = pin.StatusLost; a.normal {
				c.Status = pin.StatusNormal
			}
			return nil
		}, pin.Memo{})
		return "updated", err
	case opening:
		a.opened, err = v.OpenSession(ctx, q, pin.NewSession{Action: pin.ActionReset, Lifetime: forever}, pin.Memo{})
		return "opened", err
	case choosing:
		p, err := pin.New([]byte(a.chosen))
		var e pin.Entry
		if err == nil {
			e, err = v.Entry(ctx, a.session.ID)
		}
		if err == nil {
			e.Session = a.session // as it was opened: who chose meanwhile has moved it
			err = v.ChoosePIN(ctx, e, p, pin.Memo{})
		}
		return "set", err
	case creating:
		_, err = v.CreateCard(ctx, a.describes(), pin.Memo{})
		return "created", err
	case requesting:
		_, err = v.RequestApproval(ctx, q, pin.NewApproval{ID: a.approval, Action: a.action, Lifetime: forever}, pin.Memo{})
		return "requested", err
	case deciding:
		_, err = v.DecideApproval(ctx, a.approval, a.grant, pin.Memo{})
		return "decided", err
	case ruling:
		_, err = v.UpdateProgram(ctx, "program", func(p *pin.Program) error { a.rule(p); return nil }, pin.Memo{})
		a.doubted = a.doubted || pin.CodeOf(err) == pin.Unavailable // a refusal may have been telling the trail for too long
		return "ruled", err
	}
	rec, err := v.Card(ctx, q)
	return fmt.Sprint("left ", rec.RemainingTries(), " version ", rec.PIN.Version, " normal ", rec.Card.Status == pin.StatusNormal), err
}

// unblocks restores a card's tries, and keeps a numbered record of that, as contracts do.
func (a *attempt) unblocks(ctx context.Context, v *pin.Vault, q pin.Query) error {
	draw, release, err := v.Promise(ctx, "fax")
	if err != nil {
		a.doubted = true
		return err
	}
	defer release()
	return v.Unblock(ctx, q, pin.Memo{Record: func(pin.Record) (pin.ContractRecord, error) {
		return pin.ContractRecord{ID: strconv.FormatInt(draw(), 10), Body: json.RawMessage(`{}`)}, nil
	}})
}
