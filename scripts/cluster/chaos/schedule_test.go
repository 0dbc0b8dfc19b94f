package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheScheduleIsAFunctionOfTheSeed(t *testing.T) {
	t.Parallel()
	once := schedule(7, 100, kinds)
	require.Equal(t, once, schedule(7, 100, kinds))
	require.NotEqual(t, schedule(7, 100, kinds), schedule(8, 100, kinds))
	require.Equal(t, schedule(7, 100, kinds)[:30], schedule(7, 30, kinds), "a shorter run is the beginning of a longer one")
}

func TestEveryKindOfFaultComesAsOftenAsEveryOther(t *testing.T) {
	t.Parallel()
	count := map[string]int{}
	for i, f := range schedule(7, 3*len(kinds), kinds) {
		count[f.Kind]++
		require.Equal(t, i+1, f.Number)
		require.NotEmpty(t, f.At)
		require.LessOrEqual(t, f.For, 40*time.Second)
	}
	for _, k := range kinds {
		require.Equal(t, 3, count[k.name], k.name)
	}
}
