package hashdt_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// card is the number of the fixtures' card "normal".
const card = 1

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	env := h.Env("hashdt")
	byToken := env.Authorize
	env.Authorize = func(t testing.TB, r *http.Request, word string) {
		t.Helper()
		switch word {
		case contracttest.Nobody:
			r.Header.Del("x-api-key")
		case contracttest.OtherContract, contracttest.OtherProgram, contracttest.NoScope:
			r.Header.Set("x-api-key", h.APIKey(t, "hashdt", word))
		default:
			byToken(t, r, word)
		}
	}
	apptest.Examples(t, "hashdt", env, nil)
}

// The same x-request-id gets the same URL while the session lives, and another one after.
func TestALinkIsHandedOutOncePerRequestID(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	ask := func() string {
		return apptest.AskLink(t, h.Client, "resetpin", card, "order-1").ExpectStatus(http.StatusOK).Text("/data/0/set_pin_url")
	}
	first := ask()
	require.Regexp(t, `^http://sandbox/hosted/pin/[0-9a-f-]{36}#[A-Za-z0-9_-]{43}$`, first)
	h.Clock.Forward(5*time.Minute - time.Microsecond)
	require.Equal(t, first, ask())
	require.Equal(t, http.StatusConflict, apptest.AskLink(t, h.Client, "resetpin", card, "order-1", contracttest.Header("x-client-id", "another")).Status)
	require.Equal(t, http.StatusConflict, apptest.AskLink(t, h.Client, "changepin", card, "order-1").Status)
	h.Clock.Forward(time.Microsecond)
	second := ask()
	require.NotEqual(t, first, second)
	apptest.ParseLink(t, second).Exchange(t, h.Client)

	var replies sync.Map
	statuses := apptest.Together(20, func(int) int {
		reply := apptest.AskLink(t, h.Client, "resetpin", card, "order-2")
		replies.Store(string(reply.Body), true)
		return reply.Status
	})
	require.Equal(t, map[int]int{http.StatusOK: 20}, statuses)
	different := 0
	replies.Range(func(any, any) bool { different++; return true })
	require.Equal(t, 1, different, "however many ask at once")
}

// What the OpenAPI document cannot say of the three operations' headers.
func TestHeaders(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"Content-Type with a charset":      {"Content-Type", "application/json; charset=utf-8", http.StatusOK},
		"Content-Type in capitals":         {"Content-Type", "APPLICATION/JSON", http.StatusOK},
		"a Content-Type that is none":      {"Content-Type", ";", http.StatusBadRequest},
		"a bearer of the client":           {"Authorization", "Bearer " + h.Mint(t, "hashdt-sandbox", time.Hour), http.StatusOK},
		"a bearer of another contract":     {"Authorization", "Bearer " + h.Mint(t, "thredd-sandbox", time.Hour), http.StatusUnauthorized},
		"a key with a full stop too many":  {"x-api-key", "hashdt-sandbox.hashdt-sandbox-secret.", http.StatusUnauthorized},
		"a key with nothing before it":     {"x-api-key", ".hashdt-sandbox-secret", http.StatusUnauthorized},
		"a key that is not UTF-8":          {"x-api-key", "hashdt-sandbox\xff.hashdt-sandbox-secret", http.StatusUnauthorized},
		"a key in other letters":           {"x-api-key", "größe.hashdt-sandbox-secret", http.StatusUnauthorized},
		"an empty key":                     {"x-api-key", "", http.StatusBadRequest},
		"a product that is none":           {"x-product-id", "../..", http.StatusBadRequest},
		"a request id of a hundred":        {"x-request-id", strings.Repeat("r", 128), http.StatusOK},
		"an api key of another client's":   {"x-api-key", "hashdt_other-sandbox.hashdt_other-sandbox-secret", http.StatusForbidden},
		"a wallet id with letters of ours": {"x-wallet-id", "größe", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.status, apptest.AskLink(t, h.Client, "resetpin", card, rand.Text(), contracttest.Header(c.header, c.value)).Status)
		})
	}
}

// Of several keys or tokens none counts, the good ones neither.
func TestTakesOneCredentialOfEachKind(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	const key = "hashdt-sandbox.hashdt-sandbox-secret"
	bearer := "Bearer " + h.Mint(t, "hashdt-sandbox", time.Hour)
	for name, option := range map[string]contracttest.Option{
		"a key twice":                contracttest.Repeated("x-api-key", key, key),
		"the good key first":         contracttest.Repeated("x-api-key", key, "x.y"),
		"the good key last":          contracttest.Repeated("x-api-key", "x.y", key),
		"a token twice":              contracttest.Repeated("Authorization", bearer, bearer),
		"the good token first":       contracttest.Repeated("Authorization", bearer, "Bearer x"),
		"an empty one after a token": contracttest.Repeated("Authorization", bearer, ""),
	} {
		reply := apptest.AskLink(t, h.Client, "resetpin", card, rand.Text(), option)
		require.Equal(t, http.StatusUnauthorized, reply.Status, name)
	}
}
