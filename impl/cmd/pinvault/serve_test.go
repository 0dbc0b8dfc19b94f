package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/glebarez/go-sqlite"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// statusOf asks without following what comes.
func statusOf(t testing.TB, url string) int {
	t.Helper()
	r, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	return r.StatusCode
}

func TestOperatorsListener(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		args          []string
		public, admin map[string]int
	}{
		{"without one all is as ever, and profiles are not public", nil,
			map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 404}, nil},
		{"with one metrics and profiles are there alone", []string{"--admin-listen", "127.0.0.1:0"},
			map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404, "/debug/pprof/": 404, "/docs": 200},
			map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/docs": 404, "/oauth2/jwks": 404}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := apptest.Serve(t, nil, append([]string{"--sandbox", "--database-url", storetest.SQLite(t)}, test.args...)...)
			for path, want := range test.public {
				require.Equal(t, want, statusOf(t, p.URL+path), path)
			}
			for path, want := range test.admin {
				require.Equal(t, want, statusOf(t, p.Admin+path), path)
			}
			require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			require.NoError(t, ended(t, p, 20*time.Second))
		})
	}
}

func TestOperatorsListenerThatIsTakenStopsTheStart(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	out, err := apptest.Command(t, "serve", "--sandbox", "--listen", "127.0.0.1:0", "--database-url", storetest.SQLite(t), "--admin-listen", taken.Addr().String()).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "address already in use")
}

// ended waits for the end of a process.
func ended(t testing.TB, p *apptest.Process, within time.Duration) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(within):
		_ = p.Process.Kill()
		require.FailNow(t, "the server did not end", "%v\n%s", <-done, p.Log) // a process is waited for by one at a time
		return nil
	}
}

// says waits until the server has logged a text.
func says(t testing.TB, p *apptest.Process, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.Log.String(), text) }, 20*time.Second, 10*time.Millisecond, "%s", p.Log)
}

// underway begins a request that the server waits for.
func underway(t testing.TB, p *apptest.Process) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	// The server asks for the body, and so is at work.
	_, err = io.ReadFull(c, make([]byte, len("HTTP/1.1 100 Continue\r\n")))
	require.NoError(t, err)
}

// heard skips where the tests run in the background or under nohup.
func heard(t *testing.T, sent os.Signal) {
	t.Helper()
	if signal.Ignored(sent) {
		t.Skip("the tests run where this signal is ignored, as under nohup, and so would the server")
	}
}

func TestSignalsEndTheServer(t *testing.T) {
	t.Parallel()
	for _, sent := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sent.String(), func(t *testing.T) {
			t.Parallel()
			heard(t, sent)
			p := apptest.Serve(t, nil, "--sandbox", "--database-url", storetest.SQLite(t))
			require.NoError(t, p.Process.Signal(sent))
			require.NoError(t, ended(t, p, 20*time.Second), "%s", p.Log)
			require.Contains(t, p.Log.String(), `"msg":"stopped"`)
		})
	}
	t.Run("a second one at once", func(t *testing.T) {
		t.Parallel()
		heard(t, os.Interrupt)
		p := apptest.Serve(t, nil, "--sandbox", "--database-url", storetest.SQLite(t), "--shutdown-timeout", "10m")
		underway(t, p)
		require.NoError(t, p.Process.Signal(os.Interrupt))
		says(t, p, `"msg":"stopping"`)
		require.NoError(t, p.Process.Signal(os.Interrupt))
		require.Error(t, ended(t, p, 20*time.Second))
		require.NotContains(t, p.Log.String(), `"msg":"stopped"`)
	})
}

