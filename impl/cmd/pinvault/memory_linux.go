package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hideMemory keeps what this process holds, keys and PINs among it, to itself: no crash writes a core, also where another
// program takes cores, and nobody but root reads its memory or its environment (prctl(2), PR_SET_DUMPABLE).
func hideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("core dumps cannot be forbidden: %w", err)
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // for programs that this one starts
}
