package main

import (
	"errors"
	"os"
	"slices"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
)

type keysListCommand struct {
	config.Keys
	Use  useName `placeholder:"USE" help:"Only the keys for this use."`
	JSON bool    `name:"json" help:"Print the keys as lines of JSON."`
}

// Help says what the columns are.
func (*keysListCommand) Help() string {
	return `Each use of keys has one active key, which makes outputs. Pending keys wait for their time and open already; retiring
keys open what they have made; retired keys open nothing, and their material is kept; destroyed keys are a record.

  pinvault keys list --use pan`
}

// Validate asks for the keys.
func (c *keysListCommand) Validate() error { return c.Missing() }

// Run lists the vault's own keys. It needs no database.
func (c *keysListCommand) Run() error {
	keys, err := standings(c.Keys)
	if err != nil {
		return err
	}
	if c.Use.use != "" {
		keys = slices.DeleteFunc(keys, func(k keyring.Standing) bool { return k.Use != c.Use.use })
	}
	return printKeys(os.Stdout, keys, c.JSON)
}

// standings are all keys of the file as they stand now, but for uses whose keys are somewhere else.
func standings(k config.Keys) ([]keyring.Standing, error) {
	b, file, err := app.Backend(k)
	if err != nil {
		return nil, err
	}
	ks, err := file.Keyset()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ks.Keys(time.Now()), func(k keyring.Standing) bool { return b.Holds(k.Use) }), nil
}

type keysShowCommand struct {
	config.Keys
	Key keyName `arg:"" placeholder:"KEY" help:"The key: its use and its version, such as pan/2."`
}

// Validate asks for the keys.
func (c *keysShowCommand) Validate() error { return c.Missing() }

// Run shows all that may be known of a key, as a line of JSON.
func (c *keysShowCommand) Run() error {
	keys, err := standings(c.Keys)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k keyring.Standing) bool { return k.Use == c.Key.use && k.Version == c.Key.version })
	if i < 0 {
		return errors.New("there is no such key: 'pinvault keys list' lists them")
	}
	return show(keys[i])
}
