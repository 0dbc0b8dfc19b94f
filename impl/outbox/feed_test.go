package outbox

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestAReplayBeginsEarlyEnoughWhateverTheClock(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, ahead := range map[string]time.Duration{"as the machine's": 0, "a day ahead": 24 * time.Hour, "a day behind": -24 * time.Hour} {
		f := &Feed{now: func() time.Time { return time.Now().Add(ahead) }}
		require.WithinDuration(t, from.Add(min(0, -ahead)-pin.EventLate), f.drawn(from), time.Second, name)
	}
}
