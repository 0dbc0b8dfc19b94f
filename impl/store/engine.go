package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/glebarez/sqlite"
	"github.com/pressly/goose/v3"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"pinvault/impl/pin"
)

// engine is in what the databases differ.
type engine struct {
	migrations string // folder of models' migrations
	goose      goose.Dialect
	maxConns   int
	oneWriter  bool
	function   bool      // swap_card is there
	sharded    bool      // the tables are spread over machines
	unguard    []string  // SQL that lets audit events be deleted, and
	guard      []string  // that does not, except for triggers that must be made again
	sessions   *sessions // PostgreSQL's
}

// connectTimeout is what a connection to PostgreSQL may take, unless the URL says otherwise: a request
// is better refused than kept waiting for a server that is gone.
const connectTimeout = 3 * time.Second

// connect finds the engine for a URL. SQLite waits that long for a lock.
func connect(databaseURL string, lockWait time.Duration, passing bool) (engine, gorm.Dialector, error) {
	scheme, rest, _ := strings.Cut(databaseURL, "://")
	switch scheme {
	case "sqlite":
		d, err := sqliteDialector(rest, lockWait, passing)
		return engine{migrations: "sqlite", goose: goose.DialectSQLite3, maxConns: 8, oneWriter: true,
			unguard: []string{"DROP TRIGGER audit_events_no_update", "DROP TRIGGER audit_events_no_delete"}}, d, err
	case "postgres", "postgresql":
		s, err := newSessions(databaseURL)
		if err != nil {
			return engine{}, nil, errors.New("database URL: PostgreSQL's clients do not understand it") // err may hold the password
		}
		return engine{migrations: "postgres", goose: goose.DialectPostgres, maxConns: 20,
			function: true, sessions: s,
			unguard: []string{"ALTER TABLE audit_events DISABLE TRIGGER USER"}, guard: []string{"ALTER TABLE audit_events ENABLE TRIGGER USER"},
		}, postgres.New(postgres.Config{Conn: sql.OpenDB(s)}), nil
	}
	return engine{}, nil, errors.New("database URL: neither sqlite:// nor postgres://")
}

// sqliteDialector makes the file, if need be, for its owner only. SQLite gives its companions, -wal and
// -shm, the same mode.
func sqliteDialector(path string, lockWait time.Duration, passing bool) (gorm.Dialector, error) {
	switch {
	case path == "" || strings.Contains(path, "?"):
		return nil, errors.New("database URL: sqlite:// is followed by a path and nothing else")
	case strings.Contains(path, ":memory:"): // however many slashes are before it
		return nil, errors.New("database URL: :memory: would forget every PIN when the server stops, and be a different database for each connection: name a file")
	case strings.HasPrefix(path, "//"): // four slashes, as SQLAlchemy and others write an absolute path
		path = "/" + strings.TrimLeft(path, "/")
	}
	// Only a file that was not there is opened here: closing one would end the locks that another Store
	// of this process holds on it.
	switch f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); { //nolint:gosec // the operator says where the database is
	case err == nil:
		if err := f.Close(); err != nil {
			return nil, &pin.Error{Code: pin.Unavailable, Err: err}
		}
	case !errors.Is(err, os.ErrExist):
		return nil, &pin.Error{Code: pin.Unavailable, Err: err}
	}
	synchronous, secureDelete := "synchronous(FULL)", "secure_delete(ON)" // what is forgotten is overwritten
	if passing {
		synchronous, secureDelete = "synchronous(OFF)", "secure_delete(OFF)"
	}
	options := url.Values{
		"_txlock": {"immediate"}, // a transaction that reads before it writes must not find its lock taken
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", lockWait.Milliseconds()),
			"journal_mode(WAL)",
			synchronous,
			"foreign_keys(ON)",
			secureDelete,
		},
	}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: options.Encode()}
	return &sqlite.Dialector{Conn: sql.OpenDB(sqliteFile{path: path, dsn: dsn.String()})}, nil
}

// sqliteFile opens connections to a file for database/sql, and names it where that fails.
type sqliteFile struct{ path, dsn string }

// Connect is driver.Connector's.
func (f sqliteFile) Connect(context.Context) (driver.Conn, error) {
	conn, err := f.Driver().Open(f.dsn)
	if err != nil {
		return nil, &sqliteFileError{path: f.path, err: err}
	}
	return conn, nil
}

// Driver is driver.Connector's.
func (f sqliteFile) Driver() driver.Driver { return new(gosqlite.Driver) }
