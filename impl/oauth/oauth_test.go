package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

const issuer = "https://pins.example"

// partner is the client that most tests are about.
var partner = pin.Client{ID: "partner-1", ProgramID: "program-1", Contract: "thredd", Scopes: []string{"pins:write", "pins:read", "cards:write"}, Version: 1, SecretVersion: 1}

// desk keeps clients in memory.
type desk struct {
	mu      sync.Mutex
	clients map[string]pin.Client
	err     error         // what every question gets for an answer, if any
	gate    chan struct{} // what every question waits for, if any
	asked   int           // questions after a client
}

const secret = "s3cret of partner-1"

func (d *desk) Authenticate(_ context.Context, id, offered string) (pin.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.clients[id]
	switch {
	case d.err != nil:
		return pin.Client{}, d.err
	case !known || offered != secret || !c.Active():
		return pin.Client{}, &pin.Error{Code: pin.Unauthorized}
	}
	return c, nil
}

func (d *desk) Client(ctx context.Context, id string) (pin.Client, error) {
	d.mu.Lock()
	d.asked++
	d.mu.Unlock()
	if d.gate != nil {
		select {
		case <-d.gate:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.clients[id]
	switch {
	case ctx.Err() != nil:
		return pin.Client{}, ctx.Err()
	case d.err != nil:
		return pin.Client{}, d.err
	case !known || !c.Active() || !pin.CallerFrom(ctx).Reaches(c.ProgramID):
		return pin.Client{}, &pin.Error{Code: pin.NotFound}
	}
	return c, nil
}

// change changes the client as the issuer's own API does.
func (d *desk) change(id string, patch func(*pin.Client)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.clients[id]
	c.Scopes = slices.Clone(c.Scopes)
	patch(&c)
	c.Version++
	d.clients[id] = c
}

func (d *desk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *desk) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func newDesk() *desk { return &desk{clients: map[string]pin.Client{partner.ID: partner}} }

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// private is the key, which signs in this process.
func private(k oauth.SigningKey) *ecdsa.PrivateKey { return k.Key.(*ecdsa.PrivateKey) }

// having is a source of always the same keys.
func having(keys ...oauth.SigningKey) func() []oauth.SigningKey {
	return func() []oauth.SigningKey { return keys }
}

func newKey(t testing.TB, kid string) oauth.SigningKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return oauth.SigningKey{KID: kid, Key: key}
}

// setting is a server and what it depends on.
type setting struct {
	*oauth.Server
	desk  *desk
	clock *clock
	keys  []oauth.SigningKey
}

func newSetting(t testing.TB, keys ...oauth.SigningKey) setting {
	t.Helper()
	if keys == nil {
		keys = []oauth.SigningKey{newKey(t, "key-1")}
	}
	s := setting{desk: newDesk(), clock: newClock(), keys: keys}
	var err error
	s.Server, err = oauth.New(s.desk, having(keys...), issuer, s.clock.Now, nil)
	require.NoError(t, err)
	return s
}

// mint is a token of the client, good for an hour.
func (s setting) mint(t testing.TB, c pin.Client) string {
	t.Helper()
	token, err := s.Mint(c, time.Hour)
	require.NoError(t, err)
	return token.AccessToken
}

// refuses asserts that a token gets the one refusal.
func (s setting) refuses(t testing.TB, token string) {
	t.Helper()
	caller, err := s.Verify(t.Context(), token)
	require.ErrorIs(t, err, &pin.Error{Code: pin.Unauthorized})
	require.Zero(t, caller)
}
