package space

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"pinvault/impl/contract"
	"pinvault/impl/journal"
	"pinvault/impl/ondemand"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
)

// call is what a space knows of a request while it is served.
type call struct {
	space  *Space
	r      *http.Request
	of     ondemand.Call
	ending *ending

	mu    sync.Mutex
	fault string
	fated map[bool]string        // what became of PINs that have a fate, by whether they were chosen
	rows  map[string]pin.CardRow // the cards that it found, as they were
}

type callKey struct{}

// callOf is the call that a context is of, nil for what no rule is about.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// arrival is what the host knows of a request before a space serves it.
type arrival struct {
	client  string
	nowhere bool // it names a space that there is not
	ending  *ending
}

type arrivalKey struct{}

var rowUnknown = problem.Row{Status: http.StatusBadRequest, Code: "row_unknown", Title: "The operation has no such row."}

// header is that by which a call chooses its space.
const header = "PinVault-Space"

var twice = contract.Broken{{In: contract.InHeader, Pointer: header, Rule: contract.RuleRepeated, Label: header}}

// Admit is server.Rehearsal's: nobody gets in who names a space that there is not, or several.
func (s *Space) Admit(r *http.Request) error {
	ctx := r.Context()
	came, _ := ctx.Value(arrivalKey{}).(arrival)
	switch {
	case strings.Contains(strings.Join(r.Header.Values(header), ","), ","): // which a proxy may have made of two lines
		return &contract.Told{Reply: problem.Breach(twice).Reply(ctx, twice), Outside: true}
	case came.nowhere:
		return &contract.Told{Reply: NotFound.Reply(ctx, nil), Outside: true}
	}
	return nil
}

// Rehearse is server.Rehearsal's: the row that the request asks for, or what the first rule that fits it says. Nothing
// comes between a caller and the sandbox's own operations.
func (s *Space) Rehearse(r *http.Request, d *contract.Document, op *contract.Operation) (context.Context, error) {
	ctx := r.Context()
	came, _ := ctx.Value(arrivalKey{}).(arrival)
	journal.From(ctx).NoteOperation(d.Name(), op.ID)
	if ask, asked := ondemand.Asked(r.Header); asked {
		row, ok := s.host.Rows.Find(d.Name(), op.ID, ask)
		switch {
		case !ok && !ask.Must:
			return ctx, nil // a preference that cannot be met is passed over (RFC 7240, 2)
		case !ok:
			return ctx, &contract.Told{Reply: rowUnknown.Reply(ctx, nil), Outside: true}
		}
		journal.From(ctx).NoteRule("header", row.String(), "")
		return ctx, told(r, row)
	}
	if d.Name() == Name || came.ending == nil {
		return ctx, nil
	}
	c := &call{space: s, r: r, of: ondemand.Call{Contract: d.Name(), Operation: op.ID, Client: came.client}, ending: came.ending}
	ctx = context.WithValue(ctx, callKey{}, c)
	if effect, ok := s.Rules.Take(c.of); ok {
		return ctx, c.take(ctx, effect)
	}
	return ctx, nil
}

// Called is server.Rehearsal's.
func (s *Space) Called(ctx context.Context, client string) { journal.From(ctx).NoteClient(client) }

func told(r *http.Request, row *ondemand.Row) error {
	return &contract.Told{Reply: row.Answer(r, pin.CallerFrom(r.Context()).TraceID)}
}

// take has an effect take place, as far as it can before the store is asked. An error ends the request.
func (c *call) take(ctx context.Context, e ondemand.Effect) error {
	row := ""
	if e.Row != nil {
		row = e.Row.String()
	}
	journal.From(ctx).NoteRule(e.Rule, row, e.Fault)
	switch e.Drop {
	case ondemand.DropBefore:
		journal.From(ctx).NoteCut()
		c.space.pause(ctx, e.Delay)
		return contract.Cut
	case ondemand.DropAfter:
		journal.From(ctx).NoteCut()
	}
	c.ending.set(e.Drop == ondemand.DropAfter, e.Delay)
	if e.Fault == FaultLimit {
		return &pin.Error{Code: pin.TooMany, Wait: limitLasts}
	}
	if e.Fault != "" {
		c.mu.Lock()
		c.fault = e.Fault
		c.mu.Unlock()
		c.space.made.Reread()
	}
	if e.Row != nil {
		return told(c.r.WithContext(ctx), e.Row)
	}
	return nil
}

// limitLasts is how long a rule says that a limit stays used up.
const limitLasts = time.Minute

// failing is the fault that a rule has named for this call, "" for none.
func (c *call) failing() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// found has the rules see a card that the call has come to.
func (c *call) found(ctx context.Context, row pin.CardRow) error {
	journal.From(ctx).NoteFound(row)
	if c == nil {
		return nil
	}
	c.mu.Lock()
	_, again := c.rows[row.ID]
	if c.rows == nil {
		c.rows = map[string]pin.CardRow{}
	}
	c.rows[row.ID] = row
	c.mu.Unlock()
	if again {
		return nil
	}
	of := c.of
	of.Card = row.ID
	effect, ok := c.space.Rules.Take(of)
	if !ok {
		return nil
	}
	if err := c.take(ctx, effect); err != nil {
		return err
	}
	return failure(c.failing(), false, FaultDevice, FaultAccessPoint, FaultDevicePlan)
}

// Offered is pin.Watch: what a PIN makes come out by itself. A decision may be made several times, and is then the same.
func (s *Space) Offered(ctx context.Context, p pin.PIN, chosen bool) error {
	c := callOf(ctx)
	if c == nil {
		return nil
	}
	c.mu.Lock()
	fault, again := c.fated[chosen]
	c.mu.Unlock()
	if !again {
		effect, ok := s.Rules.TakePIN(c.of, p.Digits())
		if !ok || effect.Fault == FaultWeakPIN && !chosen || effect.Fault == FaultWrongPIN && chosen {
			return nil
		}
		if fault = effect.Fault; fault == FaultWeakPIN || fault == FaultWrongPIN {
			effect.Fault = "" // of the store
		}
		c.mu.Lock()
		if c.fated == nil {
			c.fated = map[bool]string{}
		}
		c.fated[chosen] = fault
		c.mu.Unlock()
		if err := c.take(ctx, effect); err != nil {
			return err
		}
	}
	switch fault {
	case FaultWeakPIN:
		return &pin.Error{Code: pin.WeakPIN}
	case FaultWrongPIN:
		return &pin.Error{Code: pin.WrongPIN}
	}
	return failure(c.failing(), false)
}

// changed notes what became of a card.
func (c *call) changed(ctx context.Context, next pin.CardRow) {
	if c == nil {
		return
	}
	c.mu.Lock()
	before := c.rows[next.ID]
	if c.rows == nil {
		c.rows = map[string]pin.CardRow{}
	}
	c.rows[next.ID] = next
	c.mu.Unlock()
	journal.From(ctx).NoteChanged(before, next)
}
