package pin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// newWorld is a world over a real store.
func newWorld(t testing.TB, settings ...func(*pin.Program)) *world {
	t.Helper()
	return newWorldOn(t, opened(t, storetest.SQLite(t)), settings...)
}

// opened is a migrated store.
func opened(t testing.TB, url string) *store.Store {
	t.Helper()
	return openedAs(t, url, store.Options{})
}

func openedAs(t testing.TB, url string, o store.Options) *store.Store {
	t.Helper()
	ctx := anybody()
	db, err := store.Open(ctx, url, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(ctx))
	return db
}
