package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// keyStep are the flags of a step that one key takes.
type keyStep struct {
	keeperFlags
	Key keyName `arg:"" placeholder:"KEY" help:"The key: its use and its version, such as pan/1."`
}

func (c *keyStep) take(ctx context.Context, step keyring.Step, hasty, force bool) error {
	return c.keep(ctx, string(step), func(ctx context.Context, k *keylife.Keeper, _ keylife.File) ([]keyring.Standing, error) {
		after, err := k.Take(ctx, keyring.Wish{Use: c.Key.use, Version: c.Key.version, Step: step, Hasty: hasty}, force, pin.Memo{})
		return []keyring.Standing{after}, err
	})
}

type keysRetireCommand struct {
	keyStep
	Hasty bool `help:"Do not wait until every server has had the time to change over from the key: for a vault that nobody serves."`
	Force bool `help:"Retire the key although something is under it, or was not counted: nothing opens what is left."`
}

// Help says what it takes.
func (*keysRetireCommand) Help() string {
	return `A retired key opens nothing. Its material is kept, for a database that comes back from a backup: 'pinvault keys restore'
has it open again. A key is retired when nothing in the database is under it any more, which is counted.

  pinvault rewrap
  pinvault keys retire pan/1`
}

// Run has a key open nothing any more.
func (c *keysRetireCommand) Run(ctx context.Context) error {
	if c.Force {
		_, _ = fmt.Fprintln(os.Stderr, "warning: what only this key opens is lost until it is restored")
	}
	return c.take(ctx, keyring.Retire, c.Hasty, c.Force)
}

type keysRestoreCommand struct{ keyStep }

// Help says what for.
func (*keysRestoreCommand) Help() string {
	return `A restored key opens what it has made, and makes nothing.

  pinvault keys restore pan/1`
}

// Run has a retired key open again.
func (c *keysRestoreCommand) Run(ctx context.Context) error {
	return c.take(ctx, keyring.Restore, false, false)
}

type keysDestroyCommand struct {
	keyStep
	Yes bool `help:"Do not ask."`
}

// Help says what is left.
func (*keysDestroyCommand) Help() string {
	return `The key's material is removed from the keyset file for good, and its record stays. Copies of the file that were made
before still have it: destroy them too. Only a retired key can be destroyed.

  pinvault keys destroy pan/1`
}

// Run destroys a retired key, once that was confirmed.
func (c *keysDestroyCommand) Run(ctx context.Context) error {
	if !c.Yes {
		answer, err := newConsole(os.Stdin, os.Stderr).ask(fmt.Sprintf("destroy %s/%d for good? What only it opens is lost. [y/N] ", c.Key.use, c.Key.version))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if a := strings.ToLower(answer); a != "y" && a != "yes" {
			return errors.New("not confirmed; nothing was destroyed")
		}
	}
	return c.take(ctx, keyring.Destroy, false, false)
}
