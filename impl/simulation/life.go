package simulation

import (
	"container/heap"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
	"pinvault/impl/store/memory"
)

// Fault is something that is built in to be found.
type Fault struct {
	Name string
	// Server, if any, stands between a server's vault and its connections; it is made anew when the server begins.
	Server func(pin.Store) pin.Store
	// Database, if any, stands in the database, where what it does to a commit is seen by nobody.
	Database func(pin.Store) pin.Store
	// More is how much more often in a day servers unblock a card than they may.
	More int
}

// Options say which life.
type Options struct {
	Seed  uint64
	Steps int
	Fault Fault // the zero value is none
}

// Report is what became of a life.
type Report struct {
	Steps   int
	Commits int
	Counts  map[string]int // what was answered and what happened, how often
	Trace   uint64         // a hash of all that happened: of two lives with one, the same did
	Broken  string         // the first rule that was broken, and what led to it; "" for none
}

// odds are the chances of what may go wrong at one step. Each life draws its own: some things never happen in it.
type odds struct {
	before, doubt, late, after float64 // of a call of the database: not asked; in doubt, and not made; made late; made, and the reply lost
	lost, doubled              float64 // of a message between caller and server
	crash, outage              float64 // of a server, of the database
	clock, rekey, stall, day   float64
	slow                       float64 // of a message that takes long
}

// life is one.
type life struct {
	Options
	random  *rand.Rand
	odds    odds
	db      pin.Store
	servers []*server
	program string
	rules   []ruleset // as they came
	cards   []*card
	byID    map[string]*card
	urns    map[string]int // when a card that has it was made
	calls   []*call
	session []pin.Session
	locks   map[string]*lock

	unblocks  int     // of a card in a day that servers allow, 0 for any number
	approvals []*call // that somebody was told of: those that have asked for them

	step    int
	passed  time.Duration // since time was last let pass
	ready   []event
	asleep  sleepers
	running *attempt
	quiet   bool // nothing goes wrong any more, and nobody asks for anything new

	commits int
	counts  map[string]int
	trace   []line // the last ones, a ring
	lines   int
	digest  uint64
	broken  string
}

// server is one process of several over one database.
type server struct {
	number int
	vault  *pin.Vault
	guard  *idempotency.Guard
	keys   *keys
	skew   time.Duration
	up     bool
	ruling bool // the program's settings are being changed: a vault lets one do so at a time
	under  map[*attempt]bool
	order  []*attempt // those of under, as they came
}

// attempt is a request that a server has got, and works on.
type attempt struct {
	*call
	server  *server
	began   int
	since   time.Time
	next    func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	done    bool
	commit  *commitment
	asked   int  // the step at which the database last did what it was asked
	doubted bool // a reply was lost on the way
	answer  string
	opened  pin.Session
}

// kind of event.
type kind uint8

const (
	thinks   kind = iota // a client is about to ask
	requests             // a request arrives at a server
	asked                // a call arrives at the database
	replied              // its reply arrives at the server
	answers              // an answer arrives at the client
	overdue              // a client has waited for long
	broken               // the database notices that a connection is gone
	begins               // a server that crashed is there again
)

// event is something that can happen next.
type event struct {
	kind   kind
	ask    *ask
	tx     *tx
	call   *call
	server *server
	answer string
	client int
	due    int
}

// sleepers are events that cannot happen before their time, a heap by that.
type sleepers []event

func (s sleepers) Len() int           { return len(s) }
func (s sleepers) Less(i, j int) bool { return s[i].due < s[j].due }
func (s sleepers) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push is that of heap.Interface.
func (s *sleepers) Push(e any) { *s = append(*s, e.(event)) }

// Pop is that of heap.Interface.
func (s *sleepers) Pop() any {
	last := len(*s) - 1
	e := (*s)[last]
	*s = (*s)[:last]
	return e
}

// line is one of the trace.
type line struct {
	step int
	text string
	card string
	call int
	more string
}

// Live lives a life. It must run in a bubble of testing/synctest.
func Live(o Options) Report {
	random := rand.New(rand.NewPCG(o.Seed, 1)) //nolint:gosec // a life is lived again by its seed
	l := &life{Options: o, random: random, byID: map[string]*card{}, urns: map[string]int{}, locks: map[string]*lock{}, counts: map[string]int{}}
	l.begin()
	for l.step < o.Steps && l.broken == "" {
		l.one()
	}
	l.rest()
	return Report{l.step, l.commits, l.counts, l.digest, l.broken}
}

func (l *life) chance(p float64) bool { return !l.quiet && p > 0 && l.random.Float64() < p }

// among is one of several.
func among[T any](l *life, all []T) T { return all[l.random.IntN(len(all))] }

func (l *life) draw(most float64) float64 {
	return most * among(l, []float64{0, 0, 0.1, 0.3, 1})
}

// fast is how much a server's clock is ahead of the time at most, or behind it.
const fast = 10 * time.Minute

func (l *life) drawnSkew() time.Duration {
	return time.Duration(l.random.Int64N(int64(2*fast))) - fast
}

