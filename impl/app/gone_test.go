package app_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/store/storetest"
)

// The database goes away and comes back: 503 in each contract's shape, /readyz fails, and both recover
// in the same process.
func TestDatabaseGoneAndBack(t *testing.T) {
	t.Parallel()
	at, err := url.Parse(storetest.Postgres(t))
	require.NoError(t, err)
	line := newLine(t, at.Host)
	at.Host = line.address
	h := apptest.Start(t, at.String())
	thredd := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	const status = "/api/v1/cards/103169946/pin/status"
	expect := func(health, calls int) {
		t.Helper()
		h.Client.Do(http.MethodGet, "/readyz").ExpectStatus(health)
		h.Client.Do(http.MethodGet, "/livez").ExpectStatus(http.StatusOK)
		h.Client.Do(http.MethodGet, status, thredd).ExpectStatus(calls)
		h.Client.Do(http.MethodGet, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin", issuer).ExpectStatus(calls)
		h.Client.Do(http.MethodPost, "/connect/token", contracttest.Form(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"thredd-sandbox"}, "client_secret": {"thredd-sandbox-secret"},
		})).ExpectStatus(calls)
	}
	expect(http.StatusOK, http.StatusOK)
	for range 2 {
		line.cut()
		h.Clock.Forward(2 * time.Second) // what was read a moment ago counts no more
		expect(http.StatusServiceUnavailable, http.StatusServiceUnavailable)
		line.mend(t)
		expect(http.StatusOK, http.StatusOK)
	}
}

// line is a TCP connection to a database that can be cut.
type line struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	l := &line{address: "127.0.0.1:0", target: target}
	l.mend(t)
	t.Cleanup(l.cut)
	return l
}

// mend takes connections.
func (l *line) mend(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", l.address)
	require.NoError(t, err)
	l.mu.Lock()
	l.listener, l.address = listener, listener.Addr().String()
	l.mu.Unlock()
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", l.target)
			if err != nil {
				_ = from.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, from, to)
			l.mu.Unlock()
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	}()
}

// cut refuses connections and ends those that are open.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.listener.Close()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}
