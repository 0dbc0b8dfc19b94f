package apptest

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/ondemand"
	"pinvault/impl/pin"
	"pinvault/impl/space"
)

// Faults is a store of which a test can make every call fail, in the words of a sandbox's rules.
type Faults struct {
	space.Failing
	word atomic.Pointer[string]
	// written tells whether anything was, since the sandbox was last put back.
	written atomic.Bool

	forget func() // has the vault forget what it has read
	rules  *ondemand.Rules
}

func newFaults(store pin.Store) *Faults {
	f := &Faults{}
	f.word.Store(new(string))
	f.Failing = space.Failing{Store: store, Fault: func(context.Context) string { return *f.word.Load() }}
	return f
}

// Fail makes calls fail as the word says, until restore is called. The word "" makes none fail; one that
// ends in -later spares the calls that find out who is calling.
func (f *Faults) Fail(t testing.TB, word string) (restore func()) {
	t.Helper()
	if word == space.FaultLimit { // of no store
		rule, err := f.rules.Add(ondemand.Rule{Fault: word})
		require.NoError(t, err)
		return func() { f.rules.Remove(rule.ID) }
	}
	whole := slices.Contains([]string{"", space.FaultDatabase, space.FaultInternal}, strings.TrimSuffix(word, "-later"))
	require.True(t, whole || slices.Contains([]string{space.FaultDevice, space.FaultDevicePlan, space.FaultAccessPoint}, word), "fault %q means nothing", word)
	if whole {
		f.written.Store(true) // a reset that fails leaves half of the sandbox
	}
	f.forget() // what was read a moment ago would be taken as it was
	before := f.word.Swap(&word)
	return func() { f.word.Store(before) }
}

// Swap is pin.Store's.
func (f *Faults) Swap(ctx context.Context, c pin.Change) error {
	f.written.Store(true)
	return f.Failing.Swap(ctx, c)
}

// Locked is pin.Store's.
func (f *Faults) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	f.written.Store(true)
	return f.Failing.Locked(ctx, cardID, decide)
}
