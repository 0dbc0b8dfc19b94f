package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"pinvault/impl/config"
	"pinvault/impl/keyring"
)

type keysCommand struct {
	Init   keysInitCommand   `cmd:"" help:"Create a keyset file, encrypted under the master key."`
	Import keysImportCommand `cmd:"" help:"Import a partner's key, in components that are XORed together."`
}

type keysInitCommand struct{ config.Keys }

// Run makes the file and never overwrites one: what was sealed under its keys would be lost.
func (c *keysInitCommand) Run() (err error) {
	if err := c.Missing(); err != nil {
		return err
	}
	master, err := masterKey(c.Keys)
	if err != nil {
		return err
	}
	defer clear(master)
	if err := keyring.CheckMasterKey(master); err != nil {
		return err
	}
	ks, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.Keyset, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keyset: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(c.Keyset))
		}
	}()
	if err := ks.Write(f, master); err != nil {
		return err
	}
	fmt.Println("created", c.Keyset+". Back it up, and back up the master key elsewhere: without both, no PIN can be verified again.")
	return f.Sync()
}

// masterKey reads the master key. The caller clears it.
func masterKey(k config.Keys) ([]byte, error) {
	text, err := k.Master()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return keyring.ParseMasterKey(text)
}

// loadKeyset is a sandbox's keyset, or that of the keyset file.
func loadKeyset(sandbox bool, k config.Keys) (*keyring.Keyset, error) {
	if sandbox {
		return keyring.Sandbox(), nil
	}
	master, err := masterKey(k)
	if err != nil {
		return nil, err
	}
	defer clear(master)
	f, err := k.OpenKeyset()
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w (make one with 'pinvault keys init')", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	return keyring.Read(f, master)
}
