package pin_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// The model checker holds the vault against every interleaving of four callers on one card, each of whom may
// crash, or lose the connection, before or after each step that it takes in the database.
//
// The callers are the real thing: [pin.Vault] over a store that hands each call to the checker. What the
// vault does next depends on nothing but what the store has answered so far, so it is run once for each
// list of answers, and is from then on known as an automaton (see [automaton]); that it is one is checked by
// running it twice. The database is a model: one row, its lock, its revision. A state is the row, and
// for each caller how far it has come; states are visited once, and callers who do the same are
// not told apart.
//
// In the short form a reply is lost once in a run, in the long one (PINVAULT_TEST_LONG=1) twice, and nothing is
// left out that could be known to change nothing.
//
// What must hold is held against a description of the rules in a few lines (see [rules]) that knows nothing
// of the transitions.

// doing is what a caller does.
type doing uint8

const (
	setting doing = iota
	guessingRight
	guessingWrong
	unblocking
)

func (d doing) String() string {
	return [...]string{"set", "right guess", "wrong guess", "unblock"}[d]
}

// The store's calls, as the checker schedules them. A transaction under the card's lock is two: the read,
// with which the lock is taken, and the write, with which it is given back.
type call uint8

const (
	finds call = iota
	swaps
	locks
	writes // what was decided under the lock
	looks  // whether an event is in the chain
	ends
)

func (c call) String() string {
	return [...]string{"finds the card", "swaps", "locks the card", "writes under the lock", "looks into the chain", "ends"}[c]
}

// reply is what a call comes back with.
type reply struct {
	how ending
	row uint16 // of finds and locks
}

type ending uint8

const (
	done ending = iota
	overtaken
	inDoubt
	mine // of looks: the event is the caller's own
	others
	failed
)

func (r ending) String() string {
	return [...]string{"done", "overtaken", "in doubt", "its own event", "another's event, or none", "failed"}[r]
}

// effect is what a change does to the row.
type effect struct {
	from   int64 // the revision that it takes the place of
	to     uint16
	first  int64 // place of its first event
	events string
}

// node is a caller that waits for the reply to a call.
type node struct {
	who     int // which program
	replies []reply
	call    call
	effect  effect // of swaps and writes, and what is looked for
	tells   string // what the caller was told just before this call, "" for nothing
	doubted bool   // a reply was lost on the way here
	next    map[reply]int
}

// program is something that a caller runs. tell is what it does when it answers whoever asked.
type program func(v *pin.Vault, use func(pin.Store), s *script, tell func(string))

// automaton is what the callers' programs are known to do.
type automaton struct {
	t        *testing.T
	vault    *pin.Vault
	store    *dispatch
	programs []program
	rows     []pin.CardRow
	values   []pin.Value
	rowIDs   map[string]uint16
	nodes    []node
	start    []int
	merge    bool           // callers who wait for the same are taken for the same, however they came to it
	merged   map[string]int // nodes by what they wait for
	doubles  []double
}

// double is a list of replies that was taken for that of a node.
type double struct {
	replies []reply
	node    int
}

// dispatch is the vault's store; which one it is changes from run to run.
type dispatch struct {
	pin.Store
	programRow pin.Row
}

func (d *dispatch) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	if t == pin.TablePrograms {
		return d.programRow, nil
	}
	return d.Store.Row(ctx, t, programID, id)
}

// script is a pin.Store that replies what it was given, and stops its caller when there is nothing more.
type script struct {
	pin.Store
	a       *automaton
	replies []reply
	told    string
	asked   effect // of the change that was asked for last
	own     string // the id of its first event
}

// pending is what stops a caller: the call that it waits for.
type pending struct {
	call   call
	effect effect
	tells  string
}

// Now is pin.Store's: nobody else is asked for it.
func (s *script) Now() time.Time { return time.Now() }

func (s *script) ask(c call, change *pin.Change) reply {
	p := pending{call: c, tells: s.told}
	s.told = ""
	if c == looks {
		p.effect = s.asked
	}
	if change != nil {
		p.effect = s.a.effect(*change)
		s.asked = p.effect
		if len(change.Events) > 0 {
			s.own = change.Events[0].ID
		}
	}
	if len(s.replies) == 0 {
		panic(p)
	}
	r := s.replies[0]
	s.replies = s.replies[1:]
	return r
}