func (l *life) begin() {
	l.odds = odds{l.draw(0.05), l.draw(0.05), l.draw(0.05), l.draw(0.05), l.draw(0.05), l.draw(0.3), l.draw(0.002), l.draw(0.002),
		l.draw(0.001), l.draw(0.001), l.draw(0.0005), l.draw(0.0005), l.draw(0.1)}
	l.unblocks = among(l, []int{0, 0, 1, 2, 5})
	l.db = memory.New()
	if l.Fault.Database != nil {
		l.db = l.Fault.Database(l.db)
	}
	for i := range 1 + l.random.IntN(4) {
		s := &server{number: i, keys: &keys{1}, under: map[*attempt]bool{}, skew: l.drawnSkew()}
		l.servers = append(l.servers, s)
		l.start(s)
	}
	ctx := pin.WithCaller(context.Background(), pin.Operator("simulation"))
	v := l.servers[0].vault
	p := pin.NewProgram("simulation")
	p.ID, p.TryLimit, p.RetrievalAllowed = "program", 1+l.random.IntN(4), l.random.IntN(2) == 0
	p.Policy = among(l, []pin.Policy{pin.PolicyOff, pin.PolicyWeakList, pin.PolicyHistory})
	p.DualUnblock, p.DualReveal = l.random.IntN(4) == 0, l.random.IntN(2) == 0
	if err := v.Initialize(ctx); err != nil {
		l.breaks("a vault cannot begin: %v", err)
		return
	}
	p, err := v.CreateProgram(ctx, p, pin.Memo{})
	if err != nil {
		l.breaks("a program cannot be made: %v", err)
		return
	}
	l.program = p.ID
	if _, _, err := v.CreateClient(ctx, pin.Client{ID: "client", ProgramID: p.ID, Contract: "fax", Name: "client"}, "", pin.Memo{}); err != nil {
		l.breaks("a client cannot be made: %v", err)
		return
	}
	for i := range 1 + l.random.IntN(8) {
		c := &call{want: want{operation: creating, chosen: among(l, goodPINs)}, card: l.newCard(), urn: fmt.Sprint("first ", i)}
		if _, err := v.CreateCard(ctx, c.describes(), pin.Memo{}); err != nil {
			l.breaks("a card cannot be made: %v", err)
			return
		}
		l.cards = append(l.cards, c.card)
	}
	for i := range 4 + l.random.IntN(20) {
		l.send(event{kind: thinks, client: i})
	}
}

// start begins a server, which knows nothing that it has not read.
func (l *life) start(s *server) {
	s.up, s.ruling = true, false
	var store pin.Store = &link{l.db, l}
	if l.Fault.Server != nil {
		store = l.Fault.Server(store)
	}
	now := func() time.Time { return time.Now().Add(s.skew) }
	s.vault = pin.NewVault(store, s.keys, now, source{l.random})
	s.vault.OnTampered(func(_ context.Context, table, _ string) { l.breaks("the seal of a row of %s is broken", table) })
	if l.unblocks > 0 {
		limits := pin.Limits{pin.LimitUnblocks: int64(l.unblocks + l.Fault.More)}
		s.vault.LimitBy(uncounted{}, limits, func(pin.Limit, string) {})
	}
	s.guard = idempotency.New(s.vault, s.keys, now)
}

// uncounted counts nothing: how often a card was unblocked the card says itself.
type uncounted struct{ pin.Limiter }

// source is a life's randomness for its vaults.
type source struct{ *rand.Rand }

// Read is that of io.Reader.
func (s source) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s.Uint64())
	}
	return len(p), nil
}

// send makes an event one that can happen next, or a little later.
func (l *life) send(e event) {
	if l.chance(l.odds.slow) {
		e.due = l.step + l.random.IntN(300)
	}
	l.again(e)
}

// later makes an event one that can happen much later.
func (l *life) later(e event) {
	e.due = l.step + l.random.IntN(1000)
	l.again(e)
}

func (l *life) again(e event) {
	if e.due > l.step {
		heap.Push(&l.asleep, e)
		return
	}
	l.ready = append(l.ready, e)
}

// sleeping takes all events that were for later.
func (l *life) sleeping() []event {
	all := l.asleep
	l.asleep = nil
	return all
}

// one is a step.
func (l *life) one() {
	l.step++
	l.passes()
	for len(l.asleep) > 0 && (l.asleep[0].due <= l.step || len(l.ready) == 0) {
		l.ready = append(l.ready, heap.Pop(&l.asleep).(event))
	}
	switch {
	case l.chance(l.odds.crash):
		l.crash(among(l, l.servers))
	case l.chance(l.odds.outage):
		l.outage()
	case l.chance(l.odds.clock):
		s := among(l, l.servers)
		s.skew = l.drawnSkew()
		l.note("a clock is set", nil, nil)
	case l.chance(l.odds.rekey):
		s := among(l, l.servers)
		s.keys.generation = byte(1 + l.random.IntN(3))
		l.note("another key is the current one", nil, nil)
	}
	if len(l.ready) == 0 {
		return
	}
	i, last := l.random.IntN(len(l.ready)), len(l.ready)-1
	e := l.ready[i]
	l.ready[i] = l.ready[last]
	l.ready = l.ready[:last]
	l.happens(e)
}

