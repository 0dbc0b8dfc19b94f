package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pinvault/impl/config"
	"pinvault/impl/store"
)

type backupCommand struct {
	config.Database
	Out string `required:"" type:"path" placeholder:"FILE" help:"The file to write, which must not be there yet."`
}

// Help says what it is not for.
func (backupCommand) Help() string {
	return `Copies the database as it is at one moment, while servers serve. The keyset file and what opens it are not in it: keep
them too, and elsewhere. PostgreSQL has pg_dump for this.

    pinvault backup --out /var/backups/pinvault.db`
}

// Run copies a database that is a file.
func (c *backupCommand) Run(ctx context.Context) (err error) {
	if !c.Embedded() {
		return errors.New("only a SQLite database is copied so: PostgreSQL's tool is pg_dump")
	}
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Ping(ctx); err != nil { // the file may have been made just now
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // empty, and its owner's: SQLite fills it
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := db.Snapshot(ctx, c.Out); err != nil {
		return errors.Join(err, os.Remove(c.Out))
	}
	fmt.Println("copied to", c.Out)
	return nil
}
