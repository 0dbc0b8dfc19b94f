package main

import (
	"context"
	"errors"
	"fmt"

	"pinvault/impl/config"
	"pinvault/impl/store"
)

type migrateCommand struct{ config.Database }

// Run brings the schema up to date. Doing it twice does no harm, nor do two at once.
func (c *migrateCommand) Run(ctx context.Context) (err error) {
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	before, _, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	after, _, err := db.SchemaVersion(ctx)
	fmt.Printf("schema version %d, was %d\n", after, before)
	return err
}

// readySchema makes sure that the schema is the one this program knows. It changes an embedded
// database or a sandbox's; any other is the operator's to change.
func readySchema(ctx context.Context, db *store.Store, own bool) error {
	if own {
		return db.Migrate(ctx)
	}
	have, want, err := db.SchemaVersion(ctx)
	switch {
	case err != nil:
		return err
	case have < want:
		return fmt.Errorf("the database schema is at version %d and this program needs %d: run 'pinvault migrate'", have, want)
	case have > want:
		return fmt.Errorf("the database schema is at version %d, newer than the %d that this program knows: run a newer pinvault", have, want)
	}
	return nil
}
