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
	state := func(code string) error { return &pgconn.PgError{Code: code, Message: "message", TableName: "table"} }
	_, refused := pgconn.Connect(context.Background(), "postgres://pinvault:secret@127.0.0.1:1/pinvault")
	const again, noEffect, field = 1, 2, 4
	for _, c := range []struct {
		name string
		err  error
		code pin.Code
		is   int  // of the three above
		ends bool // as the end of a change it is known: not in doubt
	}{
		{"no row", gorm.ErrRecordNotFound, pin.NotFound, 0, true},
		{"a unique value is there", gorm.ErrDuplicatedKey, pin.Duplicate, 0, true},
		{"the domain's own", &pin.Error{Code: pin.Ambiguous}, pin.Ambiguous, 0, true},
		{"swap_card: overtaken", state("PV001"), pin.Conflict, field, true},
		{"swap_card: duplicate", state("PV002"), pin.Duplicate, field, true},
		{"a unique violation that GORM has not seen", state("23505"), pin.Duplicate, field, true},
		{"serialization failure", state("40001"), pin.Unavailable, again | noEffect, true},
		{"deadlock", state("40P01"), pin.Unavailable, again | noEffect, true},
		{"completion unknown", state("40003"), pin.Unavailable, 0, false},
		{"rolled back for another reason", state("40002"), pin.Unavailable, noEffect, true},
		{"prepared statement unknown", state("26000"), pin.Unavailable, again | noEffect, true},
		{"prepared statement of another session", state("42P05"), pin.Unavailable, again | noEffect, true},
		{"a pooler without a server", state("08P01"), pin.Unavailable, 0, false},
		{"PostgreSQL's word in others'", fmt.Errorf("migration: %w", errors.Join(errors.New("rollback"), state("40001"))), pin.Unavailable, again | noEffect, true},
		{"a call out of time in others' words", fmt.Errorf("timeout: %w", context.DeadlineExceeded), pin.Unavailable, again, false},
		{"prepared statement stale", state("0A000"), pin.Unavailable, again | noEffect, true},
		{"terminated by an administrator", state("57P01"), pin.Unavailable, again, false},
		{"shutting down", state("57P02"), pin.Unavailable, 0, false},
		{"starting up", state("57P03"), pin.Unavailable, noEffect, true},
		{"connection failure", state("08006"), pin.Unavailable, 0, false},
		{"transaction resolution unknown", state("08007"), pin.Unavailable, 0, false},
		{"disk full", state("53100"), pin.Unavailable, noEffect, true},
		{"too many connections", state("53300"), pin.Unavailable, noEffect, true},
		{"statement timeout", state("57014"), pin.Unavailable, noEffect, true},
		{"lock timeout", state("55P03"), pin.Unavailable, noEffect, true},
		{"no longer the primary", state("25006"), pin.Unavailable, noEffect, true},
		{"I/O error", state("58030"), pin.Unavailable, 0, false},
		{"a table is missing", state("42P01"), pin.Internal, 0, true},
		{"a check is violated", state("23514"), pin.Internal, 0, true},
		{"a NUL in a text", state("22021"), pin.Internal, 0, true},
		{"no connection", refused, pin.Unavailable, noEffect, true},
		{"connection lost", fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), pin.Unavailable, again, false},
		{"connection given up", driver.ErrBadConn, pin.Unavailable, again, false},
		{"network timeout", &net.OpError{Op: "read", Err: errors.New("i/o timeout")}, pin.Unavailable, again, false},
		{"anything else", errors.New("converting \"453201511283\" to int"), pin.Internal, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(Store).fail(context.Background(), c.err, "field")
			require.Equal(t, c.code, pin.CodeOf(err))
			f, _ := errors.AsType[*fault](err)
			require.Equal(t, c.is&again != 0, f != nil && f.again)
			require.Equal(t, c.is&noEffect != 0, f != nil && f.noEffect)
			if c.is&field != 0 {
				require.Equal(t, "table", pin.FieldOf(err))
			}
			require.NotContains(t, err.Error(), "453201511283")

			end := new(Store).ended(context.Background(), c.err)
			require.Equal(t, c.code, pin.CodeOf(end))
			require.Equal(t, !c.ends, errors.Is(end, pin.ErrInDoubt))
			if !c.ends {
				f, _ := errors.AsType[*fault](end)
				require.False(t, f.again, "what may have been made is not made again here")
			}
		})
	}
}

func TestPostgresErrorsTellNoValues(t *testing.T) {
	const secret = "453201511283"
	for _, e := range []pgconn.PgError{
		{Code: "23514", Message: "new row violates check constraint", Detail: "Failing row contains (" + secret + ").", TableName: "audit_events", ConstraintName: "audit_events_seq_check"},
		{Code: "23502", Message: "null value", Detail: "Failing row contains (" + secret + ").", TableName: "cards", ColumnName: "value"},
		{Code: "22P02", Message: "invalid input syntax for type bigint: \"" + secret + "\""},
		{Code: "22P05", Message: "unsupported Unicode escape sequence", Detail: secret},
		{Code: "42P01", Message: "relation \"cards\" does not exist", Hint: secret, Where: secret, InternalQuery: secret},
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
		"two roles":               {Code: "42501", Message: "permission denied for table cards"},
		"'pinvault migrate'":      {Code: "42501", Message: "permission denied for schema public"},
		"the owner of the tables": {Code: "42501", Message: "must be owner of table cards"},
		"server_login_retry":      {Code: "08P01", Message: "server login has been failing, try again later (server_login_retry)"},
	} {
		require.ErrorContains(t, new(Store).fail(context.Background(), fmt.Errorf("query: %w", e), ""), message)
	}
}
