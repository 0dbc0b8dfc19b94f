package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// SQLite is the URL of a database of the test's own, not made yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "pinvault.db")
}

// Postgres is the URL of an empty database of the test's own, made on the server that
// PINVAULT_TEST_DATABASE_URL names as a superuser and dropped when the test ends. Without that
// variable the test is skipped, or fails where PINVAULT_TEST_REQUIRE_POSTGRES is 1.
// scripts/with-postgres sets both.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("PINVAULT_TEST_DATABASE_URL")
	if server == "" {
		const why = "PINVAULT_TEST_DATABASE_URL names no PostgreSQL server: run this under scripts/with-postgres"
		if os.Getenv("PINVAULT_TEST_REQUIRE_POSTGRES") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	name := "pinvault_test_" + uuid.NewString()
	// A collation that sorts unlike Go, as databases outside of tests have.
	admin(t, server, fmt.Sprintf("CREATE DATABASE %q TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'", name))
	t.Cleanup(func() { admin(t, server, fmt.Sprintf("DROP DATABASE %q WITH (FORCE)", name)) })
	own, err := url.Parse(server)
	require.NoError(t, err)
	own.Path = "/" + name
	return own.String()
}

// admin runs one statement on the server.
func admin(t testing.TB, server, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, statement)
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))
}
