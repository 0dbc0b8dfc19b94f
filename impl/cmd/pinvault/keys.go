package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
)

type keysCommand struct {
	Init   keysInitCommand   `cmd:"" help:"Create the keys of a vault: a keyset file, and where --keys says so those in a token or OpenBao."`
	Import keysImportCommand `cmd:"" help:"Import a partner's key, in components that are XORed together."`
}

type keysInitCommand struct{ config.Keys }

// Run makes the keys of a vault that has none.
func (c *keysInitCommand) Run() error {
	if err := c.Missing(); err != nil {
		return err
	}
	path, err := app.InitKeys(c.Keys, rand.Reader, time.Now())
	if err != nil {
		return err
	}
	fmt.Println("created", path+". Back it up, and back up what opens it elsewhere: without both, no PIN can be verified again.")
	return nil
}
