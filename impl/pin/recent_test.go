package pin

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was just read is kept for a moment, and no more of it than there is room for.
func TestRecent(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
	r := newRecent(func() time.Time { return now })
	has := func(table Table, id string) bool {
		v, ok := r.get(table, id)
		require.Equal(t, ok, v != nil)
		return ok
	}
	require.False(t, has(TablePrograms, "a"))
	r.put(TablePrograms, "a", 1)
	require.True(t, has(TablePrograms, "a"))
	require.False(t, has(TableClients, "a"), "another table's")
	for _, test := range []struct {
		age  time.Duration
		want bool
	}{{0, true}, {shortly - 1, true}, {shortly, false}, {time.Hour, false}, {-1, false}} {
		now = now.Add(test.age)
		require.Equal(t, test.want, has(TablePrograms, "a"), test.age)
		now = now.Add(-test.age)
	}
	r.put(TableClients, "a", 2)
	r.drop(TablePrograms, "a")
	require.False(t, has(TablePrograms, "a"))
	require.True(t, has(TableClients, "a"))
	r.purge()
	require.False(t, has(TableClients, "a"))

	for i := range maxRecent {
		r.put(TableClients, fmt.Sprint(i), i)
	}
	require.True(t, has(TableClients, "0"))
	require.Len(t, r.kept, maxRecent)
	r.put(TableClients, "one more", 0)
	require.Len(t, r.kept, 1, "it begins anew")
	require.True(t, has(TableClients, "one more"))
}
