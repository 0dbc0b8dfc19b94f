package main

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// It is this test's own process whose clock is set off, for a moment.
func TestTheClockOfARunningProcessIsSetOff(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("the clock is that of Linux on x86-64")
	}
	began := time.Now()
	for _, by := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		mend, err := skew(os.Getpid(), by)
		require.NoError(t, err)
		off, elapsed := time.Now().Round(0), time.Since(began)
		require.NoError(t, mend())
		require.WithinDuration(t, began.Add(by), off, time.Minute)
		require.Less(t, elapsed, time.Minute, "what measures durations goes on as it was")
	}
	require.WithinDuration(t, began.Round(0), time.Now().Round(0), time.Minute)
}
