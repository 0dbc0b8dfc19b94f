package main

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/config"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/impl/server"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// harness is a whole sandbox server in this process, over a database of its own.
type harness struct {
	url    string
	app    http.Handler
	client *contracttest.Client // checks every reply against its document
	docs   map[string]*openapi3.T
	tokens *oauth.Server
	vault  *pin.Vault
	store  *store.Store
	faults *faults
	clock  *clock
	log    *buffer
}

// start runs a sandbox server over the database at url, "" for a fresh SQLite one.
func start(t testing.TB, url string) *harness {
	t.Helper()
	if url == "" {
		url = storetest.SQLite(t)
	}
	db, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))

	h := &harness{store: db, faults: &faults{Store: db}, clock: newClock(), log: &buffer{}, docs: specs(t)}
	app, err := build(t.Context(), config.Serve{Sandbox: true, PublicURL: "http://sandbox"}, surroundings{
		db: db, store: h.faults, log: server.NewLogger(h.log, slog.LevelDebug), now: h.clock.now, documents: documentsOnce,
		token: func(s *oauth.Server) { h.tokens = s }, vault: func(v *pin.Vault) { h.vault, h.faults.forget = v, v.Reread },
	})
	require.NoError(t, err)
	s := httptest.NewServer(app)
	t.Cleanup(s.Close)
	h.url, h.app = s.URL, app
	h.client = contracttest.New(t, s.URL, slices.Collect(maps.Values(h.docs))...)
	t.Cleanup(func() { // the server's own check of its replies, which is another than the client's
		for line := range strings.Lines(h.log.String()) {
			require.NotContains(t, line, "reply breaks its document")
		}
	})
	return h
}

// documentsOnce are all contracts. Loading them is most of what a server's start costs, and they do not
// change.
var documentsOnce = sync.OnceValues(loadDocuments)

// specs are the documents of all contracts, by name.
func specs(t testing.TB) map[string]*openapi3.T {
	t.Helper()
	documents, err := documentsOnce()
	require.NoError(t, err)
	all := map[string]*openapi3.T{}
	for name, d := range documents {
		all[name] = d.Spec()
	}
	return all
}

// mint is a token of a sandbox client for so long, with its scopes or those given.
func (h *harness) mint(t testing.TB, clientID string, ttl time.Duration, scopes ...string) string {
	t.Helper()
	c, err := pin.NewVault(h.store, keyring.New(keyring.Sandbox(), nil, nil), h.clock.now, nil).Client(operating(t), clientID)
	require.NoError(t, err)
	if scopes != nil {
		c.Scopes = scopes
	}
	token, err := h.tokens.Mint(c, ttl)
	require.NoError(t, err)
	return token.AccessToken
}

// authorize sets what a word of x-request.authorization stands for, in the contract named.
func (h *harness) authorize(name string) func(t testing.TB, r *http.Request, word string) {
	return func(t testing.TB, r *http.Request, word string) {
		t.Helper()
		var token string
		switch word {
		case "none":
			return
		case "malformed":
			token = "not-a-token"
		case "expired":
			token = h.mint(t, name+"-sandbox", -time.Second)
		case "no-scope":
			token = h.mint(t, name+"-sandbox", time.Hour, "moon:read")
		case "other-program":
			token = h.mint(t, name+"_other-sandbox", time.Hour)
		case "":
			token = h.mint(t, name+"-sandbox", time.Hour)
		default: // a client of the fixtures
			token = h.mint(t, word+"-sandbox", time.Hour)
		}
		// Known to the server before a fault, so that the fault meets the operation and not the token.
		restore := h.faults.fail(t, "")
		_, _ = h.tokens.Verify(t.Context(), token)
		restore()
		r.Header.Set("Authorization", "Bearer "+token)
	}
}

// reset puts the sandbox back, unless nothing was written since it last was.
func (h *harness) reset(t testing.TB) {
	t.Helper()
	if !h.faults.written.Load() {
		return
	}
	h.client.For(t).Do(http.MethodPost, "/sandbox/reset").ExpectStatus(http.StatusNoContent)
	h.faults.written.Store(false)
}

