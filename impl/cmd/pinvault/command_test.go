package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

func TestMain(m *testing.M) { apptest.Main(m) }

// randomKey is a master key as 'openssl rand -base64 32' makes one.
func randomKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(key)
}

// keysFor makes a keyset and returns the settings that name it.
func keysFor(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keyset.json")
	env := []string{"PINVAULT_KEYSET=" + file, "PINVAULT_MASTER_KEY=" + randomKey(t)}
	c := apptest.Command(t, "keys", "init")
	c.Env = append(c.Env, env...)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	again := apptest.Command(t, "keys", "init")
	again.Env = append(again.Env, env...)
	require.Error(t, again.Run(), "a keyset is never overwritten")
	return env
}

func TestProductionServerStartsOnItsOwnKeysAndHasNoSandbox(t *testing.T) {
	t.Parallel()
	p := apptest.Serve(t, keysFor(t), "--database-url", storetest.SQLite(t))
	for path, want := range map[string]int{"/readyz": 200, "/sandbox/fixtures": 404, "/issuer/v1/programs": 401} {
		r, err := http.Get(p.URL + path)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, want, r.StatusCode, path)
	}
	require.NotContains(t, p.Out.String(), "sandbox")
}

// Where replies are checked, the metrics count what broke its document, from zero on.
func TestRepliesAreCheckedInASandboxAndWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		sandbox bool
		env     string
		flag    string
		checked bool
	}{
		{"in a sandbox", true, "", "", true},
		{"in a sandbox that is told not to", true, "", "--no-check-replies", false},
		{"not in production", false, "", "", false},
		{"in production by flag", false, "", "--check-replies", true},
		{"in production by environment", false, "PINVAULT_CHECK_REPLIES=true", "", true},
		{"not where the flag overrules the environment", false, "PINVAULT_CHECK_REPLIES=true", "--no-check-replies", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var env []string
			args := []string{"--database-url", storetest.SQLite(t)}
			if test.sandbox {
				args = append(args, "--sandbox")
			} else {
				env = keysFor(t)
			}
			if test.env != "" {
				env = append(env, test.env)
			}
			if test.flag != "" {
				args = append(args, test.flag)
			}
			r, err := http.Get(apptest.Serve(t, env, args...).URL + "/metrics")
			require.NoError(t, err)
			metrics, err := io.ReadAll(r.Body)
			require.NoError(t, errors.Join(err, r.Body.Close()))
			require.Equal(t, test.checked, strings.Contains(string(metrics), `pinvault_response_violations_total{contract="thredd"} 0`))
		})
	}
}

func TestSandboxAndProductionNeverShareADatabase(t *testing.T) {
	t.Parallel()
	production, sandboxed := storetest.SQLite(t), storetest.SQLite(t)
	env := keysFor(t)
	apptest.Serve(t, nil, "--sandbox", "--database-url", sandboxed).Kill(t)
	c := apptest.Command(t, "serve", "--listen", "127.0.0.1:0", "--database-url", sandboxed)
	c.Env = append(c.Env, env...)
	out, err := c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "made by a sandbox")

	require.NoError(t, createProgramIn(t, production))
	out, err = apptest.Command(t, "serve", "--sandbox", "--listen", "127.0.0.1:0", "--database-url", production).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "does not come from a sandbox")
}

func TestServerAsksForAMigrationAndMigrateBringsIt(t *testing.T) {
	t.Parallel()
	database := storetest.Postgres(t)
	env := keysFor(t)
	c := apptest.Command(t, "serve", "--listen", "127.0.0.1:0", "--database-url", database)
	c.Env = append(c.Env, env...)
	out, err := c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "run 'pinvault migrate'")
	for range 2 {
		out, err = apptest.Command(t, "migrate", "--database-url", database).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	apptest.Serve(t, env, "--database-url", database)
}

func TestServerStopsWhenToldAndLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	p := apptest.Serve(t, nil, "--sandbox", "--database-url", storetest.SQLite(t))
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	select {
	case err := <-done:
		require.NoError(t, err, "%s", p.Log)
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not stop")
	}
}

// threddToken asks a running sandbox for a token of Thredd's contract.
func threddToken(t testing.TB, base string) string {
	t.Helper()
	return apptest.Client(t, base).Do(http.MethodPost, "/connect/token", contracttest.Form(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"thredd-sandbox"}, "client_secret": {"thredd-sandbox-secret"},
	})).ExpectStatus(http.StatusOK).Text("/access_token")
}

// What was acknowledged survives kill -9, and a token outlives the process that issued it.
func TestAcknowledgedChangesSurviveKill(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			p := apptest.Serve(t, nil, "--sandbox", "--database-url", at)
			token := threddToken(t, p.URL)
			for _, digits := range []string{"0000", "4826", "9173"} {
				c := apptest.Client(t, p.URL)
				c.Do(http.MethodPost, "/api/v1/cards/103169946/pin", contracttest.Bearer(token), contracttest.JSON(map[string]string{"pin": digits})).
					ExpectStatus(http.StatusNoContent)
				p.Kill(t)
				p = apptest.Serve(t, nil, "--sandbox", "--database-url", at)
				read := apptest.Client(t, p.URL).Do(http.MethodGet, "/api/v1/cards/103169946/pin", contracttest.Bearer(token)).ExpectStatus(http.StatusOK)
				require.Equal(t, digits, read.Text("/pin"))
			}
			out, err := apptest.Command(t, "audit", "verify", "--sandbox", "--database-url", at).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "all whole")
		})
	}
}

// createProgramIn makes a program in a production database.
func createProgramIn(t *testing.T, at string) error {
	t.Helper()
	db, err := store.Open(t.Context(), at, store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Migrate(t.Context()))
	ks, err := keyring.Generate(strings.NewReader(strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 200)), time.Now())
	require.NoError(t, err)
	_, err = pin.NewVault(db, keyring.Open(ks, db, nil), nil, nil).CreateProgram(apptest.Operating(t), pin.NewProgram("Gift cards"), pin.Memo{})
	return err
}
