package simulation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"pinvault/impl/pin"
)

// card is what a card must be by now, and was at every moment.
type card struct {
	state
	id      string
	there   bool
	moments []moment
	told    int // wrong guesses since the tries were restored
	most    int // tries that there were since
}

// moment is a state since a step.
type moment struct {
	step int
	state
}

// commitment is a commit and what must be answered for it.
type commitment struct {
	step   int
	answer string
}

func (l *life) newCard() *card {
	c := &card{id: fmt.Sprintf("card %03d", len(l.byID))}
	l.byID[c.id] = c
	return c
}

// event of the trail, as far as it is looked at.
type told struct {
	Type    string `json:"type"`
	Outcome string `json:"outcome"`
	TraceID string `json:"traceId"`
}

func (e told) String() string { return strings.TrimSpace(e.Type+" "+e.Outcome) + ";" }

// committed holds a change that the database has just made against the rules.
func (l *life) committed(k *ask) {
	l.commits++
	for _, r := range k.change.Rows {
		if r.Table == pin.TablePrograms {
			l.ruled(r)
		}
	}
	if k.change.Card == nil {
		return
	}
	c := l.byID[k.change.Card.ID]
	var v pin.Value
	if err := json.Unmarshal(k.change.Card.Value, &v); err != nil {
		l.breaks("what a card says cannot be read: %v", err)
		return
	}
	var events strings.Builder
	rekeyed := 0
	for i, row := range k.change.Events {
		var e told
		if err := json.Unmarshal(row.Body, &e); err != nil {
			l.breaks("what an event says cannot be read: %v", err)
			return
		}
		if row.Seq != c.seq+int64(i)+1 || row.Chain != c.id {
			l.breaks("%s has come to event %d, and the next one is %d of %s", c.id, c.seq, row.Seq, row.Chain)
			return
		}
		if e.Type == string(pin.EventAuditRekeyed) {
			rekeyed++
			continue
		}
		if k.from != nil && e.TraceID != strconv.Itoa(k.from.number) {
			l.breaks("an event of call %s comes with call %d", e.TraceID, k.from.number)
		}
		events.WriteString(e.String())
	}
	if rekeyed > 1 {
		l.breaks("%d events of one change tell of another key", rekeyed)
	}
	if c.there {
		l.moves(k, c, v, events.String())
	} else {
		l.comes(k, c, v, events.String())
	}
	c.seq += int64(len(k.change.Events))
	if v.Head.Seq != c.seq {
		l.breaks("%s has %d events, and its head is %d", c.id, c.seq, v.Head.Seq)
	}
	c.moments = append(c.moments, moment{l.step, c.state})
}

// ruled is a program that was changed.
func (l *life) ruled(r pin.Row) {
	var p pin.Program
	if err := json.Unmarshal(r.Body, &p); err != nil {
		l.breaks("what a program says cannot be read: %v", err)
	}
	if p.Version != int64(len(l.rules)+1) {
		l.breaks("version %d of a program follows version %d", p.Version, len(l.rules))
	}
	l.rules = append(l.rules, rulesOf(p, l.unblocks, l.step))
}

// since are the rules that were in force at some time since a step, the newest first.
func (l *life) since(step int) (all []ruleset) {
	for _, r := range slices.Backward(l.rules) {
		if all = append(all, r); r.from <= step {
			break
		}
	}
	return all
}

// comes is a card that was made.
func (l *life) comes(k *ask, c *card, v pin.Value, events string) {
	urn := ""
	for _, a := range k.change.Add {
		if a.Kind == pin.KindURN {
			urn = a.Value
		}
	}
	c.state = state{revision: 1, version: 1, left: v.TriesLeft, kept: len(v.Ciphertext) > 0, epoch: v.KeptUnder, normal: true}
	for _, digits := range goodPINs {
		if fits(c.id, v.Verifier, digits) {
			c.pin = digits
		}
	}
	switch {
	case l.urns[urn] > 0:
		l.breaks("two cards have the reference %q", urn)
	case c.pin == "" || events != "card.created;" || k.change.Card.Revision != 1 || v.Version != 1:
		l.breaks("%s comes as %q", c.id, events)
	case !slices.ContainsFunc(l.rules, func(r ruleset) bool { return r.limit == c.left }):
		l.breaks("%s comes with %d tries", c.id, c.left)
	}
	l.urns[urn] = l.step
	c.there, c.most = true, c.left
	if k.from == nil {
		return
	}
	if k.from.operation != creating || k.from.chosen != c.pin {
		l.breaks("%s comes with another PIN than was asked for", c.id)
	}
	k.from.commit = &commitment{l.step, "created"}
	k.from.effect = k.from.commit
	l.cards = append(l.cards, c)
}

