package app_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// backups are how each database is copied while servers serve, and put into the place of another, as docs/running.md says.
var backups = map[string]struct {
	copy    func(t *testing.T, database, file string) *exec.Cmd
	restore func(t *testing.T, file string) (database string)
}{
	"SQLite": {
		copy: func(t *testing.T, database, file string) *exec.Cmd {
			t.Helper()
			return apptest.Command(t, "backup", "--out", file, "--database-url", database)
		},
		restore: func(t *testing.T, file string) string {
			t.Helper()
			at := filepath.Join(t.TempDir(), "restored.db")
			require.NoError(t, os.Rename(file, at))
			return "sqlite://" + at
		},
	},
	"PostgreSQL": {
		copy: func(t *testing.T, database, file string) *exec.Cmd {
			t.Helper()
			return tool(t, "pg_dump", "--format=custom", "--file="+file, database)
		},
		restore: func(t *testing.T, file string) string {
			t.Helper()
			at := storetest.Postgres(t)
			out, err := tool(t, "pg_restore", "--dbname="+at, "--no-owner", "--exit-on-error", file).CombinedOutput()
			require.NoError(t, err, "%s", out)
			return at
		},
	},
}

// tool is one of PostgreSQL's, which not every machine has.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s here", name)
	}
	return exec.CommandContext(t.Context(), path, args...) //nolint:gosec // the test's own
}

// A backup is made under a server that serves. Restored, it is that moment: its PINs, its tries, a trail that is whole up to it, and
// of what came later a checkpoint tells that it is missing.
func TestABackupIsRestoredAsTheMomentThatItWasMade(t *testing.T) {
	t.Parallel()
	for name, backup := range backups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, folder := databases[name](t), t.TempDir()
			file, then, later := filepath.Join(folder, "backup"), filepath.Join(folder, "then"), filepath.Join(folder, "later")
			checkpoint := func(to string) {
				t.Helper()
				out, err := apptest.Command(t, "audit", "checkpoint", "--sandbox", "--database-url", at, "--out", to).CombinedOutput()
				require.NoError(t, err, "%s", out)
			}
			p := apptest.Serve(t, nil, "--sandbox", "--database-url", at)
			c := newCrowd(t, p.URL)
			card := c.card("normal")
			c.must(t, p.URL, c.set(t, card, "6021"), http.StatusNoContent)
			require.Equal(t, heard{http.StatusOK, "mismatch", 2}, c.must(t, p.URL, c.verify(t, card, "6022"), http.StatusOK))
			checkpoint(then)
			out, err := backup.copy(t, at, file).CombinedOutput()
			require.NoError(t, err, "%s", out)

			c.must(t, p.URL, c.setByThredd(card, "6033"), http.StatusNoContent)
			for left := 1; left >= 0; left-- {
				require.Equal(t, heard{http.StatusOK, "mismatch", left}, c.must(t, p.URL, c.verify(t, card, "6022"), http.StatusOK))
			}
			checkpoint(later)
			p.Kill(t)

			restored := backup.restore(t, file)
			verify := func(args ...string) (string, error) {
				out, err := apptest.Command(t, append([]string{"audit", "verify", "--sandbox", "--database-url", restored}, args...)...).CombinedOutput()
				return string(out), err
			}
			said, err := verify("--checkpoint", then)
			require.NoError(t, err, said)
			require.Contains(t, said, "all whole")
			said, err = verify("--checkpoint", later)
			require.Error(t, err, said)
			require.Contains(t, said, card.id, "the card that has lost events")

			p = apptest.Serve(t, nil, "--sandbox", "--database-url", restored)
			require.Equal(t, 2, c.left(t, p.URL, card), "the tries of then")
			require.Equal(t, "6021", c.reveal(t, p.URL, card), "the PIN of then")
			require.Equal(t, heard{http.StatusOK, "match", 3}, c.must(t, p.URL, c.verify(t, card, "6021"), http.StatusOK))
		})
	}
}
