package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
)

type keysCommand struct {
	Init            keysInitCommand            `cmd:"" help:"Create a keyset file, encrypted under the master key."`
	List            keysListCommand            `cmd:"" help:"List the vault's own keys: their states, dates and check values."`
	Show            keysShowCommand            `cmd:"" help:"Show one of the vault's own keys, without its material."`
	Rotate          keysRotateCommand          `cmd:"" help:"Replace the active key of a use, while servers serve."`
	Generate        keysGenerateCommand        `cmd:"" help:"Make a key of the vault's own, which waits to be activated."`
	Activate        keysActivateCommand        `cmd:"" help:"Have a pending key become active."`
	Retire          keysRetireCommand          `cmd:"" help:"Have a key that was replaced open nothing any more."`
	Restore         keysRestoreCommand         `cmd:"" help:"Have a retired key open again what it has made."`
	Destroy         keysDestroyCommand         `cmd:"" help:"Destroy the material of a retired key."`
	ChangeMasterKey keysChangeMasterKeyCommand `cmd:"" help:"Encrypt the keyset file under another master key."`
	Import          keysImportCommand          `cmd:"" help:"Import a partner's key, in components that are XORed together."`

	Partner partnerKeysCommand `cmd:"" help:"Partners' keys: list, create, activate, rotate, retire and destroy them, in ceremonies and key blocks."`
}

type keysInitCommand struct{ config.Keys }

// Run makes the file and never overwrites one: what was sealed under its keys would be lost.
func (c *keysInitCommand) Run() (err error) {
	if err := c.Missing(); err != nil {
		return err
	}
	master, err := app.MasterKey(c.Keys)
	if err != nil {
		return err
	}
	defer clear(master)
	if err := keyring.CheckMasterKey(master); err != nil {
		return err
	}
	kek, err := keyring.MasterKey(master)
	if err != nil {
		return err
	}
	ks, err := keyring.Generate(rand.Reader, time.Now())
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.Keyset, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already, and a keyset is never overwritten", c.Keyset)
	}
	if err != nil {
		return fmt.Errorf("keyset: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(c.Keyset))
		}
	}()
	if err := ks.Write(f, kek); err != nil {
		return err
	}
	fmt.Println("created", c.Keyset+". Back it up, and back up the master key elsewhere: without both, no PIN can be verified again.")
	return f.Sync()
}