// fits tells whether a verifier is that of a card's PIN, see digest.go of impl/pin.
func fits(cardID string, verifier []byte, digits string) bool {
	kept, err := (&keys{}).Open(pin.UseVerifier, verifier, pin.Frame(cardID))
	if err != nil || len(kept) != 16+sha256.Size {
		return false
	}
	digest := sha256.Sum256(pin.Frame(string(kept[:16]), cardID, digits))
	return bytes.Equal(kept[16:], digest[:])
}

// moves is a card that was changed.
func (l *life) moves(k *ask, c *card, v pin.Value, events string) {
	a, was := k.from, c.state
	if k.change.Card.Revision != was.revision+1 {
		l.breaks("revision %d of %s follows revision %d", k.change.Card.Revision, c.id, was.revision)
	}
	l.noteCall("is committed", a.call, events)
	if a.operation == ruling { // what may not be read back any more is forgotten
		c.state = was
		if c.kept = len(v.Ciphertext) > 0; !c.kept {
			c.epoch = 0
		}
		if events != "" || was.kept != c.kept && !was.kept || !same(c.id, v, c.state, was) {
			l.breaks("a change of the program's settings makes %+v of %+v", v, was)
		}
		c.revision = k.change.Card.Revision
		return
	}
	if a.card != c {
		l.breaks("call %d is for %s, and changes %s", a.number, a.card.id, c.id)
		return
	}
	var o outcome
	want := a.want
	if want.operation == unblocking && len(v.Unblocked) > 0 {
		want.at = v.Unblocked[len(v.Unblocked)-1]
		if earliest, latest := a.clocks(); want.at < earliest || want.at > latest {
			l.breaks("call %d unblocks %s at %d, which no clock has said", a.number, c.id, want.at)
		}
	}
	found := false
	for _, r := range l.since(a.began) {
		if o = was.after(want, r); o.writes && o.events == events && same(c.id, v, o.next, was) {
			c.most, found = max(c.most, r.limit), true
			break
		}
	}
	if !found {
		l.breaks("call %d, to %s %q %q, makes %+v of %s with events %q, and not %+v with %q", a.number, a.operation, a.guess, a.chosen, described(v), describe(was), events, describe(o.next), o.events)
		return
	}
	c.state = o.next
	c.revision = k.change.Card.Revision
	l.counted(c, o)
	switch {
	case a.commit != nil:
		l.breaks("call %d: a change was made twice, and answered once", a.number)
	case o.kept && a.effect != nil:
		l.breaks("call %d has its effect twice: %q and then %q", a.number, a.effect.answer, o.answer)
	}
	a.commit = &commitment{l.step, o.answer}
	if o.kept {
		a.effect = a.commit
	}
}

// clocks are what a server's clock may have said while it worked on a request, microseconds since 1970.
func (a *attempt) clocks() (earliest, latest int64) {
	return a.since.Add(-fast).UnixMicro(), time.Now().Add(fast).UnixMicro()
}

// counted counts wrong guesses by itself.
func (l *life) counted(c *card, o outcome) {
	if o.mended {
		c.told, c.most = 0, o.next.left
	}
	if o.wrong {
		if c.told++; c.told > c.most {
			l.breaks("%s: %d wrong guesses are told, of %d", c.id, c.told, c.most)
		}
	}
}

// same tells whether a value says what a state is.
func same(id string, v pin.Value, s, was state) bool {
	return v.TriesLeft == s.left && v.Refused == s.refused && v.Version == s.version && len(v.Former) == len(s.former) &&
		(len(v.Ciphertext) > 0) == s.kept && v.KeptUnder == s.epoch && (s.version == was.version || fits(id, v.Verifier, s.pin)) &&
		slices.Equal(v.Unblocked, s.unblocked) && pledged(v, s)
}

