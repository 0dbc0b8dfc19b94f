package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Migrate brings the schema to what this program needs: Unavailable, or Internal when a migration fails
// or the schema is newer than the program. Any number of processes may do it at once: with PostgreSQL
// they wait for each other; with SQLite each version succeeds in one of them, and the others look again.
func (s *Store) Migrate(ctx context.Context) error {
	provider, err := s.migrations()
	if err != nil {
		return err
	}
	have, want, err := s.SchemaVersion(ctx)
	for err == nil {
		if have > want {
			return &pin.Error{Code: pin.Internal, Err: fmt.Errorf("schema version %d is newer than this program's %d", have, want)}
		}
		_, failure := provider.Up(ctx)
		if failure == nil {
			return nil
		}
		before := have
		if have, want, err = s.SchemaVersion(ctx); have == before {
			return s.migrationFailure(ctx, failure)
		}
	}
	return err
}

// SchemaVersion is the version that the database has, 0 for none, and the one that this program wants.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	provider, err := s.migrations()
	if err != nil {
		return 0, 0, err
	}
	have, want, err = provider.GetVersions(ctx)
	return have, want, s.fail(ctx, err, "")
}

func (s *Store) migrations() (*goose.Provider, error) {
	files, err := models.Migrations(s.engine.migrations)
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.engine.goose == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // asks every second for five minutes
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(s.engine.goose, s.pool, files, options...)
}

// migrationFailure names the migration that failed.
func (s *Store) migrationFailure(ctx context.Context, err error) error {
	failure := s.fail(ctx, err, "")
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("migration %s: %w", partial.Failed.Source.Path, failure)
	}
	return failure
}
