package apptest

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fresh is a copy of a sandbox in SQLite as it was when it began. Putting it back takes a tenth of the time that
// making everything anew does, of which the examples of a document take some hundreds.
type fresh struct {
	db   *sql.DB
	copy string
	put  []string // the statements that put it back
}

// keepFresh copies the sandbox in a database, nil where that is no SQLite.
func keepFresh(t testing.TB, url string) *fresh {
	t.Helper()
	path, embedded := strings.CutPrefix(url, "sqlite://")
	if !embedded {
		return nil
	}
	f := &fresh{copy: filepath.Join(t.TempDir(), "fresh.db")}
	var err error
	f.db, err = sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	f.db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, f.db.Close()) })
	_, err = f.db.ExecContext(t.Context(), `VACUUM INTO ?`, f.copy)
	require.NoError(t, err)
	drop := f.texts(t, `SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger'`)
	rows := f.texts(t, `SELECT 'DELETE FROM main.' || name || '; INSERT INTO main.' || name || ' SELECT * FROM fresh.' || name
		FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	again := f.texts(t, `SELECT sql FROM sqlite_schema WHERE type = 'trigger'`)
	f.put = append(append(append(append([]string{`BEGIN IMMEDIATE`}, drop...), rows...), again...), `COMMIT`)
	return f
}

func (f *fresh) texts(t testing.TB, query string) (all []string) {
	t.Helper()
	rows, err := f.db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(t, rows.Err())
	return all
}

// putBack makes the database what it was.
func (f *fresh) putBack(t testing.TB) {
	t.Helper()
	exec := func(statement string, args ...any) {
		_, err := f.db.ExecContext(context.WithoutCancel(t.Context()), statement, args...)
		require.NoError(t, err, statement)
	}
	exec(`ATTACH ? AS fresh`, f.copy)
	for _, statement := range f.put {
		exec(statement)
	}
	exec(`DETACH fresh`)
}