// pledged tells whether a value has the approvals that are open.
func pledged(v pin.Value, s state) bool {
	return len(v.Pledges) == len(s.approvals) && !slices.ContainsFunc(v.Pledges, func(p pin.Pledge) bool {
		is, open := s.approvals[p.ID]
		return !open || is != pledge{p.Action, p.Granted}
	})
}

func describe(s state) string {
	return fmt.Sprintf("%d tries, %d refused, PIN %s of version %d, kept %v %d, unblocked %d times, approvals %v", s.left, s.refused, s.pin, s.version, s.kept, s.epoch, len(s.unblocked), s.approvals)
}

func described(v pin.Value) string {
	return fmt.Sprintf("%d tries, %d refused, a PIN of version %d, kept %v %d, unblocked %d times, approvals %v", v.TriesLeft, v.Refused, v.Version, len(v.Ciphertext) > 0, v.KeptUnder, len(v.Unblocked), v.Pledges)
}

// judge holds an answer against what has happened while the server worked on it.
func (l *life) judge(a *attempt) {
	word, _, _ := strings.Cut(a.answer, " ")
	if word == "error" {
		word = a.answer
	}
	l.counts[a.String()+": "+word]++
	l.noteCall("the server answers", a.call, a.answer)
	definite := !strings.HasPrefix(a.answer, "error ")
	switch {
	case a.answer == "error "+string(pin.Internal):
		l.breaks("call %d, to %s: our own fault", a.number, a.operation)
	case a.answer == unavailable:
		if !a.doubted {
			l.breaks("call %d is answered unavailable, and nothing was", a.number)
		}
	case a.operation == ruling:
	case a.key != "" && a.effect != nil && a.effect != a.commit && a.effect.step <= a.asked:
		if a.answer != a.effect.answer {
			l.breaks("call %d is answered %q, and had its effect at %d: %q", a.number, a.answer, a.effect.step, a.effect.answer)
		}
	case a.commit != nil && a.answer == a.commit.answer:
		if definite && a.first != "" && a.first != a.answer && !strings.HasPrefix(a.first, "error ") {
			l.breaks("call %d was answered %q, and its repetition %q", a.number, a.first, a.answer)
		}
	case a.commit != nil:
		l.breaks("call %d is answered %q, and %q is what was committed", a.number, a.answer, a.commit.answer)
	case a.operation == creating && a.answer == "error "+string(pin.Duplicate) && l.urns[a.urn] > 0:
	case a.operation == choosing && a.answer == "error "+string(pin.Conflict) && l.used(a.session):
	case !l.could(a):
		l.breaks("call %d, to %s %q %q of %s, is answered %q, which it was at no time since %d", a.number, a.operation, a.guess, a.chosen, a.card.id, a.answer, a.began)
	}
}

// used tells whether a session has ended.
func (l *life) used(s pin.Session) bool {
	return slices.ContainsFunc(l.calls, func(c *call) bool { return c.operation == choosing && c.session.ID == s.ID && c.effect != nil })
}

// could tells whether an answer that changes nothing was true at some moment since the request came.
func (l *life) could(a *attempt) bool {
	early, late := a.want, a.want // what a server's clock says is asked of unblocks alone
	early.at, late.at = a.clocks()
	for _, m := range slices.Backward(a.card.moments) {
		for _, r := range l.since(a.began) {
			o := m.after(early, r)
			if !o.writes && o.answer == a.answer {
				return true
			}
			if a.operation == unblocking {
				if o := m.after(late, r); !o.writes && o.answer == a.answer {
					return true
				}
			}
			// What would only have been counted needs not be, if nobody knows whether it was.
			if a.doubted && o.writes && o.events == "" && o.answer == a.answer && a.key == "" {
				return true
			}
		}
		if m.step <= a.began {
			return false
		}
	}
	return false
}

// rest ends a life: what is under way comes to its end, nothing goes wrong any more, and then all is looked at once more.
func (l *life) rest() {
	l.quiet = true
	for end := l.step + 100_000; l.broken == "" && len(l.ready)+len(l.asleep) > 0; l.one() {
		if l.step > end {
			l.breaks("it never comes to rest")
		}
	}
	for _, s := range l.servers {
		for _, a := range s.order {
			if s.under[a] {
				l.breaks("call %d never ends", a.number)
				l.running = a
				a.stop()
				l.running = nil
			}
		}
	}
	if l.broken == "" {
		l.audit()
	}
	if l.broken != "" {
		l.broken += "\n" + l.story()
	}
}

