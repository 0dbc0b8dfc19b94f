//go:build unix

package keylife

import (
	"io/fs"
	"os"
	"syscall"
)

// owned gives a file the owner of another, so that a server reads on what somebody else has changed.
func owned(f *os.File, as fs.FileInfo) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	own, ok := mine.Sys().(*syscall.Stat_t)
	want, isUnix := as.Sys().(*syscall.Stat_t)
	if !ok || !isUnix || own.Uid == want.Uid && own.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
