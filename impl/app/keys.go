package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/backend"
)

// Backend opens what opens the keyset file, and says where that is.
func Backend(k config.Keys, log *slog.Logger) (backend.Backend, string, error) {
	if k.KeysURL != "" {
		return backend.Open(k.KeysURL, backend.Surroundings{Secret: k.Secret, Log: log})
	}
	written, err := k.Master()
	if err != nil {
		return nil, "", err
	}
	defer clear(written)
	b, err := backend.File(written)
	return b, k.Keyset, err
}

// Engine is a sandbox's keys, or those of the backend that was told.
func Engine(sandbox bool, k config.Keys, log *slog.Logger) (keyring.Engine, error) {
	if sandbox {
		return keyring.Sandbox(), nil
	}
	b, path, err := Backend(k, log)
	if err != nil {
		return nil, err
	}
	ks, err := readKeyset(k, path, b)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	e, err := b.Engine(ks)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return e, nil
}

func readKeyset(k config.Keys, path string, b backend.Backend) (*keyring.Keyset, error) {
	f, err := k.OpenKeyset(path)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w (make one with 'pinvault keys init')", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return keyring.Read(f, b.KEK())
}

// InitKeys makes the keys of a vault: in the backend those that belong there, and the keyset file, whose path it
// returns. It never overwrites a file: what was sealed under its keys would be lost.
func InitKeys(k config.Keys, random io.Reader, now time.Time) (path string, err error) {
	b, path, err := Backend(k, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Init(); err != nil {
		return "", err
	}
	ks, err := keyring.Generate(random, now)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // whoever starts it says where its own file is
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s exists already, and a keyset is never overwritten", path)
	}
	if err != nil {
		return "", fmt.Errorf("keyset: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := ks.Write(f, b.KEK()); err != nil {
		return "", err
	}
	return path, f.Sync()
}
