package app

import (
	"context"
	"errors"
	"fmt"

	"pinvault/impl/sandbox"
	"pinvault/impl/store"
)

// ReadySchema makes sure that the schema is one that this program works with. It changes an embedded
// database or a sandbox's; any other is the operator's to change.
func ReadySchema(ctx context.Context, db *store.Store, own bool) error {
	if own {
		return db.Migrate(ctx)
	}
	at, err := db.Schema(ctx)
	switch {
	case err != nil:
		return err
	case at.Serves():
		return nil
	case at.Have < at.Want:
		return fmt.Errorf("the database schema is at version %d and this program needs %d: run 'pinvault migrate'", at.Have, at.Want)
	}
	return fmt.Errorf("the database schema is at version %d, newer than the %d that this program knows, and serves programs that know %d: run a newer pinvault",
		at.Have, at.Want, at.Oldest)
}

// Suits refuses a sandbox's database in production and any other in a sandbox, whose keys are public.
func Suits(ctx context.Context, db *store.Store, boxed bool) error {
	err := sandbox.Refuse(ctx, db)
	switch {
	case !boxed:
		return err
	case errors.Is(err, sandbox.ErrSandbox):
		return nil
	case err != nil:
		return err
	}
	return errors.New("the database does not belong to a sandbox: 'pinvault serve --sandbox' makes one that does")
}
