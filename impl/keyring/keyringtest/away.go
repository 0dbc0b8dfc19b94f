package keyringtest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// Away is an engine that can be taken away from who works with it, and given back.
type Away struct {
	keyring.Engine
	Take func()
	Give func(t testing.TB) // returns when it works again
}

// TakenAway is a backend's engine that can be taken away: the token's files are gone, or the way to the server.
func TakenAway(t testing.TB, backend string) Away {
	t.Helper()
	if backend == PKCS11 {
		e := Engine(t, PKCS11)
		elsewhere := Tokens() + "-away"
		return Away{Engine: e, Take: func() { _ = os.Rename(Tokens(), elsewhere) }, Give: func(t testing.TB) {
			require.NoError(t, os.Rename(elsewhere, Tokens()))
			back(t, e)
		}}
	}
	p := NewProxy(t)
	e, err := Open(At(p.URL, backend, URLName(t.Name())))
	require.NoError(t, err)
	return Away{Engine: e, Take: func() { p.Down.Store(true) }, Give: func(t testing.TB) {
		p.Down.Store(false)
		back(t, e)
	}}
}

// back waits until an engine works.
func back(t testing.TB, e keyring.Engine) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := e.Primitive(pin.UsePIN).(tink.AEAD).Encrypt(nil, nil)
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
}

// Proxy is a way to OpenBao that can be cut.
type Proxy struct {
	*httptest.Server
	Down   atomic.Bool  // every connection is
	Status atomic.Int64 // what it answers by itself, 0: nothing
}

// NewProxy is a way to the server of tests.
func NewProxy(t testing.TB) *Proxy {
	t.Helper()
	address := os.Getenv("PINVAULT_TEST_OPENBAO")
	if address == "" {
		missing(t, "OpenBao (scripts/with-openbao)")
	}
	to, err := url.Parse(address)
	require.NoError(t, err)
	p := &Proxy{}
	forward := httputil.NewSingleHostReverseProxy(to) //nolint:gosec // a test's own
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch status := int(p.Status.Load()); {
		case status != 0:
			w.WriteHeader(status)
		case p.Down.Load():
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// Way is the URL of a backend as operators write it: what opens it is in a file, its keyset file has yet to be made. The backend can be
// taken away, and given back.
type Way struct {
	URL        string
	Secret     string // the file that opens it
	Take, Give func()
}

// NewWay is a way to a backend whose keys are the test's own.
func NewWay(t testing.TB, backend string) Way {
	t.Helper()
	folder := t.TempDir()
	w := Way{Secret: filepath.Join(folder, "secret")}
	secret := os.Getenv("PINVAULT_TEST_OPENBAO_TOKEN")
	var url string
	if backend == PKCS11 {
		secret, url = PIN, URL(t, PKCS11, t.Name())
		elsewhere := Tokens() + "-away"
		w.Take = func() { require.NoError(t, os.Rename(Tokens(), elsewhere)) }
		w.Give = func() { require.NoError(t, os.Rename(elsewhere, Tokens())) }
	} else {
		p := NewProxy(t)
		url = At(p.URL, backend, URLName(t.Name()))
		w.Take, w.Give = func() { p.Down.Store(true) }, func() { p.Down.Store(false) }
	}
	require.NoError(t, os.WriteFile(w.Secret, []byte(secret), 0o600)) //nolint:gosec // a test's own
	w.URL = strings.NewReplacer("test:pin", "file:"+w.Secret, "test:token", "file:"+w.Secret, "keyset=none", "keyset="+filepath.Join(folder, "keyset.json")).Replace(url)
	return w
}
