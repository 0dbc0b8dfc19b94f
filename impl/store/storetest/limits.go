package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// minute is the tests' time to the minute, so much later.
func minute(later time.Duration) time.Time { return at(0).Truncate(time.Minute).Add(later) }

// leased is what a store grants, and for how long.
func leased(t require.TestingT, s Store, limit, block int64, when time.Time) (int64, time.Duration) {
	granted, remains, err := s.Lease(context.Background(), "requests client", limit, block, time.Minute, when)
	require.NoError(t, err)
	return granted, remains
}

var limitTests = []test{
	{"a limit is granted in blocks that shrink with what is left, and no more than it is", func(t *testing.T, s Store) {
		var blocks []int64
		total := int64(0)
		for {
			granted, remains := leased(t, s, 1000, 20, minute(10*time.Second))
			require.Equal(t, 50*time.Second, remains)
			if granted == 0 {
				break
			}
			blocks, total = append(blocks, granted), total+granted
		}
		require.EqualValues(t, 1000, total)
		require.EqualValues(t, 20, blocks[0])
		require.EqualValues(t, 1, blocks[len(blocks)-1])
		for i, b := range blocks[1:] {
			require.LessOrEqual(t, b, blocks[i])
		}
		granted, remains := leased(t, s, 1000, 20, minute(time.Minute))
		require.EqualValues(t, 20, granted, "the next window")
		require.Equal(t, time.Minute, remains)
	}},
	{"another limit is another's", func(t *testing.T, s Store) {
		for _, id := range []string{"a", "b"} {
			granted, _, err := s.Lease(t.Context(), id, 1, 1, time.Minute, minute(0))
			require.NoError(t, err)
			require.EqualValues(t, 1, granted)
		}
	}},
	{"a limit that was lowered below what was granted has nothing left", func(t *testing.T, s Store) {
		granted, _ := leased(t, s, 1000, 500, minute(0))
		require.EqualValues(t, 62, granted)
		granted, _ = leased(t, s, 10, 1, minute(0))
		require.Zero(t, granted)
		granted, _ = leased(t, s, 63, 500, minute(0))
		require.EqualValues(t, 1, granted)
	}},
	{"a clock that was put back goes on with the window that was begun", func(t *testing.T, s Store) {
		granted, _ := leased(t, s, 2, 2, minute(time.Minute))
		require.EqualValues(t, 1, granted)
		granted, remains := leased(t, s, 2, 2, minute(50*time.Second))
		require.EqualValues(t, 1, granted)
		require.Equal(t, 70*time.Second, remains)
		granted, _ = leased(t, s, 2, 2, minute(59*time.Second))
		require.Zero(t, granted)
		granted, _ = leased(t, s, 2, 2, minute(-24*time.Hour))
		require.EqualValues(t, 1, granted, "by more than a window it begins anew")
	}},
	{"without a time windows are the database's", func(t *testing.T, s Store) {
		for range 2 {
			granted, remains := leased(t, s, 100_000_000, 1, time.Time{})
			require.EqualValues(t, 1, granted)
			require.Positive(t, remains)
			require.LessOrEqual(t, remains, time.Minute)
			ends := time.Now().Add(remains)
			require.WithinDuration(t, ends.Round(time.Minute), ends, 5*time.Second, "with the minute")
		}
	}},
	{"many who ask at once are granted the limit", func(t *testing.T, s Store) {
		var total atomic.Int64
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for {
					granted, _, err := s.Lease(context.Background(), "requests client", 300, 10, time.Minute, minute(0))
					if err != nil || granted == 0 {
						return
					}
					total.Add(granted)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 300, total.Load())
	}},
	{"verifications are added up by client, BIN and window, their cards once", func(t *testing.T, s Store) {
		count := func(client, bin string, verifications, mismatches int64, when time.Time, cards ...string) pin.MismatchCount {
			n, err := s.CountVerifications(context.Background(), pin.MismatchCount{BIN: bin, Verifications: verifications, Mismatches: mismatches}, client, cards, time.Minute, when)
			require.NoError(t, err)
			return n
		}
		require.Equal(t, pin.MismatchCount{BIN: "999999", Verifications: 10, Mismatches: 3, Cards: 2}, count("client", "999999", 10, 3, minute(0), "a", "b"))
		require.Equal(t, pin.MismatchCount{BIN: "999999", Verifications: 12, Mismatches: 5, Cards: 3}, count("client", "999999", 2, 2, minute(59*time.Second), "b", "c"))
		require.Equal(t, pin.MismatchCount{BIN: "888888", Verifications: 1, Mismatches: 1, Cards: 1}, count("client", "888888", 1, 1, minute(0), "a"))
		require.Equal(t, pin.MismatchCount{BIN: "999999", Verifications: 1, Mismatches: 1, Cards: 1}, count("other", "999999", 1, 1, minute(0), "a"))
		require.Equal(t, pin.MismatchCount{BIN: "999999", Verifications: 5}, count("client", "999999", 5, 0, minute(time.Minute)))
		gone, err := s.PurgeVerifications(t.Context(), minute(time.Minute))
		require.NoError(t, err)
		require.EqualValues(t, 3+5, gone)
		require.Equal(t, pin.MismatchCount{BIN: "999999", Verifications: 6}, count("client", "999999", 1, 0, minute(time.Minute)))
	}},
}