func (r ending) err() error {
	switch r {
	case overtaken:
		return conflict("card")
	case inDoubt:
		return errDoubt
	case failed:
		return errDown
	}
	return nil
}

func (s *script) Find(context.Context, pin.Search) ([]pin.CardRow, error) {
	return []pin.CardRow{s.a.rows[s.ask(finds, nil).row]}, nil
}

func (s *script) Swap(_ context.Context, c pin.Change) error { return s.ask(swaps, &c).how.err() }

func (s *script) Locked(_ context.Context, _ string, decide func(pin.CardRow) (pin.Change, error)) error {
	c, err := decide(s.a.rows[s.ask(locks, nil).row])
	if err != nil {
		return err
	}
	return s.ask(writes, &c).how.err()
}

func (s *script) ChainEvents(context.Context, string, int64, int) ([]pin.EventRow, error) {
	switch r := s.ask(looks, nil); r.how {
	case mine:
		return []pin.EventRow{{ID: s.own}}, nil
	case failed:
		return nil, errDown
	}
	return []pin.EventRow{{ID: "another's"}}, nil
}

// flatKeys are keys that protect nothing and cost nothing: a ciphertext is what it was made of, every MAC the same.
// So two rows that say the same are the same.
type flatKeys struct{}

func (flatKeys) MAC(pin.Use, []byte) ([]byte, error)       { return []byte("m"), nil }
func (flatKeys) VerifyMAC(pin.Use, []byte, []byte) bool    { return true }
func (flatKeys) Stale(pin.Use, []byte) bool                { return false }
func (flatKeys) KeyID(pin.Use, []byte) (id string, _ bool) { return "", true }
func (flatKeys) Rewrap(_ pin.Use, ciphertext, _ []byte) ([]byte, error) {
	return bytes.Clone(ciphertext), nil
}
func (flatKeys) Seal(_ pin.Use, plaintext, _ []byte) ([]byte, error) {
	return bytes.Clone(plaintext), nil
}
func (flatKeys) Open(_ pin.Use, ciphertext, _ []byte) ([]byte, error) {
	return bytes.Clone(ciphertext), nil
}
func (flatKeys) Index(pin.Use, []byte) ([]string, error) { return []string{"i"}, nil }
func (flatKeys) ZoneKey(context.Context, string, string) (pin.BlockOpener, error) {
	return nil, &pin.Error{Code: pin.UnknownKey}
}
func (flatKeys) VerificationKey(context.Context, string, string) (pin.VerificationKey, error) {
	return nil, &pin.Error{Code: pin.UnknownKey}
}

// zeros are a source of randomness that has none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// newAutomaton makes a card with its PIN and a limit of tries, and learns how the programs begin.
func newAutomaton(t *testing.T, limit int, vault *pin.Vault, store *dispatch, merge bool, programs ...program) *automaton {
	a := &automaton{t: t, vault: vault, store: store, programs: programs, rowIDs: map[string]uint16{}, merge: merge, merged: map[string]int{}}
	first := newMemory()
	store.Store = first
	ctx := anybody()
	pr := pin.Program{Name: "model", MinPINLength: 4, MaxPINLength: 6, TryLimit: limit, Policy: pin.PolicyOff, TimeZone: "UTC"}
	pr, err := vault.CreateProgram(ctx, pr, pin.Memo{})
	require.NoError(t, err)
	store.programRow, err = first.Row(ctx, pin.TablePrograms, "", pr.ID)
	require.NoError(t, err)
	_, err = vault.CreateCard(ctx, pin.NewCard{ID: "card", ProgramID: pr.ID, PIN: of(t, right)}, pin.Memo{})
	require.NoError(t, err)
	require.Zero(t, a.intern(first.row("card")))
	for who := range programs {
		a.start = append(a.start, a.learn(who, nil))
	}
	return a
}

// intern is the number of a row.
func (a *automaton) intern(r pin.CardRow) uint16 {
	var v pin.Value
	require.NoError(a.t, json.Unmarshal(r.Value, &v))
	v.Head.Digest, v.Head.Drawn = nil, 0 // which tells of ids that were drawn, and decides nothing
	key := fmt.Sprint(r.Revision, v)
	if i, ok := a.rowIDs[key]; ok {
		return i
	}
	if len(a.rows) > 0 { // a change brings no details
		r.Details, r.ProgramVersion = a.rows[0].Details, a.rows[0].ProgramVersion
	}
	i := uint16(len(a.rows))
	a.rows, a.values, a.rowIDs[key] = append(a.rows, r), append(a.values, v), i
	return i
}