// passes lets time pass, a little with each step and now and then so much that whoever waits gives up.
func (l *life) passes() {
	l.passed += time.Duration(l.random.Int64N(int64(time.Millisecond)))
	if l.chance(l.odds.stall) {
		l.passed += time.Duration(l.random.Int64N(int64(7 * time.Second)))
		l.note("time passes", nil, nil)
	}
	if l.chance(l.odds.day) {
		l.passed += time.Duration(l.random.Int64N(int64(30 * time.Hour)))
		l.note("a day passes", nil, nil)
	}
	if l.passed > 20*time.Millisecond {
		time.Sleep(l.passed) //nolint:forbidigo // in a bubble this moves its clock on, and waits for nothing
		l.passed = 0
	}
}

func (l *life) happens(e event) {
	switch e.kind {
	case thinks:
		if !l.quiet {
			l.thinks(e.client)
		}
	case requests:
		l.requested(e)
	case asked:
		l.arrives(e)
	case replied:
		a := e.ask.from
		if a.done {
			return
		}
		a.doubted = a.doubted || e.ask.err != nil && pin.CodeOf(e.ask.err) == pin.Unavailable
		l.resume(a)
	case answers:
		l.hears(e)
	case overdue:
		l.impatient(e.call)
	case broken:
		l.release(e.tx)
	case begins:
		l.start(e.server)
		l.note("a server begins", nil, nil)
	}
}

// requested is a request that a server gets.
func (l *life) requested(e event) {
	s := e.server
	if !s.up || e.call.operation == ruling && s.ruling {
		return
	}
	a := &attempt{call: e.call, server: s, began: l.step, since: time.Now()}
	e.call.attempts++
	s.ruling = s.ruling || a.operation == ruling
	s.under[a] = true
	s.order = append(s.order, a)
	l.noteCall("a server gets the request", e.call, "")
	a.next, a.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != (gone{}) {
				panic(r)
			}
		}()
		a.yield = yield
		a.answer = a.run(l)
	})
	l.resume(a)
}

// resume lets an attempt go on until it asks the database, or ends.
func (l *life) resume(a *attempt) {
	l.running = a
	_, more := a.next()
	l.running = nil
	if more {
		return
	}
	l.over(a)
	l.judge(a)
	if l.chance(l.odds.lost) {
		return
	}
	l.send(event{kind: answers, call: a.call, answer: a.answer, server: a.server})
	if a.operation == opening && a.answer == "opened" {
		l.session = append(l.session, a.opened)
	}
	if a.operation == requesting && a.answer == "requested" {
		l.approvals = append(l.approvals, a.call)
	}
}

func (l *life) over(a *attempt) {
	a.done = true
	delete(a.server.under, a)
	if a.operation == ruling {
		a.server.ruling = false
	}
	if len(a.server.order) > 64+2*len(a.server.under) {
		var left []*attempt
		for _, o := range a.server.order {
			if a.server.under[o] {
				left = append(left, o)
			}
		}
		a.server.order = left
	}
}

// crash ends a server with all that it was doing. What it has asked the database for may still happen.
func (l *life) crash(s *server) {
	if !s.up {
		return
	}
	s.up = false
	l.note("a server crashes", nil, nil)
	for _, a := range s.order {
		if s.under[a] {
			l.running = a
			a.stop()
			l.running = nil
			a.done = true
		}
	}
	clear(s.under)
	s.order, s.ruling = nil, false
	e := event{kind: begins, server: s, due: l.step + l.random.IntN(500)}
	l.again(e)
}

// breaks notes the first rule that is broken.
func (l *life) breaks(format string, args ...any) {
	if l.broken == "" {
		l.broken = fmt.Sprintf("step %d: ", l.step) + fmt.Sprintf(format, args...)
	}
}

// traced is how many lines a life remembers.
const traced = 4096

func (l *life) note(text string, k *ask, err error) {
	n := line{step: l.step, text: text, call: -1}
	if k != nil {
		n.text, n.card = strings.TrimSpace("the database "+k.name+" "+text), k.card
		if k.from != nil {
			n.call = k.from.number
		}
		if err != nil {
			n.more = string(pin.CodeOf(err)) + " " + pin.FieldOf(err)
		}
	} else {
		l.counts[text]++
	}
	l.write(n)
}

func (l *life) noteCall(text string, c *call, more string) {
	n := line{step: l.step, text: text, call: c.number, more: more}
	if c.card != nil {
		n.card = c.card.id
	}
	l.write(n)
}

func (l *life) write(n line) {
	if len(l.trace) < traced {
		l.trace = append(l.trace, n)
	} else {
		l.trace[l.lines%traced] = n
	}
	l.lines++
	l.digest = l.digest*31 + xxhash.Sum64String(n.text) ^ xxhash.Sum64String(n.more) + uint64(n.step)<<20 + uint64(n.call)
}
