package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// kids are the ids of the keys that a server publishes, the one that signs first.
func kids(t *testing.T, p *apptest.Process) (ids []string) {
	t.Helper()
	var set struct{ Keys []struct{ KID string } }
	get(t, p.URL+"/oauth2/jwks", &set)
	for _, k := range set.Keys {
		ids = append(ids, k.KID)
	}
	return ids
}

// Two servers follow what a command does to their keyset file, without a restart: at once on SIGHUP, otherwise within
// seconds. A file that is no keyset changes nothing, and shows.
func TestServersFollowTheKeysetFile(t *testing.T) {
	t.Parallel()
	env, database := keysFor(t), storetest.SQLite(t)
	keyset := strings.TrimPrefix(env[0], "PINVAULT_KEYSET=")
	one := apptest.Serve(t, env, "--database-url", database)
	two := apptest.Serve(t, env, "--database-url", database)
	before := kids(t, one)
	require.Equal(t, before, kids(t, two))

	rotate := apptest.Command(t, "keys", "rotate", "--use", "signing", "--in", "0s", "--hasty", "--database-url", database)
	rotate.Env = append(rotate.Env, env...)
	out, err := rotate.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, one.Process.Signal(syscall.SIGHUP))
	for _, p := range []*apptest.Process{one, two} {
		require.Eventually(t, func() bool { return len(kids(t, p)) == 2 }, 20*time.Second, 50*time.Millisecond)
		after := kids(t, p)
		require.NotEqual(t, before[0], after[0], "the new key signs")
		require.Equal(t, before[0], after[1], "the old one is good still")
		says(t, p, `"msg":"took a new keyset"`)
	}
	require.Equal(t, kids(t, one), kids(t, two))

	metrics := func(p *apptest.Process) string {
		r, err := http.Get(p.URL + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		return string(text)
	}
	require.Contains(t, metrics(one), `pinvault_keys{state="retiring",use="signing"} 1`)
	require.Contains(t, metrics(one), "pinvault_keyset_stale 0")
	well, err := os.ReadFile(keyset)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(keyset, well[:len(well)/2], 0o600))
	require.NoError(t, one.Process.Signal(syscall.SIGHUP))
	says(t, one, "the keyset file is not taken; the keys in use stay")
	require.Contains(t, metrics(one), "pinvault_keyset_stale 1")
	require.Len(t, kids(t, one), 2)
	require.NoError(t, os.WriteFile(keyset, well, 0o600))
	require.NoError(t, one.Process.Signal(syscall.SIGHUP))
	says(t, one, "the keyset file is well again")

	require.NoError(t, one.Process.Signal(syscall.SIGTERM))
	require.NoError(t, ended(t, one, 20*time.Second), "%s", one.Log)
}
