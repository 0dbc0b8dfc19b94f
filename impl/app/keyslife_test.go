package app_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

// forwards is a clock that a test moves.
type forwards struct{ by atomic.Int64 }

func (f *forwards) Now() time.Time { return time.Now().Add(time.Duration(f.by.Load())) }

func (f *forwards) add(d time.Duration) { f.by.Add(int64(d)) }

// calling sends a request of the issuer's API with a token.
func calling(t *testing.T, a *app.App, token, method, path, body string) (status int, reply map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.Public.ServeHTTP(w, r)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &reply), "%s", w.Body)
	return w.Code, reply
}

// All uses rotate, twice, through the API of one server of two, while 16 callers verify and set PINs and sign and check
// tokens in both: nothing fails, and when everything was put under the new keys the first ones are retired, and open
// nothing. The trail tells all of it and holds.
func TestEveryUseRotatesUnderLoad(t *testing.T) {
	t.Parallel()
	const callers, rotations = 16, 2
	database, keys, clock := storetest.SQLite(t), keysOf(t), &forwards{}
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	var servers []*app.App
	for range 2 {
		db := apptest.OpenStore(t, database)
		require.NoError(t, db.Migrate(t.Context()))
		a, err := app.New(t.Context(), config.Serve{PublicURL: "http://production", Keys: keys, RequestTimeout: time.Minute},
			app.Surroundings{Database: db, Store: db, Log: slog.New(slog.DiscardHandler), Documents: documents, Now: clock.Now})
		require.NoError(t, err)
		servers = append(servers, a)
	}
	one, two, operator := servers[0], servers[1], apptest.Operating(t)
	program, err := one.Vault.CreateProgram(operator, pin.NewProgram("Production"), pin.Memo{})
	require.NoError(t, err)
	digits, err := pin.New([]byte("7391"))
	require.NoError(t, err)
	var cards []string
	for range callers {
		card, err := one.Vault.CreateCard(operator, pin.NewCard{ProgramID: program.ID, PIN: digits}, pin.Memo{})
		require.NoError(t, err)
		cards = append(cards, card.ID)
	}
	client, _, err := one.Vault.CreateClient(operator, pin.Client{Contract: "issuer", Name: "Keys", Scopes: []string{"vaultkeys:manage", "vaultkeys:read"}}, "", pin.Memo{})
	require.NoError(t, err)
	token := func(a *app.App) string {
		minted, err := a.Tokens.Mint(client, time.Hour)
		require.NoError(t, err)
		return minted.AccessToken
	}

	var done atomic.Bool
	var worked atomic.Int64
	var work sync.WaitGroup
	for i, card := range cards {
		work.Go(func() {
			by, other := servers[i%2], servers[(i+1)%2]
			for n := 0; !done.Load(); n++ {
				v, err := by.Vault.Verify(operator, pin.Query{CardID: card}, pin.Plain(digits), pin.Memo{})
				if err != nil || v.Result != pin.Match {
					t.Errorf("a right PIN was %v: %v", v.Result, err)
					return
				}
				if n%3 == 0 {
					if err := other.Vault.SetPIN(operator, pin.Query{CardID: card}, pin.Plain(digits), pin.Memo{}); err != nil {
						t.Errorf("a PIN was not set: %v", err)
						return
					}
				}
				minted, err := by.Tokens.Mint(client, time.Hour)
				if err == nil {
					_, err = other.Tokens.Verify(t.Context(), minted.AccessToken)
				}
				if err != nil {
					t.Errorf("a token of the one server is not good in the other: %v", err)
					return
				}
				worked.Add(1)
			}
		})
	}
	among := func() { // the callers go on for a while
		for until := worked.Load() + callers; worked.Load() < until && !t.Failed(); {
			runtime.Gosched()
		}
	}
	for range rotations {
		for _, use := range keyring.Uses() {
			status, reply := calling(t, one, token(one), http.MethodPost, "/issuer/v1/vault-keys/"+string(use)+"/rotations", `{"activeInSeconds":60,"reason":"yearly"}`)
			require.Equal(t, http.StatusCreated, status, reply)
			require.Equal(t, "pending", reply["state"])
		}
		among()
		require.NoError(t, two.Keyset.Look(t.Context()))
		among()
		clock.add(time.Minute)
		among()
		clock.add(time.Minute)
	}
	done.Store(true)
	work.Wait()
	if t.Failed() {
		return
	}

	_, before := calling(t, two, token(one), http.MethodGet, "/issuer/v1/vault-keys/pin-verifier", "")
	require.Len(t, before["items"], 1+rotations)
	status, reply := calling(t, two, token(two), http.MethodPost, "/issuer/v1/vault-keys/seal/keys/1/steps", `{"step":"retire"}`)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "key_in_use", reply["code"])
	require.NoError(t, one.Vault.Rewrap(operator, pin.RewrapOptions{}))
	clock.add(25 * time.Hour) // tokens that the first key has signed are over
	for _, use := range keyring.Uses() {
		status, reply := calling(t, two, token(two), http.MethodPost, "/issuer/v1/vault-keys/"+string(use)+"/keys/1/steps", `{"step":"retire"}`)
		if use == keyring.UseCheckpoints || use == keyring.UseAuditLog {
			require.Equal(t, http.StatusConflict, status, "who keeps checkpoints nobody knows")
			continue
		}
		require.Equal(t, http.StatusOK, status, "%s: %v", use, reply)
		require.Equal(t, "retired", reply["state"])
	}
	require.NoError(t, one.Keyset.Look(t.Context()))
	for _, a := range servers {
		for _, card := range cards {
			v, err := a.Vault.Verify(operator, pin.Query{CardID: card}, pin.Plain(digits), pin.Memo{})
			require.NoError(t, err)
			require.Equal(t, pin.Match, v.Result)
		}
	}
	requireTold(t, one.Vault, map[pin.EventType]int{
		pin.EventVaultKeyRotated: rotations * len(keyring.Uses()), pin.EventVaultKeyRetired: len(keyring.Uses()) - 2,
	})
}

// requireTold counts events of those types.
func requireTold(t *testing.T, vault *pin.Vault, want map[pin.EventType]int) {
	t.Helper()
	got := map[pin.EventType]int{}
	for page := (pin.Page{Limit: 200}); ; {
		events, err := vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: "server", Page: page})
		require.NoError(t, err)
		for _, e := range events {
			if page.After = e.ID; want[e.Type] > 0 {
				got[e.Type]++
				require.NotEmpty(t, e.Subject)
			}
		}
		if len(events) < page.Limit {
			break
		}
	}
	require.Equal(t, want, got)
}
