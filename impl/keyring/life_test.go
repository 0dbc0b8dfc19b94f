package keyring

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

var morning = time.Date(2026, time.March, 1, 8, 0, 0, 0, time.UTC)

// inState are the keys of one use, at noon: an active one and, where that is another state, version 1 in the state.
func inState(s State) []Key {
	now := morning.Add(4 * time.Hour)
	one := Key{Use: pin.UsePAN, Version: 1, CreatedAt: morning, ActiveFrom: morning}
	two := Key{Use: pin.UsePAN, Version: 2, CreatedAt: morning, ActiveFrom: morning.Add(time.Hour)}
	switch s {
	case Pending:
		one.ActiveFrom = time.Time{}
	case Active:
		return []Key{one}
	case Retired:
		one.RetiredAt = now
	case Destroyed:
		one.RetiredAt, one.DestroyedAt = now, now
	}
	return []Key{one, two}
}

// The whole table of steps: what becomes of a key, or the words of the refusal.
func TestEveryStepFromEveryState(t *testing.T) {
	t.Parallel()
	now := morning.Add(4 * time.Hour)
	for _, tc := range []struct {
		from State
		step Step
		to   State
		says string
	}{
		{Pending, Activate, Active, ""},
		{Pending, Retire, Retired, ""},
		{Pending, Restore, "", "it is not retired"},
		{Pending, Destroy, "", "only a retired key can be destroyed: retire it first"},
		{Active, Activate, "", "it is active already"},
		{Active, Retire, "", "the vault works with it: rotate first"},
		{Active, Restore, "", "it is not retired"},
		{Active, Destroy, "", "the vault works with it: rotate first"},
		{Retiring, Activate, "", "it was replaced, and makes no outputs again: rotate instead"},
		{Retiring, Retire, Retired, ""},
		{Retiring, Restore, "", "it is not retired"},
		{Retiring, Destroy, "", "only a retired key can be destroyed: retire it first"},
		{Retired, Activate, "", "it is retired: rotate instead"},
		{Retired, Retire, "", "it is retired already"},
		{Retired, Restore, Retiring, ""},
		{Retired, Destroy, Destroyed, ""},
		{Destroyed, Activate, "", "its material is gone: rotate instead"},
		{Destroyed, Retire, "", "it is destroyed already"},
		{Destroyed, Restore, "", "its material is gone: restore the keyset file from a backup"},
		{Destroyed, Destroy, "", "it is destroyed already"},
	} {
		t.Run(string(tc.step)+" "+string(tc.from), func(t *testing.T) {
			t.Parallel()
			before := inState(tc.from)
			require.Equal(t, tc.from, standings(before, now)[0].State)
			after, err := stepped(before, Wish{Use: pin.UsePAN, Version: 1, Step: tc.step, At: now}, now)
			if tc.says != "" {
				require.Equal(t, &Refusal{Key: "pan/1", Step: tc.step, Says: tc.says}, err)
				require.EqualError(t, err, "pan/1: "+tc.says)
				require.Nil(t, after)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.to, standings(after, now)[0].State)
			require.Equal(t, tc.from, standings(before, now)[0].State, "nothing of it is done to the keys before")
		})
	}
	require.Len(t, lives, 5)
	require.Len(t, refusals, 4)
	_, err := stepped(inState(Active), Wish{Version: 7, Step: Retire}, now)
	require.ErrorIs(t, err, ErrNoKey)
}

func TestAKeyIsNamedByItsUseAndTheVersionThatItHas(t *testing.T) {
	t.Parallel()
	require.Equal(t, "pan/2", Key{Use: "pan", Version: 2}.Name())
	require.Equal(t, "pan", Key{Use: "pan"}.Name(), "a token or OpenBao counts its own")
}

func TestAKeyBecomesActiveAndItsPredecessorRetiringByTheClock(t *testing.T) {
	t.Parallel()
	at := morning.Add(2 * time.Minute)
	keys := []Key{{Version: 1, CreatedAt: morning, ActiveFrom: morning}, {Version: 2, CreatedAt: morning, ActiveFrom: at}}
	for now, want := range map[time.Time][2]State{
		morning.Add(-time.Hour): {Active, Pending}, // a clock that is behind
		morning:                 {Active, Pending},
		at.Add(-1):              {Active, Pending},
		at:                      {Retiring, Active},
		at.Add(time.Hour):       {Retiring, Active},
	} {
		got := standings(keys, now)
		require.Equal(t, want, [2]State{got[0].State, got[1].State}, now)
		require.Equal(t, want[0] == Retiring, got[0].RetiringSince.Equal(at), now)
		require.Zero(t, got[1].RetiringSince)
	}
}

