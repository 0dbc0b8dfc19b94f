package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlite3 "modernc.org/sqlite/lib"

	"pinvault/impl/pin"
)

// fault is a database's failure in words that hold no row's value. It stands in for the driver's
// error, whose text and fields may hold them.
type fault struct {
	text     string
	again    bool // the same once more may succeed
	noEffect bool // the database has said that nothing was changed
	field    string
}

func (f *fault) Error() string { return f.text }

// fail turns an error of the database into the domain's; nil and what is the domain's already stay as they
// are. field goes with Duplicate.
func (s *Store) fail(ctx context.Context, err error, field string) error {
	if known, ok := errors.AsType[*pin.Error](err); ok {
		return known
	}
	var code pin.Code
	var cause error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound):
		code = pin.NotFound
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return &pin.Error{Code: pin.Duplicate, Field: field}
	case ctx.Err() != nil:
		code, cause = pin.Unavailable, context.Cause(ctx)
	case s.closed.Load():
		code, cause = pin.Unavailable, &fault{text: "database is closed", noEffect: true}
	default:
		code, cause = classify(err)
		if f, ok := errors.AsType[*fault](cause); ok && f.field != "" {
			field = f.field
		}
	}
	if code == pin.Conflict || code == pin.Duplicate {
		return &pin.Error{Code: code, Field: field}
	}
	return &pin.Error{Code: code, Err: cause}
}

// classify sorts errors of the drivers and of the network.
func classify(err error) (pin.Code, error) {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return pin.Unavailable, &fault{text: e.Error(), noEffect: true}
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyPostgres(e)
	}
	if e, ok := errors.AsType[*gosqlite.Error](err); ok {
		return classifySQLite(e)
	}
	_, network := errors.AsType[net.Error](err)
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, pgconn.ErrConnClosed} {
		network = network || errors.Is(err, lost)
	}
	if network {
		return pin.Unavailable, &fault{text: "connection lost: " + err.Error(), again: true}
	}
	return pin.Internal, &fault{text: fmt.Sprintf("unexpected %T", err)} // its text may hold a value
}

// sqlStates says what SQLSTATEs mean for the caller; the first prefix that matches counts, all else is
// Internal. (PostgreSQL, appendix A; other engines that speak its protocol share these.)
var sqlStates = []struct {
	prefix          string
	again, noEffect bool
}{
	{prefix: "40001", again: true, noEffect: true}, // serialization failure
	{prefix: "40003"}, // statement completion unknown: engines that speak PostgreSQL's protocol say so of a commit
	{prefix: "40P01", again: true, noEffect: true}, // deadlock
	{prefix: "26000", again: true, noEffect: true}, // prepared statement unknown: another server behind the same address
	{prefix: "0A000", again: true, noEffect: true}, // prepared statement stale: the schema has changed
	{prefix: "57P01", again: true},                 // terminated by an administrator, in a restart for one
	{prefix: "57P03", noEffect: true},              // starting up
	{prefix: "57P"},                                // shutting down
	{prefix: "57014", noEffect: true},              // statement_timeout
	{prefix: "55P03", noEffect: true},              // lock_timeout
	{prefix: "25006", noEffect: true},              // read-only: no longer the primary
	{prefix: "08"},                                 // connection
	{prefix: "40", noEffect: true},                 // transaction rolled back for other reasons
	{prefix: "53", noEffect: true},                 // disk full, out of memory, too many connections
	{prefix: "58"},                                 // I/O
}

func classifyPostgres(e *pgconn.PgError) (pin.Code, error) {
	switch e.Code {
	case "23505": // unique_violation, where GORM does not translate it
		return pin.Duplicate, &fault{text: "duplicate", field: e.TableName, noEffect: true}
	case "PV001": // this and the next are swap_card's own
		return pin.Conflict, &fault{text: "overtaken", field: e.TableName, noEffect: true}
	case "PV002":
		return pin.Duplicate, &fault{text: "duplicate", field: e.TableName, noEffect: true}
	}
	f := &fault{text: "SQLSTATE " + e.Code}
	// Messages of data exceptions and violated constraints quote what was written.
	if !strings.HasPrefix(e.Code, "22") && !strings.HasPrefix(e.Code, "23") {
		f.text += ": " + e.Message
	} else if at := strings.Join([]string{e.TableName, e.ColumnName, e.ConstraintName}, " "); at != "  " {
		f.text += ": " + strings.Join(strings.Fields(at), " ")
	}
	for _, state := range sqlStates {
		if strings.HasPrefix(e.Code, state.prefix) {
			f.again, f.noEffect = state.again, state.noEffect
			return pin.Unavailable, f
		}
	}
	return pin.Internal, f
}

// classifySQLite goes by the primary result code (sqlite.org/rescode.html). SQLite's messages name
// tables and columns, and no values.
func classifySQLite(e *gosqlite.Error) (pin.Code, error) {
	f := &fault{text: "SQLite: " + e.Error()}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		f.again, f.noEffect = true, true
		return pin.Unavailable, f
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return pin.Unavailable, f
	}
	return pin.Internal, f
}
