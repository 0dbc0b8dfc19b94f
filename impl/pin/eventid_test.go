package pin

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestIDsOfEventsAreOfTheirTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	random := bytes.Repeat([]byte{0xff}, 8)
	var ids []string
	for _, after := range []time.Duration{0, 300, 200 * time.Microsecond, 999_999, time.Millisecond, time.Second, time.Hour} {
		id, err := eventID(noon.Add(after), 0, bytes.NewReader(random))
		require.NoError(t, err)
		parsed, err := uuid.Parse(id)
		require.NoError(t, err)
		require.EqualValues(t, 7, parsed.Version())
		require.Equal(t, uuid.RFC4122, parsed.Variant())
		at, says := EventDrawn(id)
		require.True(t, says)
		require.Equal(t, noon.Add(after).UnixMilli(), at.UnixMilli())
		require.Less(t, EventsFrom(noon.Add(after)), id)
		require.Greater(t, EventsFrom(noon.Add(after+time.Millisecond)), id)
		ids = append(ids, id)
	}
	require.True(t, slices.IsSorted(ids))
	require.Len(t, slices.Compact(ids), 7)
	require.Equal(t, "00000000-0000-0000-0000-000000000000", EventsFrom(time.Time{}))
	_, err := eventID(noon, 0, iotest.ErrReader(errors.New("no chance")))
	require.Error(t, err)
}

func TestIDsOfAChainGrowWhateverTheClock(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	last := ""
	for _, at := range []time.Time{noon, noon, noon.Add(-time.Hour), noon.Add(time.Second), noon} {
		id, err := eventID(at, tickOf(last), bytes.NewReader(make([]byte, 8)))
		require.NoError(t, err)
		require.Greater(t, id, last)
		last = id
	}
}

func TestOtherIDsSayNoTime(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "event", "0190a5c0-7d2e-4c3a-9a57-3f1f2f3c4d5e", "0190a5cx-7d2e-7c3a-9a57-3f1f2f3c4d5e"} {
		_, says := EventDrawn(id)
		require.False(t, says, id)
	}
}
