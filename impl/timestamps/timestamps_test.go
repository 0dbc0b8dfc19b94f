package timestamps_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/timestamps"
)

func TestTimesAreReadAsClientsWriteThem(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-01-15T12:00:00Z":            noon,
		"2026-01-15t12:00:00z":            noon,
		"2026-01-15T12:00Z":               noon,
		"2026-01-15T16:00+04:00":          noon,
		"2026-01-15T16:00:00+0400":        noon,
		"2026-01-15T16:00+0400":           noon,
		"2026-01-15T12:00:00-00:00":       noon,
		"2026-01-15T06:30:00-0530":        noon,
		"2026-01-16T06:00:00+18:00":       noon,
		"2026-01-14T18:00:00-18:00":       noon,
		"2026-01-15T12:00:00.25Z":         noon.Add(time.Second / 4),
		"2026-01-15T12:00:00.123456789Z":  noon.Add(123456789),
		"2026-01-15T12:00:00.1234567891Z": noon.Add(123456789),
		"2028-02-29T00:00:00Z":            time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
		"0001-01-01T00:00:00Z":            {},
		"9999-12-31T23:59:59Z":            time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		at, err := timestamps.Read(text)
		require.NoError(t, err, text)
		require.Truef(t, want.Equal(at), "%s is %s", text, at)
	}
	at, err := timestamps.Read("2026-01-15T16:00+0400")
	require.NoError(t, err)
	require.Equal(t, "2026-01-15T16:00:00+04:00", at.Format(time.RFC3339), "the offset is kept")
}

func TestWhatWasNoTimeIsNotRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "now", "2026-01-15", "2026-01-15T12:00", "2026-01-15T12:00:00", "2026-01-15 12:00:00Z",
		"0000-01-01T00:00:00Z",
		"2026-02-30T12:00:00Z", "2027-02-29T12:00:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z", "2026-01-00T12:00:00Z",
		"2026-01-15T24:00:00Z", "2026-01-15T12:60:00Z", "2026-01-15T12:00:60Z",
		"2026-01-15T12:00:00+24:00", "2026-01-15T12:00:00+2400", "2026-01-15T12:00:00+18:01", "2026-01-15T12:00:00-18:01", "2026-01-15T12:00:00+04:60",
		"2026-01-15T12:00:00+4:00", "2026-01-15T12:00:00+04", "2026-01-15T12:00:00 0400",
		"2026-01-15T12:00:00,5Z", "2026-01-15T12:00:00.Z", "2026-01-15T12Z", "2026-01-15T1:00:00Z",
		" 2026-01-15T12:00:00Z", "2026-01-15T12:00:00Z\n", "12026-01-15T12:00:00Z",
	} {
		_, err := timestamps.Read(text)
		require.EqualErrorf(t, err, "not a time", "%q", text)
	}
}
