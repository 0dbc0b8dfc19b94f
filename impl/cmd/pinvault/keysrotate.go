package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

type keysGenerateCommand struct {
	keeperFlags
	Use useName `required:"" placeholder:"USE" help:"What the key is for; 'pinvault keys list' lists the uses."`
}

// Help says what comes next.
func (*keysGenerateCommand) Help() string {
	return `The key is pending: servers read of it and open what it makes, and it makes nothing until it is activated.

  pinvault keys generate --use pan
  pinvault keys activate pan/2`
}

// Run makes a pending key.
func (c *keysGenerateCommand) Run(ctx context.Context) error {
	return c.keep(ctx, "generate", func(ctx context.Context, k *keylife.Keeper, _ keylife.File) ([]keyring.Standing, error) {
		made, err := k.Generate(ctx, c.Use.use, pin.Memo{})
		return []keyring.Standing{made}, err
	})
}

type keysActivateCommand struct {
	keeperFlags
	Key   keyName       `arg:"" placeholder:"KEY" help:"The pending key: its use and its version, such as pan/2."`
	In    time.Duration `default:"0s" help:"When. Default: now."`
	Hasty bool          `help:"Do not wait until every server has had the time to read of the key: for a vault that nobody serves."`
}

// Validate asks for the keys, and for a time to come.
func (c *keysActivateCommand) Validate() error {
	if c.In < 0 {
		return errors.New("--in must not be less than 0")
	}
	return c.keeperFlags.Validate()
}

// Run has a pending key make outputs.
func (c *keysActivateCommand) Run(ctx context.Context) error {
	return c.keep(ctx, "activate", func(ctx context.Context, k *keylife.Keeper, _ keylife.File) ([]keyring.Standing, error) {
		after, err := k.Take(ctx, keyring.Wish{Use: c.Key.use, Version: c.Key.version, Step: keyring.Activate,
			At: time.Now().Add(c.In), Hasty: c.Hasty}, false, pin.Memo{})
		return []keyring.Standing{after}, err
	})
}

type keysRotateCommand struct {
	keeperFlags
	Use   string        `required:"" placeholder:"USE|all" help:"What the keys are for: a use ('pinvault keys list' lists them), or all."`
	In    time.Duration `default:"2m" help:"When the new keys become active: late enough for every server to have read the keyset file, which takes seconds. Default: ${default}."`
	Hasty bool          `help:"Accept less than the 30 seconds that every server must be given: for a vault that nobody serves."`

	uses []pin.Use
}

// Help says what happens.
func (*keysRotateCommand) Help() string {
	return `Makes a new key for the use, which becomes active after a while. Servers read the keyset file every few seconds, without a
restart: until then they know the key and open what it makes, and then all change over to it. The key before it becomes
retiring, and opens what it has made until it is retired.

  pinvault keys rotate --use pan`
}

// Validate asks for the keys, a use that there is, and enough time.
func (c *keysRotateCommand) Validate() error {
	var one pin.Use
	if c.Use == "all" {
		c.uses = keyring.Uses()
	} else if err := useNamed(c.Use, &one); err != nil {
		return fmt.Errorf("--use: %w", err)
	} else {
		c.uses = []pin.Use{one}
	}
	if c.In < keyring.Settle && !c.Hasty || c.In < 0 {
		return fmt.Errorf("--in must be at least %s, so that every server has read of the key; where none runs, use --hasty", keyring.Settle)
	}
	return c.keeperFlags.Validate()
}

// Run makes keys that will replace the active ones.
func (c *keysRotateCommand) Run(ctx context.Context) error {
	return c.keep(ctx, "rotate", func(ctx context.Context, k *keylife.Keeper, _ keylife.File) ([]keyring.Standing, error) {
		return k.Rotate(ctx, c.uses, c.In, c.Hasty, pin.Memo{})
	})
}
