package pin

import (
	"slices"
	"strconv"
	"time"
)

// The transitions are the rules of the vault: each takes a value, what was offered, the program and the
// time, and says what the value becomes, what the trail tells of it and how it ended. They know no
// database, no clock, no key and no chance, so that a table, a property test, a model checker and a
// simulation can all run them as they are.
//
// They may compare before anything is written because nobody is told before the next value has been
// swapped for the very value that was compared: see [Vault] and [Store].

// Guess is how an offered PIN compares with the value that the transition is given.
type Guess string

// The guesses.
const (
	Right      Guess = "right"
	Wrong      Guess = "wrong"
	Unreadable Guess = "unreadable" // a PIN block that does not open
)

// Choice is a chosen PIN as it would rest, or why it is refused: PINLength, WeakPIN, RecentPIN (which
// compares with the value that the transition is given), InvalidPIN, Unopenable.
type Choice struct {
	Verifier   []byte
	Ciphertext []byte   // nil where the program allows no retrieval
	Brought    *Brought // of a new card, in place of both
	Refusal    Code     // "": accepted
}

// Result is how an offered PIN fared.
type Result string

// The results. Only Match and Rejected were preceded by a right PIN.
const (
	Match     Result = "match"
	Mismatch  Result = "mismatch"
	Exhausted Result = "blocked"    // no tries were left; whether the offered PIN was right is not told
	Opaque    Result = "unopenable" // the PIN block could not be opened; a try was taken
	Rejected  Result = "rejected"   // the old PIN was right, the new one is refused: see Reason
)

// Verification is what comes of an offered PIN.
type Verification struct {
	Result         Result `json:"result"`
	RemainingTries int    `json:"remainingTries"` // 0..limit
	Reason         Code   `json:"reason,omitempty"`
}

// Happening is what the audit trail tells of a transition, before anybody's name, time and place in the
// chain are put to it.
type Happening struct {
	Type    EventType
	Outcome string
	Subject string
	Changes []FieldChange
}

// Step is what a transition comes to. A step without happenings and with a refusal changes nothing and
// need not be written; every other one takes effect only when Next has been swapped for the value that
// the transition was given.
type Step struct {
	Next       Value
	Happenings []Happening
	Verification
	Refusal Code          // what the caller is told instead of success, after the step was written
	Wait    time.Duration // of TooMany
}

// Idle tells whether there is nothing to write.
func (s Step) Idle() bool { return s.Refusal != "" && len(s.Happenings) == 0 }

func refuse(v Value, code Code) Step { return Step{Next: v, Refusal: code} }

// Verify compares. A wrong guess takes a try, a right one restores them all, and once none is left a
// guess is refused whatever it was (ISO 9564-1: the number of consecutive wrong PINs is limited).
func (v Value) Verify(p Program, g Guess) Step {
	return v.guess(p, g, Happening{Type: EventPINVerified, Outcome: string(Match)})
}

// guess is Verify with another happening in place of that of a match.
func (v Value) guess(p Program, g Guess, match ...Happening) Step {
	s := Step{Next: v}
	left := v.Remaining(p)
	switch {
	case left == 0:
		s.Result = Exhausted
		s.Next.TriesLeft = 0
		s.Next.Refused++
		if round(s.Next.Refused) {
			s.Happenings = []Happening{{Type: EventPINFailed, Outcome: string(Exhausted), Changes: []FieldChange{
				{Field: "refusedTries", New: strconv.FormatInt(s.Next.Refused, 10)}}}}
		}
	case g == Right:
		s.Result, s.RemainingTries = Match, p.TryLimit
		s.Next.TriesLeft = p.TryLimit
		s.Happenings = match
	default:
		s.Result = Mismatch
		if g == Unreadable {
			s.Result = Opaque
		}
		s.Next.TriesLeft = left - 1
		s.RemainingTries = left - 1
		s.Happenings = []Happening{{Type: EventPINFailed, Outcome: string(s.Result)}}
		if left == 1 {
			s.Next.Refused = 0
			s.Happenings = append(s.Happenings, Happening{Type: EventPINBlocked, Outcome: string(s.Result)})
		}
	}
	return s
}

