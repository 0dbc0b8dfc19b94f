package app

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/server"
	"pinvault/impl/thredd"
	"pinvault/openapi"
)

// stub is a vault that answers at once, and the clients of one token.
type stub struct {
	thredd.Vault
	client pin.Client
	record pin.Record
}

func (s stub) Card(context.Context, pin.Query) (pin.Record, error)              { return s.record, nil }
func (s stub) Client(context.Context, string) (pin.Client, error)               { return s.client, nil }
func (s stub) Authenticate(context.Context, string, string) (pin.Client, error) { return s.client, nil }

// recorder is a ResponseWriter that can be used again.
type recorder struct {
	header http.Header
	status int
	bytes  int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { r.bytes += len(b); return len(b), nil }

// Routing, authorization with a cached token, contract check and rendering of PIN status, over a stub
// vault: all of a request but the network and the database. The log writes to nowhere.
func BenchmarkPINStatusOverAStubVault(b *testing.B) {
	client := pin.Client{ID: "bench", ProgramID: "p", Contract: thredd.Name, Scopes: []string{"pins:read"}}
	vault := stub{client: client, record: pin.Record{Card: pin.Card{Status: pin.StatusNormal}, Program: pin.Program{TryLimit: 3}, PIN: pin.Value{TriesLeft: 3}}}
	tokens, err := oauth.New(vault, signingKeys(keyring.Sandbox()), "http://bench", nil, nil)
	require.NoError(b, err)
	common, err := contract.Load(openapi.Documents, "common")
	require.NoError(b, err)
	document, err := contract.Load(openapi.Documents, thredd.Name)
	require.NoError(b, err)
	noTokens := func(context.Context, string, url.Values, string, time.Duration) (string, []string, error) {
		return "", nil, nil
	}
	app, err := server.New(server.Options{
		Common: common, Tokens: tokens, Log: server.NewLogger(io.Discard, slog.LevelInfo), Metrics: prometheus.NewRegistry(),
		Ready:     func(context.Context) []string { return nil },
		Contracts: []server.Contract{{Document: document, API: thredd.New(vault, nil, noTokens, nil)}},
	})
	require.NoError(b, err)
	token, err := tokens.Mint(client, time.Hour)
	require.NoError(b, err)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/cards/103169946/pin/status", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	w := &recorder{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		app.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// memory is a store of one card that every swap leaves as it was, for the vault's own work alone.
type memory struct {
	pin.Store
	card pin.CardRow
	rows map[pin.Table]pin.Row
}

func (m *memory) Find(context.Context, pin.Search) ([]pin.CardRow, error) {
	if m.card.ID == "" {
		return nil, nil
	}
	return []pin.CardRow{m.card}, nil
}

func (m *memory) Row(_ context.Context, t pin.Table, _, _ string) (pin.Row, error) {
	r, ok := m.rows[t]
	if !ok {
		return pin.Row{}, &pin.Error{Code: pin.NotFound}
	}
	return r, nil
}

// Swap keeps what is made: a first revision, and rows.
func (m *memory) Swap(_ context.Context, c pin.Change) error {
	if c.Card != nil && c.Card.Revision == 1 {
		m.card = *c.Card
		m.card.ProgramVersion = 1
	}
	for _, r := range c.Rows {
		m.rows[r.Table] = r
	}
	return nil
}

// A PIN block verified in the vault, from the block to the audit event, without a database.
func BenchmarkVerifyWithoutDatabase(b *testing.B) {
	m := &memory{rows: map[pin.Table]pin.Row{}}
	ring := keyring.Open(keyring.Sandbox(), m, nil)
	vault := pin.NewVault(m, ring, nil, nil)
	program, err := vault.CreateProgram(pin.WithCaller(b.Context(), pin.Operator("")), pin.NewProgram("bench"), pin.Memo{})
	require.NoError(b, err)
	raw, err := hex.DecodeString("E8DD93B8AF13999C7644C0FE11F5D2A7")
	require.NoError(b, err)
	key, err := ring.WrapZoneKey("zpk", "", pin.UsageZonePIN, "TDES", raw)
	require.NoError(b, err)
	require.NoError(b, vault.ImportZoneKey(pin.WithCaller(b.Context(), pin.Operator("")), key, pin.Memo{}))
	right, err := pin.New([]byte("7010"))
	require.NoError(b, err)
	_, err = vault.CreateCard(pin.WithCaller(b.Context(), pin.Operator("")), pin.NewCard{ProgramID: program.ID, PAN: "9999990000000014", PIN: right}, pin.Memo{})
	require.NoError(b, err)

	block, err := hex.DecodeString("2F780C8387FFF32C")
	require.NoError(b, err)
	offer := pin.Encrypted("zpk", pinblock.ISO0, block)
	b.ReportAllocs()
	for b.Loop() {
		v, err := vault.Verify(pin.WithCaller(b.Context(), pin.Operator("")), pin.Query{CardID: m.card.ID}, offer, pin.Memo{})
		if err != nil || v.Result != pin.Match {
			b.Fatal(v, err)
		}
	}
}

// The documents are most of what a start costs: a server answers 0.3 s after it was started.
func BenchmarkDocuments(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := documentsFor(false); err != nil {
			b.Fatal(err)
		}
	}
}
