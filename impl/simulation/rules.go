package simulation

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"pinvault/impl/pin"
)

// What the vault must do is written down here a second time, as briefly as possible and without a look at its transitions.

// operation is what a caller asks for.
type operation uint8

const (
	verifying operation = iota
	changing
	setting
	resetting
	unblocking
	revealing
	reading
	updating // the card's status
	opening  // a PIN session
	choosing // the PIN of a session
	creating // a card
	ruling   // the program's settings
	requesting
	deciding
	operations
)

func (o operation) String() string {
	return [...]string{"verify", "change", "set", "reset", "unblock", "reveal", "read", "update", "open a session", "choose", "create", "rule", "request", "decide"}[o]
}

// The PINs that callers know. Those that begin with a letter are none: one is too long, one is in a block that does not open.
var (
	goodPINs = []string{"4826", "9173", "5062", "3184", "7490", "6851", "2739", "80416"}
	weakPIN  = "1111"
	longPIN  = "4826173"
	opaque   = "opaque"
)

// ruleset is a program's settings, as far as they decide.
type ruleset struct {
	version   int64
	limit     int
	policy    pin.Policy
	retrieval bool
	epoch     int64
	approved  map[pin.ApprovalAction]bool // what takes an approval
	unblocks  int                         // of a card in a day, 0 for any number; the server's, which never changes
	from      int                         // the step with which they came
}

func rulesOf(p pin.Program, unblocks, step int) ruleset {
	approved := map[pin.ApprovalAction]bool{pin.ApproveUnblock: p.DualUnblock, pin.ApproveReveal: p.DualReveal}
	return ruleset{p.Version, p.TryLimit, p.Policy, p.RetrievalAllowed, p.RetrievalEpoch, approved, unblocks, step}
}

// state is all that a card is.
type state struct {
	revision int64
	seq      int64 // events in its chain
	pin      string
	former   []string
	version  int64
	left     int
	refused  int64
	kept     bool  // the PIN can be read back,
	epoch    int64 // if that is still the program's
	normal   bool  // its status

	unblocked []int64           // when it was unblocked, microseconds since 1970: the last times of the day before the newest
	approvals map[string]pledge // those that are open, by their ids
}

// pledge is an approval that is open. Whoever asks for one asks for itself.
type pledge struct {
	action  pin.ApprovalAction
	granted bool
}

// open is the approval of an action that is open, "" where there is none.
func (s state) open(action pin.ApprovalAction) (id string, granted bool) {
	for id, p := range s.approvals {
		if p.action == action {
			return id, p.granted
		}
	}
	return "", false
}

// day is for how long an unblock counts, remembered how many are.
const (
	day        = int64(24 * time.Hour / time.Microsecond)
	remembered = 20
)

// unblocks are the times at which the card was unblocked in the day before.
func (s state) unblocks(at int64) []int64 {
	return slices.DeleteFunc(slices.Clone(s.unblocked), func(was int64) bool { return was <= at-day })
}

// want is what a caller asks for, of a card.
type want struct {
	operation
	guess, chosen string
	normal        bool  // the status that it is to have
	version       int64 // of the PIN that a session was opened for
	at            int64 // the server's clock when it unblocks, microseconds since 1970
	action        pin.ApprovalAction
	approval      string // to be asked for, or decided on: its id
	grant         bool   // what is decided,
	own           bool   // by the client that has asked for it
}

// outcome is what must come of it.
type outcome struct {
	next   state
	answer string
	events string
	writes bool
	kept   bool // an answer that a repetition must be given again
	wrong  bool // a guess that took a try
	mended bool // the tries are restored
}

func (s state) remaining(r ruleset) int { return max(0, min(s.left, r.limit)) }

