package store

import (
	"context"
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
