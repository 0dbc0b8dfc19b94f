package main

import (
	"context"
	"errors"
	"fmt"

	"pinvault/impl/config"
	"pinvault/impl/store"
)

type migrateCommand struct {
	config.Database
	Stopped bool `help:"All servers are stopped: make even a change that those of the release before would not survive."`
}

// Run brings the schema up to date. Doing it twice does no harm, nor do two at once.
func (c *migrateCommand) Run(ctx context.Context) (err error) {
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	before, err := db.Schema(ctx)
	if err != nil {
		return err
	}
	if before.Breaks() && !c.Stopped {
		return fmt.Errorf("servers that work with schema version %d would not survive version %d, which serves those of version %d on: upgrade to a release between first, "+
			"or stop them all and say --stopped", before.Have, before.Want, before.Keeps)
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	after, err := db.Schema(ctx)
	fmt.Printf("schema version %d, was %d; it serves programs of schema version %d and later\n", after.Have, before.Have, after.Oldest)
	return err
}