func (a *automaton) effect(c pin.Change) effect {
	e := effect{from: c.Card.Revision - 1, to: a.intern(*c.Card)}
	for i, row := range c.Events {
		if i == 0 {
			e.first = row.Seq
		}
		require.Equal(a.t, e.first+int64(i), row.Seq)
		require.Equal(a.t, "card", row.Chain)
		var event pin.AuditEvent
		require.NoError(a.t, json.Unmarshal(row.Body, &event))
		e.events += strings.TrimSpace(string(event.Type)+" "+event.Outcome) + ";"
	}
	return e
}

// run runs a program until it asks for more than there are replies.
func (a *automaton) run(who int, replies []reply) (p pending) {
	defer func() {
		switch r := recover().(type) {
		case pending:
			p = r
		case nil:
		default:
			panic(r)
		}
	}()
	s := &script{a: a, replies: replies}
	a.store.Store = s
	a.programs[who](a.vault, func(other pin.Store) { a.store.Store = other }, s, func(answer string) { s.told = answer })
	return pending{call: ends, tells: s.told}
}

// learn is the node that a program comes to with these replies.
func (a *automaton) learn(who int, replies []reply) int {
	p := a.run(who, replies)
	require.Equal(a.t, p, a.run(who, replies), "a caller does what it does by the store's replies alone")
	n := node{who: who, replies: replies, call: p.call, effect: p.effect, tells: p.tells, next: map[reply]int{}}
	n.doubted = slices.ContainsFunc(replies, func(r reply) bool { return r.how == inDoubt || r.how == failed })
	if a.merge {
		last := len(replies) > 0 && replies[len(replies)-1].how == inDoubt
		key := fmt.Sprint(who, p, n.doubted, last)
		if known, ok := a.merged[key]; ok {
			a.doubles = append(a.doubles, double{replies, known})
			return known
		}
		a.merged[key] = len(a.nodes)
	}
	a.nodes = append(a.nodes, n)
	return len(a.nodes) - 1
}

// alike checks that those who were taken for the same go on in the same way.
func (a *automaton) alike() {
	for _, d := range a.doubles {
		for r, next := range a.nodes[d.node].next {
			n := a.nodes[next]
			require.Equal(a.t, pending{n.call, n.effect, n.tells}, a.run(n.who, append(slices.Clone(d.replies), r)), "%v, then %v", d.replies, r)
		}
	}
}

func (a *automaton) after(n int, r reply) int {
	next, ok := a.nodes[n].next[r]
	if !ok {
		next = a.learn(a.nodes[n].who, append(slices.Clone(a.nodes[n].replies), r))
		a.nodes[n].next[r] = next
	}
	return next
}

// caller is how far a caller has come.
type caller struct {
	node    uint32
	answer  uint8 // what it must be told, by what has taken effect: an index of answers
	effects uint8 // how many changes of its own took effect
	gone    bool  // it has its answer, or has crashed: nothing more comes of it
	holds   bool  // the card's lock
	blocked bool  // the card was blocked at some moment since it began
}

// state is the world between two steps.
type state struct {
	row     uint16
	wrong   uint8 // wrong guesses that took effect since the last restoration
	doubts  uint8 // replies that were lost
	callers [4]caller
}

// origin is how a state was come to first.
type origin struct {
	from  int32
	who   doing
	what  string
	reply ending
}

// faults are what a planted store does wrong.
type faults struct {
	blind    bool // Swap does not look at the revision
	lockless bool // Locked does not lock, and its write does not look at the revision

	only string // the one rule that is looked at, "" for all
}

// checker explores.
type checker struct {
	*automaton
	faults
	limit     int
	whole     bool // nothing is taken for the same, and crashes that change nothing are made too
	kinds     [4]doing
	maxDoubts int
	answers   []string
	seen      map[state]int32
	states    []state
	origins   []origin
	outcomes  map[string]int
	steps     int
	violation string
	at        state
}

