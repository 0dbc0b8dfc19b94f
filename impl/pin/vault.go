package pin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Vault acts on cards and their PINs. It is safe for concurrent use, by several processes on one
// store too.
//
// Every operation reads the [Caller] from its context, reaches only cards of the caller's program and goes
// one way: it reads a card, decides in pure Go what becomes of it (transition.go), and swaps the next
// value for the one read, in one write with the audit event and whatever else the operation leaves
// behind. When somebody else was faster it reads and decides again. Nobody is told anything before the
// swap is committed, so each answer belongs to one value that no other answer was given for: however
// many guess at once, no more are told "mismatch" than there were tries.
type Vault struct {
	store Store
	keys  Keys
	now   func() time.Time
	rand  io.Reader
	alarm func(ctx context.Context, table, id string)
	watch Watch // nil: nobody's

	outcomes  func(ctx context.Context, o Outcome) // see OnOutcome
	limiter   Limiter                              // nil: clients are not limited
	limits    Limits                               // the server's
	overLimit func(kind Limit, contract string)

	programs *lru.Cache[programVersion, Program]
	covered  *lru.Cache[[sha256.Size]byte, struct{}] // hashes of events, see coveredEvent
	grants   Grants
	changed  func()           // see OnClientChanged
	newKeys  func()           // see OnKeysChanged
	nobodys  lasting[CardRow] // see nobody
	seen     *recent
	numbers  numbers
	refusals *refusals     // of logins, by what was presented
	trail    chan struct{} // taken by who appends to a chain that no card carries

	decoyVerifier, decoySecret lasting[[]byte] // what is compared with where there is nothing
}

// maxPrograms bounds the cache of programs.
const maxPrograms = 4096

// NewVault makes a vault over a store and keys. now and random default to the clock and to the
// system's random source.
func NewVault(store Store, keys Keys, now func() time.Time, random io.Reader) *Vault {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	programs, err := lru.New[programVersion, Program](maxPrograms)
	covered, also := lru.New[[sha256.Size]byte, struct{}](maxCovered)
	if err = errors.Join(err, also); err != nil {
		panic(err) // the sizes are constants
	}
	return &Vault{store: store, keys: keys, now: now, rand: random, programs: programs, covered: covered, seen: newRecent(now),
		refusals: &refusals{now: now}, trail: make(chan struct{}, 1), grants: func(string, string) (string, bool) { return "", false },
		changed: func() {}, newKeys: func() {}, outcomes: func(context.Context, Outcome) {}}
}

// clock is the time in UTC, as exact as every row keeps it.
func (v *Vault) clock() time.Time { return v.now().UTC().Truncate(time.Microsecond) }

// Memo travels with a change: who said why, and what a repetition of the request is to be answered.
type Memo struct {
	Description string // free text; numbers that could be PANs are masked before it is kept
	UpdatedBy   string

	// Unless, if any, is the key of the replay record that Keep makes: where it was kept before, the operation ends as a
	// Duplicate (replays) before it decides anything.
	Unless *ReplayKey
	// Keep, if any, makes the replay record of the operation's result, which is written with its change; a
	// refusal has none. It may run several times.
	Keep func(result any) (Replay, error)
	// Record, if any, makes what the caller's contract keeps of an operation on a card, which is written with
	// its change; a refusal leaves none. It may run several times.
	Record func(rec Record) (ContractRecord, error)
	// Session, if any, says what becomes of the PIN-entry session that the operation belongs to; nil: it
	// stays. It may run several times.
	Session func(result any) *Session
}

// candidates bounds how many cards with one value of a shared kind are looked at.
const candidates = 100

// Find lists cards in the caller's reach, at most limit of them, in the order of their ids.
func (v *Vault) Find(ctx context.Context, q Query, limit int) ([]Record, error) {
	who := CallerFrom(ctx)
	if q.ProgramID == "" {
		q.ProgramID = who.ProgramID
	}
	if !who.Reaches(q.ProgramID) {
		return nil, nil
	}
	s, err := v.search(q)
	if err != nil {
		return nil, err
	}
	rows := q.found
	if rows == nil || s.Unless != nil {
		if rows, err = v.store.Find(ctx, s); err != nil {
			return nil, err
		}
	}
	var found []Record
	for _, row := range rows {
		rec, err := v.record(ctx, row)
		if err != nil {
			return nil, err
		}
		if s.CardID == "" && !rec.Card.foundBy(s.Kind, s.Values) && !rec.Card.foundBy(s.OrKind, s.OrValues) {
			return nil, v.broken(ctx, tableLookups, row.ID) // the look-up leads to somebody else's card
		}
		if fits, err := v.fits(q, rec.Card); err != nil {
			return nil, err
		} else if fits && len(found) < limit {
			found = append(found, rec)
		}
	}
	return found, nil
}

