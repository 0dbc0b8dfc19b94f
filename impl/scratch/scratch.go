// Package scratch makes folders for files of this process that are worth nothing without it. What a process leaves behind
// that was killed is removed by the next one that makes a folder: it is known by a lock that ends with its process.
package scratch

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

const (
	prefix = "pinvault-scratch-"
	locked = "lock" // the file that says by its lock that the folder's process is there
)

// Folder is a folder that others than this process's user cannot read.
type Folder struct {
	Path string
	lock *flock.Flock
}

// New makes a folder, and removes those of processes that are gone.
func New() (*Folder, error) {
	sweep()
	for range 10 { // another process may take a folder that is not locked yet for one that was left behind
		path, err := os.MkdirTemp("", prefix)
		if err != nil {
			return nil, err
		}
		f := &Folder{path, flock.New(filepath.Join(path, locked))}
		switch ok, err := f.lock.TryLock(); {
		case ok && f.there():
			return f, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, errors.Join(err, f.Remove())
		}
	}
	return nil, errors.New("no folder for temporary files can be kept")
}

// there tells whether the folder was not removed before it was locked.
func (f *Folder) there() bool {
	_, err := os.Stat(f.lock.Path())
	return err == nil
}

// Remove removes the folder with all that is in it.
func (f *Folder) Remove() error { return errors.Join(f.lock.Close(), os.RemoveAll(f.Path)) }

// sweep removes the folders of this user whose processes are gone. What cannot be removed stays for the next time.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", locked)) // of another user's nothing is seen
	for _, file := range left {
		lock := flock.New(file, flock.SetFlag(os.O_RDWR)) // not made anew where it has just been removed
		if ok, _ := lock.TryLock(); ok {
			_ = (&Folder{filepath.Dir(file), lock}).Remove()
		}
	}
}