// rules are what a change must be: what it leaves of tries, what it must be told as and what the trail says.
func (c *checker) rules(d doing, v pin.Value) (left int, refused int64, pinIs, told, events string) {
	left, refused, pinIs = v.TriesLeft, v.Refused, pinOf(v)
	switch {
	case d == setting:
		return left, refused, another, "set", "pin.set;"
	case d == unblocking:
		return c.limit, 0, pinIs, "unblocked", "pin.unblocked;"
	case left == 0:
		if refused++; refused == 1 {
			events = "pin.failed blocked;"
		}
		return 0, refused, pinIs, "blocked 0", events
	case d == guessingRight && pinIs == right:
		return c.limit, refused, pinIs, fmt.Sprint("match ", c.limit), "pin.verified match;"
	}
	events = "pin.failed mismatch;"
	if left--; left == 0 {
		events, refused = events+"pin.blocked mismatch;", 0
	}
	return left, refused, pinIs, fmt.Sprint("mismatch ", left), events
}

// pinOf is the PIN of a value whose verifier flatKeys made of no salt.
func pinOf(v pin.Value) string { return pinsByVerifier[string(v.Verifier)] }

var pinsByVerifier = map[string]string{flatVerifier(right): right, flatVerifier(another): another}

func flatVerifier(digits string) string {
	salt := string(make([]byte, 16))
	digest := sha256.Sum256(pin.Frame(salt, "card", digits))
	return salt + string(digest[:])
}

// explore visits every state that four callers who do these things can come to.
func (c *checker) explore(kinds [4]doing) {
	c.kinds, c.seen, c.states, c.origins = kinds, map[state]int32{}, nil, nil
	var s state
	for i, d := range kinds {
		s.callers[i].node = uint32(c.start[d])
	}
	c.visit(s, origin{from: -1})
	for at := 0; at < len(c.states) && c.violation == ""; at++ {
		c.at = c.states[at]
		c.expand(int32(at))
	}
}

func (c *checker) visit(s state, o origin) {
	// Callers who do the same are not told apart.
	for i := 0; i < 4; {
		j := i + 1
		for j < 4 && c.kinds[j] == c.kinds[i] {
			j++
		}
		slices.SortFunc(s.callers[i:j], func(a, b caller) int { return cmp.Compare(a.order(), b.order()) })
		i = j
	}
	if _, ok := c.seen[s]; ok {
		return
	}
	c.seen[s] = int32(len(c.states))
	c.states, c.origins = append(c.states, s), append(c.origins, o)
}

func (k caller) order() uint64 {
	out := uint64(k.node)<<24 | uint64(k.answer)<<16 | uint64(k.effects)<<8
	for i, b := range []bool{k.gone, k.holds, k.blocked} {
		if b {
			out |= 1 << i
		}
	}
	return out
}

func (c *checker) broken(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); c.violation == "" && strings.Contains(text, c.only) {
		c.violation = text
	}
}