// A request ends in its time while another program holds SQLite's lock, whatever it writes, and the server
// goes on when the lock is given back.
func TestRequestTimeoutHoldsUnderALockOfSQLite(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	database := storetest.SQLite(t)
	p := apptest.Serve(t, nil, "--sandbox", "--database-url", database, "--request-timeout", timeout.String())
	thredd := contracttest.Bearer(threddToken(t, p.URL))
	set := func() *contracttest.Reply {
		return apptest.Client(t, p.URL).Do(http.MethodPost, "/api/v1/cards/103169946/pin", thredd, contracttest.JSON(map[string]string{"pin": "4826"}))
	}
	create := func() *contracttest.Reply {
		return apptest.Client(t, p.URL).Do(http.MethodPost, "/api/v1/cards", thredd, contracttest.JSON(map[string]string{"expiryDate": "2039-12-31"}),
			contracttest.Header("IdempotencyKey", "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e"))
	}
	set().ExpectStatus(http.StatusNoContent)

	other, err := sql.Open("sqlite", strings.TrimPrefix(database, "sqlite://"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	conn, err := other.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	for _, call := range []func() *contracttest.Reply{set, create} {
		began := time.Now()
		call().ExpectStatus(http.StatusServiceUnavailable)
		require.Less(t, time.Since(began), timeout)
	}
	require.Equal(t, http.StatusOK, statusOf(t, p.URL+"/readyz"), "reading goes on")
	_, err = conn.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	set().ExpectStatus(http.StatusNoContent)
}

func TestServerTakesSoManyConnections(t *testing.T) {
	t.Parallel()
	p := apptest.Serve(t, nil, "--sandbox", "--database-url", storetest.SQLite(t), "--max-connections", "2")
	var open []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 15))
		require.NoError(t, err)
		open = append(open, c)
	}
	_, err := (&http.Client{Timeout: 200 * time.Millisecond}).Get(p.URL + "/livez") //nolint:bodyclose // there is none
	require.Error(t, err)
	require.NoError(t, open[0].Close())
	require.Equal(t, http.StatusOK, statusOf(t, p.URL+"/livez"))
}

// Over TLS of its own: browsers are told to stay with it, and the certificate is taken from its files when
// they change. In production pages are embedded by secure origins alone.
func TestProductionServerOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	write := func() {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"pinvault.localhost"}}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		require.NoError(t, err)
		pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
		require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	}
	write()
	env, database := keysFor(t), storetest.SQLite(t)
	p := apptest.ServeAs(t, env, "serve", "--listen", "127.0.0.1:0", "--database-url", database, "--tls-certificate", cert, "--tls-key", key)
	_, vault := vaultOf(t, env, database)
	client, secret, err := vault.CreateClient(apptest.Operating(t), pin.Client{Contract: "issuer", Name: "control plane", Scopes: []string{"programs:write"}}, "", pin.Memo{})
	require.NoError(t, err)

	address := strings.TrimPrefix(p.URL, "http://")
	serial := func() string {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	write()
	require.Eventually(t, func() bool { return serial() != first }, 20*time.Second, 50*time.Millisecond)

	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(browser.CloseIdleConnections)
	send := func(r *http.Request) (int, string) {
		t.Helper()
		reply, err := browser.Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(reply.Body)
		require.NoError(t, errors.Join(err, reply.Body.Close()))
		require.Equal(t, "max-age=31536000", reply.Header.Get("Strict-Transport-Security"))
		return reply.StatusCode, string(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/oauth2/token", strings.NewReader(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {client.ID}, "client_secret": {secret}}.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body := send(r)
	require.Equal(t, http.StatusOK, status, body)
	var token struct {
		Value string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &token))
	for origin, want := range map[string]int{"https://bank.example": 201, "http://localhost:3000": 201, "http://bank.example": 422} {
		for _, setting := range []string{`"frameAncestors":["` + origin + `"]`, `"parentOrigin":"` + origin + `"`} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/issuer/v1/programs", strings.NewReader(`{"name":"Gift cards","hosted":{`+setting+`}}`))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+token.Value)
			status, body := send(r)
			require.Equal(t, want, status, "%s %s", setting, body)
		}
	}
}