// search chooses what to find cards by: of several conditions one that fits the fewest cards. The others
// are held against what is found.
func (v *Vault) search(q Query) (Search, error) {
	s := Search{ProgramID: q.ProgramID, Limit: candidates}
	if q.unless != nil {
		s.Unless, s.Now = q.unless, micros(v.clock())
	}
	if q.CardID != "" {
		s.CardID = q.CardID
		return s, nil
	}
	by := q.References
	for _, more := range []Reference{{kindCustomer, q.CustomerID}, {kindProfile, q.CardProfileID}, {kindMobile, q.MobileNumber}} {
		if more.Value != "" {
			by = append(slices.Clip(by), more)
		}
	}
	best := Reference{}
	for _, r := range by {
		if best.Kind == "" || best.Kind.Shared() && !r.Kind.Shared() {
			best = r
		}
	}
	var err error
	switch s.Kind, s.Values = best.Kind, []string{best.Value}; best.Kind {
	case KindPAN:
		s.Values, err = v.panIndex(best.Value)
	case KindDevice:
		s.Kind, s.OrKind = KindNumber, KindPAN
		s.OrValues, err = v.panIndex(best.Value)
	}
	return s, err
}

// panIndex are the values by which cards with a PAN are found, the current one first.
func (v *Vault) panIndex(pan string) ([]string, error) { return v.keys.Index(UsePANIndex, frame(pan)) }

// fits tells whether a card is one that q describes.
func (v *Vault) fits(q Query, c Card) (bool, error) {
	for _, equal := range [][2]string{
		{q.CardID, c.ID}, {q.ProgramID, c.ProgramID}, {q.ProgramCode, c.ProgramCode}, {q.DevicePlanCode, c.DevicePlanCode},
		{q.CustomerID, c.CustomerID}, {q.MobileNumber, c.MobileNumber}, {q.CardProfileID, c.CardProfileID},
	} {
		if equal[0] != "" && equal[0] != equal[1] {
			return false, nil
		}
	}
	for _, r := range q.References {
		if named, err := v.named(c, r); err != nil || !named {
			return false, err
		}
	}
	return true, nil
}

// named tells whether a reference names a card.
func (v *Vault) named(c Card, r Reference) (bool, error) {
	if r.Kind == KindDevice && c.foundBy(KindNumber, []string{r.Value}) {
		return true, nil
	}
	if r.Kind != KindPAN && r.Kind != KindDevice {
		return c.foundBy(r.Kind, []string{r.Value}), nil
	}
	index, err := v.panIndex(r.Value)
	return err == nil && c.foundBy(KindPAN, index), err
}

// Card finds the one card that q describes: NotFound, Ambiguous, and what q.Check returns. Where q names
// an alias, only usable cards count (see [Card.Usable]).
func (v *Vault) Card(ctx context.Context, q Query) (Record, error) {
	found, err := v.Find(ctx, q, candidates)
	if err != nil {
		return Record{}, err
	}
	if q.byAlias() {
		found = usable(found)
	}
	if len(found) > 1 && q.Sequence != nil {
		found = slices.DeleteFunc(found, func(r Record) bool { return r.Card.Sequence != *q.Sequence })
	}
	if q.Choose != nil {
		chosen, err := q.Choose(found)
		if err == nil {
			err = q.check(chosen)
		}
		return chosen, err
	}
	switch len(found) {
	case 0:
		return Record{}, &Error{Code: NotFound}
	case 1:
		return found[0], q.check(found[0])
	}
	return Record{}, &Error{Code: Ambiguous}
}

func (q Query) byAlias() bool {
	return slices.ContainsFunc(q.References, func(r Reference) bool { return r.Kind == KindAlias })
}

func usable(all []Record) []Record {
	var out []Record
	for _, r := range all {
		if r.Card.Usable() {
			out = append(out, r)
		}
	}
	return out
}

func (q Query) check(rec Record) error {
	if q.Check == nil {
		return nil
	}
	return q.Check(rec)
}

// deed is what an operation does to a card, decided on one revision of it.
type deed struct {
	Step
	result    any   // what the memo hears of
	card      *Card // what the card becomes besides its PIN; nil: what it was
	rows      []Row // what comes with it
	add, drop []Lookup
}

// commitTime bounds how long a change usually may take. It is the vault's own: when the caller hangs up the
// change is made all the same, or not made, but never made and not told of.
const commitTime = 5 * time.Second

// Patience is how long a step of a request may take that does not end with it: as long as is usual, and a quarter of the time that
// the request has left where that is more, so that a server whose requests are given a minute waits longer here, too.
func Patience(ctx context.Context, usual time.Duration) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(usual, time.Until(end)/4)
	}
	return usual
}

