package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
)

type keysCommand struct {
	Init            keysInitCommand            `cmd:"" help:"Create the keys of a vault: a keyset file, and those that --keys has in a token or in OpenBao."`
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

// Run makes the keys of a vault that has none.
func (c *keysInitCommand) Run() error {
	if err := c.Missing(); err != nil {
		return err
	}
	made, err := app.InitKeys(c.Keys, rand.Reader, time.Now())
	if err != nil {
		return err
	}
	opens := "the master key"
	if c.KeysURL != "" {
		opens = "what opens it"
	}
	fmt.Println("created", made.Path+". Back it up, and back up", opens, "elsewhere: without both, no PIN can be verified again.")
	return nil
}