// round tells whether the n-th refused try is told by an event: the first, and then each power of ten,
// so that nobody fills the trail by knocking.
func round(n int64) bool {
	for n > 1 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// Set gives the card a chosen PIN and leaves the tries alone. A refusal that compared with PINs of the
// card, or that was given a block that does not open, is in the trail.
func (v Value) Set(p Program, c Choice, at time.Time) Step {
	if c.Refusal != "" {
		return v.declined(c.Refusal)
	}
	return Step{Next: v.replaced(p, c, PINChosen, at), Happenings: []Happening{{Type: EventPINSet}}}
}

func (v Value) declined(code Code) Step {
	s := refuse(v, code)
	if code == RecentPIN || code == Unopenable {
		s.Happenings = []Happening{{Type: EventPINRefused, Outcome: string(code)}}
	}
	return s
}

// replaced is the value with another PIN.
func (v Value) replaced(p Program, c Choice, state PINState, at time.Time) Value {
	if len(v.Verifier) > 0 {
		former := append([][]byte{v.Verifier}, v.Former...)
		v.Former = former[:min(len(former), HistoryDepth)]
	}
	v.State, v.Verifier, v.Brought, v.ChangedAt = state, c.Verifier, c.Brought, at
	v.Version++
	return v.readable(p, c)
}

// readable is the value with what of its PIN may be read back, if anything.
func (v Value) readable(p Program, c Choice) Value {
	v.Ciphertext, v.KeptUnder = c.Ciphertext, 0
	if len(c.Ciphertext) > 0 {
		v.KeptUnder = p.RetrievalEpoch
	}
	return v
}

// Change replaces the PIN by another one if the guess at it is right, as one step. What keeps the new
// PIN from being taken is told only to whoever knew the old one.
func (v Value) Change(p Program, g Guess, c Choice, at time.Time) Step {
	switch {
	case g != Right || v.Remaining(p) == 0:
		return v.guess(p, g)
	case c.Refusal == "":
		s := v.guess(p, g, Happening{Type: EventPINChanged})
		s.Next = s.Next.replaced(p, c, PINChosen, at)
		return s
	}
	result, reason := Rejected, c.Refusal
	if c.Refusal == Unopenable {
		result, reason = Opaque, ""
	}
	s := v.guess(p, g, append([]Happening{{Type: EventPINVerified, Outcome: string(result)}}, v.declined(c.Refusal).Happenings...)...)
	s.Result, s.Reason = result, reason
	return s
}

// Reset gives the card a chosen PIN in place of a forgotten one and restores the tries: whoever forgot a
// PIN has mostly used them up, and a new PIN that stays blocked would be of no use.
func (v Value) Reset(p Program, c Choice, at time.Time) Step {
	blocked := v.Remaining(p) == 0
	s := v.Set(p, c, at)
	if c.Refusal != "" {
		return s
	}
	s.Next.TriesLeft, s.Next.Refused = p.TryLimit, 0
	s.Happenings = []Happening{{Type: EventPINReset}}
	if blocked {
		s.Happenings = append(s.Happenings, Happening{Type: EventPINUnblocked})
	}
	return s
}

// Unblock restores the tries, however many are left. With a limit of 1..MaxUnblocks it is TooMany where the card was
// unblocked that often in the day before, by whomever: each unblock is worth as many guesses as there are tries.
func (v Value) Unblock(p Program, limit int64, at time.Time) Step {
	if wait := v.UnblockWait(limit, at); wait > 0 {
		s := refuse(v, TooMany)
		s.Wait = wait
		return s
	}
	lately := v.unblockedSince(at.Add(-unblocksCount))
	s := Step{Next: v, Happenings: []Happening{{Type: EventPINUnblocked}}}
	s.Next.TriesLeft, s.Next.Refused = p.TryLimit, 0
	s.Next.Unblocked = append(lately[max(0, len(lately)-MaxUnblocks+1):], at.UnixMicro())
	return s
}

// UnblockWait is how long it is until the card can be unblocked again, 0 where a limit has room now, or is 0. See [Value.Unblock].
func (v Value) UnblockWait(limit int64, at time.Time) time.Duration {
	day := at.Add(-unblocksCount)
	lately := v.unblockedSince(day)
	n := int64(len(lately))
	if limit <= 0 || n < limit {
		return 0
	}
	slices.Sort(lately)
	return time.Duration(lately[n-limit]-day.UnixMicro()) * time.Microsecond
}

// unblockedSince are the unblocks after a time, in their order, which the clocks of servers need not have told.
func (v Value) unblockedSince(day time.Time) (lately []int64) {
	for _, was := range v.Unblocked {
		if was > day.UnixMicro() {
			lately = append(lately, was)
		}
	}
	return lately
}

// unblocksCount is for how long an unblock counts.
const unblocksCount = 24 * time.Hour

// Reveal lets the PIN be read back: NoPIN, RetrievalOff.
func (v Value) Reveal(p Program) Step {
	switch {
	case (v.State == PINNone || v.Brought != nil) && p.RetrievalAllowed: // or none that anybody knows
		return refuse(v, NoPIN)
	case !v.Readable(p): // not allowed, or written while it was not
		return refuse(v, RetrievalOff)
	}
	return Step{Next: v, Happenings: []Happening{{Type: EventPINRevealed}}}
}

// Choose is what a PIN-entry session does with the PIN that its holder chose: it counts for the PIN that
// the session was made for (version), otherwise Conflict. Blocked, except for a reset: its holder could not use it.
func (v Value) Choose(p Program, a Action, version int64, c Choice, at time.Time) Step {
	switch {
	case v.Version != version:
		return refuse(v, Conflict)
	case a == ActionReset:
		return v.Reset(p, c, at)
	case v.Remaining(p) == 0:
		return refuse(v, Blocked)
	}
	s := v.Set(p, c, at)
	if a == ActionChange && c.Refusal == "" {
		s.Happenings = []Happening{{Type: EventPINChanged}}
	}
	return s
}

// Forget drops the PIN that could be read back. Nothing happens to the card that its holder would
// notice, so the trail does not tell.
func (v Value) Forget() Step {
	v.Ciphertext, v.KeptUnder = nil, 0
	return Step{Next: v}
}

// Noted leaves the value as it is and tells of something.
func (v Value) Noted(h ...Happening) Step { return Step{Next: v, Happenings: h} }

// Created is the value of a new card: with a PIN, or with none where the choice is empty.
func Created(p Program, c Choice, state PINState, at time.Time) Step {
	v := Value{State: PINNone, TriesLeft: p.TryLimit, Version: 1}
	if len(c.Verifier) > 0 || c.Brought != nil {
		v.Version = 0
		v = v.replaced(p, c, state, at)
	}
	return Step{Next: v, Happenings: []Happening{{Type: EventCardCreated}}}
}

// Updated tells of what has changed about a card besides its PIN.
func (v Value) Updated(before, after Card) Step {
	h := Happening{Type: EventCardUpdated, Changes: changes(before, after, "status", "upgradeStatus", "expiry", "sequence")}
	if after.Status != before.Status || after.UpgradeStatus != before.UpgradeStatus {
		h.Type = EventCardStatusChanged
	}
	return v.Noted(h)
}
