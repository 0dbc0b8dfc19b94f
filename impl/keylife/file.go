package keylife

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
)

// ErrReadOnly is the refusal of a step where the keyset cannot be replaced: its folder is mounted read-only or belongs
// to somebody else, or the file is a mount of its own.
var ErrReadOnly = errors.New("the keyset file cannot be replaced from here: take the step with 'pinvault keys' where its folder can be written, and bring the file to the servers")

// ErrBusy is the refusal of a step while another one is under way.
var ErrBusy = errors.New("another step is under way on this keyset: try again")

// File is a keyset file, and what opens it.
type File struct {
	Path string
	Open func() (*os.File, error) // refuses a file that others may read or change
	KEK  tink.AEAD                // the key-encryption key
}

// Keyset reads the file.
func (f File) Keyset() (*keyring.Keyset, error) {
	ks, _, err := f.read()
	return ks, err
}

// read also says which file it was.
func (f File) read() (ks *keyring.Keyset, is fs.FileInfo, err error) {
	from, err := f.Open()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = from.Close() }() // read only
	if is, err = from.Stat(); err != nil {
		return nil, nil, err
	}
	ks, err = keyring.Read(from, f.KEK)
	return ks, is, err
}

// How long a step waits for another one to end, and how often it looks.
const (
	lockWait = 10 * time.Second
	lockLook = 50 * time.Millisecond
)

// Change puts what decide makes of the keyset in its place, once told has been told of it. Of several processes one at a
// time does: ErrBusy for one that has waited too long. ErrReadOnly where the file cannot be replaced. Nothing has
// changed where there is an error, but that told may have been told.
func (f File) Change(ctx context.Context, decide func(*keyring.Keyset) (*keyring.Keyset, error), told func() error) error {
	return f.rewrite(ctx, f.KEK, decide, told)
}

// Rewrap puts the same keyset in its place, encrypted under another key-encryption key. Processes that have the old one
// work on, but read nothing new.
func (f File) Rewrap(ctx context.Context, kek tink.AEAD, told func() error) error {
	return f.rewrite(ctx, kek, func(ks *keyring.Keyset) (*keyring.Keyset, error) { return ks, nil }, told)
}

func (f File) rewrite(ctx context.Context, kek tink.AEAD, decide func(*keyring.Keyset) (*keyring.Keyset, error), told func() error) (err error) {
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return fmt.Errorf("keyset: %w", err)
	}
	unlock, err := lock(ctx, path)
	if err != nil {
		return err
	}
	defer unlock()
	ks, is, err := f.read()
	if err != nil {
		return err
	}
	next, err := decide(ks)
	if err != nil {
		return err
	}
	fresh, err := write(next, kek, path, is)
	if err != nil {
		return readOnly(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(fresh)
		}
	}()
	if err := told(); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return readOnly(err)
	}
	return syncFolder(filepath.Dir(path))
}

// lock keeps others from changing a file. It is the folder that is locked, so that nothing is left behind that belongs to
// whoever came first; Windows locks no folders.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	l := flock.New(filepath.Dir(path), flock.SetFlag(os.O_RDONLY))
	if runtime.GOOS == "windows" {
		l = flock.New(path + ".lock")
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	switch ok, err := l.TryLockContext(ctx, lockLook); {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, ErrBusy
	case err != nil:
		return nil, readOnly(err)
	case !ok:
		return nil, ErrBusy
	}
	return func() { _ = l.Unlock() }, nil
}

// write writes a keyset beside the file that it is to replace, whose mode and owner it gets, and reads it back.
func write(ks *keyring.Keyset, kek tink.AEAD, path string, is fs.FileInfo) (fresh string, err error) {
	to, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return "", fmt.Errorf("keyset: %w", err)
	}
	defer func() {
		if err = errors.Join(err, to.Close()); err != nil {
			_ = os.Remove(to.Name())
		}
	}()
	if err := errors.Join(owned(to, is), to.Chmod(is.Mode().Perm()), ks.Write(to, kek), to.Sync()); err != nil {
		return "", fmt.Errorf("keyset: %w", err)
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("keyset: %w", err)
	}
	read, err := keyring.Read(to, kek)
	if err == nil {
		err = read.Follows(ks)
	}
	if err != nil {
		return "", fmt.Errorf("the new keyset file does not read back: %w", err)
	}
	return to.Name(), nil
}

// syncFolder has a rename survive a power cut, where the system can be told to.
func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the operator's own
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // read only
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// readOnly is ErrReadOnly for what says that the file may not be replaced, and any other error as it is.
func readOnly(err error) error {
	for _, says := range []error{fs.ErrPermission, syscall.EROFS, syscall.EBUSY, syscall.EXDEV} {
		if errors.Is(err, says) {
			return fmt.Errorf("%w (%w)", ErrReadOnly, err)
		}
	}
	return err
}

// Served is the file of a server: what it shows of keys is what it works with.
type Served struct {
	File
	Live *keyring.Live
}

// Keyset is the one at work.
func (s Served) Keyset() (*keyring.Keyset, error) { return s.Live.Keyset(), nil }
