package app

import (
	"errors"
	"fmt"
	"os"

	"pinvault/impl/config"
	"pinvault/impl/keyring"
)

// MasterKey reads the master key. The caller clears it.
func MasterKey(k config.Keys) ([]byte, error) {
	text, err := k.Master()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return keyring.ParseMasterKey(text)
}

// Keyset is a sandbox's keyset, or that of the keyset file.
func Keyset(sandbox bool, k config.Keys) (*keyring.Keyset, error) {
	if sandbox {
		return keyring.Sandbox(), nil
	}
	master, err := MasterKey(k)
	if err != nil {
		return nil, err
	}
	defer clear(master)
	kek, err := keyring.MasterKey(master)
	if err != nil {
		return nil, err
	}
	f, err := k.OpenKeyset()
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w (make one with 'pinvault keys init')", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return keyring.Read(f, kek)
}