// faults is a store of which a test can make every call fail.
type faults struct {
	pin.Store
	code atomic.Pointer[pin.Code]
	// written tells whether anything was, since the sandbox was last put back.
	written atomic.Bool

	forget func() // has the vault forget what it has read

	part atomic.Pointer[string]
	late atomic.Bool // the calls that find out who is calling do not fail
}

// fail makes calls fail as the word says, until restore is called. The word "" makes none fail; one that
// ends in -later spares the calls that find out who is calling.
func (f *faults) fail(t testing.TB, word string) (restore func()) {
	t.Helper()
	word, late := strings.CutSuffix(word, "-later")
	code, ok := map[string]pin.Code{"": "", "database": pin.Unavailable, "internal": pin.Internal}[word]
	if slices.Contains([]string{partDevice, partDevicePlan, partAccessPoint}, word) {
		f.forget()
		before := f.part.Swap(&word)
		return func() { f.part.Store(before) }
	}
	require.True(t, ok, "fault %q means nothing", word)
	f.forget() // what was read a moment ago would be taken as it was
	before, wasLate := f.code.Swap(&code), f.late.Swap(late)
	return func() { f.code.Store(before); f.late.Store(wasLate) }
}

// Parts of the store that fail alone, in Credit+'s words: cards, programs, and all that is written.
const (
	partDevice      = "device"
	partDevicePlan  = "device-plan"
	partAccessPoint = "access-point"
)

// unless is what a call returns when neither all calls fail nor one of the parts that it belongs to.
func unless[T any](f *faults, call func() (T, error), parts ...string) (result T, err error) {
	if part := f.part.Load(); part != nil && slices.Contains(parts, *part) {
		return result, &pin.Error{Code: pin.Internal}
	}
	if code := f.code.Load(); code != nil && *code != "" {
		return result, &pin.Error{Code: *code}
	}
	return call()
}

// identify is unless for the calls that find out who is calling.
func identify[T any](f *faults, call func() (T, error), parts ...string) (T, error) {
	if f.late.Load() {
		return call()
	}
	return unless(f, call, parts...)
}

func (f *faults) Find(ctx context.Context, s pin.Search) ([]pin.CardRow, error) {
	return unless(f, func() ([]pin.CardRow, error) { return f.Store.Find(ctx, s) }, partDevice)
}

func (f *faults) Swap(ctx context.Context, c pin.Change) error {
	f.written.Store(true)
	_, err := unless(f, func() (struct{}, error) { return struct{}{}, f.Store.Swap(ctx, c) }, partAccessPoint)
	return err
}

func (f *faults) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	f.written.Store(true)
	_, err := unless(f, func() (struct{}, error) { return struct{}{}, f.Store.Locked(ctx, cardID, decide) }, partAccessPoint)
	return err
}

func (f *faults) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	call := func() (pin.Row, error) { return f.Store.Row(ctx, t, programID, id) }
	switch t {
	case pin.TablePrograms:
		return identify(f, call, partDevicePlan)
	case pin.TableClients, pin.TableZoneKeys:
		return identify(f, call)
	}
	return unless(f, call)
}

func (f *faults) List(ctx context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	return unless(f, func() ([]pin.Row, error) { return f.Store.List(ctx, t, programID, p) })
}

func (f *faults) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	return unless(f, func() ([]pin.EventRow, error) { return f.Store.Events(ctx, q) })
}

func (f *faults) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	return unless(f, func() (int64, error) { return f.Store.Numbers(ctx, sequence, programID, n) })
}

func (f *faults) Ping(ctx context.Context) error {
	_, err := unless(f, func() (struct{}, error) { return struct{}{}, f.Store.Ping(ctx) })
	return err
}

// clock is the time that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// operating is the test's context, called by an operator of the whole server.
func operating(t testing.TB) context.Context {
	return pin.WithCaller(t.Context(), pin.Caller{Everywhere: true, Operator: true})
}
