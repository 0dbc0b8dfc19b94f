package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

// newReplay is a reservation from at, for an hour.
func newReplay(scope, key string) pin.Replay {
	return pin.Replay{Scope: scope, Key: key, Endpoint: "setPin card", Fingerprint: []byte{0, 1, 2}, CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
}

var replayTests = []test{
	{"a reservation comes back as it was written, and again when it is completed", func(t *testing.T, s Store) {
		want := newReplay("client", "key")
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(want) })
		got, err := s.Replay(context.Background(), "client", "key")
		require.NoError(t, err)
		require.Equal(t, want, got)

		done := pin.Replay{Scope: "client", Key: "key", Done: true, Result: []byte(`{"result": "match"}`), ExpiresAt: at.Add(24 * time.Hour)}
		tx(t, s, func(tx pin.Tx) error { return tx.CompleteReplay(done) })
		want.Done, want.Result, want.ExpiresAt = true, done.Result, done.ExpiresAt
		got, err = s.Replay(context.Background(), "client", "key")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}},
	{"a record that is not there is not found", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(newReplay("client", "key")) })
		_, err := s.Replay(context.Background(), "key", "client")
		requireCode(t, err, pin.NotFound)
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.CompleteReplay(newReplay("client", "other")) }), pin.NotFound)
	}},
	{"a key is reserved once in its scope until it expires", func(t *testing.T, s Store) {
		first := newReplay("client", "key")
		first.Done, first.Result = true, []byte("first")
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(first) })
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(newReplay("other", "key")) })

		second := pin.Replay{Scope: "client", Key: "key", Endpoint: "other", Fingerprint: []byte("other"), ExpiresAt: at.Add(9 * time.Hour)}
		for _, early := range []time.Duration{-time.Hour, 0, time.Hour - time.Microsecond} {
			second.CreatedAt = at.Add(early)
			requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertReplay(second) }), pin.Duplicate, "replay")
			got, err := s.Replay(context.Background(), "client", "key")
			require.NoError(t, err)
			require.Equal(t, first, got)
		}
		second.CreatedAt = at.Add(time.Hour)
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(second) })
		got, err := s.Replay(context.Background(), "client", "key")
		require.NoError(t, err)
		require.Equal(t, second, got)
	}},
	{"an expired record is there until it is purged or replaced", func(t *testing.T, s Store) {
		r := newReplay("client", "key")
		r.ExpiresAt = r.CreatedAt.Add(-time.Hour)
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(r) })
		got, err := s.Replay(context.Background(), "client", "key")
		require.NoError(t, err)
		require.Equal(t, r, got)
	}},
	{"of many who reserve a key at once one does", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error { return tx.InsertReplay(newReplay("client", "expired")) })
		for _, key := range []string{"new", "expired"} {
			var reserved atomic.Int64
			together(t, 20, func(int) error {
				r := newReplay("client", key)
				r.CreatedAt, r.ExpiresAt = at.AddDate(0, 0, 1), at.AddDate(0, 0, 2)
				err := in(s, func(tx pin.Tx) error { return tx.InsertReplay(r) })
				switch pin.CodeOf(err) {
				case "":
					reserved.Add(1)
				case pin.Duplicate:
					return nil
				}
				return err
			})
			require.EqualValues(t, 1, reserved.Load(), key)
		}
	}},
	{"expiry is exact to the microsecond", func(t *testing.T, s Store) {
		keys := 0
		rapid.Check(t, func(t *rapid.T) {
			expiry := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "expiry")).UTC()
			created := expiry.Add(time.Duration(rapid.SampledFrom([]int64{-1e6, -1e5, -10, -9, -1, 0, 1, 9, 10, 1e5, 1e6}).Draw(t, "later")) * time.Microsecond)
			keys++
			key := fmt.Sprint(keys)
			anywhere := func(t time.Time, hours int) time.Time { return t.In(time.FixedZone("", hours*3600)) }
			east, west := rapid.IntRange(0, 14).Draw(t, "east"), rapid.IntRange(-12, 0).Draw(t, "west")
			var err error
			tx(t, s, func(tx pin.Tx) error {
				require.NoError(t, tx.InsertReplay(pin.Replay{Scope: "c", Key: key, Fingerprint: []byte("f"), CreatedAt: at, ExpiresAt: anywhere(expiry, east)}))
				err = tx.InsertReplay(pin.Replay{Scope: "c", Key: key, Fingerprint: []byte("f"), CreatedAt: anywhere(created, west), ExpiresAt: expiry})
				return nil
			})
			if created.Before(expiry) {
				requireCode(t, err, pin.Duplicate)
			} else {
				require.NoError(t, err)
			}
			got, err := s.Replay(context.Background(), "c", key)
			require.NoError(t, err)
			require.Equal(t, expiry, got.ExpiresAt)
		})
	}},
}
