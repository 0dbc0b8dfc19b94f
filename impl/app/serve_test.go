package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// serving is a configuration as the command line makes one: a sandbox on a free port.
func serving(t *testing.T) config.Serve {
	t.Helper()
	return config.Serve{Database: config.Database{DatabaseURL: storetest.SQLite(t)}, Sandbox: true, Listen: "127.0.0.1:0",
		RequestTimeout: 10 * time.Second, Shutdown: 20 * time.Second, PINSessionLifetime: 5 * time.Minute}
}

// keysOf makes a keyset under a master key, and says where they are.
func keysOf(t *testing.T) config.Keys {
	t.Helper()
	const master = "3q2ZtY0wq8bqFzqk1m7o5Cj0Jt3oX1Zy5dC8mT2vXhE="
	ks, err := keyring.Generate(bytes.NewReader(bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), 200)), time.Now())
	require.NoError(t, err)
	key, err := keyring.ParseMasterKey([]byte(master))
	require.NoError(t, err)
	kek, err := keyring.MasterKey(key)
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, ks.Write(&text, kek))
	file := filepath.Join(t.TempDir(), "keyset.json")
	require.NoError(t, os.WriteFile(file, text.Bytes(), 0o600))
	return config.Keys{Keyset: file, MasterKey: master}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	return reply.StatusCode, string(text)
}

func TestServeAnswersCallersAndOperatorsUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	c := serving(t)
	c.Docs, c.AdminListen, c.TrustedProxies = true, "127.0.0.1:0", nil
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, ended := &apptest.Buffer{}, make(chan error, 1)
	began := make(chan string, 1)
	go func() {
		ended <- app.Serve(ctx, c, app.Serving{Version: "v7", Log: log, Begins: func(publicURL string) { began <- publicURL }})
	}()
	url := <-began
	var told struct{ Msg, Listen, Admin, Version string }
	require.Eventually(t, func() bool {
		return json.Unmarshal([]byte(log.String()), &told) == nil && told.Msg == "serving"
	}, 20*time.Second, 10*time.Millisecond, "%s", log)
	require.Equal(t, []string{"http://" + told.Listen, "v7"}, []string{url, told.Version})
	for at, want := range map[string]int{
		url + "/readyz": http.StatusOK, url + "/docs": http.StatusOK, url + "/sandbox/fixtures": http.StatusOK, url + "/metrics": http.StatusNotFound,
		"http://" + told.Admin + "/readyz": http.StatusOK, "http://" + told.Admin + "/docs": http.StatusNotFound,
	} {
		status, _ := get(t, at)
		require.Equal(t, want, status, at)
	}
	_, metrics := get(t, "http://"+told.Admin+"/metrics")
	require.Contains(t, metrics, "pinvault_database_connections_open ")
	require.Contains(t, metrics, "go_goroutines ")
	http.DefaultClient.CloseIdleConnections()
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), `"msg":"stopped"`)
}

func TestServeInProductionHasNothingOfASandbox(t *testing.T) {
	t.Parallel()
	c := serving(t)
	c.Sandbox, c.Keys, c.PublicURL = false, keysOf(t), "http://pinvault.localhost"
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, ended := &apptest.Buffer{}, make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, c, app.Serving{Log: log, Begins: func(publicURL string) {
			defer stop()
			if publicURL != "http://pinvault.localhost" {
				t.Errorf("the public URL is %s", publicURL)
			}
		}})
	}()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), `"sandbox":false`)
	db := apptest.OpenStore(t, c.DatabaseURL)
	empty, err := db.Empty(t.Context())
	require.NoError(t, err)
	require.True(t, empty)
	require.NoError(t, app.Suits(t.Context(), db, false))
}

func TestServeDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	for _, test := range []struct {
		name string
		with func(c *config.Serve)
		says string
	}{
		{"where its address is taken", func(c *config.Serve) { c.Listen = taken.Addr().String() }, "address already in use"},
		{"where its operators' address is taken", func(c *config.Serve) { c.AdminListen = taken.Addr().String() }, "address already in use"},
		{"without keys", func(c *config.Serve) { c.Sandbox, c.Keyset, c.MasterKeyFile = false, "none", "none" }, "no such file"},
		{"without a keyset", func(c *config.Serve) { c.Sandbox, c.Keys = false, keysOf(t); c.Keyset += ".gone" }, "make one with 'pinvault keys init'"},
		{"with a master key that is none", func(c *config.Serve) { c.Sandbox, c.MasterKey = false, "short" }, "master key"},
		{"without a database", func(c *config.Serve) { c.DatabaseURL = "mysql://localhost" }, "sqlite"},
		{"as a sandbox over a database that is none", func(c *config.Serve) {
			db := apptest.OpenStore(t, c.DatabaseURL)
			require.NoError(t, db.Migrate(t.Context()))
			_, err := pin.NewVault(db, keyring.Open(keyring.Sandbox(), db, nil), nil, nil).CreateProgram(apptest.Operating(t), pin.NewProgram("Gift cards"), pin.Memo{})
			require.NoError(t, err)
		}, "does not come from a sandbox"},
		{"in production over a sandbox's database", func(c *config.Serve) {
			apptest.Start(t, c.DatabaseURL)
			c.Sandbox, c.Keys = false, keysOf(t)
		}, "made by a sandbox"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := serving(t)
			test.with(&c)
			err := app.Serve(t.Context(), c, app.Serving{Log: io.Discard, Begins: func(string) { t.Error("it serves") }})
			require.ErrorContains(t, err, test.says)
		})
	}
}

// A broken seal is told to operators, with the row it is in and nothing of what the row holds.
func TestABrokenSealIsLoggedAndCounted(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	row, err := s.Store.Row(t.Context(), pin.TableClients, "", "thredd-sandbox")
	require.NoError(t, err)
	row.Version, row.Body = row.Version+1, bytes.Replace(row.Body, []byte("Sandbox thredd"), []byte("Sandbox Thredd"), 1)
	require.NoError(t, s.Store.Swap(t.Context(), pin.Change{Rows: []pin.Row{row}}))
	s.Vault.Reread()
	_, err = s.Vault.Client(t.Context(), "thredd-sandbox")
	require.True(t, pin.Tampered(err), "%v", err)
	require.Contains(t, s.Log.String(), `"msg":"tampered","table":"clients","id":"thredd-sandbox"`)
	require.NotContains(t, s.Log.String(), "Sandbox Thredd")
	_, metrics := get(t, s.URL+"/metrics")
	require.Contains(t, metrics, `pinvault_tampered_total{table="clients"} 1`)
}

// The issuer's token in the fixtures is taken, also once the sandbox was reset.
func TestTheTokenInTheFixturesIsTaken(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	for range 2 {
		var fixtures struct {
			Clients map[string]struct{ Token string }
		}
		require.NoError(t, json.Unmarshal(s.Client.Do(http.MethodGet, "/sandbox/fixtures").Body, &fixtures))
		who, err := s.Tokens.Verify(t.Context(), fixtures.Clients["issuer"].Token)
		require.NoError(t, err)
		require.Equal(t, "issuer-sandbox", who.ClientID)
		s.Reset(t)
	}
}