// ownTime is the context of a change: it outlives a caller who hangs up, and ends when the time that the request was
// given does.
func ownTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(Patience(ctx, commitTime))
	if given, ok := ctx.Deadline(); ok && given.Before(end) {
		end = given
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

// act finds a card, decides and swaps, until nobody else came between, and tells what that came to.
func (v *Vault) act(ctx context.Context, q Query, m Memo, decide func(Record) (deed, error)) (deed, error) {
	d, lost, err := v.done(ctx, q, m, decide)
	err = d.refusal(err)
	v.count(ctx, d, lost, err)
	return d, err
}

// done is act without a word. lost is how often somebody else came between.
func (v *Vault) done(ctx context.Context, q Query, m Memo, decide func(Record) (deed, error)) (d deed, lost int, err error) {
	if m.Unless != nil {
		if q.unless, err = v.replayIDs(m.Unless.Scope, m.Unless.Key); err != nil {
			return deed{}, 0, err
		}
	}
	rec, err := v.Card(ctx, q)
	if err != nil {
		return deed{}, 0, err
	}
	d, change, err := v.decide(ctx, rec, m, decide)
	if err == nil && d.Idle() || err != nil && !errors.Is(err, errBehind) {
		return d, 0, err
	}
	own, cancel := ownTime(ctx)
	defer cancel()
	if err == nil {
		err = v.commit(own, change, false)
	} else {
		d, err = v.queue(own, rec.Card.ID, q, m, decide)
	}
	// Again only where the lock was lost with the connection: the change was not made, and somebody else's
	// was. When time is up the store says so.
	for overtaken(err) {
		lost++
		d, err = v.queue(own, rec.Card.ID, q, m, decide)
	}
	return d, lost, err
}

// errBehind is why a decision counts under the card's lock alone: a row beside the card was changed with it after the card was read.
var errBehind = errors.New("the card has been changed since it was read")

// refusal is err, or what the step refuses.
func (d deed) refusal(err error) error {
	if err == nil && d.Refusal != "" {
		err = &Error{Code: d.Refusal, Wait: d.Wait}
	}
	return err
}

// overtaken tells whether somebody else has changed the card, or the change took so long that it has to be made anew.
func overtaken(err error) bool {
	return CodeOf(err) == Conflict && FieldOf(err) == "card" || late(err)
}

// late tells whether an event's id was drawn so long ago that others of later ones may have been read: it is drawn anew.
func late(err error) bool { return CodeOf(err) == Conflict && FieldOf(err) == tableEvents }

// queue decides and swaps under the card's lock, so that many callers for one card are served in turn
// and do not spin.
func (v *Vault) queue(ctx context.Context, cardID string, q Query, m Memo, decide func(Record) (deed, error)) (d deed, err error) {
	var change Change
	decided := false
	err = v.store.Locked(ctx, cardID, func(row CardRow) (Change, error) {
		change, decided = Change{}, false
		rec, err := v.record(ctx, row)
		if err == nil {
			err = v.still(q, rec)
		}
		if err != nil {
			return change, err
		}
		if d, change, err = v.decide(ctx, rec, m, decide); d.Idle() {
			change = Change{}
		}
		decided = err == nil
		return change, err
	})
	if isInDoubt(err) && decided {
		err = v.commit(ctx, change, true)
	}
	return d, err
}

// still tells whether the card is one that q describes, and passes its check.
func (v *Vault) still(q Query, rec Record) error {
	fits, err := v.fits(q, rec.Card)
	if err == nil && (!fits || q.byAlias() && !rec.Card.Usable()) {
		err = &Error{Code: NotFound}
	}
	if err == nil {
		err = q.check(rec)
	}
	return err
}

// decide has a deed decided on a record and makes the change that it is.
func (v *Vault) decide(ctx context.Context, rec Record, m Memo, decide func(Record) (deed, error)) (deed, Change, error) {
	d, err := decide(rec)
	if err != nil || d.Idle() {
		return d, Change{}, err
	}
	change, err := v.change(ctx, rec, d, m)
	return d, change, err
}

// change is a deed as it is written: the card's next state under its seal, the events in its chain, the
// replay record, the session. It is the one place where that is put together.
func (v *Vault) change(ctx context.Context, rec Record, d deed, m Memo) (Change, error) {
	if !rec.Program.RetrievalAllowed { // what must not be read back is not kept either
		d.Next = d.Next.Forget().Next
	}
	next := rec
	next.PIN = d.Next
	if d.card != nil {
		next.Card = *d.card
	}
	if d.Refusal != "" { // what was refused is in the trail, and may be asked for once more
		m.Keep, m.Record, m.Session = nil, nil, nil
	}
	events := make([]AuditEvent, len(d.Happenings))
	for i, h := range d.Happenings {
		events[i] = AuditEvent{Type: h.Type, CardID: rec.Card.ID, Outcome: h.Outcome, Subject: h.Subject, Changes: h.Changes}
		if h.Type == EventPINFailed {
			events[i].Left = &d.RemainingTries
		}
	}
	v.signed(ctx, events, m)
	if err := v.recorded(ctx, rec, &d, events, m); err != nil {
		return Change{}, err
	}
	rows, head, err := v.chained(rec.PIN.Head, rec.Card.ID, rec.Card.ProgramID, events)
	if err != nil {
		return Change{}, err
	}
	next.PIN.Head = head
	card, err := v.sealCard(next, d.card != nil)
	if err != nil {
		return Change{}, err
	}
	c := Change{Card: &card, DetailsToo: d.card != nil, Rows: d.rows, Events: rows, Add: d.add, Drop: d.drop}
	if err := v.accompany(&c, m, d.result); err != nil || m.Keep == nil || len(events) > 0 {
		return c, err
	}
	return c, v.decoys(&c, 1) // in place of an event
}

// accompany adds to a change what its memo asks for.
func (v *Vault) accompany(c *Change, m Memo, result any) error {
	c.Now = micros(v.clock())
	if m.Session != nil {
		if s := m.Session(result); s != nil {
			row, err := v.sealSession(*s)
			if err != nil {
				return err
			}
			c.Rows = append(slices.Clip(c.Rows), row)
		}
	}
	if m.Keep == nil {
		return nil
	}
	r, err := m.Keep(result)
	if err != nil {
		return err
	}
	row, err := v.sealReplay(r)
	c.Rows = append(slices.Clip(c.Rows), row)
	return err
}

// commit makes a change. Where the database does not say how that ended, the very same change is made
// once more, which has no effect if the first one had; what stands in its way then may be itself.
// doubt tells that it may have been made already.
func (v *Vault) commit(ctx context.Context, c Change, doubt bool) error {
	for {
		err := v.store.Swap(ctx, c)
		switch {
		case isInDoubt(err) && pause(ctx):
			doubt = true
			continue
		case doubt && (CodeOf(err) == Conflict || CodeOf(err) == Duplicate):
			return v.settle(ctx, c, err)
		case CodeOf(err) == Duplicate && FieldOf(err) == tableEvents: // the chain goes on after the head that was read
			return v.broken(ctx, tableEvents, c.Events[0].Chain)
		case CodeOf(err) == Duplicate && FieldOf(err) == string(kindPANSequence):
			return &Error{Code: Duplicate, Field: string(KindPAN)}
		}
		return err
	}
}

// Tables that have no name in [Table], for alarms.
const (
	tableEvents  = "audit_events"
	tableCards   = "cards"
	tableLookups = "card_lookup"
)

// isInDoubt tells whether a change may have been made although it failed.
func isInDoubt(err error) bool { return errors.Is(err, ErrInDoubt) }

// pause gives a database that broke off a moment, unless time is up.
func pause(ctx context.Context) bool {
	wait := time.NewTimer(20 * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle finds out whether what stands in a change's way is the change itself: whether its first event
// is where it was to be, or its rows are as it leaves them. A change of a card without either moves nothing
// that anybody is told of twice.
func (v *Vault) settle(ctx context.Context, c Change, err error) error {
	if len(c.Events) == 0 {
		return v.settleRows(ctx, c, err)
	}
	first := c.Events[0]
	there, failed := v.store.ChainEvents(ctx, first.Chain, first.Seq-1, 1)
	switch {
	case failed != nil:
		return failed
	case len(there) == 1 && there[0].ID == first.ID:
		return nil
	}
	return err
}

func (v *Vault) settleRows(ctx context.Context, c Change, err error) error {
	if c.Card != nil && len(c.Rows) == 0 {
		return nil
	}
	for _, r := range c.Rows {
		there, failed := v.store.Row(ctx, r.Table, r.ProgramID, r.ID)
		switch {
		case CodeOf(failed) == NotFound:
			return err
		case failed != nil:
			return failed
		case !bytes.Equal(there.Seal, r.Seal):
			return err
		}
	}
	return nil
}

// Reread forgets what was read a moment ago, so that it is read again.
func (v *Vault) Reread() {
	v.programs.Purge()
	v.seen.purge()
	v.newKeys()
	if v.limiter != nil {
		v.limiter.Forget()
	}
}

// Forget is Reread for a store that was emptied: numbers begin again too.
func (v *Vault) Forget() {
	v.Reread()
	v.numbers.forget()
}