// trace is how a state was come to, a line a step.
func (c *checker) trace(at int32) string {
	var lines []string
	for ; c.origins[at].from >= 0; at = c.origins[at].from {
		o := c.origins[at]
		lines = append(lines, fmt.Sprintf("%s %s: %s", o.who, o.what, o.reply))
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

// expand visits what a state leads to.
func (c *checker) expand(at int32) {
	s := c.states[at]
	locked := slices.ContainsFunc(s.callers[:], func(k caller) bool { return k.holds })
	alive, moved := false, false
	for i := range s.callers {
		k := s.callers[i]
		n := &c.nodes[k.node]
		if k.gone {
			continue
		}
		alive = true
		take := func(what string, effect, lives bool, r reply) {
			if c.violation != "" {
				return
			}
			c.steps++
			next := s
			k := &next.callers[i]
			if n.call == writes {
				k.holds = false
			}
			if effect {
				c.apply(&next, i, n.effect)
			}
			switch {
			case lives:
				c.proceed(&next, i, r)
			default:
				*k = caller{gone: true}
			}
			if c.violation != "" {
				c.violation += "\n" + c.trace(at) + fmt.Sprintf("\n%s %s: %s", c.kinds[i], what, r.how)
				return
			}
			moved = moved || lives
			c.visit(next, origin{at, c.kinds[i], what, r.how})
		}
		does := n.call.String()
		// A crash that changes nothing is a caller whose turn never comes again, of which every state is visited
		// anyway; but one that holds the lock gives it back.
		if k.holds || c.whole {
			take("crashes before it "+does, false, false, reply{})
		}
		fits := c.rows[s.row].Revision == n.effect.from
		waits := locked && !c.lockless && !k.holds
		switch n.call {
		case finds:
			take(does, false, true, reply{row: s.row})
		case locks:
			if !waits {
				take(does, false, true, reply{row: s.row})
			}
		case looks:
			r := reply{how: others}
			if k.effects > 0 {
				r.how = mine
			}
			take(does, false, true, r)
			take(does, false, true, reply{how: failed})
		case swaps, writes:
			if !waits {
				switch {
				case fits, n.call == swaps && c.blind, n.call == writes && c.lockless:
					take(does, true, true, reply{how: done})
					take("crashes after it "+does, true, false, reply{})
					if int(s.doubts) < c.maxDoubts {
						take(does+" and does not hear of it", true, true, reply{how: inDoubt})
					}
				default:
					take(does, false, true, reply{how: overtaken})
				}
			}
			if int(s.doubts) < c.maxDoubts {
				take(does+" in vain and does not hear of it", false, true, reply{how: inDoubt})
			}
		}
		if c.violation != "" {
			return
		}
	}
	if alive && !moved {
		c.broken("callers wait for one another\n%s", c.trace(at))
	}
}

// apply gives a change its effect.
func (c *checker) apply(s *state, i int, e effect) {
	k, was, is := &s.callers[i], c.values[s.row], c.values[e.to]
	left, refused, pinIs, told, events := c.rules(c.kinds[i], was)

	// What was told of wrong guesses comes first: it is what the counter is for.
	switch {
	case strings.Contains(e.events, "pin.failed mismatch"):
		if s.wrong++; int(s.wrong) > c.limit {
			c.broken("more wrong guesses than tries")
		}
	case strings.Contains(e.events, "pin.verified"), strings.Contains(e.events, "pin.unblocked"):
		s.wrong = 0
	}
	if k.effects++; k.effects > 1 {
		c.broken("a change was made twice")
	}
	switch {
	case e.events != events:
		c.broken("the trail tells %q of what is %q", e.events, events)
	case is.TriesLeft != left || is.Refused != refused || pinOf(is) != pinIs:
		c.broken("%d tries and %d refused are left, not %d and %d, or another PIN", is.TriesLeft, is.Refused, left, refused)
	case is.TriesLeft != c.limit-int(s.wrong):
		c.broken("%d tries are left, and the trail tells of %d wrong guesses", is.TriesLeft, s.wrong)
	case events != "" && e.first != was.Head.Seq+1, is.Head.Seq != was.Head.Seq+int64(strings.Count(events, ";")):
		c.broken("the chain's head is not its newest event")
	case c.rows[e.to].Revision != c.rows[s.row].Revision+1:
		c.broken("two values of one revision")
	}
	s.row = e.to
	k.answer = c.answerID(told)
	if is.TriesLeft == 0 {
		for j := range s.callers {
			s.callers[j].blocked = s.callers[j].blocked || int(s.callers[j].node) != c.start[c.kinds[j]] && !s.callers[j].gone
		}
	}
}

// proceed lets a caller go on with a reply.
func (c *checker) proceed(s *state, i int, r reply) {
	k := &s.callers[i]
	switch c.nodes[k.node].call {
	case finds:
		k.blocked = k.blocked || c.values[s.row].TriesLeft == 0
	case locks:
		k.holds = !c.lockless
	}
	if r.how == inDoubt {
		s.doubts++
	}
	k.node = uint32(c.after(int(k.node), r))
	n := &c.nodes[k.node]
	if n.tells != "" {
		c.tell(*k, n)
	}
	if n.call == ends {
		*k = caller{gone: true}
	}
}

// tell holds what a caller is told against what has taken effect.
func (c *checker) tell(k caller, n *node) {
	answer := n.tells
	c.outcomes[answer]++
	switch {
	case answer == "error unavailable" && n.doubted: // nobody knows, and nothing is told
	case k.effects == 0 && answer == "blocked 0" && k.blocked && n.doubted: // what would only have been counted
	case k.effects == 0:
		c.broken("told %q, and nothing has taken effect", answer)
	case answer != c.answers[k.answer]:
		c.broken("told %q of what is %q", answer, c.answers[k.answer])
	}
}

func (c *checker) answerID(told string) uint8 {
	if i := slices.Index(c.answers, told); i >= 0 {
		return uint8(i)
	}
	c.answers = append(c.answers, told)
	return uint8(len(c.answers) - 1)
}

// act is what the vault does for a caller, and what it answers.
func act(t *testing.T, v *pin.Vault, d doing) string {
	ctx, q := anybody(), pin.Query{CardID: "card"}
	var err error
	var done pin.Verification
	text := "set"
	switch d {
	case setting:
		err = v.SetPIN(ctx, q, plain(t, another), pin.Memo{})
	case unblocking:
		text, err = "unblocked", v.Unblock(ctx, q, pin.Memo{})
	case guessingRight, guessingWrong:
		done, err = v.Verify(ctx, q, plain(t, map[doing]string{guessingRight: right, guessingWrong: wrong}[d]), pin.Memo{})
		text = fmt.Sprint(done.Result, " ", done.RemainingTries)
	}
	if err != nil {
		return "error " + string(pin.CodeOf(err))
	}
	return text
}

// theVault are the programs of callers of the vault as it is.
func theVault(t *testing.T) []program {
	return programs(func(d doing) program {
		return func(v *pin.Vault, _ func(pin.Store), _ *script, tell func(string)) { tell(act(t, v, d)) }
	})
}

func programs(of func(doing) program) (all []program) {
	for _, d := range []doing{setting, guessingRight, guessingWrong, unblocking} {
		all = append(all, of(d))
	}
	return all
}

// multisets are all ways in which four callers can do one of four things each, whoever does which.
func multisets() (all [][4]doing) {
	for a := setting; a <= unblocking; a++ {
		for b := a; b <= unblocking; b++ {
			for c := b; c <= unblocking; c++ {
				for d := c; d <= unblocking; d++ {
					all = append(all, [4]doing{a, b, c, d})
				}
			}
		}
	}
	return all
}

// check explores, in time that passes only when everybody waits.
func check(t *testing.T, limit, maxDoubts int, whole bool, f faults, of func(*testing.T) []program, sets [][4]doing) *checker {
	t.Helper()
	store := &dispatch{}
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	vault := newVault(store, flatKeys{}, func() time.Time { return now }, zeros{}) // so that a PIN has one verifier
	c := &checker{faults: f, limit: limit, maxDoubts: maxDoubts, whole: whole, outcomes: map[string]int{}}
	states := 0
	synctest.Test(t, func(t *testing.T) {
		c.automaton = newAutomaton(t, limit, vault, store, !c.whole, of(t)...)
		for _, kinds := range sets {
			c.explore(kinds)
			states += len(c.states)
			if c.violation != "" {
				c.violation = fmt.Sprint(kinds, ": ", c.violation)
				break
			}
		}
		c.alike()
	})
	t.Logf("limit %d: %d states, %d steps, %d sets of callers, %d rows, %d ways for a caller, told %v", limit, states, c.steps, len(sets), len(c.rows), len(c.nodes), c.outcomes)
	return c
}

func TestEveryInterleavingOfFourCallersKeepsTheRules(t *testing.T) {
	for _, limit := range []int{2, 3} {
		c := check(t, limit, either(1, 2), long(), faults{}, theVault, multisets())
		require.Empty(t, c.violation)
		var told []string
		for answer := range c.outcomes {
			told = append(told, answer)
		}
		want := []string{"blocked 0", "error unavailable", fmt.Sprint("match ", limit), "set", "unblocked"}
		for left := range limit {
			want = append(want, fmt.Sprint("mismatch ", left))
		}
		require.ElementsMatch(t, want, told, "all there is to be told was told somewhere")
		for _, where := range []call{finds, swaps, locks, writes, looks, ends} {
			require.True(t, slices.ContainsFunc(c.nodes, func(n node) bool { return n.call == where }), "some caller %s", where)
		}
	}
}

// spoiled are the programs of callers of the vault over a store that another one spoils on the way.
func spoiled(spoil func(s *script) pin.Store) func(*testing.T) []program {
	return func(t *testing.T) []program {
		return programs(func(d doing) program {
			return func(v *pin.Vault, use func(pin.Store), s *script, tell func(string)) {
				use(spoil(s))
				tell(act(t, v, d))
			}
		})
	}
}

// early lets the vault believe that it has swapped, so that it answers before it has.
type early struct {
	*script
	change *pin.Change
}

func (e *early) Swap(_ context.Context, c pin.Change) error {
	e.change = &c
	return nil
}

func earlyVault(t *testing.T) []program {
	return programs(func(d doing) program {
		return func(v *pin.Vault, use func(pin.Store), s *script, tell func(string)) {
			e := &early{script: s}
			use(e)
			tell(act(t, v, d))
			_ = s.Swap(by(t), *e.change)
		}
	})
}

// blindWriter reads where the card is by now and writes what was decided on what it was: a counter that is read,
// and then written.
type blindWriter struct{ *script }

func (b blindWriter) Swap(ctx context.Context, c pin.Change) error {
	for {
		found, err := b.Find(ctx, pin.Search{})
		if err != nil {
			return err
		}
		var is, next pin.Value
		if err := errors.Join(json.Unmarshal(found[0].Value, &is), json.Unmarshal(c.Card.Value, &next)); err != nil {
			return err
		}
		row, events := *c.Card, slices.Clone(c.Events)
		row.Revision, next.Head.Seq = found[0].Revision+1, is.Head.Seq+int64(len(events))
		for i := range events {
			events[i].Seq = is.Head.Seq + int64(i) + 1
		}
		if row.Value, err = json.Marshal(next); err != nil {
			return err
		}
		if err = b.script.Swap(ctx, pin.Change{Card: &row, Events: events}); pin.CodeOf(err) != pin.Conflict {
			return err
		}
	}
}

// hopeful takes a lost reply for a good one.
type hopeful struct{ *script }

func (h hopeful) Swap(ctx context.Context, c pin.Change) error {
	if err := h.script.Swap(ctx, c); !errors.Is(err, pin.ErrInDoubt) {
		return err
	}
	return nil
}

// forgetful never finds an event in the chain.
type forgetful struct{ *script }

func (forgetful) ChainEvents(context.Context, string, int64, int) ([]pin.EventRow, error) {
	return nil, nil
}

// repeating decides again where the outcome under the lock is not known.
type repeating struct{ *script }

func (r repeating) Locked(ctx context.Context, id string, decide func(pin.CardRow) (pin.Change, error)) error {
	err := r.script.Locked(ctx, id, decide)
	if errors.Is(err, pin.ErrInDoubt) {
		err = conflict("card")
	}
	return err
}

// The checker finds what it is for: each fault that somebody could build in, by its first consequence.
func TestTheCheckerFindsPlantedFaults(t *testing.T) {
	guesses := [][4]doing{{guessingWrong, guessingWrong, guessingWrong, guessingWrong}}
	mixed := [][4]doing{{setting, guessingRight, guessingWrong, unblocking}}
	const counter, second, untold = "more wrong guesses than tries", "a change was made twice", "nothing has taken effect"
	for _, test := range []struct {
		name string
		faults
		programs func(*testing.T) []program
		sets     [][4]doing
		found    string // "": anything
	}{
		{"none", faults{}, theVault, guesses, ""},
		{"none, over a store that only passes on", faults{}, spoiled(func(s *script) pin.Store { return s }), mixed, ""},
		{"a swap that does not look at the revision", faults{blind: true}, theVault, mixed, ""},
		{"a swap that does not look at the revision", faults{blind: true, only: counter}, theVault, guesses, counter},
		{"a swap that does not look at the revision", faults{blind: true, only: second}, theVault, guesses, second},
		{"a lock that does not lock", faults{lockless: true}, theVault, mixed, ""},
		{"a lock that does not lock", faults{lockless: true, only: counter}, theVault, guesses, counter},
		{"a vault that answers before it has swapped", faults{}, earlyVault, guesses, untold},
		{"a vault that answers before it has swapped, others beside it", faults{}, earlyVault, mixed, untold},
		{"a counter that is read, and then written", faults{}, spoiled(func(s *script) pin.Store { return blindWriter{s} }), mixed, ""},
		{"a counter that is read, and then written", faults{only: counter}, spoiled(func(s *script) pin.Store { return blindWriter{s} }), guesses, counter},
		{"a vault that takes a lost reply for a good one", faults{}, spoiled(func(s *script) pin.Store { return hopeful{s} }), guesses, untold},
		{"a vault that does not look whether a change was its own", faults{}, spoiled(func(s *script) pin.Store { return forgetful{s} }), guesses, second},
		{"a vault that decides again when a reply was lost under the lock", faults{}, spoiled(func(s *script) pin.Store { return repeating{s} }), guesses, second},
	} {
		c := check(t, 2, 1, true, test.faults, test.programs, test.sets)
		t.Logf("%s: %s", test.name, c.violation)
		require.Contains(t, c.violation, test.found, test.name)
		require.Equal(t, strings.HasPrefix(test.name, "none"), c.violation == "", test.name)
	}
}
