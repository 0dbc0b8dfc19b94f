package store

import (
	"context"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/store/storetest"
)

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), url, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(context.Background()))
	return s
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, storetest.SQLite(t)) })
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t, storetest.Postgres(t)) })
}

// Distributed engines that speak PostgreSQL's protocol isolate all transactions as serializable and
// report failures that PostgreSQL by default does not.
func TestPostgresSerializable(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return open(t, withParameter(t, storetest.Postgres(t), "default_transaction_isolation", "serializable"))
	})
}

// withParameter sets a parameter of the session in a URL.
func withParameter(t *testing.T, databaseURL, name, value string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}
