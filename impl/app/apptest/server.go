// Package apptest is PinVault for tests: a whole sandbox server in the test's own process ([Start]), with its
// clock, its faults and its log in the test's hands, or the released program as processes of their own
// ([Serve], [Command]). Every reply that its clients carry is held against its document.
//
// It is support for tests, and knows what impl/app knows: a package that impl/app imports uses it in tests of its
// own from outside (package x_test).
package apptest

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/app"
	"pinvault/impl/config"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/impl/server"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// Server is a whole sandbox server in this process, over a database of its own.
type Server struct {
	URL     string
	Handler http.Handler
	Client  *contracttest.Client // checks every reply against its document
	Tokens  *oauth.Server
	Vault   *pin.Vault
	Store   *store.Store
	Keys    keyring.Engine
	Faults  *Faults // between the vault and the store
	Clock   *Clock
	Log     *Buffer

	// A snapshot of the database as it was when it began, "" where that is no SQLite. Putting it back takes a tenth of the
	// time that making everything anew does, of which the examples of a document take some hundreds.
	fresh  string
	forget func() // what the server knows of the database
}

// lastWords is how many lines of a server's log are shown where a test failed, and of its faults, the first ones.
const lastWords = 12

// patience is how long a request may take, and a quarter of it a step that has a time of its own (pin.Patience). What a test
// shows does not end by the clock: on a machine that is busy, or stands still for a while, a request took longer than the time that
// production gives, and was then nobody's.
const patience = time.Minute

// Start runs a sandbox server over the database at url, "" for a fresh SQLite one. The test fails if the server
// finds a reply of its own that breaks its document.
func Start(t testing.TB, url string) *Server {
	t.Helper()
	return StartOver(t, url, keyringtest.Shared(t))
}

// StartOver is Start with other keys than a sandbox has.
func StartOver(t testing.TB, url string, keys keyring.Engine) *Server {
	t.Helper()
	return start(t, url, keys, nil)
}

// StartTraced is Start with spans.
func StartTraced(t testing.TB, url string, traces trace.TracerProvider) *Server {
	t.Helper()
	return start(t, url, keyringtest.Shared(t), traces)
}

func start(t testing.TB, url string, keys keyring.Engine, traces trace.TracerProvider) *Server {
	t.Helper()
	if url == "" {
		url = storetest.SQLite(t)
	}
	var o store.Options
	if traces != nil {
		o.Tracer = traces.Tracer("pinvault/store")
	}
	db, err := store.Open(t.Context(), url, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	loaded, err := Contracts()
	require.NoError(t, err)
	s := &Server{Store: db, Keys: keys, Faults: newFaults(db), Clock: newClock(), Log: &Buffer{}}
	wired, err := app.New(t.Context(), config.Serve{Sandbox: true, PublicURL: "http://sandbox", RequestTimeout: patience}, app.Surroundings{
		Database: db, Store: s.Faults, Log: server.NewLogger(s.Log, slog.LevelDebug), Now: s.Clock.Now, Sleep: s.Clock.sleep, Documents: loaded, Keys: keys, Traces: traces,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, wired.Spaces.Close()) })
	if strings.HasPrefix(url, "sqlite:") {
		s.fresh = filepath.Join(t.TempDir(), "fresh.db")
		require.NoError(t, db.Snapshot(t.Context(), s.fresh))
	}
	s.forget = wired.Forget
	s.Faults.rules = wired.Spaces.First().Rules
	s.Handler, s.Tokens, s.Vault, s.Faults.forget = wired.Public, wired.Tokens, wired.Vault, wired.Vault.Reread
	listening := httptest.NewServer(wired.Public)
	t.Cleanup(listening.Close)
	s.URL, s.Client = listening.URL, Client(t, listening.URL)
	t.Cleanup(func() {
		if t.Failed() {
			lines := strings.Split(s.Log.String(), "\n")
			faults := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, `"level":"ERROR"`) })
			t.Logf("the server's faults:\n%s", strings.Join(faults[:min(lastWords, len(faults))], "\n"))
			t.Logf("the server's last words:\n%s", strings.Join(lines[max(0, len(lines)-lastWords):], "\n"))
		}
	})
	t.Cleanup(func() { // the server's own check of its replies, which is another than the client's
		for line := range strings.Lines(s.Log.String()) {
			require.NotContains(t, line, "reply breaks its document")
		}
	})
	return s
}

// Contracts are all contracts, by name. Loading them is most of what a server's start costs, and they do not change:
// a package's tests share them.
var Contracts = sync.OnceValues(app.Documents)

// Documents are the documents of all contracts, by name.
func Documents(t testing.TB) map[string]*openapi3.T {
	t.Helper()
	loaded, err := Contracts()
	require.NoError(t, err)
	all := map[string]*openapi3.T{}
	for name, d := range loaded {
		all[name] = d.Spec()
	}
	return all
}

// Client is a client of the server at a URL that checks every reply against its document.
func Client(t testing.TB, url string) *contracttest.Client {
	t.Helper()
	return contracttest.New(t, url, slices.Collect(maps.Values(Documents(t)))...)
}

