package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Schema is how the schema of a database stands to this program. Versions are those of migrations.
type Schema struct {
	Have   int64 // version of the database, 0: none
	Want   int64 // version that this program makes of it
	Oldest int64 // version that the oldest program wants which the database still serves
	Keeps  int64 // Oldest, as this program makes it
}

// Serves tells whether the program works with the schema as it is: its own, or a later one that has taken nothing away that
// it needs.
func (s Schema) Serves() bool { return s.Have == s.Want || s.Have > s.Want && s.Oldest <= s.Want }

// Breaks tells whether what this program makes of the schema would be no use to the servers that work with it now.
func (s Schema) Breaks() bool { return s.Have > 0 && s.Have < s.Keeps }

// Schema asks the database.
func (s *Store) Schema(ctx context.Context) (Schema, error) {
	files, err := models.Migrations(s.engine.migrations)
	if err != nil {
		return Schema{}, err
	}
	return s.schema(ctx, files, models.Oldest)
}

// schema asks for a program that has these migrations, after which the oldest program is that.
func (s *Store) schema(ctx context.Context, files fs.FS, oldest int64) (Schema, error) {
	provider, err := s.migrations(s.pool, files)
	if err != nil {
		return Schema{}, err
	}
	at := Schema{Keeps: oldest}
	if at.Have, at.Want, err = provider.GetVersions(ctx); err != nil {
		return Schema{}, s.fail(ctx, err, "")
	}
	at.Oldest = at.Have
	if at.Have == 0 {
		return at, nil
	}
	return at, s.read(ctx, func(db *gorm.DB) error {
		var known []models.Setting
		if err := db.Where("key = ?", oldestProgram).Find(&known).Error; err != nil || len(known) == 0 {
			return err
		}
		at.Oldest, err = strconv.ParseInt(known[0].Value, 10, 64)
		return err
	})
}

// oldestProgram is the setting that is [Schema.Oldest]. Where there is none, the schema serves programs of its own version.
const oldestProgram = "oldest-program"

// Migrate brings the schema to what this program needs: Unavailable, or Internal when a migration fails
// or the schema is newer than the program and does not serve it. Any number of processes may do it at once, through a pooler
// too: each version succeeds in one of them, and the others look again.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := models.Migrations(s.engine.migrations)
	if err != nil {
		return err
	}
	return s.migrate(ctx, files, models.Oldest)
}

func (s *Store) migrate(ctx context.Context, files fs.FS, oldest int64) error {
	pool := s.pool
	if s.engine.sessions != nil {
		pool = sql.OpenDB(oneByOne{s.engine.sessions})
		defer func() { _ = pool.Close() }()
	}
	provider, err := s.migrations(pool, files)
	if err != nil {
		return err
	}
	at, err := s.schema(ctx, files, oldest)
	for err == nil {
		if at.Have > at.Want {
			if at.Serves() {
				return nil
			}
			return &pin.Error{Code: pin.Internal, Err: fmt.Errorf("schema version %d is newer than this program's %d", at.Have, at.Want)}
		}
		failure := s.patiently(ctx, func() error { // goose asks anew where it stands
			if at.Have > 0 { // before anything is taken away
				if err := s.leaveBehind(ctx, at); err != nil {
					return err
				}
			}
			_, err := provider.Up(ctx)
			return s.migrationFailure(ctx, err)
		})
		if failure == nil {
			return s.leaveBehind(ctx, at)
		}
		before := at.Have
		if at, err = s.schema(ctx, files, oldest); at.Have == before {
			return failure
		}
	}
	return err
}

// leaveBehind notes which programs the schema serves from now on. It never serves older ones again.
func (s *Store) leaveBehind(ctx context.Context, at Schema) error {
	if at.Have == at.Want && at.Oldest == at.Keeps {
		return nil
	}
	return s.write(ctx, func(db *gorm.DB) error {
		return s.fail(ctx, db.Exec(`INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
			WHERE CAST(settings.value AS bigint) < CAST(excluded.value AS bigint)`, oldestProgram, strconv.FormatInt(at.Keeps, 10)).Error, "")
	})
}

// A migration waits for whoever uses a table that it changes, a backup for one, and everybody who comes after it waits
// behind it. So it gives up after lockWait, which calls can wait, lets them pass, and tries again for lockPatience.
const (
	lockWait     = time.Second
	lockPatience = 5 * time.Minute
)

// patiently retries what could not get a table's lock.
func (s *Store) patiently(ctx context.Context, op func() error) error {
	var err error
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		if err = s.retry(ctx, op); locked(err) {
			return struct{}{}, err
		}
		return struct{}{}, backoff.Permanent(err)
	}, backoff.WithBackOff(backoff.NewConstantBackOff(lockWait)), backoff.WithMaxElapsedTime(lockPatience))
	return err
}

// errLocked is a table that others use.
var errLocked = errors.New("others use a table that it changes, a backup or a long query for instance")

func locked(err error) bool { return errors.Is(err, errLocked) }

func (s *Store) migrations(pool *sql.DB, files fs.FS) (*goose.Provider, error) {
	return goose.NewProvider(s.engine.goose, pool, files, goose.WithDisableGlobalRegistry(true))
}

// migrationFailure names the migration that failed.
func (s *Store) migrationFailure(ctx context.Context, err error) error {
	failure := s.fail(ctx, err, "")
	if said, ok := errors.AsType[*pgconn.PgError](err); ok && said.Code == "55P03" {
		failure = fmt.Errorf("%w: %w", errLocked, failure)
	}
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("migration %s: %w", partial.Failed.Source.Path, failure)
	}
	return failure
}
