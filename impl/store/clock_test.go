package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/store/storetest"
)

func TestTheTimeIsTheDatabases(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute} {
		c := &Clock{read: func(context.Context) (time.Time, error) { return time.Now().Add(off), nil }}
		found, err := c.look(t.Context())
		require.NoError(t, err)
		require.InDelta(t, off.Seconds(), found.Seconds(), 1)
		require.WithinDuration(t, time.Now().Add(off), c.Now(), time.Second)
	}
}

func TestBetweenTwoLooksTimePassesByItself(t *testing.T) {
	t.Parallel()
	gone := false
	c := &Clock{read: func(context.Context) (time.Time, error) {
		if gone {
			return time.Time{}, errors.New("gone")
		}
		return time.Now().Add(time.Hour), nil
	}}
	_, err := c.look(t.Context())
	require.NoError(t, err)
	gone = true
	first := c.Now()
	_, err = c.look(t.Context())
	require.Error(t, err)
	require.True(t, c.Now().After(first), "it goes on without the database")
	require.WithinDuration(t, time.Now().Add(time.Hour), c.Now(), time.Second)
}

func TestEveryDatabaseTellsTheTime(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, database(t))
			require.WithinDuration(t, time.Now(), s.Now(), time.Minute, "of a database on this machine")
		})
	}
}
