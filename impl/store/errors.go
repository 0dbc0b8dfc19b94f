package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
	if f, ok := errors.AsType[*fault](err); ok {
		return pin.Internal, f
	}
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return classifyConnect(e)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyPostgres(e)
	}
	if e, ok := errors.AsType[*sqliteFileError](err); ok {
		return classifySQLiteFile(e)
	}
	if e, ok := errors.AsType[*gosqlite.Error](err); ok {
		return classifySQLite(e)
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return pin.Unavailable, &fault{text: "connection lost: " + e.Error(), again: true}
	}
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, pgconn.ErrConnClosed, context.Canceled} {
		if errors.Is(err, lost) {
			return pin.Unavailable, &fault{text: "connection lost: " + lost.Error(), again: true}
		}
	}
	if pgconn.SafeToRetry(err) { // pgx says so after a COMMIT without answer, too: not without effect
		return pin.Unavailable, &fault{text: "connection not usable", again: true}
	}
	return pin.Internal, &fault{text: unexpected(err)}
}

// sayings are the parts of the drivers', GORM's and goose's errors that are the same each time. What
// stands around them may hold a value.
var sayings = []string{
	"simple protocol queries must be run with standard_conforming_strings=on",
	"simple protocol queries must be run with client_encoding=UTF8",
	"cannot use QueryExecModeCacheStatement with disabled statement cache",
	"cannot use QueryExecModeCacheDescribe with disabled description cache",
	"failed to deallocate cached statement(s)",
	"failed to deallocate previously failed statement",
	"failed to encode args",
	"unable to encode",
	"cannot find encode plan",
	"mismatched param and argument count",
	"extended protocol limited to 65535 parameters",
	"expected statement description",
	"result format codes length",
	"number of field descriptions must equal number of",
	"sql: Scan error on column",
	"unsupported Scan, storing driver.Value type",
	"converting driver.Value type",
	"converting NULL to",
	"cannot scan",
	"convert field",
	"missing destination name",
	"received unexpected message",
	"unexpected message type",
	"unexpected DataRow message",
	"unknown message type",
	"body must have length of",
	"body is invalid",
	"invalid body length",
	"commit unexpectedly resulted in rollback",
	"tx is closed",
	"sql: database is closed",
	"sql: transaction has already been committed or rolled back",
	"sql: no rows in result set",
	"failed to unmarshal",
	"unsupported data",
	"invalid transaction",
	"invalid field",
	"invalid value, should be pointer to struct or slice",
	"model value required",
	"primary key required",
	"WHERE conditions required",
	"check if version table exists",
	"create version table",
	"failed to prepare migration",
	"failed to parse",
}

// unexpected says what can be said of an error without telling a value: what it shares with others of
// its kind, and the types that it is made of.
func unexpected(err error) string {
	var said []string
	for _, saying := range sayings {
		if strings.Contains(err.Error(), saying) {
			said = append(said, saying)
		}
	}
	var types []string
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, fmt.Sprintf("%T", err))
	}
	chain := strings.Join(types, " around ")
	if len(said) == 0 {
		return "unexpected " + chain + ", whose words may hold a value"
	}
	return strings.Join(said, "; ") + " (" + chain + ")"
}

// classifyConnect goes by what the server, or a pooler in its place, has said before it hung up.
func classifyConnect(e *pgconn.ConnectError) (pin.Code, error) {
	text := strings.Join(strings.FieldsFunc(e.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), " ")
	if said, ok := errors.AsType[*pgconn.PgError](e); ok {
		if quotes(said) {
			text = fmt.Sprintf("failed to connect to %s: %s", e.Config.Host, describe(said))
		}
		text += cure(said)
	}
	return pin.Unavailable, &fault{text: text, noEffect: true}
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
	{prefix: "42P05", again: true, noEffect: true}, // prepared statement known: another session's, behind a pooler
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

// cures are what to do about failures that do not pass by themselves.
var cures = []struct{ code, message, cure string }{
	{"08P01", "unsupported startup parameter", "the pooler refuses what the database URL, or PGOPTIONS, sets: take it out and use ALTER ROLE … SET, or name it in PgBouncer's ignore_startup_parameters"},
	{"26000", "prepared statement", poolerCure},
	{"42P05", "prepared statement", poolerCure},
	{"42501", "permission denied for table", "give the role of the database URL what docs/running.md says of two roles for PostgreSQL"},
	{"42501", "permission denied for schema", ownerCure},
	{"42501", "must be owner of", ownerCure},
}

const ownerCure = "'pinvault migrate' takes the owner of the tables, see docs/running.md, two roles for PostgreSQL"

const poolerCure = "behind a pooler in transaction mode, take default_query_exec_mode out of the database URL"

func cure(e *pgconn.PgError) string {
	for _, c := range cures {
		if e.Code == c.code && strings.Contains(e.Message, c.message) {
			return " (" + c.cure + ")"
		}
	}
	return ""
}

// quotes tells whether a message quotes what was written: those of data exceptions and violated
// constraints do.
func quotes(e *pgconn.PgError) bool {
	return strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23")
}

// describe is an error in words that hold no value.
func describe(e *pgconn.PgError) string {
	text := "SQLSTATE " + e.Code
	if !quotes(e) {
		text += ": " + e.Message
	} else if at := strings.Join([]string{e.TableName, e.ColumnName, e.ConstraintName}, " "); at != "  " {
		text += ": " + strings.Join(strings.Fields(at), " ")
	}
	return text
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
	f := &fault{text: describe(e) + cure(e)}
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
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED: // for as long as [Options].LockWait: waiting again would double that
		f.noEffect = true
		return pin.Unavailable, f
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return pin.Unavailable, f
	}
	return pin.Internal, f
}

// sqliteFileError is a failure to open a database.
type sqliteFileError struct {
	path string
	err  error
}

func (e *sqliteFileError) Error() string { return e.path + ": " + e.err.Error() }
func (e *sqliteFileError) Unwrap() error { return e.err }

// classifySQLiteFile says in plain words why a file is no use. SQLite's own are those of the error
// before, for want of a connection that could hold them: "out of memory (14)".
func classifySQLiteFile(e *sqliteFileError) (pin.Code, error) {
	cause, ok := errors.AsType[*gosqlite.Error](e)
	if !ok {
		return pin.Internal, &fault{text: "SQLite: " + e.path + ": " + unexpected(e.err)}
	}
	code, classified := classifySQLite(cause)
	f := &fault{text: classified.Error() + ": " + e.path}
	if same, ok := errors.AsType[*fault](classified); ok {
		f.again, f.noEffect = same.again, same.noEffect
	}
	info, err := os.Stat(e.path) //nolint:gosec // the operator says where the database is
	switch cause.Code() & 0xff {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		switch {
		case err != nil:
			f.text = "SQLite: " + err.Error()
		case info.IsDir():
			f.text = "SQLite: " + e.path + " is a folder"
		default:
			f.text = "SQLite: " + e.path + " cannot be opened: it and its folder must be readable and writable by this program's user"
		}
	case sqlite3.SQLITE_READONLY:
		f.text = "SQLite: " + e.path + " is read-only: it and its folder must be writable by this program's user"
	case sqlite3.SQLITE_NOTADB:
		f.text = "SQLite: " + e.path + " is not a database, or is encrypted"
	}
	return code, f
}
