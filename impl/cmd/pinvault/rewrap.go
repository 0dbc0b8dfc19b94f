package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/time/rate"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

type rewrapCommand struct {
	vaultFlags
	Rate   int  `placeholder:"ROWS" env:"PINVAULT_REWRAP_RATE" help:"Write this many rows a second at most. Default: as many as the database takes."`
	DryRun bool `help:"Change nothing, only count how many rows need which key."`
}

// Help shows one call.
func (rewrapCommand) Help() string {
	return `It may run beside servers, be stopped at any time and be started again: what is under the current keys already is
skipped. At the end it counts how many rows need which key; a key that none needs can be retired.

  pinvault rewrap --rate 500`
}

// Validate refuses a rate that would never end.
func (c *rewrapCommand) Validate() error {
	if c.Rate < 0 {
		return errors.New("--rate must be a number of rows a second, or 0 for no limit")
	}
	return c.vaultFlags.Validate()
}

// tableFigures is what was done in a table.
type tableFigures struct {
	Table     string  `json:"table"`
	Rows      int64   `json:"rows"`
	Rewrapped int64   `json:"rewrapped"`
	Left      int64   `json:"left"`
	Seconds   float64 `json:"seconds"`
}

// keyFigures is how many rows need a key.
type keyFigures struct {
	Use     pin.Use `json:"use"`
	Key     string  `json:"key,omitempty"` // as 'keys list' and 'keys retire' name it; none of a key in a token or OpenBao
	KeyID   string  `json:"keyId"`
	Current bool    `json:"current"`
	Rows    int64   `json:"rows"`
}

// Run puts all rows under the current keys, and counts.
func (c *rewrapCommand) Run(ctx context.Context) error {
	return c.as(ctx, pin.Operator("pinvault rewrap"), func(ctx context.Context, vault *pin.Vault, _ *keyring.Ring) error {
		shown := newProgress(os.Stderr)
		defer shown.end()
		var left int64
		if !c.DryRun {
			var err error
			if left, err = c.rewrap(ctx, vault, shown); err != nil {
				return err
			}
		}
		uses, err := vault.Usage(ctx, func(table string, n int64) { shown.show("counted in "+table, n) })
		if err != nil {
			return err
		}
		shown.end()
		keys, err := c.keys()
		if err != nil {
			return err
		}
		names := map[string]string{}
		for _, k := range keys {
			names[k.ID] = k.Name()
		}
		for _, u := range uses {
			if err := show(keyFigures{u.Use, names[u.KeyID], u.KeyID, u.Current, u.Rows}); err != nil {
				return err
			}
		}
		for _, k := range keys {
			if k.State == keyring.Pending && !k.ActiveFrom.IsZero() {
				say(os.Stderr, "%s is active from %s on: run this again then", k.Name(), k.ActiveFrom.UTC().Truncate(time.Second).Format(time.RFC3339))
			}
		}
		if left > 0 {
			return fmt.Errorf("rows that could not be put under the current keys: %d; 'pinvault audit verify' tells what is wrong with them", left)
		}
		return nil
	})
}

// keys are those of the keyset file.
func (c *rewrapCommand) keys() ([]keyring.Standing, error) {
	if c.Sandbox {
		return nil, nil
	}
	keys, _, err := standings(c.Keys)
	return keys, err
}

// rewrap shows figures table by table, and returns how many rows were left.
func (c *rewrapCommand) rewrap(ctx context.Context, vault *pin.Vault, shown *progress) (left int64, err error) {
	o := pin.RewrapOptions{Progress: func(table string, n int64) { shown.show(table, n) }}
	if c.Rate > 0 {
		o.Wait = rate.NewLimiter(rate.Limit(c.Rate), 1).Wait
	}
	began := time.Now()
	var failed error
	o.Done = func(done pin.Rewrapped) {
		shown.end()
		for _, row := range done.Faulty {
			say(os.Stderr, "left as it is: %s, id %q: %s", done.Table, row.ID, row.Err)
		}
		left += done.Left
		took := math.Round(time.Since(began).Seconds()*1000) / 1000
		began = time.Now()
		if err := show(tableFigures{done.Table, done.Rows, done.Fresh, done.Left, took}); err != nil {
			failed = err
		}
	}
	if err := vault.Rewrap(ctx, o); err != nil {
		return left, err
	}
	return left, failed
}
