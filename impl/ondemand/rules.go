package ondemand

import (
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// When a rule cuts the connection.
const (
	DropBefore = "before" // the call has an effect
	DropAfter  = "after"  // it, before the reply
)

// What a rule does with a delivery to a webhook.
const (
	DeliverTwice = "twice"
	DeliverFail  = "fail"
)

// MaxRules is how many rules there can be at once.
const MaxRules = 1000

// Why a rule is not one.
var (
	ErrNoEffect     = errors.New("a rule without an effect")
	ErrRowUnknown   = errors.New("a rule with a row that its operation does not have")
	ErrDelayCrossed = errors.New("a rule whose longest delay is shorter than its shortest")
	ErrMixed        = errors.New("a rule of calls and of deliveries")
	ErrDuplicate    = errors.New("a rule with the id of another")
	ErrTooMany      = errors.New("too many rules")
)

// UnknownOperation is the refusal of a rule with an operation that no contract has.
type UnknownOperation struct {
	Near []string // operations with a like name, the nearest first
}

// Error says so.
func (UnknownOperation) Error() string { return "a rule with an operation that there is not" }

// Rule says which calls it fits, and what becomes of them. What it leaves out fits any call.
type Rule struct {
	ID        string // "": one is drawn
	Client    string
	Operation string // "": that of Row
	Card      string // the card that the call finds, by its id
	PIN       string // the PIN that the call offers; only of a fate

	Times       int      // after how many calls it is spent, 0 for never
	Probability *float64 // the part of the calls that it takes, nil for all

	Row   string
	Fault string
	Drop  string
	Delay *Delay

	Event    string // the event whose deliveries it is about
	Delivery string
}

// ofDeliveries tells whether the rule is about what webhooks are sent, and not about calls.
func (r Rule) ofDeliveries() bool { return r.Event != "" || r.Delivery != "" }

// Listed is a rule and how many calls it was taken for.
type Listed struct {
	Rule
	Taken int64
}

// Call is what rules are asked about.
type Call struct {
	Contract, Operation, Client string
	Card                        string // the card that it has found, "" before
}

// Effect is what becomes of a call.
type Effect struct {
	Rule        string // the rule's id
	Row         *Row   // nil: the real answer
	Fault, Drop string
	Delay       time.Duration
}

// Dice are what chance is drawn from; safe for concurrent use.
type Dice struct {
	Uniform func() float64 // [0, 1)
	Normal  func() float64 // mean 0, standard deviation 1
}

// Chance are dice of the system.
func Chance() Dice { return Dice{mathrand.Float64, mathrand.NormFloat64} }

// Rules are a space's. They may be used from many goroutines.
type Rules struct {
	catalogue *Catalogue
	dice      Dice
	fates     map[string]*set // by card: what cards make come out by themselves
	pins      map[string]*set // by PIN: the same

	mu      sync.Mutex // held to change them
	current atomic.Pointer[rules]
}

// set is a rule that is set.
type set struct {
	Rule
	taken atomic.Int64
}

// rules are those that there are at a time; never changed.
type rules struct {
	all        []*set // in the order in which they are tried
	anywhere   []*set // those of calls without a card
	byCard     map[string][]*set
	deliveries []*set // those of deliveries
}

// NewRules are no rules. fates are the rules of cards and PINs that have one of their own (see [Catalogue.Fates]): they
// come after those that are set, and are neither listed nor removed.
func NewRules(catalogue *Catalogue, fates []Rule, dice Dice) *Rules {
	r := &Rules{catalogue: catalogue, dice: dice, fates: map[string]*set{}, pins: map[string]*set{}}
	for _, fate := range fates {
		if fate.PIN != "" {
			r.pins[fate.PIN] = &set{Rule: fate}
		} else {
			r.fates[fate.Card] = &set{Rule: fate}
		}
	}
	r.current.Store(&rules{})
	return r
}

// Add sets a rule after those that there are, and returns it with its id and operation. The error is one of those above, or an
// [UnknownOperation].
func (r *Rules) Add(rule Rule) (Rule, error) {
	calls := rule.Row != "" || rule.Fault != "" || rule.Drop != ""
	switch {
	case !calls && rule.Delivery == "" && rule.Delay == nil:
		return rule, ErrNoEffect
	case rule.ofDeliveries() && (calls || rule.Operation != ""):
		return rule, ErrMixed
	}
	if d := rule.Delay; d != nil && d.MaxMs != nil && *d.MaxMs < d.MinMs {
		return rule, ErrDelayCrossed
	}
	if rule.Row != "" {
		operation, _, _ := strings.Cut(rule.Row, "/")
		if rule.Operation == "" {
			rule.Operation = operation
		}
		if rule.Operation != operation || !r.catalogue.Has(rule.Row) {
			return rule, ErrRowUnknown
		}
	}
	if rule.Operation != "" && !r.catalogue.HasOperation(rule.Operation) {
		return rule, UnknownOperation{r.catalogue.near(rule.Operation)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.current.Load().all
	if rule.ID == "" {
		rule.ID = strings.ToLower(rand.Text())
	}
	switch {
	case indexOf(known, rule.ID) >= 0:
		return rule, ErrDuplicate
	case len(known) >= MaxRules:
		return rule, ErrTooMany
	}
	r.set(append(slices.Clone(known), &set{Rule: rule}))
	return rule, nil
}

// Remove removes the rule with this id, if there is one.
func (r *Rules) Remove(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.current.Load().all
	at := indexOf(known, id)
	if at < 0 {
		return false
	}
	r.set(slices.Delete(slices.Clone(known), at, at+1))
	return true
}

// Clear removes all rules.
func (r *Rules) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(nil)
}

// Any tells whether there is a rule.
func (r *Rules) Any() bool { return len(r.current.Load().all) > 0 }

// List are the rules in the order in which they are tried.
func (r *Rules) List() []Listed {
	known := r.current.Load().all
	listed := make([]Listed, len(known))
	for i, one := range known {
		listed[i] = Listed{one.Rule, one.taken.Load()}
	}
	return listed
}

func indexOf(all []*set, id string) int {
	return slices.IndexFunc(all, func(one *set) bool { return one.ID == id })
}

func (r *Rules) set(all []*set) {
	next := &rules{all: all, byCard: map[string][]*set{}}
	for _, one := range all {
		switch {
		case one.ofDeliveries():
			next.deliveries = append(next.deliveries, one)
		case one.Card == "":
			next.anywhere = append(next.anywhere, one)
		default:
			next.byCard[one.Card] = append(next.byCard[one.Card], one)
		}
	}
	r.current.Store(next)
}

// Take takes the first rule that fits a call: before a card was found one without a card, then one with that card. A rule
// that chance passes over, or that is spent, does not fit.
func (r *Rules) Take(c Call) (Effect, bool) {
	now := r.current.Load()
	candidates := now.anywhere
	if c.Card != "" {
		candidates = now.byCard[c.Card]
	}
	for _, one := range candidates {
		if effect, ok := r.take(one, c); ok {
			return effect, true
		}
	}
	if fate := r.fates[c.Card]; fate != nil {
		return r.take(fate, c)
	}
	return Effect{}, false
}

// TakePIN takes what a PIN makes come out by itself, of a call that offers it.
func (r *Rules) TakePIN(c Call, digits []byte) (Effect, bool) {
	if fate := r.pins[string(digits)]; fate != nil {
		return r.take(fate, c)
	}
	return Effect{}, false
}

func (r *Rules) take(one *set, c Call) (Effect, bool) {
	if one.Client != "" && one.Client != c.Client || one.Operation != "" && one.Operation != c.Operation {
		return Effect{}, false
	}
	effect := Effect{Rule: one.ID, Fault: one.Fault, Drop: one.Drop}
	if one.Row != "" {
		if effect.Row = r.catalogue.Row(c.Contract, one.Row); effect.Row == nil {
			return Effect{}, false // another contract has an operation of this name
		}
	}
	if one.Probability != nil && r.dice.Uniform() >= *one.Probability {
		return Effect{}, false
	}
	if !one.count() {
		return Effect{}, false
	}
	if one.Delay != nil {
		effect.Delay = one.Delay.Of(r.dice.Uniform(), r.dice.Normal())
	}
	return effect, true
}

// Delivery is what rules of deliveries are asked about: an event, who brought it about and of which card.
type Delivery struct{ Event, Client, Card string }

// TakeDelivery takes the first rule that fits a delivery: what it does, and after how long.
func (r *Rules) TakeDelivery(d Delivery) (does string, delay time.Duration) {
	for _, one := range r.current.Load().deliveries {
		if one.Event != "" && one.Event != d.Event || one.Client != "" && one.Client != d.Client || one.Card != "" && one.Card != d.Card {
			continue
		}
		if one.Probability != nil && r.dice.Uniform() >= *one.Probability || !one.count() {
			continue
		}
		if one.Delay != nil {
			delay = one.Delay.Of(r.dice.Uniform(), r.dice.Normal())
		}
		return one.Delivery, delay
	}
	return "", 0
}

// count counts a call that the rule is taken for, unless it is spent.
func (s *set) count() bool {
	for {
		taken := s.taken.Load()
		if s.Times > 0 && taken >= int64(s.Times) {
			return false
		}
		if s.taken.CompareAndSwap(taken, taken+1) {
			return true
		}
	}
}
