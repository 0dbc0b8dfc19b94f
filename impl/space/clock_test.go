package space_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/space"
)

func TestAClockIsMovedInThisOrder(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	set := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	yes, no := true, false
	for _, test := range []struct {
		name    string
		moves   []space.Shift
		now     time.Time // when the base has gone on by a minute
		running bool
	}{
		{"not at all", nil, base.Add(time.Minute), true},
		{"advanced", []space.Shift{{By: time.Hour}}, base.Add(time.Hour + time.Minute), true},
		{"advanced twice", []space.Shift{{By: time.Hour}, {By: time.Hour}}, base.Add(2*time.Hour + time.Minute), true},
		{"set", []space.Shift{{To: set}}, set.Add(time.Minute), true},
		{"set and stopped", []space.Shift{{To: set, Running: &no}}, set, false},
		{"stopped", []space.Shift{{Running: &no}}, base, false},
		{"advanced while it stands", []space.Shift{{Running: &no}, {By: time.Hour}}, base.Add(time.Hour), false},
		{"run again from there", []space.Shift{{To: set, Running: &no}, {Running: &yes}}, set.Add(time.Minute), true},
		{"put right", []space.Shift{{To: set, Running: &no}, {Reset: true}}, base.Add(time.Minute), true},
		{"put right and advanced", []space.Shift{{To: set}, {Reset: true, By: time.Hour}}, base.Add(time.Hour + time.Minute), true},
		{"advanced beyond where it ends", []space.Shift{{Running: &no, By: 200 * 365 * 24 * time.Hour}}, time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC), false},
		{"asked", []space.Shift{{Running: &no, By: time.Hour}, {}}, base.Add(time.Hour), false},
	} {
		now := base
		c := space.NewClock(func() time.Time { return now })
		for _, m := range test.moves {
			c.Move(m)
		}
		now = now.Add(time.Minute)
		at, running := c.Move(space.Shift{})
		require.Equal(t, test.now, at, test.name)
		require.Equal(t, test.now, c.Now(), test.name)
		require.Equal(t, test.running, running, test.name)
	}
}
