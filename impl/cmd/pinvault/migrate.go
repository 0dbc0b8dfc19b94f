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