// OpenStore opens a database until the test ends.
func OpenStore(t testing.TB, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Operating is the test's context, called by an operator of the whole server.
func Operating(t testing.TB) context.Context {
	return pin.WithCaller(t.Context(), pin.Operator(""))
}

// Mint is a token of a sandbox client for so long, with its scopes or those given.
func (s *Server) Mint(t testing.TB, clientID string, ttl time.Duration, scopes ...string) string {
	t.Helper()
	c, err := pin.NewVault(s.Store, keyring.New(s.Keys, nil, nil), s.Clock.Now, nil).Client(Operating(t), clientID)
	require.NoError(t, err)
	if scopes != nil {
		c.Scopes = scopes
	}
	token, err := s.Tokens.Mint(c, ttl)
	require.NoError(t, err)
	return token.AccessToken
}

// Authorize sets what a word of x-request.authorization stands for, in the contract named.
func (s *Server) Authorize(name string) func(t testing.TB, r *http.Request, word string) {
	return func(t testing.TB, r *http.Request, word string) {
		t.Helper()
		var token string
		switch word {
		case contracttest.Nobody, "none":
			return
		case contracttest.OtherContract:
			token = s.Mint(t, map[bool]string{true: "thredd-sandbox", false: "issuer-sandbox"}[name == "issuer"], time.Hour)
		case "malformed":
			token = "not-a-token"
		case "expired":
			token = s.Mint(t, name+"-sandbox", -time.Second)
		case contracttest.NoScope:
			token = s.Mint(t, name+"-sandbox", time.Hour, "moon:read")
		case contracttest.OtherProgram, "other-program":
			other := name + "_other"
			if name == "creditplus" {
				other = "creditplus_no_alias"
			}
			token = s.Mint(t, other+"-sandbox", time.Hour)
		case "":
			token = s.Mint(t, name+"-sandbox", time.Hour)
		default: // a client of the fixtures
			token = s.Mint(t, word+"-sandbox", time.Hour)
		}
		// Known to the server before a fault, so that the fault meets the operation and not the token.
		restore := s.Faults.Fail(t, "")
		_, _ = s.Tokens.Verify(t.Context(), token)
		restore()
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// APIKey is that of the client of a contract that a word of x-request.authorization stands for, "" for nobody:
// contracts that know their callers by API keys know them by nothing else.
func (s *Server) APIKey(t testing.TB, name, word string) string {
	t.Helper()
	id := name + "-sandbox"
	switch word {
	case "":
	case contracttest.Nobody, "none":
		return ""
	case contracttest.OtherContract, "other-contract":
		id = "thredd-sandbox"
	case contracttest.OtherProgram, "other-program":
		id = name + "_other-sandbox"
	case contracttest.NoScope:
		c, err := s.Vault.Client(Operating(t), id)
		require.NoError(t, err)
		c = s.Copied(t, c, name+"_no_scope-sandbox")
		c.Scopes = nil
		if _, _, err = s.Vault.CreateClient(Operating(t), c, c.ID+"-secret", pin.Memo{}); pin.CodeOf(err) != pin.Duplicate {
			require.NoError(t, err)
		}
		id = c.ID
	default: // a client of the fixtures
		id = word + "-sandbox"
	}
	return id + "." + id + "-secret"
}

// Copied is a client of the fixtures to be made under another id. Its secret setting, which is Accosa's secureCode, is
// bound to the id, and so kept anew.
func (s *Server) Copied(t testing.TB, c pin.Client, id string) pin.Client {
	t.Helper()
	c.ID, c.Secrets = id, maps.Clone(c.Secrets)
	for name := range c.Secrets {
		require.NoError(t, s.Vault.KeepSetting(&c, name, "accosa-sandbox-code"))
	}
	return c
}

// Reset puts the sandbox back, unless nothing was written since it last was.
func (s *Server) Reset(t testing.TB) {
	t.Helper()
	if !s.Faults.written.Load() {
		return
	}
	if s.fresh != "" {
		require.NoError(t, s.Store.Restore(context.WithoutCancel(t.Context()), s.fresh))
		s.forget()
	} else {
		s.Client.For(t).Do(http.MethodPost, "/sandbox/reset").ExpectStatus(http.StatusNoContent)
	}
	s.Faults.written.Store(false)
}

// Together makes calls at once and counts what they return, such as statuses.
func Together(n int, call func(i int) int) map[int]int {
	results := make([]int, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { results[i] = call(i) })
	}
	wait.Wait()
	counts := map[int]int{}
	for _, r := range results {
		counts[r]++
	}
	return counts
}

// Clock is the time that a test sets.
type Clock struct {
	mu    sync.Mutex
	at    time.Time
	slept time.Duration
}

func newClock() *Clock { return &Clock{at: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)} }

// Now is what the server takes for the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// sleep takes no time, and is remembered.
func (c *Clock) sleep(_ context.Context, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept += d
}

// Slept is for how long the server would have waited where it is told to wait.
func (c *Clock) Slept() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slept
}

// Forward sets the clock forward.
func (c *Clock) Forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Buffer is a bytes.Buffer for many writers.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write is io.Writer's.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