// after is what must come of what is asked for.
func (s state) after(w want, r ruleset) outcome {
	o := outcome{next: s, writes: true, kept: true}
	fail := func(code pin.Code) outcome { return outcome{next: s, answer: "error " + string(code)} }
	switch {
	case w.operation == reading:
		return outcome{next: s, answer: fmt.Sprint("left ", s.remaining(r), " version ", s.version, " normal ", s.normal)}
	case w.operation == updating:
		o.answer, o.events = "updated", "card.updated;"
		if w.normal != s.normal {
			o.events = "card.status_changed;"
		}
		o.next.normal = w.normal
	case w.operation == deciding:
		p, open := s.approvals[w.approval]
		if w.own || !open || p.granted {
			return fail(pin.Conflict)
		}
		o.answer, o.events = "decided", "approval.rejected;"
		o.ends(w.approval)
		if w.grant {
			o.events = "approval.granted;"
			o.next.approvals[w.approval] = pledge{p.action, true}
		}
	case !s.normal:
		return fail(pin.CardStatus)
	case w.operation == verifying:
		o.guessed(w.guess, r, "match", "pin.verified match;")
	case w.operation == changing:
		refusal := s.refusal(w.chosen, r)
		switch {
		case w.guess != s.pin || s.remaining(r) == 0:
			o.guessed(w.guess, r, "", "")
		case refusal == "":
			o.guessed(w.guess, r, "match", "pin.changed;")
			o.replaced(w.chosen, r)
		case refusal == pin.Unopenable:
			o.guessed(w.guess, r, "unopenable", "pin.verified unopenable;pin.refused unopenable;")
		case refusal == pin.RecentPIN:
			o.guessed(w.guess, r, "rejected", "pin.verified rejected;pin.refused recent_pin;")
			o.answer += " recent_pin"
		default:
			o.guessed(w.guess, r, "rejected", "pin.verified rejected;")
			o.answer += " " + string(refusal)
		}
	case w.operation == choosing && s.version != w.version:
		return fail(pin.Conflict)
	case w.operation == setting, w.operation == resetting, w.operation == choosing:
		if refusal := s.refusal(w.chosen, r); refusal != "" {
			if refusal != pin.RecentPIN && refusal != pin.Unopenable {
				return fail(refusal)
			}
			o.answer, o.events, o.kept = "error "+string(refusal), "pin.refused "+string(refusal)+";", false
			break
		}
		o.replaced(w.chosen, r)
		if o.answer, o.events = "set", "pin.set;"; w.operation == setting {
			break
		}
		if o.answer, o.events = "set", "pin.reset;"; s.remaining(r) == 0 {
			o.events += "pin.unblocked;"
		}
		if w.operation == choosing {
			o.events += "pin.session_completed;"
		}
		o.restored(r)
	case w.operation == unblocking:
		today := s.unblocks(w.at)
		if r.unblocks > 0 && len(today) >= r.unblocks {
			return fail(pin.TooMany)
		}
		o.answer, o.events = "unblocked", "pin.unblocked;"
		if !o.approved(pin.ApproveUnblock, r) {
			return fail(pin.ApprovalNeeded)
		}
		o.next.unblocked = append(today[max(0, len(today)-remembered+1):], w.at)
		o.restored(r)
	case w.operation == opening:
		o.answer, o.events = "opened", "pin.session_opened;"
	case (w.operation == revealing || w.operation == requesting && w.action == pin.ApproveReveal) && (!r.retrieval || !s.kept || s.epoch != r.epoch):
		return fail(pin.RetrievalOff)
	case w.operation == revealing:
		o.answer, o.events = "revealed "+s.pin, "pin.revealed;"
		if !o.approved(pin.ApproveReveal, r) {
			return fail(pin.ApprovalNeeded)
		}
	case w.operation == requesting:
		if id, _ := s.open(w.action); id != "" || !r.approved[w.action] {
			return fail(pin.Conflict)
		}
		o.answer, o.events = "requested", "approval.requested;"
		o.ends("")
		o.next.approvals[w.approval] = pledge{w.action, false}
	}
	if !r.retrieval {
		o.next.kept, o.next.epoch = false, 0
	}
	return o
}

// approved uses up the approval of an action, if the program asks for one, and tells whether that may be done.
func (o *outcome) approved(action pin.ApprovalAction, r ruleset) bool {
	if !r.approved[action] {
		return true
	}
	id, granted := o.next.open(action)
	if granted {
		o.events += "approval.used;"
		o.ends(id)
	}
	return granted
}

// ends takes an approval away from those that are open.
func (o *outcome) ends(id string) {
	left := map[string]pledge{}
	for other, p := range o.next.approvals {
		if other != id {
			left[other] = p
		}
	}
	o.next.approvals = left
}

// guessed is what comes of a guess, a right one being told and answered as said.
func (o *outcome) guessed(guess string, r ruleset, matched, events string) {
	left := o.next.remaining(r)
	switch {
	case left == 0:
		o.next.left = 0
		o.next.refused++
		o.answer = "blocked 0"
		if text := strconv.FormatInt(o.next.refused, 10); text[0] == '1' && len(text) == len("1")+countZeros(text) {
			o.events = "pin.failed blocked;"
		}
	case guess == o.next.pin:
		o.next.left, o.mended = r.limit, true
		o.answer, o.events = fmt.Sprint(matched, " ", r.limit), events
	default:
		result := "mismatch"
		if guess == opaque {
			result = "unopenable"
		}
		o.wrong = true
		o.next.left = left - 1
		o.answer, o.events = fmt.Sprint(result, " ", left-1), "pin.failed "+result+";"
		if left == 1 {
			o.next.refused = 0
			o.events += "pin.blocked " + result + ";"
		}
	}
}

// countZeros is how many zeros a text ends with.
func countZeros(text string) (n int) {
	for i := len(text) - 1; i >= 0 && text[i] == '0'; i-- {
		n++
	}
	return n
}

func (o *outcome) restored(r ruleset) { o.next.left, o.next.refused, o.mended = r.limit, 0, true }

func (o *outcome) replaced(chosen string, r ruleset) {
	former := append([]string{o.next.pin}, o.next.former...)
	o.next.former = former[:min(len(former), pin.HistoryDepth)]
	o.next.pin = chosen
	o.next.version++
	if o.next.kept, o.next.epoch = r.retrieval, 0; r.retrieval {
		o.next.epoch = r.epoch
	}
}

// refusal is why a chosen PIN is not taken.
func (s state) refusal(chosen string, r ruleset) pin.Code {
	switch {
	case chosen == opaque:
		return pin.Unopenable
	case chosen == longPIN:
		return pin.PINLength
	case r.policy != pin.PolicyOff && chosen == weakPIN:
		return pin.WeakPIN
	case r.policy == pin.PolicyHistory && (chosen == s.pin || slices.Contains(s.former, chosen)):
		return pin.RecentPIN
	}
	return ""
}
