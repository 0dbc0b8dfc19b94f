package pin_test

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

var (
	before = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	later  = time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
)

// aProgram has three tries and lets PINs be read back, which was switched four times.
func aProgram(change ...func(*pin.Program)) pin.Program {
	p := pin.Program{ID: "program", TryLimit: 3, RetrievalAllowed: true, RetrievalEpoch: 4}
	for _, c := range change {
		c(&p)
	}
	return p
}

// aValue is that of a card with a chosen PIN, two former ones and all its tries.
func aValue(change ...func(*pin.Value)) pin.Value {
	v := pin.Value{State: pin.PINChosen, Verifier: []byte("v0"), Ciphertext: []byte("c0"), KeptUnder: 4,
		Former: [][]byte{[]byte("f1"), []byte("f2")}, Version: 7, TriesLeft: 3, ChangedAt: before, Head: pin.Head{Seq: 9, MAC: []byte("m9")}}
	for _, c := range change {
		c(&v)
	}
	return v
}

func tries(left int) func(*pin.Value) { return func(v *pin.Value) { v.TriesLeft = left } }

func knocked(times int64) func(*pin.Value) {
	return func(v *pin.Value) { v.TriesLeft, v.Refused = 0, times }
}

func limit(n int) func(*pin.Program) { return func(p *pin.Program) { p.TryLimit = n } }

// chosen is a PIN that took another one's place.
func chosen(v *pin.Value) {
	v.State, v.Verifier, v.Ciphertext, v.KeptUnder, v.ChangedAt, v.Version = pin.PINChosen, []byte("v1"), []byte("c1"), 4, later, 8
	v.Former = [][]byte{[]byte("v0"), []byte("f1"), []byte("f2")}
}

func accepted() pin.Choice { return pin.Choice{Verifier: []byte("v1"), Ciphertext: []byte("c1")} }

func refusedFor(code pin.Code) pin.Choice { return pin.Choice{Refusal: code} }

func happening(t pin.EventType, outcome string) pin.Happening {
	return pin.Happening{Type: t, Outcome: outcome}
}

func told(result pin.Result, left int) pin.Verification {
	return pin.Verification{Result: result, RemainingTries: left}
}

// knocking is the event of a refused try.
func knocking(n int64) pin.Happening {
	return pin.Happening{Type: pin.EventPINFailed, Outcome: "blocked", Changes: []pin.FieldChange{{Field: "refusedTries", New: strconv.FormatInt(n, 10)}}}
}

// transition is a row of a table: what a transition is given, and what must come of it.
type transition struct {
	name    string
	value   pin.Value
	program pin.Program
	choice  pin.Choice
	act     func(v pin.Value, p pin.Program, c pin.Choice) pin.Step
	want    pin.Step
}

// run runs a transition on copies whose slices have room for more, where nothing must appear.
func (tr transition) run(t *testing.T) {
	t.Run(tr.name, func(t *testing.T) {
		t.Parallel()
		roomy := func(b []byte) []byte {
			if b == nil {
				return nil
			}
			return append(make([]byte, 0, len(b)+8), b...)
		}
		v, c := tr.value, tr.choice
		v.Verifier, v.Ciphertext, v.Head.MAC = roomy(v.Verifier), roomy(v.Ciphertext), roomy(v.Head.MAC)
		c.Verifier, c.Ciphertext = roomy(c.Verifier), roomy(c.Ciphertext)
		if v.Former != nil {
			v.Former = make([][]byte, len(tr.value.Former), len(tr.value.Former)+8)
			for i, f := range tr.value.Former {
				v.Former[i] = roomy(f)
			}
		}
		got := tr.act(v, tr.program, c)
		require.Equal(t, tr.want, got)
		require.Equal(t, tr.value, v, "what it was given")
		require.Equal(t, tr.choice, c, "what it was given")
		for _, f := range v.Former[:cap(v.Former)][len(v.Former):] {
			require.Nil(t, f, "room behind what it was given")
		}
		for _, b := range append([][]byte{v.Verifier, v.Ciphertext, v.Head.MAC, c.Verifier, c.Ciphertext}, v.Former...) {
			require.Empty(t, bytes.Trim(b[:cap(b)][len(b):], "\x00"), "room behind what it was given")
		}
		require.Equal(t, got.Refusal != "" && len(got.Happenings) == 0, got.Idle())
		if got.Idle() {
			require.Equal(t, v, got.Next, "a refusal that nobody hears of changes nothing")
		}
	})
}

