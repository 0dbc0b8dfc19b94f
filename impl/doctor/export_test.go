package doctor

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/glebarez/go-sqlite" // the driver
	"github.com/stretchr/testify/require"
)

// withoutTriggers takes the triggers out of a database in a file.
func withoutTriggers(t *testing.T, url string) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite://"))
	require.NoError(t, err)
	for _, name := range []string{"audit_events_no_update", "audit_events_no_delete"} {
		_, err := db.ExecContext(t.Context(), "DROP TRIGGER "+name)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
}
