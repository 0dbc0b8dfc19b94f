package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"slices"

	"gorm.io/gorm"
)

// ErrNoSnapshots is the refusal of a database that keeps no snapshots: only SQLite's, which is a file, does.
var ErrNoSnapshots = errors.New("only a database that is a file can be copied")

// Snapshot copies the database, as it is at one moment, to a file that must not be there yet, or be empty.
func (s *Store) Snapshot(ctx context.Context, file string) error {
	if !s.engine.oneWriter {
		return ErrNoSnapshots
	}
	return s.write(ctx, func(db *gorm.DB) error { return s.fail(ctx, db.Exec(`VACUUM INTO ?`, file).Error, "") })
}

// Restore makes every table what it was when a snapshot was made, in one transaction. It is for sandboxes: audit events
// go as well, which no database of a vault in production would let happen.
func (s *Store) Restore(ctx context.Context, file string) error {
	if !s.engine.oneWriter {
		return ErrNoSnapshots
	}
	return s.write(ctx, func(*gorm.DB) error { return s.fail(ctx, s.restore(ctx, file), "") })
}

func (s *Store) restore(ctx context.Context, file string) (err error) {
	conn, err := s.pool.Conn(ctx) // a file is attached to a connection
	if err != nil {
		return err
	}
	exec := func(ctx context.Context, statements ...string) (err error) {
		for _, statement := range statements {
			if _, err = conn.ExecContext(ctx, statement); err != nil {
				break
			}
		}
		return err
	}
	if _, err := conn.ExecContext(ctx, `ATTACH ? AS kept`, unchanging(file)); err != nil {
		return errors.Join(err, conn.Close())
	}
	ending := context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, exec(ending, `DETACH kept`), conn.Close()) }()
	guards, err := texts(ctx, conn, `SELECT sql FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_events'`)
	if err != nil {
		return err
	}
	rows, err := texts(ctx, conn, `SELECT 'DELETE FROM main.' || name || '; INSERT INTO main.' || name || ' SELECT * FROM kept.' || name
		FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	if err != nil {
		return err
	}
	if err := exec(ctx, slices.Concat([]string{`BEGIN IMMEDIATE`}, s.engine.unguard, rows, guards, []string{`COMMIT`})...); err != nil {
		_ = exec(ending, `ROLLBACK`) // unless BEGIN failed
		return err
	}
	return nil
}

// unchanging names a snapshot so that SQLite takes no lock on it, which nobody writes once it is made. Otherwise BEGIN IMMEDIATE
// would take the writer's lock of every database that is attached, and those who put back the same snapshot elsewhere wait for it.
func unchanging(file string) string {
	uri := url.URL{Scheme: "file", OmitHost: true, Path: file, RawQuery: "immutable=1"}
	return uri.String()
}

// texts are the values of a query's one column.
func texts(ctx context.Context, conn *sql.Conn, query string) (all []string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close(), rows.Err()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}