func TestWhatTimeHasToDoWithSteps(t *testing.T) {
	t.Parallel()
	fresh := []Key{{Use: pin.UsePAN, Version: 1, CreatedAt: morning, ActiveFrom: morning}, {Use: pin.UsePAN, Version: 2, CreatedAt: morning.Add(time.Hour)}}
	now := morning.Add(time.Hour + time.Second)
	activate := func(keys []Key, w Wish) error {
		w.Version, w.Step = max(w.Version, 2), Activate
		_, err := stepped(keys, w, now)
		return err
	}
	require.EqualError(t, activate(fresh, Wish{At: now}), "pan/2: not every server knows it yet: it can be active from 2026-03-01T09:00:30Z on")
	require.EqualError(t, activate(fresh, Wish{At: morning.Add(time.Hour + Settle - 1)}), "pan/2: not every server knows it yet: it can be active from 2026-03-01T09:00:30Z on")
	require.NoError(t, activate(fresh, Wish{At: morning.Add(time.Hour + Settle)}))
	require.NoError(t, activate(fresh, Wish{At: now, Hasty: true}))

	scheduled, err := stepped(fresh, Wish{Version: 2, Step: Activate, At: morning.Add(2 * time.Hour)}, now)
	require.NoError(t, err)
	require.NoError(t, activate(scheduled, Wish{At: morning.Add(3 * time.Hour)}), "a date may be moved")
	third := append(scheduled, Key{Use: pin.UsePAN, Version: 3, CreatedAt: morning})
	require.EqualError(t, activate(third, Wish{Version: 3, At: now}), "pan/3: version 2 becomes active at 2026-03-01T10:00:00Z: wait, or retire it")

	retire := Wish{Version: 2, Step: Retire}
	after, err := stepped(scheduled, retire, morning.Add(2*time.Hour-Settle))
	require.NoError(t, err)
	require.Equal(t, Retired, standings(after, now)[1].State)
	_, err = stepped(scheduled, retire, morning.Add(2*time.Hour-Settle+1))
	require.EqualError(t, err, "pan/2: it is about to become active: by another server's clock it may be already")
	_, err = stepped(scheduled, Wish{Version: 1, Step: Retire}, morning.Add(2*time.Hour+Settle-1))
	require.EqualError(t, err, "pan/1: another server may be at work with it still: it can be retired from 2026-03-01T10:00:30Z on")
	_, err = stepped(scheduled, Wish{Version: 1, Step: Retire}, morning.Add(2*time.Hour+Settle))
	require.NoError(t, err)
	after, err = stepped(after, Wish{Version: 2, Step: Restore}, now)
	require.NoError(t, err)
	require.Equal(t, Pending, standings(after, morning.Add(24*time.Hour))[1].State, "it was never active, and its date is gone")
}

// Whatever steps are taken in whatever order, at every time and by every clock exactly one key makes outputs, every key
// that ever made one opens until somebody retires it, and nothing is ever undone by time.
func TestThereIsAlwaysExactlyOneActiveKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := morning
		keys := []Key{{Version: 1, CreatedAt: now, ActiveFrom: now}}
		made := map[int]bool{} // versions that have made outputs, and were not retired since
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			version := rapid.IntRange(1, len(keys)).Draw(t, "version")
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				keys = append(keys, Key{Version: len(keys) + 1, CreatedAt: now})
			} else {
				w := Wish{Version: version, Step: rapid.SampledFrom([]Step{Activate, Retire, Restore, Destroy}).Draw(t, "step"),
					At: now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "in")) * time.Second), Hasty: rapid.Bool().Draw(t, "hasty")}
				next, err := stepped(keys, w, now)
				if refused, ok := errors.AsType[*Refusal](err); ok {
					require.NotEmpty(t, refused.Says)
				} else {
					require.NoError(t, err)
					if keys = next; w.Step == Retire {
						delete(made, version)
					}
				}
			}
			for _, behind := range []time.Duration{-5 * time.Second, 0, 5 * time.Second} { // clocks of other processes
				active := 0
				for _, s := range standings(keys, now.Add(behind)) {
					if s.State == Active {
						active++
						made[s.Version] = true
					}
					if made[s.Version] {
						require.True(t, s.opens(), "version %d made outputs and opens nothing", s.Version)
					}
				}
				require.Equal(t, 1, active)
			}
		}
	})
}
