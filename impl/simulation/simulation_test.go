package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// span is how many steps a life has. What is found is told with a seed, which is of a life of so many.
const span = 50_000

// one lives a life, and says how to live it again if a rule was broken.
func one(t *testing.T, seed uint64) (r Report) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { r = Live(Options{Seed: seed, Steps: span}) })
	require.Empty(t, r.Broken, "again: PINVAULT_SEED=%d go test ./impl/simulation -run TestAMillionSteps", seed)
	return r
}

// number is what a variable of the environment says.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// must have come about somewhere in a million steps: otherwise nothing was tried.
var must = []string{"a server crashes", "the database breaks off", "a clock is set", "another key is the current one", "time passes", "a day passes",
	"verify: match", "verify: mismatch", "verify: blocked", "verify: unopenable", "verify: error unavailable", "verify: error card_status",
	"change: match", "change: rejected", "change: unopenable", "set: set", "set: error recent_pin", "set: error weak_pin", "set: error pin_length", "set: error unopenable",
	"reset: set", "unblock: unblocked", "unblock: error too_many", "unblock: error approval_needed", "reveal: revealed", "reveal: error retrieval_off", "reveal: error approval_needed",
	"request: requested", "request: error conflict", "decide: decided", "decide: error conflict", "read: left", "update: updated", "open a session: opened",
	"choose: set", "choose: error conflict", "create: created", "create: error duplicate", "rule: ruled", "rule: error conflict"}

func TestAMillionStepsKeepTheRules(t *testing.T) {
	t.Parallel()
	lives := 1_000_000 / span
	if raced || os.Getenv("PINVAULT_TEST_BRIEF") == "1" {
		lives = 1
	}
	seed := number(t, "PINVAULT_SEED", rand.Uint64()>>16)
	counts := map[string]int{}
	steps, commits, began := 0, 0, time.Now()
	for i := range lives {
		r := one(t, seed+uint64(i))
		steps, commits = steps+r.Steps, commits+r.Commits
		for what, n := range r.Counts {
			counts[what] += n
		}
	}
	t.Logf("seed %d: %d steps, %d commits, %s", seed, steps, commits, time.Since(began).Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d %s", counts[what], what)
	}
	for _, what := range must {
		require.True(t, counts[what] > 0 || lives < 20, "it never came to %q", what)
	}
}

func TestASeedIsALife(t *testing.T) {
	t.Parallel()
	lives := func(seed uint64) (r Report) {
		synctest.Test(t, func(*testing.T) { r = Live(Options{Seed: seed, Steps: 10_000}) })
		return r
	}
	first := lives(1)
	other := lives(2)
	require.Equal(t, first, lives(1), "the same, whatever was lived between")
	require.NotEqual(t, first.Trace, other.Trace)
}

// TestForAsLongAsOneLikes is what `make simulate` runs: lives on all cores, for so many steps or so long.
func TestForAsLongAsOneLikes(t *testing.T) {
	most, duration := number(t, "PINVAULT_SIMULATE_STEPS", 0), time.Duration(0)
	if text := os.Getenv("PINVAULT_SIMULATE_DURATION"); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	if most == 0 && duration == 0 {
		t.Skip("make simulate says for how long")
	}
	seed := number(t, "PINVAULT_SEED", rand.Uint64()>>16)
	_, _ = fmt.Fprintf(os.Stdout, "PINVAULT_SEED=%d\n", seed)
	var mu sync.Mutex
	var next, steps, commits, said uint64
	began := time.Now()
	// take is the seed of the next life, if there is to be one.
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return seed + next - 1, (most == 0 || (next-1)*span < most) && (duration == 0 || time.Since(began) < duration)
	}
	lived := func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		steps, commits = steps+uint64(r.Steps), commits+uint64(r.Commits)
		if passed := time.Since(began); uint64(passed/(10*time.Second)) > said {
			said = uint64(passed / (10 * time.Second))
			_, _ = fmt.Fprintf(os.Stdout, "%s: %d steps, %d commits, %.0f steps a second, no rule broken\n", passed.Round(time.Second), steps, commits, float64(steps)/passed.Seconds())
		}
	}
	t.Run("lives", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for s, more := take(); more; s, more = take() {
					lived(one(t, s))
				}
			})
		}
	})
	_, _ = fmt.Fprintf(os.Stdout, "%d steps, %d commits in %s\n", steps, commits, time.Since(began).Round(time.Second))
}
