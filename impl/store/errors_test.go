package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"pinvault/impl/pin"
)

func TestFailuresAreSortedByWhatTheCallerCanDo(t *testing.T) {
	state := func(code string) error { return &pgconn.PgError{Code: code, Message: "message"} }
	for _, c := range []struct {
		name            string
		err             error
		code            pin.Code
		again, noEffect bool
	}{
		{"no row", gorm.ErrRecordNotFound, pin.NotFound, false, false},
		{"a row that is referred to is missing", gorm.ErrForeignKeyViolated, pin.NotFound, false, false},
		{"a unique value is there", gorm.ErrDuplicatedKey, pin.Duplicate, false, false},
		{"serialization failure", state("40001"), pin.Unavailable, true, true},
		{"deadlock", state("40P01"), pin.Unavailable, true, true},
		{"prepared statement unknown", state("26000"), pin.Unavailable, true, true},
		{"prepared statement of another session", state("42P05"), pin.Unavailable, true, true},
		{"a pooler without a server", state("08P01"), pin.Unavailable, false, false},
		{"PostgreSQL's word in others'", fmt.Errorf("migration: %w", errors.Join(errors.New("rollback"), state("40001"))), pin.Unavailable, true, true},
		{"a call out of time in others' words", fmt.Errorf("timeout: %w", context.DeadlineExceeded), pin.Unavailable, true, false},
		{"prepared statement stale", state("0A000"), pin.Unavailable, true, true},
		{"terminated by an administrator", state("57P01"), pin.Unavailable, true, false},
		{"starting up", state("57P03"), pin.Unavailable, false, false},
		{"connection failure", state("08006"), pin.Unavailable, false, false},
		{"disk full", state("53100"), pin.Unavailable, false, false},
		{"too many connections", state("53300"), pin.Unavailable, false, false},
		{"statement timeout", state("57014"), pin.Unavailable, false, false},
		{"no longer the primary", state("25006"), pin.Unavailable, false, false},
		{"I/O error", state("58030"), pin.Unavailable, false, false},
		{"a table is missing", state("42P01"), pin.Internal, false, false},
		{"a check is violated", state("23514"), pin.Internal, false, false},
		{"connection lost", fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), pin.Unavailable, true, false},
		{"connection given up", driver.ErrBadConn, pin.Unavailable, true, false},
		{"network timeout", &net.OpError{Op: "read", Err: errors.New("i/o timeout")}, pin.Unavailable, true, false},
		{"anything else", errors.New("converting \"453201511283\" to int"), pin.Internal, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(Store).fail(context.Background(), c.err, "field")
			require.Equal(t, c.code, pin.CodeOf(err))
			f, _ := errors.AsType[*fault](err)
			require.Equal(t, c.again, f != nil && f.again)
			require.Equal(t, c.noEffect, f != nil && f.noEffect)
			require.NotContains(t, err.Error(), "453201511283")
		})
	}
}

func TestPostgresErrorsTellNoValues(t *testing.T) {
	const secret = "453201511283"
	for _, e := range []pgconn.PgError{
		{Code: "23505", Message: "duplicate key value violates unique constraint", Detail: "Key (value)=(" + secret + ") already exists.", ConstraintName: "card_references_unique"},
		{Code: "23514", Message: "new row violates check constraint", Detail: "Failing row contains (" + secret + ").", TableName: "pins", ConstraintName: "pins_tries_left_check"},
		{Code: "23502", Message: "null value", Detail: "Failing row contains (" + secret + ").", TableName: "pins", ColumnName: "version"},
		{Code: "22P02", Message: "invalid input syntax for type bigint: \"" + secret + "\""},
		{Code: "42P01", Message: "relation \"pins\" does not exist", Hint: secret, Where: secret, InternalQuery: secret},
	} {
		err := new(Store).fail(context.Background(), &e, "field")
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", cause, cause, cause), secret)
		}
		require.ErrorContains(t, err, e.Code)
		require.ErrorContains(t, err, e.TableName)
	}
}

func TestUnexpectedErrorsAreNamedWithoutTheirValues(t *testing.T) {
	const secret = "453201511283"
	for _, c := range []struct {
		name string
		err  error
		says string
	}{
		{"an argument", fmt.Errorf("failed to encode args[%d]: %w", 0, fmt.Errorf("unable to encode %#v into binary format", secret)), "failed to encode args; unable to encode"},
		{"a column", fmt.Errorf("sql: Scan error on column index %d, name %q: %w", 1, "value", fmt.Errorf("converting driver.Value type string (%q) to a int64", secret)), "sql: Scan error on column; converting driver.Value type"},
		{"a setting of the session", fmt.Errorf("exec: %w", errors.New("simple protocol queries must be run with client_encoding=UTF8")), "client_encoding=UTF8"},
		{"a statement that the pooler has lost", fmt.Errorf("failed to deallocate cached statement(s): %w", errors.New(secret)), "failed to deallocate cached statement(s)"},
		{"the protocol", fmt.Errorf("received unexpected message: %w", errors.New(secret)), "received unexpected message"},
		{"a transaction that has ended", fmt.Errorf("begin: %w", sql.ErrTxDone), "transaction has already been committed or rolled back"},
		{"anything else", fmt.Errorf("%w", errors.New(secret)), "*fmt.wrapError around *errors.errorString, whose words may hold a value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(Store).fail(context.Background(), c.err, "")
			require.Equal(t, pin.Internal, pin.CodeOf(err))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)), secret)
		})
	}
}

func TestFailuresThatDoNotPassNameTheirCure(t *testing.T) {
	for message, e := range map[string]*pgconn.PgError{
		"ALTER ROLE":              {Code: "08P01", Message: "unsupported startup parameter: search_path"},
		"default_query_exec_mode": {Code: "42P05", Message: `prepared statement "stmtcache_1" already exists`},
		"out of the database URL": {Code: "26000", Message: `prepared statement "stmtcache_1" does not exist`},
		"server_login_retry":      {Code: "08P01", Message: "server login has been failing, try again later (server_login_retry)"},
	} {
		require.ErrorContains(t, new(Store).fail(context.Background(), fmt.Errorf("query: %w", e), ""), message)
	}
}
