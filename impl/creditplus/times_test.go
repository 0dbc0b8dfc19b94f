package creditplus

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/generated/creditplus"
)

func TestARequestIsTimely(t *testing.T) {
	t.Parallel()
	const made, until = "2026-01-15T12:00:00Z", "2026-01-15T16:05:00+0400"
	request, err := timesOf(&creditplus.ResetRequest{Timestamp: made, DataValidUntilTimestamp: until})
	require.NoError(t, err)
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	early, late := past.of("timestamp", made, "in past"), future.of("timestamp", made, "in future")
	for name, test := range map[string]struct {
		now    time.Duration // from noon
		window time.Duration
		want   error
	}{
		"now":                        {0, time.Minute, nil},
		"at the window's end":        {time.Minute, time.Minute, nil},
		"after the window":           {time.Minute + 1, time.Minute, early},
		"at the window's beginning":  {-time.Minute, time.Minute, nil},
		"before the window":          {-time.Minute - 1, time.Minute, late},
		"without a window, too late": {time.Hour, 0, nil},
		"without one, too early":     {-time.Hour, 0, nil},
	} {
		err := request.untimely(noon.Add(test.now), test.window)
		if test.want == nil {
			require.NoError(t, err, name)
		} else {
			require.Equal(t, test.want, err, name)
		}
	}
	require.NoError(t, request.over(noon.Add(5*time.Minute)))
	require.Equal(t, past.of("dataValidUntilTimestamp", until, "in past"), request.over(noon.Add(5*time.Minute+1)))
	require.Equal(t, 5*time.Minute+time.Second, request.left(noon))
}

func TestARequestIsGoodForADayAtMost(t *testing.T) {
	t.Parallel()
	for until, good := range map[string]bool{
		"2026-01-14T12:00:00Z": true, // that it is over is another rule
		"2026-01-16T12:00:00Z": true, "2026-01-16T12:00:00.000000001Z": false, "9999-12-31T23:59:59Z": false,
	} {
		request, err := timesOf(&creditplus.ResetRequest{Timestamp: "2026-01-15T12:00:00Z", DataValidUntilTimestamp: until})
		require.NoError(t, err)
		err = request.untimely(request.made, time.Minute)
		if good {
			require.NoError(t, err, until)
		} else {
			require.Equal(t, future.of("dataValidUntilTimestamp", until, "more than 24 hours after timestamp"), err)
		}
	}
	_, err := timesOf(&creditplus.ResetRequest{Timestamp: "2026-02-30T12:00:00Z", DataValidUntilTimestamp: "2026-01-16T12:00:00Z"})
	require.Error(t, err)
	_, err = timesOf(&creditplus.ResetRequest{Timestamp: "2026-01-15T12:00:00Z", DataValidUntilTimestamp: "2026-02-30T12:00:00Z"})
	require.Error(t, err)
}

// A client without a window may send times beyond what a duration holds.
func TestAnAnswerIsKeptUntilTheLastOfTimes(t *testing.T) {
	t.Parallel()
	request, err := timesOf(&creditplus.ResetRequest{Timestamp: "9999-12-31T12:00:00Z", DataValidUntilTimestamp: "9999-12-31T23:59:59Z"})
	require.NoError(t, err)
	require.Equal(t, time.Duration(math.MaxInt64), request.left(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)))
}
