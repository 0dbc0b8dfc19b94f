package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

func TestSQLiteIsSetUpForDurabilityAndConcurrency(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "secure_delete": "1"} {
		require.Equal(t, []string{want}, query[string](t, s, "PRAGMA "+pragma), pragma)
	}
}

func TestTheFilesOfSQLiteAreTheirOwnersOnly(t *testing.T) {
	folder := t.TempDir()
	s := open(t, "sqlite://"+filepath.Join(folder, "pinvault.db"))
	seed(t, s, 1)
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), f.Name())
	}
}

func TestSQLitePathsAreTakenAsTheyAre(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"relative.db", "a b%20c+d&e=f#g.db", "é.db", filepath.Join(t.TempDir(), "absolute.db"), "/" + filepath.Join(t.TempDir(), "four slashes.db")} {
		open(t, "sqlite://"+path)
		require.FileExists(t, path)
	}
}

// Many spaces are put back from one file at once.
func TestASnapshotIsPutBackWhoeverElseHasItOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20c?d&e=f#g.db")
	s, err := Open(t.Context(), storetest.SQLite(t), Options{LockWait: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	seed(t, s, 1)
	require.NoError(t, s.Snapshot(t.Context(), path))
	require.NoError(t, s.Swap(t.Context(), pin.Change{Card: revision("card-0", 2), Events: eventsOf("card-0", 2, 1)}))

	other := open(t, storetest.SQLite(t))
	conn, err := other.pool.Conn(t.Context())
	require.NoError(t, err)
	for _, statement := range []string{`ATTACH '` + path + `' AS kept`, `BEGIN IMMEDIATE`} {
		_, err = conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, s.Restore(t.Context(), path))
	require.EqualValues(t, 1, card(t, s, "card-0").Revision)
	_, err = conn.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// Two stores on one file are two processes as far as SQLite can tell.
func TestTwoProcessesShareASQLiteFile(t *testing.T) {
	url := storetest.SQLite(t)
	stores := []*Store{open(t, url), open(t, url)}
	seed(t, stores[0], 1)
	var won atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		group.Go(func() {
			s := stores[i%2]
			err := s.Swap(context.Background(), pin.Change{Card: revision("card-0", 2), Events: eventsOf("card-0", 2, 1)})
			if err == nil {
				won.Add(1)
			}
			if err == nil || pin.CodeOf(err) == pin.Conflict {
				err = s.Locked(context.Background(), "card-0", func(c pin.CardRow) (pin.Change, error) {
					return pin.Change{Card: revision("card-0", c.Revision+1), Events: eventsOf("card-0", c.Revision+1, 1)}, nil
				})
			}
			errs[i] = err
		})
	}
	group.Wait()
	require.Equal(t, make([]error, len(errs)), errs)
	require.EqualValues(t, 1, won.Load())
	require.EqualValues(t, 2+len(errs), card(t, stores[1], "card-0").Revision)
	events, err := stores[1].ChainEvents(context.Background(), "card-0", 0, 100)
	require.NoError(t, err)
	require.Len(t, events, 2+len(errs))
}

func TestAFullDiskIsUnavailableAndLosesNothing(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	s.pool.SetMaxOpenConns(1) // the limit below is a connection's
	seed(t, s, 1)
	pages := query[int](t, s, "PRAGMA page_count")[0]
	exec(t, s, fmt.Sprint("PRAGMA max_page_count = ", pages+2))
	written := int64(1)
	var err error
	for err == nil {
		if err = s.Swap(context.Background(), pin.Change{Card: revision("card-0", written+1), Events: eventsOf("card-0", written+1, 2)[:1]}); err == nil {
			written++
		}
	}
	require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
	require.Greater(t, written, int64(1))

	require.Equal(t, written, card(t, s, "card-0").Revision)
	events, err := s.ChainEvents(context.Background(), "card-0", 0, 1000)
	require.NoError(t, err)
	require.Len(t, events, int(written))
	exec(t, s, "PRAGMA max_page_count = 1000000")
	require.NoError(t, s.Swap(context.Background(), pin.Change{Card: revision("card-0", written+1)}))
}

// What a statement sees that has begun is one state of the database: the swap of a card and the reading of
// another need not wait for each other.
func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	seed(t, s, 2)
	require.NoError(t, s.Locked(context.Background(), "card-0", func(c pin.CardRow) (pin.Change, error) {
		require.EqualValues(t, 1, card(t, s, "card-0").Revision)
		require.EqualValues(t, 1, card(t, s, "card-1").Revision)
		return pin.Change{Card: revision("card-0", 2)}, nil
	}))
	require.EqualValues(t, 2, card(t, s, "card-0").Revision)
}

func TestAFileThatIsNoDatabaseIsNamedInPlainWords(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), mode))
		return path
	}
	for _, c := range []struct {
		name, path, says string
		anybody          bool // root too
	}{
		{"a folder", folder, "is a folder", true},
		{"a file of another kind", file("letter.txt", strings.Repeat("Dear Sir or Madam, ", 100), 0o600), "is not a database", true},
		{"a folder that is not there", filepath.Join(folder, "none", "pinvault.db"), "no such file or directory", true},
		{"a file that this user may not read", file("closed.db", "", 0), "must be readable and writable", false},
		{"a file that this user may not write", file("read-only.db", "", 0o400), "is read-only", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getuid() == 0 && !c.anybody {
				t.Skip("root may")
			}
			_, err := Open(context.Background(), "sqlite://"+c.path, Options{})
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, c.path)
			require.NotContains(t, err.Error(), "out of memory")
		})
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	const password = "correcthorse"
	for _, c := range []struct {
		name, url string
		code      pin.Code
	}{
		{"nothing", "", pin.Internal},
		{"a path", "/var/lib/pinvault.db", pin.Internal},
		{"another database", "mysql://pinvault:" + password + "@localhost/pinvault", pin.Internal},
		{"SQLite without a path", "sqlite://", pin.Internal},
		{"SQLite in memory", "sqlite://:memory:", pin.Internal},
		{"SQLite in memory, with three slashes", "sqlite:///:memory:", pin.Internal},
		{"SQLite in memory by a URI", "sqlite:///file::memory:", pin.Internal},
		{"SQLite with options", "sqlite:///tmp/pinvault.db?mode=ro", pin.Internal},
		{"SQLite in a folder that is not there", "sqlite://" + filepath.Join(t.TempDir(), "none", "pinvault.db"), pin.Unavailable},
		{"SQLite in the place of a folder", "sqlite://" + t.TempDir(), pin.Unavailable},
		{"PostgreSQL with a port that is none", "postgres://pinvault:" + password + "@localhost:port/pinvault", pin.Internal},
		{"PostgreSQL with an option that is none", "postgres://pinvault:" + password + "@localhost/pinvault?sslmode=maybe", pin.Internal},
		{"PostgreSQL where none listens", "postgres://pinvault:" + password + "@127.0.0.1:1/pinvault", pin.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(context.Background(), c.url, Options{})
			require.Equal(t, c.code, pin.CodeOf(err), "%v", err)
			require.NotContains(t, fmt.Sprintf("%v %+v", err, err), password)
		})
	}
}
