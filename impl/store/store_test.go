package store

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// databases are the kinds of database that every test of both goes through.
var databases = []struct {
	name string
	url  func(t testing.TB) string
}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}}

// onBoth runs a test on a fresh database of each kind.
func onBoth(t *testing.T, run func(t *testing.T, s *Store)) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) { run(t, open(t, database.url(t))) })
	}
}

func open(t testing.TB, databaseURL string) *Store {
	t.Helper()
	s, err := Open(context.Background(), databaseURL, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(context.Background()))
	return s
}

// exec runs SQL of the test's own.
func exec(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	require.NoError(t, s.db.Exec(statement, args...).Error)
}

// query reads rows with SQL of the test's own.
func query[R any](t testing.TB, s *Store, statement string, args ...any) (rows []R) {
	t.Helper()
	require.NoError(t, s.db.Raw(statement, args...).Find(&rows).Error)
	return rows
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, storetest.SQLite(t)) })
}

func TestPostgres(t *testing.T) {
	database := storetest.Postgres(t)
	storetest.Run(t, func(t *testing.T) storetest.Store { return emptied(t, database) })
}

// Distributed engines that speak PostgreSQL's protocol isolate all transactions as serializable, and
// report failures that PostgreSQL by default does not.
func TestPostgresSerializable(t *testing.T) {
	database := withParameter(t, storetest.Postgres(t), "default_transaction_isolation", "serializable")
	storetest.Run(t, func(t *testing.T) storetest.Store {
		s := emptied(t, database)
		require.Equal(t, []string{"serializable"}, query[string](t, s, "SHOW transaction_isolation"))
		return s
	})
}

// emptied opens a PostgreSQL database and deletes what a former test has left, events and all: making
// one takes ten times as long.
func emptied(t *testing.T, database string) *Store {
	s := open(t, database)
	require.NoError(t, s.db.Transaction(func(db *gorm.DB) error {
		return db.Exec(`SET LOCAL session_replication_role = replica; DELETE FROM audit_events; DELETE FROM settings`).Error
	}))
	require.NoError(t, s.Wipe(context.Background()))
	return s
}

// withParameter sets a parameter of the session in a URL.
func withParameter(t *testing.T, databaseURL, name, value string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	values := u.Query()
	values.Set(name, value)
	u.RawQuery = values.Encode()
	return u.String()
}

// seed makes the program "program" and cards in it, card-0 and on, with the references token-0, urn-0
// and hash-0 and on, and aliases that a hundred cards share.
func seed(t testing.TB, s *Store, cards int) {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	program := pin.NewProgram("Program")
	program.ID, program.Version, program.CreatedAt, program.UpdatedAt = "program", 1, now, now
	require.NoError(t, s.InTx(context.Background(), func(tx pin.Tx) error {
		if err := tx.InsertProgram(program); err != nil {
			return err
		}
		for i := range cards {
			c := pin.Card{ID: fmt.Sprint("card-", i), ProgramID: program.ID, Status: pin.StatusNormal, Version: 1, CreatedAt: now, UpdatedAt: now,
				References: []pin.Reference{{Kind: pin.KindPublicToken, Value: fmt.Sprint("token-", i)}, {Kind: pin.KindURN, Value: fmt.Sprint("urn-", i)},
					{Kind: pin.KindAlias, Value: fmt.Sprint("alias-", i/100)}}}
			p := pin.PINRecord{State: pin.PINAssigned, Verifier: make([]byte, 37), Version: 1, TriesLeft: 3, ChangedAt: now}
			if err := tx.InsertCard(c, fmt.Sprint("hash-", i), p); err != nil {
				return err
			}
		}
		return nil
	}))
}
