package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/doctor"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

type statusCommand struct {
	auditOptions
	JSON bool `name:"json" help:"Print it as a line of JSON."`
}

// Help says what is shown.
func (*statusCommand) Help() string {
	return `Shows the version, the database, how many programs, clients and cards there are, the vault's own keys, what waits for webhooks, which of
them are paused, and when the last checkpoint of the audit trail was made. It changes nothing.

  pinvault status --json`
}

// Validate asks for keys where they are needed.
func (c *statusCommand) Validate() error { return c.missing() }

// Run shows what there is.
func (c *statusCommand) Run(ctx context.Context) error {
	engine, err := app.Engine(c.Sandbox, c.Keys)
	if err != nil {
		return err
	}
	keys := keyring.Sandbox().Keys(time.Now())
	if !c.Sandbox {
		if keys, _, err = standings(c.Keys); err != nil {
			return err
		}
	}
	return c.within(ctx, engine, func(v *pin.Vault, db *store.Store) error {
		if err := app.Suits(ctx, db, c.Sandbox); err != nil {
			return err
		}
		now := time.Now()
		s, err := doctor.Look(ctx, versionText(), db, v, keys, now)
		switch {
		case pin.Tampered(err):
			return errors.New("the keys are not those of the database, or it was changed by something other than PinVault: 'pinvault doctor' tells which")
		case err != nil:
			return err
		case c.JSON:
			return show(s)
		}
		return s.Print(os.Stdout, now)
	})
}

// ServeSettings are a server's, unchecked: what is wrong with them is a finding.
type ServeSettings config.Serve

type doctorCommand struct {
	ServeSettings
	File []string `name:"file" type:"path" placeholder:"FILE" help:"A file of keys besides those that the settings name, such as a component, whose permissions are looked at. Repeatable."`
	JSON bool     `name:"json" help:"Print each finding as a line of JSON."`
}

// Help says what is looked at.
func (*doctorCommand) Help() string {
	return `Takes the settings of 'pinvault serve' and looks at all that a server needs: settings, TLS, permissions of files, keys and what has them, the
database, its schema, whether it keeps what it has committed, the role's rights, its clock, webhooks, checkpoints, disk and open files. Each line
says ok, warn or fail, what is wrong and what to do. It changes nothing. Where anything fails the exit code is 1.

  pinvault doctor --database-url postgres://pinvault@db.example.com/pinvault`
}

// Run prints the findings.
func (c *doctorCommand) Run(ctx context.Context) error {
	model, err := grammar(ctx)
	if err != nil {
		return err
	}
	found := doctor.Examine(ctx, doctor.Patient{Serve: config.Serve(c.ServeSettings), Version: versionText(), Files: c.File,
		Strangers: strangers(os.Environ(), model, c.KeysURL)})
	failed := 0
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range found {
		if f.Level == doctor.Fail {
			failed++
		}
		if c.JSON {
			if err := show(f); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.Check, f.Says)
		if f.Do != "" {
			_, _ = fmt.Fprintf(table, "\t\t  → %s\n", f.Do)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("failed: %d of %d", failed, len(found))
	}
	return nil
}