func step(next pin.Value, v pin.Verification, refusal pin.Code, happenings ...pin.Happening) pin.Step {
	return pin.Step{Next: next, Verification: v, Refusal: refusal, Happenings: happenings}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	guess := func(g pin.Guess) func(pin.Value, pin.Program, pin.Choice) pin.Step {
		return func(v pin.Value, p pin.Program, _ pin.Choice) pin.Step { return v.Verify(p, g) }
	}
	failed := func(outcome string) pin.Happening { return happening(pin.EventPINFailed, outcome) }
	blocked := func(outcome string) pin.Happening { return happening(pin.EventPINBlocked, outcome) }
	verified := happening(pin.EventPINVerified, "match")
	tests := []transition{
		{name: "a right PIN with all tries left is a match", value: aValue(), act: guess(pin.Right),
			want: step(aValue(), told(pin.Match, 3), "", verified)},
		{name: "a right PIN restores the tries", value: aValue(tries(1)), act: guess(pin.Right),
			want: step(aValue(), told(pin.Match, 3), "", verified)},
		{name: "a right PIN restores no more than the limit", value: aValue(tries(9)), act: guess(pin.Right),
			want: step(aValue(), told(pin.Match, 3), "", verified)},
		{name: "a right PIN leaves alone what was counted of refused tries", value: aValue(tries(1), func(v *pin.Value) { v.Refused = 5 }), act: guess(pin.Right),
			want: step(aValue(func(v *pin.Value) { v.Refused = 5 }), told(pin.Match, 3), "", verified)},
		{name: "a wrong PIN takes a try", value: aValue(), act: guess(pin.Wrong),
			want: step(aValue(tries(2)), told(pin.Mismatch, 2), "", failed("mismatch"))},
		{name: "a wrong PIN with two tries left does not block", value: aValue(tries(2)), act: guess(pin.Wrong),
			want: step(aValue(tries(1)), told(pin.Mismatch, 1), "", failed("mismatch"))},
		{name: "a wrong PIN takes the last try and blocks", value: aValue(tries(1)), act: guess(pin.Wrong),
			want: step(aValue(tries(0)), told(pin.Mismatch, 0), "", failed("mismatch"), blocked("mismatch"))},
		{name: "the last try begins a new count of refused ones", value: aValue(tries(1), func(v *pin.Value) { v.Refused = 37 }), act: guess(pin.Wrong),
			want: step(aValue(tries(0)), told(pin.Mismatch, 0), "", failed("mismatch"), blocked("mismatch"))},
		{name: "an earlier try does not", value: aValue(tries(2), func(v *pin.Value) { v.Refused = 37 }), act: guess(pin.Wrong),
			want: step(aValue(tries(1), func(v *pin.Value) { v.Refused = 37 }), told(pin.Mismatch, 1), "", failed("mismatch"))},
		{name: "a block that does not open takes a try", value: aValue(), act: guess(pin.Unreadable),
			want: step(aValue(tries(2)), told(pin.Opaque, 2), "", failed("unopenable"))},
		{name: "a block that does not open takes the last try and blocks", value: aValue(tries(1)), act: guess(pin.Unreadable),
			want: step(aValue(tries(0)), told(pin.Opaque, 0), "", failed("unopenable"), blocked("unopenable"))},
		{name: "of one try a wrong PIN blocks at once", value: aValue(tries(1)), program: aProgram(limit(1)), act: guess(pin.Wrong),
			want: step(aValue(tries(0)), told(pin.Mismatch, 0), "", failed("mismatch"), blocked("mismatch"))},
		{name: "of one try a right PIN restores it", value: aValue(tries(1)), program: aProgram(limit(1)), act: guess(pin.Right),
			want: step(aValue(tries(1)), told(pin.Match, 1), "", verified)},
		{name: "of fifteen tries the first wrong PIN leaves fourteen", value: aValue(tries(15)), program: aProgram(limit(15)), act: guess(pin.Wrong),
			want: step(aValue(tries(14)), told(pin.Mismatch, 14), "", failed("mismatch"))},
		{name: "of fifteen tries a right PIN restores all", value: aValue(tries(1)), program: aProgram(limit(15)), act: guess(pin.Right),
			want: step(aValue(tries(15)), told(pin.Match, 15), "", verified)},
		{name: "a limit below the tries left counts at once", value: aValue(tries(3)), program: aProgram(limit(2)), act: guess(pin.Wrong),
			want: step(aValue(tries(1)), told(pin.Mismatch, 1), "", failed("mismatch"))},
		{name: "a limit of one below the tries left leaves one try", value: aValue(tries(3)), program: aProgram(limit(1)), act: guess(pin.Wrong),
			want: step(aValue(tries(0)), told(pin.Mismatch, 0), "", failed("mismatch"), blocked("mismatch"))},
		{name: "a limit above the tries left gives none back", value: aValue(tries(1)), program: aProgram(limit(5)), act: guess(pin.Wrong),
			want: step(aValue(tries(0)), told(pin.Mismatch, 0), "", failed("mismatch"), blocked("mismatch"))},
		{name: "fewer tries than none are none", value: aValue(tries(-1)), act: guess(pin.Right),
			want: step(aValue(knocked(1)), told(pin.Exhausted, 0), "", knocking(1))},
	}
	for _, g := range []pin.Guess{pin.Right, pin.Wrong, pin.Unreadable} {
		for n, isTold := range map[int64]bool{1: true, 2: false, 9: false, 10: true, 11: false, 20: false, 99: false, 100: true, 101: false, 110: false,
			1000: true, 1010: false, 5000: false, 10000: true, 1 << 40: false} {
			s := step(aValue(knocked(n)), told(pin.Exhausted, 0), "")
			name := "a " + string(g) + " PIN without tries left is refused, and the " + strconv.FormatInt(n, 10) + "th time not told"
			if isTold {
				s.Happenings = []pin.Happening{knocking(n)}
				name = name[:len(name)-len("not told")] + "told"
			}
			tests = append(tests, transition{name: name, value: aValue(knocked(n - 1)), act: guess(g), want: s})
		}
	}
	for _, tr := range tests {
		if tr.program.TryLimit == 0 {
			tr.program = aProgram()
		}
		tr.run(t)
	}
}

