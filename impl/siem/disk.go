package siem

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/gofrs/flock"
)

// disk is where a file and its cursor are: the machine's, or in tests one whose process ends, or that loses its power, at any step.
type disk interface {
	// read fails with fs.ErrNotExist where there is none.
	read(path string) ([]byte, error)
	// open has a file to append to, made if there is none. It fails with ErrBusy while somebody else has it.
	open(path string) (handle, error)
	// create makes a file, in the place of one that was left behind.
	create(path string) (handle, error)
	rename(from, to string) error
	remove(path string) error
	// sync has the names in a folder stay.
	sync(folder string) error
}

// handle is an open file. What is written comes at its end.
type handle interface {
	io.ReaderAt
	io.Writer
	io.Closer
	Truncate(size int64) error
	Sync() error
	Size() (int64, error)
}

// machine is this machine's disk.
type machine struct{}

// opened is one of its files.
type opened struct {
	*os.File
	lock *flock.Flock // nil: of none
}

func (machine) read(path string) ([]byte, error) { return os.ReadFile(path) } //nolint:gosec // the operator's own

// open locks the file itself: nothing is left behind, and its folder need not be ours to write to.
func (machine) open(path string) (_ handle, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the operator's own
	if err != nil {
		return nil, err
	}
	o := opened{f, flock.New(path, flock.SetFlag(os.O_RDWR))}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	switch held, err := o.lock.TryLock(); {
	case err != nil:
		return nil, err
	case !held:
		return nil, fmt.Errorf("%s: %w", path, ErrBusy)
	}
	locked, err := o.lock.Stat()
	if err != nil {
		return nil, err
	}
	is, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(locked, is) {
		return nil, fmt.Errorf("%s was moved away at this moment", path)
	}
	return o, nil
}

// create makes one that nobody else can have: what a link of that name leads to is left alone.
func (machine) create(path string) (handle, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's own
	if err != nil {
		return nil, err
	}
	return opened{f, nil}, nil
}

func (machine) rename(from, to string) error { return os.Rename(from, to) }
func (machine) remove(path string) error     { return os.Remove(path) }

// sync does what the system can be told to: some keep names by themselves, and not everybody may read the folder.
func (machine) sync(folder string) error {
	d, err := os.Open(folder) //nolint:gosec // the operator's own
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func (o opened) Size() (int64, error) {
	is, err := o.Stat()
	if err != nil {
		return 0, err
	}
	return is.Size(), nil
}

func (o opened) Close() error {
	err := o.File.Close()
	if o.lock != nil {
		err = errors.Join(err, o.lock.Close())
	}
	return err
}
