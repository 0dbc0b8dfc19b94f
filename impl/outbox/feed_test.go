package outbox

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestAnIDIsOfItsTime(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Millisecond)
	id := uuid.Must(uuid.NewV7()).String()
	require.Less(t, before(now), id)
	require.Greater(t, before(now.Add(time.Second)), id)
	require.Equal(t, "00000000-0000-0000-0000-000000000000", before(time.Time{}))
	require.False(t, settled(id, now))
	require.True(t, settled(id, now.Add(Settled+time.Second)))
	require.True(t, settled("no id of ours", now))
}

func TestAReplayBeginsEarlyEnoughWhateverTheClock(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, ahead := range map[string]time.Duration{"as the machine's": 0, "a day ahead": 24 * time.Hour, "a day behind": -24 * time.Hour} {
		f := &Feed{now: func() time.Time { return time.Now().Add(ahead) }}
		require.WithinDuration(t, from.Add(min(0, -ahead)), f.drawn(from), time.Second, name)
	}
}