// audit holds the trail against the calls that were answered, and the database against its seals and chains.
func (l *life) audit() {
	ctx := pin.WithCaller(context.Background(), pin.Operator("audit"))
	s := &server{keys: &keys{1}}
	l.start(s)
	found, err := s.vault.VerifyTrail(ctx, pin.VerifyOptions{})
	if err != nil || !found.Whole() {
		l.breaks("the trail does not verify: %v %v", err, found.Findings)
		return
	}
	for _, c := range l.byID {
		if c.there {
			l.auditCard(ctx, s.vault, c)
		}
	}
	for _, c := range l.calls {
		if c.heard > 0 && c.effect == nil && c.operation != ruling && c.operation != reading && !strings.HasPrefix(c.first, "error ") && c.first != "blocked 0" {
			l.breaks("call %d was answered %q, and nothing tells of it", c.number, c.first)
		}
	}
}

// auditCard reads a card's chain as the order in which everything has happened to it: every call that was answered has its
// events there, once, and none that was answered before another one began stands behind it.
func (l *life) auditCard(ctx context.Context, v *pin.Vault, c *card) {
	rec, err := v.Card(ctx, pin.Query{CardID: c.id})
	if err != nil || rec.PIN.TriesLeft != c.left || rec.PIN.Version != c.version || rec.PIN.Head.Seq != c.seq {
		l.breaks("%s is not what it must be: %v", c.id, err)
		return
	}
	times := map[int]int{}
	last, began := -1, 0
	rows, err := l.db.ChainEvents(ctx, c.id, 0, int(c.seq))
	if err != nil {
		l.breaks("the chain of %s cannot be read: %v", c.id, err)
	}
	for _, row := range rows {
		var e told
		if err := json.Unmarshal(row.Body, &e); err != nil || row.Chain != c.id {
			l.breaks("the chain of %s is short", c.id)
			return
		}
		number, err := strconv.Atoi(e.TraceID)
		if err != nil || number == last { // not a call's, or one more of it
			continue
		}
		if e.Type == string(pin.EventPINRefused) { // of which a call may have one more than its effect
			continue
		}
		last = number
		of := l.calls[number]
		times[number]++
		again := of.key != "" && strings.HasPrefix(of.first, "error ") // what was refused may be asked for once more, with another end
		if of.heard > 0 && of.heard < began && !again {
			l.breaks("call %d was answered at %d, and stands behind one that began at %d", number, of.heard, began)
		}
		began = max(began, of.began)
	}
	for _, of := range l.calls {
		told := of.effect != nil && of.effect.answer != "blocked 0"
		if of.card == c && told && times[of.number] != 1 {
			l.breaks("the trail of %s tells %d times of call %d, which was to %s", c.id, times[of.number], of.number, of.operation)
		}
	}
}

// story is what led to what is broken: the last lines of the trace, those of one card where it is about one.
func (l *life) story() string {
	about, call := "", -1
	for _, word := range []string{"call ", "card "} {
		if _, rest, ok := strings.Cut(l.broken, word); ok {
			number, _, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(strings.Trim(number, ",:"))
			if err == nil && word == "call " && n < len(l.calls) {
				about, call = l.calls[n].card.id, n
			}
			if err == nil && word == "card " {
				about = "card " + strings.Trim(number, ",:")
			}
		}
	}
	var lines, own []string
	for i := range l.trace {
		n := l.trace[(l.lines+i)%len(l.trace)]
		of := ""
		if n.call >= 0 {
			of = fmt.Sprintf(" (call %d)", n.call)
		}
		text := fmt.Sprintf("%7d %s%s %s", n.step, n.text, of, n.more)
		if about == "" || n.card == about || n.call < 0 {
			lines = append(lines, text)
		}
		if call >= 0 && n.call == call {
			own = append(own, text)
		}
	}
	lines = lines[max(0, len(lines)-40):]
	if len(own) > 0 {
		lines = append(append(lines, fmt.Sprintf("of call %d alone:", call)), own...)
	}
	return strings.Join(lines, "\n")
}
