package pin_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestWhoCountsIsToldWhatOperationsComeTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var told []pin.Outcome
	w.OnOutcome(func(_ context.Context, o pin.Outcome) { told = append(told, o) })
	for _, step := range []struct {
		name string
		do   func()
		want []pin.Outcome
	}{
		{"a right PIN", func() { w.try(t, "4826") }, []pin.Outcome{{Result: pin.Match, Events: []pin.EventType{pin.EventPINVerified}}}},
		{"a wrong one", func() { w.try(t, "1111") }, []pin.Outcome{{Result: pin.Mismatch, Events: []pin.EventType{pin.EventPINFailed}}}},
		{"the last wrong one", func() { w.try(t, "1111"); told = nil; w.try(t, "1111") },
			[]pin.Outcome{{Result: pin.Mismatch, Events: []pin.EventType{pin.EventPINFailed, pin.EventPINBlocked}}}},
		{"a blocked card that the trail tells of", func() { w.try(t, "1111") }, []pin.Outcome{{Result: pin.Exhausted, Events: []pin.EventType{pin.EventPINFailed}}}},
		{"a blocked card that it does not tell of", func() { w.try(t, "1111") }, []pin.Outcome{{Result: pin.Exhausted}}},
		{"unblocked", func() { require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{})) }, []pin.Outcome{{Events: []pin.EventType{pin.EventPINUnblocked}}}},
		{"a weak PIN", func() { require.Error(t, w.SetPIN(by(t), w.q, plain(t, "1234"), pin.Memo{})) }, []pin.Outcome{{Refused: pin.WeakPIN}}},
		{"a weak PIN in place of the right one", func() {
			_, err := w.ChangePIN(by(t), w.q, plain(t, "4826"), plain(t, "1234"), pin.Memo{})
			require.NoError(t, err)
		}, []pin.Outcome{{Result: pin.Rejected, Refused: pin.WeakPIN, Events: []pin.EventType{pin.EventPINVerified}}}},
		{"read back", func() {
			p, err := w.RevealPIN(by(t), w.q)
			require.NoError(t, err)
			p.Clear()
		}, []pin.Outcome{{Events: []pin.EventType{pin.EventPINRevealed}}}},
		{"no such card", func() { require.Error(t, w.Unblock(by(t), pin.Query{CardID: "nobody"}, pin.Memo{})) }, nil},
	} {
		told = nil
		step.do()
		require.Equal(t, step.want, told, step.name)
	}
}

// Whoever comes second decides anew, and that is told with what it came to.
func TestWhoCountsIsToldOfWhoWasOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var told []pin.Outcome
	w.OnOutcome(func(_ context.Context, o pin.Outcome) { told = append(told, o) })
	first := true
	faster := func(ctx context.Context, v *pin.Vault, rec pin.Record) (pin.PIN, error) {
		if first {
			first = false
			w.try(t, "1111")
		}
		return plain(t, "4826")(ctx, v, rec)
	}
	_, err := w.Verify(by(t), w.q, faster, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, []pin.Outcome{{Result: pin.Mismatch, Events: []pin.EventType{pin.EventPINFailed}},
		{Result: pin.Match, Events: []pin.EventType{pin.EventPINVerified}, Overtaken: 1}}, told)
}