func TestSetAndReset(t *testing.T) {
	t.Parallel()
	set := func(v pin.Value, p pin.Program, c pin.Choice) pin.Step { return v.Set(p, c, later) }
	reset := func(v pin.Value, p pin.Program, c pin.Choice) pin.Step { return v.Reset(p, c, later) }
	isSet, isReset, unblocked := happening(pin.EventPINSet, ""), happening(pin.EventPINReset, ""), happening(pin.EventPINUnblocked, "")
	none := pin.Verification{}
	tests := []transition{
		{name: "a set PIN takes the place of the old one, which is remembered", value: aValue(), choice: accepted(), act: set,
			want: step(aValue(chosen), none, "", isSet)},
		{name: "a set PIN leaves the tries alone", value: aValue(tries(1)), choice: accepted(), act: set,
			want: step(aValue(chosen, tries(1)), none, "", isSet)},
		{name: "a set PIN leaves a blocked card blocked", value: aValue(knocked(3)), choice: accepted(), act: set,
			want: step(aValue(chosen, knocked(3)), none, "", isSet)},
		{name: "a set PIN where there was none is the first version after", choice: accepted(), act: set,
			value: aValue(func(v *pin.Value) { *v = pin.Value{State: pin.PINNone, TriesLeft: 3, Version: 1} }),
			want: step(pin.Value{State: pin.PINChosen, Verifier: []byte("v1"), Ciphertext: []byte("c1"), KeptUnder: 4, Version: 2, TriesLeft: 3, ChangedAt: later},
				none, "", isSet)},
		{name: "a set PIN that is not kept for reading back is kept under no epoch", value: aValue(), act: set, choice: pin.Choice{Verifier: []byte("v1")},
			want: step(aValue(chosen, func(v *pin.Value) { v.Ciphertext, v.KeptUnder = nil, 0 }), none, "", isSet)},
		{name: "a set PIN is kept under the epoch of its time", value: aValue(), choice: accepted(), act: set, program: aProgram(func(p *pin.Program) { p.RetrievalEpoch = 6 }),
			want: step(aValue(chosen, func(v *pin.Value) { v.KeptUnder = 6 }), none, "", isSet)},
		{name: "the fifth former PIN is forgotten", choice: accepted(), act: set,
			value: aValue(func(v *pin.Value) { v.Former = [][]byte{[]byte("f1"), []byte("f2"), []byte("f3"), []byte("f4")} }),
			want:  step(aValue(chosen, func(v *pin.Value) { v.Former = [][]byte{[]byte("v0"), []byte("f1"), []byte("f2"), []byte("f3")} }), none, "", isSet)},
		{name: "the fourth former PIN is remembered", choice: accepted(), act: set,
			value: aValue(func(v *pin.Value) { v.Former = [][]byte{[]byte("f1"), []byte("f2"), []byte("f3")} }),
			want:  step(aValue(chosen, func(v *pin.Value) { v.Former = [][]byte{[]byte("v0"), []byte("f1"), []byte("f2"), []byte("f3")} }), none, "", isSet)},

		{name: "a reset PIN restores the tries", value: aValue(tries(1)), choice: accepted(), act: reset,
			want: step(aValue(chosen), none, "", isReset)},
		{name: "a reset PIN unblocks a blocked card, and the trail tells", value: aValue(knocked(12)), choice: accepted(), act: reset,
			want: step(aValue(chosen), none, "", isReset, unblocked)},
		{name: "a reset PIN forgets what was counted of refused tries", value: aValue(tries(1), func(v *pin.Value) { v.Refused = 12 }), choice: accepted(), act: reset,
			want: step(aValue(chosen), none, "", isReset)},
		{name: "a reset PIN restores a lowered limit only", value: aValue(), choice: accepted(), act: reset, program: aProgram(limit(1)),
			want: step(aValue(chosen, tries(1)), none, "", isReset)},
	}
	for name, act := range map[string]func(pin.Value, pin.Program, pin.Choice) pin.Step{"set": set, "reset": reset} {
		for code, isTold := range map[pin.Code]bool{pin.PINLength: false, pin.WeakPIN: false, pin.InvalidPIN: false, pin.RecentPIN: true, pin.Unopenable: true} {
			s := step(aValue(knocked(2)), none, code)
			text := "a refused " + name + ", " + string(code) + ", changes nothing and is not told"
			if isTold {
				s.Happenings = []pin.Happening{happening(pin.EventPINRefused, string(code))}
				text = "a refused " + name + ", " + string(code) + ", changes nothing and is told"
			}
			tests = append(tests, transition{name: text, value: aValue(knocked(2)), choice: refusedFor(code), act: act, want: s})
		}
	}
	for _, tr := range tests {
		if tr.program.TryLimit == 0 {
			tr.program = aProgram()
		}
		tr.run(t)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	change := func(g pin.Guess) func(pin.Value, pin.Program, pin.Choice) pin.Step {
		return func(v pin.Value, p pin.Program, c pin.Choice) pin.Step { return v.Change(p, g, c, later) }
	}
	changed := happening(pin.EventPINChanged, "")
	refused := func(code pin.Code) pin.Happening { return happening(pin.EventPINRefused, string(code)) }
	verified := func(outcome string) pin.Happening { return happening(pin.EventPINVerified, outcome) }
	rejected := func(code pin.Code) pin.Verification {
		return pin.Verification{Result: pin.Rejected, RemainingTries: 3, Reason: code}
	}
	tests := []transition{
		{name: "a right old PIN lets the new one take its place, and restores the tries", value: aValue(tries(1)), choice: accepted(), act: change(pin.Right),
			want: step(aValue(chosen), told(pin.Match, 3), "", changed)},
		{name: "a wrong old PIN takes a try and changes nothing else", value: aValue(tries(2)), choice: accepted(), act: change(pin.Wrong),
			want: step(aValue(tries(1)), told(pin.Mismatch, 1), "", happening(pin.EventPINFailed, "mismatch"))},
		{name: "a wrong old PIN takes the last try and blocks", value: aValue(tries(1)), choice: accepted(), act: change(pin.Wrong),
			want: step(aValue(tries(0)), told(pin.Mismatch, 0), "", happening(pin.EventPINFailed, "mismatch"), happening(pin.EventPINBlocked, "mismatch"))},
		{name: "an old PIN that does not open takes a try", value: aValue(tries(2)), choice: accepted(), act: change(pin.Unreadable),
			want: step(aValue(tries(1)), told(pin.Opaque, 1), "", happening(pin.EventPINFailed, "unopenable"))},
		{name: "a right old PIN without tries left changes nothing", value: aValue(knocked(0)), choice: accepted(), act: change(pin.Right),
			want: step(aValue(knocked(1)), told(pin.Exhausted, 0), "", knocking(1))},
		{name: "a right old PIN with one try left changes", value: aValue(tries(1)), program: aProgram(limit(1)), choice: accepted(), act: change(pin.Right),
			want: step(aValue(chosen, tries(1)), told(pin.Match, 1), "", changed)},
		{name: "a right old PIN and a weak new one restore the tries", value: aValue(tries(1)), choice: refusedFor(pin.WeakPIN), act: change(pin.Right),
			want: step(aValue(), rejected(pin.WeakPIN), "", verified("rejected"))},
		{name: "a right old PIN and a new one of a wrong length restore the tries", value: aValue(tries(1)), choice: refusedFor(pin.PINLength), act: change(pin.Right),
			want: step(aValue(), rejected(pin.PINLength), "", verified("rejected"))},
		{name: "a right old PIN and a new one that is no PIN restore the tries", value: aValue(tries(1)), choice: refusedFor(pin.InvalidPIN), act: change(pin.Right),
			want: step(aValue(), rejected(pin.InvalidPIN), "", verified("rejected"))},
		{name: "a right old PIN and a remembered new one restore the tries, and the trail tells of the refusal", value: aValue(tries(1)), choice: refusedFor(pin.RecentPIN), act: change(pin.Right),
			want: step(aValue(), rejected(pin.RecentPIN), "", verified("rejected"), refused(pin.RecentPIN))},
		{name: "a right old PIN and a new one that does not open restore the tries", value: aValue(tries(1)), choice: refusedFor(pin.Unopenable), act: change(pin.Right),
			want: step(aValue(), told(pin.Opaque, 3), "", verified("unopenable"), refused(pin.Unopenable))},
	}
	for _, code := range []pin.Code{pin.WeakPIN, pin.PINLength, pin.InvalidPIN, pin.RecentPIN, pin.Unopenable} {
		tests = append(tests,
			transition{name: "a wrong old PIN is not told of a new one refused as " + string(code), value: aValue(tries(2)), choice: refusedFor(code), act: change(pin.Wrong),
				want: step(aValue(tries(1)), told(pin.Mismatch, 1), "", happening(pin.EventPINFailed, "mismatch"))},
			transition{name: "a right old PIN on a blocked card is not told of a new one refused as " + string(code), value: aValue(knocked(4)), choice: refusedFor(code), act: change(pin.Right),
				want: step(aValue(knocked(5)), told(pin.Exhausted, 0), "")})
	}
	for _, tr := range tests {
		if tr.program.TryLimit == 0 {
			tr.program = aProgram()
		}
		tr.run(t)
	}
}

func TestUnblock(t *testing.T) {
	t.Parallel()
	at := later
	unblock := func(v pin.Value, p pin.Program, _ pin.Choice) pin.Step { return v.Unblock(p, 3, at) }
	unblocked := happening(pin.EventPINUnblocked, "")
	since := func(ago ...time.Duration) func(*pin.Value) {
		return func(v *pin.Value) {
			for _, a := range ago {
				v.Unblocked = append(v.Unblocked, at.Add(-a).UnixMicro())
			}
		}
	}
	now := since(0)
	const day = 24 * time.Hour
	unlimited := func(v pin.Value, p pin.Program, _ pin.Choice) pin.Step { return v.Unblock(p, 0, at) }
	lower := func(v pin.Value, p pin.Program, _ pin.Choice) pin.Step { return v.Unblock(p, 1, at) }
	refused := func(v pin.Value, wait time.Duration) pin.Step {
		s := step(v, pin.Verification{}, pin.TooMany)
		s.Wait = wait
		return s
	}
	many := make([]time.Duration, pin.MaxUnblocks)
	for i := range many {
		many[i] = time.Duration(len(many)-i) * time.Second
	}
	for _, tr := range []transition{
		{name: "a blocked card has its tries again, and refused ones count anew", value: aValue(knocked(40)), program: aProgram(), act: unblock,
			want: step(aValue(now), pin.Verification{}, "", unblocked)},
		{name: "a card that is not blocked is told of too", value: aValue(), program: aProgram(), act: unblock,
			want: step(aValue(now), pin.Verification{}, "", unblocked)},
		{name: "a raised limit counts", value: aValue(tries(1)), program: aProgram(limit(15)), act: unblock,
			want: step(aValue(tries(15), now), pin.Verification{}, "", unblocked)},
		{name: "a lowered limit counts", value: aValue(tries(3)), program: aProgram(limit(1)), act: unblock,
			want: step(aValue(tries(1), now), pin.Verification{}, "", unblocked)},
		{name: "as often as the limit says in a day", value: aValue(knocked(1), since(23*time.Hour, time.Hour)), program: aProgram(), act: unblock,
			want: step(aValue(since(23*time.Hour, time.Hour), now), pin.Verification{}, "", unblocked)},
		{name: "not more often, until the oldest is a day ago", value: aValue(knocked(1), since(23*time.Hour, 2*time.Hour, time.Hour)), program: aProgram(), act: unblock,
			want: refused(aValue(knocked(1), since(23*time.Hour, 2*time.Hour, time.Hour)), time.Hour)},
		{name: "a microsecond less than a day ago still counts", value: aValue(since(day-time.Microsecond, 2, 1)), program: aProgram(), act: unblock,
			want: refused(aValue(since(day-time.Microsecond, 2, 1)), time.Microsecond)},
		{name: "a day ago is over, and forgotten", value: aValue(since(day, 2*time.Hour, time.Hour)), program: aProgram(), act: unblock,
			want: step(aValue(since(2*time.Hour, time.Hour), now), pin.Verification{}, "", unblocked)},
		{name: "a lower limit looks at the newest", value: aValue(since(3*time.Hour, 2*time.Hour, time.Hour)), program: aProgram(), act: lower,
			want: refused(aValue(since(3*time.Hour, 2*time.Hour, time.Hour)), 23*time.Hour)},
		{name: "whatever order the clocks of servers have told the times in", value: aValue(since(23*time.Hour, day+time.Minute, 2*time.Hour, time.Hour)), program: aProgram(), act: unblock,
			want: refused(aValue(since(23*time.Hour, day+time.Minute, 2*time.Hour, time.Hour)), time.Hour)},
		{name: "nor by one that is behind", value: aValue(since(time.Hour, 23*time.Hour, 2*time.Hour)), program: aProgram(), act: unblock,
			want: refused(aValue(since(time.Hour, 23*time.Hour, 2*time.Hour)), time.Hour)},
		{name: "without a limit as often as asked, of which the last times are kept", value: aValue(since(many...)), program: aProgram(), act: unlimited,
			want: step(aValue(since(many[1:]...), now), pin.Verification{}, "", unblocked)},
	} {
		tr.run(t)
	}
}

func TestReveal(t *testing.T) {
	t.Parallel()
	reveal := func(v pin.Value, p pin.Program, _ pin.Choice) pin.Step { return v.Reveal(p) }
	off := aProgram(func(p *pin.Program) { p.RetrievalAllowed = false })
	none := func(v *pin.Value) { *v = pin.Value{State: pin.PINNone, Version: 1, TriesLeft: 3} }
	gone := func(v *pin.Value) { v.Ciphertext, v.KeptUnder = nil, 0 }
	for _, tr := range []transition{
		{name: "a PIN that was kept for it is revealed, and the trail tells", value: aValue(), program: aProgram(), act: reveal,
			want: step(aValue(), pin.Verification{}, "", happening(pin.EventPINRevealed, ""))},
		{name: "a blocked card's PIN is revealed too", value: aValue(knocked(1)), program: aProgram(), act: reveal,
			want: step(aValue(knocked(1)), pin.Verification{}, "", happening(pin.EventPINRevealed, ""))},
		{name: "a program without retrieval reveals none", value: aValue(), program: off, act: reveal, want: step(aValue(), pin.Verification{}, pin.RetrievalOff)},
		{name: "a card without a PIN has none", value: aValue(none), program: aProgram(), act: reveal, want: step(aValue(none), pin.Verification{}, pin.NoPIN)},
		{name: "a program without retrieval does not tell whether there is one", value: aValue(none), program: off, act: reveal, want: step(aValue(none), pin.Verification{}, pin.RetrievalOff)},
		{name: "a PIN that was set while retrieval was off is not kept", value: aValue(gone), program: aProgram(), act: reveal, want: step(aValue(gone), pin.Verification{}, pin.RetrievalOff)},
		{name: "a PIN that was kept before retrieval was switched off and on stays hidden", value: aValue(), program: aProgram(func(p *pin.Program) { p.RetrievalEpoch = 6 }), act: reveal,
			want: step(aValue(), pin.Verification{}, pin.RetrievalOff)},
		{name: "a PIN that was kept under a later epoch than the program's stays hidden", value: aValue(), program: aProgram(func(p *pin.Program) { p.RetrievalEpoch = 3 }), act: reveal,
			want: step(aValue(), pin.Verification{}, pin.RetrievalOff)},
	} {
		tr.run(t)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	choose := func(a pin.Action, version int64) func(pin.Value, pin.Program, pin.Choice) pin.Step {
		return func(v pin.Value, p pin.Program, c pin.Choice) pin.Step { return v.Choose(p, a, version, c, later) }
	}
	none := pin.Verification{}
	tests := []transition{
		{name: "a session to set sets, and leaves the tries alone", value: aValue(tries(1)), choice: accepted(), act: choose(pin.ActionSet, 7),
			want: step(aValue(chosen, tries(1)), none, "", happening(pin.EventPINSet, ""))},
		{name: "a session to change is told as a change, and leaves the tries alone", value: aValue(tries(1)), choice: accepted(), act: choose(pin.ActionChange, 7),
			want: step(aValue(chosen, tries(1)), none, "", happening(pin.EventPINChanged, ""))},
		{name: "a session to reset restores the tries", value: aValue(knocked(2)), choice: accepted(), act: choose(pin.ActionReset, 7),
			want: step(aValue(chosen), none, "", happening(pin.EventPINReset, ""), happening(pin.EventPINUnblocked, ""))},
		{name: "a session to change is refused a remembered PIN as such", value: aValue(), choice: refusedFor(pin.RecentPIN), act: choose(pin.ActionChange, 7),
			want: step(aValue(), none, pin.RecentPIN, happening(pin.EventPINRefused, "recent_pin"))},
		{name: "a session to change is refused a weak PIN without a word in the trail", value: aValue(), choice: refusedFor(pin.WeakPIN), act: choose(pin.ActionChange, 7),
			want: step(aValue(), none, pin.WeakPIN)},
	}
	for _, a := range []pin.Action{pin.ActionSet, pin.ActionChange} {
		for _, c := range []pin.Choice{accepted(), refusedFor(pin.RecentPIN)} {
			tests = append(tests, transition{name: "a session to " + string(a) + " sets no PIN that would stay blocked", value: aValue(knocked(1)), choice: c, act: choose(a, 7),
				want: step(aValue(knocked(1)), none, pin.Blocked)})
		}
	}
	for _, a := range []pin.Action{pin.ActionSet, pin.ActionChange, pin.ActionReset} {
		for _, version := range []int64{6, 8} {
			tests = append(tests,
				transition{name: "a session to " + string(a) + " for version " + strconv.FormatInt(version, 10) + " comes too late", value: aValue(knocked(1)), choice: accepted(), act: choose(a, version),
					want: step(aValue(knocked(1)), none, pin.Conflict)},
				transition{name: "a session to " + string(a) + " for version " + strconv.FormatInt(version, 10) + " does not tell which PINs are remembered", value: aValue(), choice: refusedFor(pin.RecentPIN), act: choose(a, version),
					want: step(aValue(), none, pin.Conflict)})
		}
	}
	for _, tr := range tests {
		tr.program = aProgram()
		tr.run(t)
	}
}

func TestForgetNotedCreatedAndUpdated(t *testing.T) {
	t.Parallel()
	none := pin.Verification{}
	created := happening(pin.EventCardCreated, "")
	noted := []pin.Happening{{Type: pin.EventSessionOpened, Subject: "session"}, {Type: pin.EventPINUnblocked}}
	updated := func(change func(*pin.Card)) func(pin.Value, pin.Program, pin.Choice) pin.Step {
		return func(v pin.Value, _ pin.Program, _ pin.Choice) pin.Step {
			was := pin.Card{ID: "card", Status: pin.StatusUpgrade, Expiry: "2912", Sequence: "01", Version: 3, UpdatedAt: before,
				Attributes: pin.Attributes{EmbossName: "J SMITH", CustomerID: "c1"}, References: []pin.Reference{{Kind: pin.KindURN, Value: "1"}}}
			is := was
			is.Version, is.UpdatedAt = 4, later
			change(&is)
			return v.Updated(was, is)
		}
	}
	for _, tr := range []transition{
		{name: "a forgotten PIN still verifies, and the trail does not tell", value: aValue(), act: func(v pin.Value, _ pin.Program, _ pin.Choice) pin.Step { return v.Forget() },
			want: step(aValue(func(v *pin.Value) { v.Ciphertext, v.KeptUnder = nil, 0 }), none, "")},
		{name: "what is noted changes nothing", value: aValue(knocked(3)), act: func(v pin.Value, _ pin.Program, _ pin.Choice) pin.Step { return v.Noted(noted...) },
			want: step(aValue(knocked(3)), none, "", noted...)},
		{name: "nothing noted is nothing told", value: aValue(), act: func(v pin.Value, _ pin.Program, _ pin.Choice) pin.Step { return v.Noted() },
			want: step(aValue(), none, "")},
		{name: "a new card has all tries, and its first PIN is version one", choice: accepted(),
			act: func(_ pin.Value, p pin.Program, c pin.Choice) pin.Step {
				return pin.Created(p, c, pin.PINAssigned, later)
			},
			want: step(pin.Value{State: pin.PINAssigned, Verifier: []byte("v1"), Ciphertext: []byte("c1"), KeptUnder: 4, Version: 1, TriesLeft: 3, ChangedAt: later},
				none, "", created)},
		{name: "a new card's PIN may count as chosen", choice: pin.Choice{Verifier: []byte("v1")},
			act: func(_ pin.Value, p pin.Program, c pin.Choice) pin.Step {
				return pin.Created(p, c, pin.PINChosen, later)
			},
			want: step(pin.Value{State: pin.PINChosen, Verifier: []byte("v1"), Version: 1, TriesLeft: 3, ChangedAt: later}, none, "", created)},
		{name: "a new card without a PIN has version one too",
			act: func(_ pin.Value, p pin.Program, c pin.Choice) pin.Step {
				return pin.Created(p, c, pin.PINAssigned, later)
			},
			want: step(pin.Value{State: pin.PINNone, Version: 1, TriesLeft: 3}, none, "", created)},
		{name: "another status is told of with what it was", value: aValue(), act: updated(func(c *pin.Card) { c.Status = pin.StatusLost }),
			want: step(aValue(), none, "", pin.Happening{Type: pin.EventCardStatusChanged, Changes: []pin.FieldChange{{Field: "status", Old: "upgrade", New: "lost"}}})},
		{name: "an upgrade that is done is another status", value: aValue(), act: updated(func(c *pin.Card) { c.UpgradeStatus = 1 }),
			want: step(aValue(), none, "", pin.Happening{Type: pin.EventCardStatusChanged, Changes: []pin.FieldChange{{Field: "upgradeStatus", New: "1"}}})},
		{name: "what decides about a card is told with its values", value: aValue(), act: updated(func(c *pin.Card) { c.Expiry, c.Sequence = "3001", "" }),
			want: step(aValue(), none, "", pin.Happening{Type: pin.EventCardUpdated, Changes: []pin.FieldChange{{Field: "expiry", Old: "2912", New: "3001"}, {Field: "sequence", Old: "01"}}})},
		{name: "what describes a cardholder is named only", value: aValue(), act: updated(func(c *pin.Card) { c.EmbossName, c.CustomerID, c.References = "J DOE", "", nil }),
			want: step(aValue(), none, "", pin.Happening{Type: pin.EventCardUpdated, Changes: []pin.FieldChange{{Field: "customerId"}, {Field: "embossName"}, {Field: "references"}}})},
		{name: "an update of nothing names nothing", value: aValue(), act: updated(func(*pin.Card) {}),
			want: step(aValue(), none, "", happening(pin.EventCardUpdated, ""))},
	} {
		tr.program = aProgram()
		tr.run(t)
	}
}

// What remains is between none and the limit, whatever stands in the value.
func TestRemainingAndReadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ left, limit, want int }{{0, 3, 0}, {1, 3, 1}, {3, 3, 3}, {4, 3, 3}, {-1, 3, 0}, {15, 15, 15}, {1, 1, 1}, {2, 1, 1}} {
		rec := pin.Record{PIN: aValue(tries(c.left)), Program: aProgram(limit(c.limit))}
		require.Equal(t, c.want, rec.RemainingTries(), "%+v", c)
		require.Equal(t, c.want == 0, rec.Blocked(), "%+v", c)
	}
	require.True(t, aValue().Readable(aProgram()))
	require.False(t, aValue().Readable(aProgram(func(p *pin.Program) { p.RetrievalAllowed = false })))
	require.False(t, aValue().Readable(aProgram(func(p *pin.Program) { p.RetrievalEpoch++ })))
	require.False(t, aValue(func(v *pin.Value) { v.Ciphertext = nil }).Readable(aProgram()))
}
