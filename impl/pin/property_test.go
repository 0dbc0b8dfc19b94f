package pin_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

// cardModel is a value that steps are taken on, with what the outside knows of it: what was told, by which the
// rules can be held against any sequence of steps.
type cardModel struct {
	t       *rapid.T
	value   pin.Value
	program pin.Program
	pin     int // which of a few PINs it is; 0: none
	at      time.Time
	granted int  // tries at the last restoration
	wrong   int  // told since
	twice   bool // a PIN was set that is the current one or a former one
}

// verifier is how the i-th PIN rests.
func verifier(i int) []byte { return fmt.Appendf(nil, "verifier %d", i) }

// take takes a step, and holds it against what must be true of every one.
func (c *cardModel) take(s pin.Step) {
	t := c.t
	if s.Idle() {
		require.Equal(t, c.value, s.Next, "a refusal that is not told changes nothing")
	}
	was := c.value
	c.value = s.Next
	require.GreaterOrEqual(t, s.Next.Remaining(c.program), 0)
	require.LessOrEqual(t, s.Next.Remaining(c.program), c.program.TryLimit)
	require.GreaterOrEqual(t, s.Next.TriesLeft, 0)
	require.LessOrEqual(t, len(s.Next.Former), pin.HistoryDepth)
	if !c.twice && len(s.Next.Verifier) > 0 {
		require.False(t, slices.ContainsFunc(s.Next.Former, func(f []byte) bool { return bytes.Equal(f, s.Next.Verifier) }), "the current PIN is among the former ones")
	}
	require.Equal(t, was.Head, s.Next.Head, "the chain goes on with the vault, not with a transition")

	told := map[pin.EventType]int{}
	for _, h := range s.Happenings {
		told[h.Type]++
	}
	replaced := told[pin.EventPINSet] + told[pin.EventPINChanged] + told[pin.EventPINReset]
	if s.Next.Version != was.Version {
		require.Equal(t, was.Version+1, s.Next.Version)
		require.Equal(t, 1, replaced, "another PIN is told of, once")
		require.Equal(t, c.at, s.Next.ChangedAt)
		require.Equal(t, pin.PINChosen, s.Next.State)
	} else {
		require.Zero(t, replaced, "no other PIN, and one is told of")
		require.Equal(t, was.Verifier, s.Next.Verifier)
		require.Equal(t, was.Former, s.Next.Former)
	}
	if told[pin.EventPINBlocked] > 0 {
		require.Positive(t, was.Remaining(c.program), "blocked already")
		require.Zero(t, s.Next.TriesLeft)
	}
	if left, is := was.Remaining(c.program), s.Next.Remaining(c.program); left != is {
		require.NotEmpty(t, s.Happenings, "the counter moves with a word in the trail")
		if is < left {
			require.Equal(t, left-1, is, "one try at a time")
			require.Equal(t, 1, told[pin.EventPINFailed])
			require.Equal(t, is == 0, told[pin.EventPINBlocked] == 1)
		}
	}
}

func (c *cardModel) restored() { c.granted, c.wrong = c.program.TryLimit, 0 }

// guess draws a PIN and tells how it compares.
func (c *cardModel) guess() pin.Guess {
	switch rapid.IntRange(0, 5).Draw(c.t, "guess") {
	case 5:
		return pin.Unreadable
	case c.pin:
		return pin.Right
	}
	return pin.Wrong
}

// choice draws a PIN and how it fares with the policy.
func (c *cardModel) choice() (pin.Choice, int) {
	refusal := rapid.SampledFrom([]pin.Code{"", "", "", pin.WeakPIN, pin.PINLength, pin.RecentPIN, pin.Unopenable, pin.InvalidPIN}).Draw(c.t, "refusal")
	if refusal != "" {
		return pin.Choice{Refusal: refusal}, c.pin
	}
	i := rapid.IntRange(1, 9).Draw(c.t, "chosen")
	out := pin.Choice{Verifier: verifier(i)}
	if c.program.RetrievalAllowed {
		out.Ciphertext = fmt.Appendf(nil, "ciphertext %d", i)
	}
	return out, i
}

// replaced notes that a PIN was accepted.
func (c *cardModel) replaced(i int) {
	held := append([][]byte{c.value.Verifier}, c.value.Former...)
	c.twice = c.twice || slices.ContainsFunc(held, func(f []byte) bool { return bytes.Equal(f, verifier(i)) })
	c.pin = i
}

// told holds what a guess was told against what may be.
func (c *cardModel) told(v pin.Verification, g pin.Guess, left int) {
	t := c.t
	require.Equal(t, v.RemainingTries, c.value.Remaining(c.program))
	switch {
	case left == 0:
		require.Equal(t, pin.Exhausted, v.Result)
	case g == pin.Right:
		require.NotContains(t, []pin.Result{pin.Mismatch, pin.Exhausted}, v.Result)
		require.Equal(t, c.program.TryLimit, v.RemainingTries, "a right PIN restores the tries")
		c.restored()
	default:
		require.Contains(t, []pin.Result{pin.Mismatch, pin.Opaque}, v.Result)
		require.Empty(t, v.Reason)
		c.wrong++
		require.LessOrEqual(t, c.wrong, c.granted, "more wrong guesses told than there were tries")
	}
}

func TestAnySequenceOfStepsKeepsTheRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &cardModel{t: t, at: before, pin: 1}
		c.program = aProgram(limit(rapid.IntRange(1, 15).Draw(t, "limit")), func(p *pin.Program) { p.RetrievalAllowed = rapid.Bool().Draw(t, "retrieval") })
		first := pin.Choice{Verifier: verifier(1)}
		if rapid.Bool().Draw(t, "without a PIN") {
			first, c.pin = pin.Choice{}, 0
		}
		c.value = pin.Created(c.program, first, pin.PINAssigned, c.at).Next
		c.restored()
		t.Repeat(map[string]func(*rapid.T){
			"verify": func(*rapid.T) {
				g, left := c.guess(), c.value.Remaining(c.program)
				s := c.value.Verify(c.program, g)
				c.take(s)
				c.told(s.Verification, g, left)
			},
			"change": func(*rapid.T) {
				g, left := c.guess(), c.value.Remaining(c.program)
				choice, i := c.choice()
				s := c.value.Change(c.program, g, choice, c.at)
				accepted := g == pin.Right && left > 0 && choice.Refusal == ""
				require.Equal(c.t, accepted, s.Result == pin.Match)
				if accepted {
					c.replaced(i)
				}
				c.take(s)
				c.told(s.Verification, g, left)
			},
			"set": func(*rapid.T) {
				choice, i := c.choice()
				left := c.value.Remaining(c.program)
				s := c.value.Set(c.program, choice, c.at)
				require.Equal(c.t, choice.Refusal, s.Refusal)
				if s.Refusal == "" {
					c.replaced(i)
				}
				c.take(s)
				require.Equal(c.t, left, c.value.Remaining(c.program), "a set PIN leaves the tries alone")
			},
			"reset": func(*rapid.T) {
				choice, i := c.choice()
				s := c.value.Reset(c.program, choice, c.at)
				if s.Refusal == "" {
					c.replaced(i)
					c.restored()
				}
				c.take(s)
				if s.Refusal == "" {
					require.Equal(c.t, c.program.TryLimit, c.value.Remaining(c.program))
				}
			},
			"choose": func(t *rapid.T) {
				choice, i := c.choice()
				action := rapid.SampledFrom([]pin.Action{pin.ActionSet, pin.ActionReset, pin.ActionChange}).Draw(t, "action")
				version := c.value.Version - int64(rapid.IntRange(0, 1).Draw(t, "stale"))
				s := c.value.Choose(c.program, action, version, choice, c.at)
				require.Equal(c.t, c.value.Version == version && action != pin.ActionReset && c.value.Remaining(c.program) == 0, s.Refusal == pin.Blocked)
				if s.Refusal == "" {
					require.Equal(c.t, c.value.Version, version)
					c.replaced(i)
					if action == pin.ActionReset {
						c.restored()
					}
				}
				c.take(s)
			},
			"unblock": func(t *rapid.T) {
				limit := rapid.Int64Range(0, pin.MaxUnblocks).Draw(t, "unblocks")
				s := c.value.Unblock(c.program, limit, c.at)
				lately := int64(0)
				for _, was := range c.value.Unblocked {
					if was > c.at.Add(-24*time.Hour).UnixMicro() {
						lately++
					}
				}
				require.Equal(c.t, limit > 0 && lately >= limit, s.Refusal == pin.TooMany)
				require.Equal(c.t, s.Refusal != "", s.Wait > 0)
				if s.Refusal != "" {
					return
				}
				c.restored()
				c.take(s)
				require.LessOrEqual(c.t, len(c.value.Unblocked), pin.MaxUnblocks)
				require.Equal(c.t, c.program.TryLimit, c.value.TriesLeft)
				require.Zero(c.t, c.value.Refused)
			},
			"reveal": func(*rapid.T) {
				readable := c.value.Readable(c.program)
				s := c.value.Reveal(c.program)
				require.Equal(c.t, readable, s.Refusal == "")
				require.Equal(c.t, readable, len(s.Happenings) == 1)
				require.Equal(c.t, c.value, s.Next)
			},
			"forget": func(*rapid.T) {
				c.take(c.value.Forget())
				require.False(c.t, c.value.Readable(c.program))
			},
			"another limit": func(t *rapid.T) { c.program.TryLimit = rapid.IntRange(1, 15).Draw(t, "limit") },
			"retrieval switched": func(*rapid.T) {
				c.program.RetrievalAllowed = !c.program.RetrievalAllowed
				c.program.RetrievalEpoch++
				require.False(c.t, c.value.Readable(c.program), "what was kept before is not read back")
			},
			"time": func(*rapid.T) { c.at = c.at.Add(time.Minute) },
		})
	})
}

// However often a blocked card is knocked at, what the trail tells of it grows with the number's length.
func TestKnockingDoesNotFillTheTrail(t *testing.T) {
	t.Parallel()
	p, v, events := aProgram(), aValue(knocked(0)), 0
	for n := 1; n <= 123_456; n++ {
		s := v.Verify(p, pin.Wrong)
		v, events = s.Next, events+len(s.Happenings)
	}
	require.Equal(t, 6, events, "1, 10, 100, 1000, 10000 and 100000")
	require.Equal(t, int64(123_456), v.Refused)
}
