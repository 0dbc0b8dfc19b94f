package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Migrate brings the schema to what this program needs: Unavailable, or Internal when a migration fails
// or the schema is newer than the program. Any number of processes may do it at once, through a pooler
// too: each version succeeds in one of them, and the others look again.
func (s *Store) Migrate(ctx context.Context) error {
	pool := s.pool
	if s.engine.sessions != nil {
		pool = sql.OpenDB(oneByOne{s.engine.sessions})
		defer func() { _ = pool.Close() }()
	}
	provider, err := s.migrations(pool)
	if err != nil {
		return err
	}
	have, want, err := s.SchemaVersion(ctx)
	for err == nil {
		if have > want {
			return &pin.Error{Code: pin.Internal, Err: fmt.Errorf("schema version %d is newer than this program's %d", have, want)}
		}
		failure := s.retry(ctx, func() error { // goose asks anew where it stands
			_, err := provider.Up(ctx)
			return s.migrationFailure(ctx, err)
		})
		if failure == nil {
			return nil
		}
		before := have
		if have, want, err = s.SchemaVersion(ctx); have == before {
			return failure
		}
	}
	return err
}

// SchemaVersion is the version that the database has, 0 for none, and the one that this program wants.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	provider, err := s.migrations(s.pool)
	if err != nil {
		return 0, 0, err
	}
	have, want, err = provider.GetVersions(ctx)
	return have, want, s.fail(ctx, err, "")
}

func (s *Store) migrations(pool *sql.DB) (*goose.Provider, error) {
	files, err := models.Migrations(s.engine.migrations)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(s.engine.goose, pool, files, goose.WithDisableGlobalRegistry(true))
}

// migrationFailure names the migration that failed.
func (s *Store) migrationFailure(ctx context.Context, err error) error {
	failure := s.fail(ctx, err, "")
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("migration %s: %w", partial.Failed.Source.Path, failure)
	}
	return failure
}
