package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestWhatWasAcknowledgedStandsInTheTrailOnce(t *testing.T) {
	t.Parallel()
	cards := []plastic{{id: "a"}}
	made := call{errand: errand{Contract: "thredd", Do: set}, answer: done, Trace: "4f"}
	happened := func(times int) map[string][]event {
		events := map[string][]event{}
		for range times {
			events["a"] = append(events["a"], event{Type: string(pin.EventPINSet), TraceID: "00-4f-1-01"})
		}
		return events
	}
	require.Len(t, lost([]call{made}, happened(0), cards), 1)
	require.Empty(t, lost([]call{made}, happened(1), cards))
	require.Len(t, lost([]call{made}, happened(2), cards), 1)
	made.answer = answer{}
	require.Empty(t, lost([]call{made}, happened(0), cards), "nobody was told that it was done")
}

func TestGuessesBeyondTheLimitAndGapsInTheTrailAreFound(t *testing.T) {
	t.Parallel()
	wrong := event{Type: string(pin.EventPINFailed), Outcome: string(pin.Mismatch)}
	chain := func(events ...event) map[string][]event {
		for i := range events {
			events[i].Sequence = int64(i + 1)
		}
		return map[string][]event{"a": events}
	}
	require.Empty(t, overAdmitted(chain(wrong, wrong, event{Type: string(pin.EventPINVerified)}, wrong, wrong, wrong), 3))
	require.Len(t, overAdmitted(chain(wrong, wrong, wrong, wrong), 3), 1)
	gap := chain(wrong, wrong)
	gap["a"][1].Sequence = 3
	require.Len(t, overAdmitted(gap, 3), 1)
}

func TestEventsThatDoNotArriveOrComeTooEarlyAreFound(t *testing.T) {
	t.Parallel()
	require.Empty(t, undelivered([]string{"x", "y"}, []arrival{{"x", "a", 1}, {"x", "a", 1}, {"y", "a", 2}}), "again is allowed")
	require.Len(t, undelivered([]string{"x", "y"}, []arrival{{"x", "a", 1}}), 1)
	require.Len(t, undelivered([]string{"x", "y"}, []arrival{{"y", "a", 2}, {"x", "a", 1}}), 1)
}

func TestAFaultIsFeltUntilRequestsAreServedAsBefore(t *testing.T) {
	t.Parallel()
	second := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	good := func(from float64) attempt { return attempt{second(from), second(from + 0.1), 200} }
	bad := func(from float64) attempt { return attempt{second(from), second(from + 0.1), 503} }
	slow := func(from float64) attempt { return attempt{second(from), second(from + 5), 200} }
	w := wave{Faults: []happened{{fault: fault{Kind: "kill Patroni"}, Began: second(10), Mended: second(12)}, {fault: fault{Kind: "clock"}, Began: second(10.5), Mended: second(11)}}}
	for _, test := range []struct {
		name     string
		attempts []attempt
		felt     time.Duration
		failed   int
	}{
		{"not at all", []attempt{good(9), good(11), good(30)}, 0, 0},
		{"while it lasted", []attempt{good(9), bad(11), good(11.5), bad(13), good(13.5), good(17)}, second(3.1), 2},
		{"what fails long afterwards is another thing", []attempt{bad(11), good(12), good(13), good(14), bad(20)}, second(1.1), 1},
		{"while nobody begins, since all wait", []attempt{slow(11), slow(16.1), good(22)}, second(11.1), 2},
		{"again, soon after it was mended", []attempt{bad(10.1), good(11), bad(13.4)}, second(3.5), 2},
		{"what the next wave meets is its own", []attempt{bad(11), good(12), good(13), {second(13.9), second(48), 0}}, second(1.1), 1},
		{"slow is not served", []attempt{slow(11), good(17)}, second(6), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := w.judged(second(40), test.attempts)
			require.Equal(t, test.felt, w.Felt)
			require.Equal(t, test.failed, w.Failed)
			require.Equal(t, "kill Patroni", w.Worst)
		})
	}
}

func TestWhatIsFeltExcusesWhatIsSlowNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	w := wave{Faults: []happened{{fault: fault{Kind: "kill Patroni"}, Began: 10 * time.Second, Mended: 12 * time.Second}}, Spells: []spell{{10 * time.Second, 60 * time.Second}}}
	attempts := []attempt{{From: 5 * time.Second, To: 6 * time.Second, Status: 200}, {From: 30 * time.Second, To: 31 * time.Second, Status: 503}, {From: 50 * time.Second, To: 51 * time.Second, Status: 503}}
	part, of := inTime([]wave{w}, attempts, 30*time.Second)
	require.Equal(t, 2, of, "the one at 30 s")
	require.InDelta(t, 0.5, part, 0)
	_, of = inTime(nil, attempts, 30*time.Second)
	require.Equal(t, 3, of)
}

func TestALeaderIsReplacedInTimeHoweverLongTheFaultLasts(t *testing.T) {
	t.Parallel()
	w := wave{Faults: []happened{{fault: fault{Kind: "cut the primary from all"}, Began: 10 * time.Second, Mended: 50 * time.Second}}, Felt: 35 * time.Second}
	require.Empty(t, (&report{Waves: []wave{w}}).tooLong(), "the same leader")
	w.Failover = true
	require.Len(t, (&report{Waves: []wave{w}}).tooLong(), 1)
}
