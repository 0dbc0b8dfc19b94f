package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"
)

// pinned are the parameters that the text of values depends on, as every session has them whatever the
// URL, the role or the database says. They are those that PgBouncer follows: it takes them at the start
// of a session and sets them on each connection that it hands out, unless they stand there word for word
// as PostgreSQL reports them. That is why they are written out as it does.
var pinned = map[string]string{
	"client_encoding":             "UTF8",
	"DateStyle":                   "ISO, MDY",
	"standard_conforming_strings": "on",
	"TimeZone":                    "UTC",
}

// ours are the parameters that a URL does not decide on: what is pinned and what begin sets.
var ours = append(slices.Collect(maps.Keys(pinned)), "bytea_output", "plan_cache_mode")

// sessions opens sessions of PostgreSQL for database/sql.
//
// A pooler hands the connection to the server on after each transaction: what is prepared or set for
// the session is lost, or found by others. Sessions that come through one have no named statements, and
// nothing is set in them. It costs the planning of each statement.
type sessions struct {
	config *pgx.ConnConfig
	chosen bool        // the URL says how to run statements, and is followed
	pooled atomic.Bool // the session opened last came through a pooler
}

func newSessions(databaseURL string) (*sessions, error) {
	plain, err := pgconn.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool {
		return slices.ContainsFunc(ours, func(own string) bool { return strings.EqualFold(name, own) })
	})
	maps.Copy(config.RuntimeParams, pinned)
	s := &sessions{config: config}
	_, s.chosen = plain.RuntimeParams["default_query_exec_mode"]
	return s, nil
}

// errPooled is a session through a pooler that was opened as one without.
var errPooled = errors.New("session through a pooler")

// errCancel is where pgx would cancel what it does not wait for any longer.
var errCancel = errors.New("statements are not cancelled")

// Connect is driver.Connector's.
func (s *sessions) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.open(ctx, s.pooled.Load())
	if errors.Is(err, errPooled) {
		conn, err = s.open(ctx, true)
	}
	return conn, err
}

// Driver is driver.Connector's.
func (s *sessions) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

func (s *sessions) open(ctx context.Context, pooled bool) (driver.Conn, error) {
	config := *s.config
	if pooled && !s.chosen {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // types stay known, so that results stay binary
	}
	// No statement is cancelled. A commit that waits for its standbys, and is cancelled, is seen by everybody on the
	// primary and is nowhere else: whoever reads it would be told of what is lost with that machine.
	var begun atomic.Bool
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if begun.Load() {
			return nil, errCancel
		}
		return dial(ctx, network, address)
	}
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		pooled, output, err := begin(ctx, conn, s.config.ConnectTimeout)
		if err != nil {
			return err
		}
		begun.Store(true) // what is dialled from here on is to cancel
		s.pooled.Store(pooled)
		switch mode := config.DefaultQueryExecMode; {
		case !pooled:
		case !s.chosen && mode == pgx.QueryExecModeCacheStatement:
			return errPooled
		case (mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol) && output != "hex":
			return &fault{text: "bytea_output is " + output + " behind the pooler, and values come as text: " +
				"take default_query_exec_mode out of the database URL, or ALTER ROLE … SET bytea_output = 'hex'"}
		}
		return nil
	}
	return stdlib.GetConnector(config).Connect(ctx)
}

// begin makes a session ours, unless it comes through a pooler, and tells its form of bytes in text. The
// first thing a server says is the number of its process. A pooler says one of its own making; the
// server on whose connection a question ends up says another.
//
// Question and settings are one statement, so that nothing is ever set in a session that is not ours
// alone. A prepared statement is planned once (force_generic_plan): ours are look-ups by an index that
// serves all values alike. Planning a search takes longer than running it, and PostgreSQL, left to
// itself, goes on planning where it hopes to gain by knowing the values.
func begin(ctx context.Context, conn *pgconn.PgConn, timeout time.Duration) (pooled bool, output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results, err := conn.Exec(ctx, fmt.Sprintf(`SELECT own, current_setting('bytea_output'),
		CASE WHEN own THEN set_config('bytea_output', 'hex', false) END,
		CASE WHEN own THEN set_config('plan_cache_mode', 'force_generic_plan', false) END
		FROM (SELECT pg_backend_pid() = %d AS own) s`, conn.PID())).ReadAll()
	if err != nil {
		return false, "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return false, "", &fault{text: "the server does not say whose session this is"}
	}
	row := results[0].Rows[0]
	return string(row[0]) != "t", string(row[1]), nil
}

// oneByOne opens sessions in which each transaction waits for those of other processes to end, as
// SQLite's writers do, and for nobody's tables for long. The lock is the transaction's, not the session's: a pooler may hand the session
// on. It has goose's number, for whose lock of a session it waits too.
type oneByOne struct{ driver.Connector }

// Connect is driver.Connector's.
func (o oneByOne) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := o.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pg, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a session that is a %T", conn), conn.Close())
	}
	return waitingConn{pg}, nil
}

type waitingConn struct{ *stdlib.Conn }

// BeginTx is driver.ConnBeginTx's.
func (c waitingConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", lock.DefaultLockID),
		fmt.Sprintf("SET LOCAL lock_timeout = %d", lockWait.Milliseconds())} {
		if _, err := c.ExecContext(ctx, statement, nil); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
	}
	return tx, nil
}
