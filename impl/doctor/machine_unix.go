//go:build linux || darwin

package doctor

import "syscall"

// spaceOf is what is free, for who is not root, where a folder is.
func spaceOf(folder string) (space, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return space{}, false
	}
	block := uint64(s.Bsize) //nolint:gosec,unconvert // never negative, and of another type on another system
	return space{free: s.Bavail * block, total: s.Blocks * block}, true
}

// fileLimit is how many files a process may have open.
func fileLimit() (uint64, bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Max, err == nil // Go raises the soft limit to it
}
