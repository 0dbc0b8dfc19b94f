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
	same := apptest.AskLink(t, h.Client, "resetpin", card, "order-1", contracttest.Header("x-client-id", "hashdt-sandbox")).ExpectStatus(http.StatusOK)
	require.Equal(t, first, same.Text("/data/0/set_pin_url"), "the client's own id, sent or not")
	require.Equal(t, http.StatusForbidden, apptest.AskLink(t, h.Client, "resetpin", card, "order-1", contracttest.Header("x-client-id", "another")).Status)
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

// A link that serves nobody any more is not handed out again: the same x-request-id gets what a fresh one would, and
// may even be of another call.
func TestALinkThatServesNoMoreIsNotHandedOutAgain(t *testing.T) {
	t.Parallel()
	const number, second = 1, 2
	setStatus := func(t *testing.T, h *apptest.Server, status string) {
		t.Helper()
		h.Client.For(t).Do(http.MethodPatch, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001", contracttest.JSON(map[string]string{"status": status}),
			contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))).ExpectStatus(http.StatusOK)
	}
	block := func(t *testing.T, h *apptest.Server) {
		t.Helper()
		s := apptest.NewLink(t, h.Client, "changepin", number).Exchange(t, h.Client)
		for range 3 {
			s.Submit(t, h.Client, "current", "9182").ExpectStatus(http.StatusOK)
		}
	}
	for name, c := range map[string]struct {
		operation string
		then      func(t *testing.T, h *apptest.Server, l apptest.Link)
		refusal   string // what a fresh x-request-id is answered, "" for a link
	}{
		"used": {"resetpin", func(t *testing.T, h *apptest.Server, l apptest.Link) {
			l.Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		}, ""},
		"opened by somebody": {"resetpin", func(t *testing.T, h *apptest.Server, l apptest.Link) { l.Exchange(t, h.Client) }, ""},
		"guessed at": {"resetpin", func(t *testing.T, h *apptest.Server, l apptest.Link) {
			for range 3 {
				h.Client.For(t).Do(http.MethodPost, l.Path+"/exchange", contracttest.JSON(map[string]string{"secret": strings.Repeat("A", 43)})).ExpectStatus(http.StatusNotFound)
			}
		}, ""},
		"superseded by another PIN": {"changepin", func(t *testing.T, h *apptest.Server, _ apptest.Link) {
			apptest.NewLink(t, h.Client, "resetpin", number).Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		}, ""},
		"expired": {"changepin", func(_ *testing.T, h *apptest.Server, _ apptest.Link) { h.Clock.Forward(5 * time.Minute) }, ""},
		"of a card whose PIN is blocked": {"changepin", func(t *testing.T, h *apptest.Server, _ apptest.Link) { block(t, h) },
			"The PIN is blocked; use resetpin."},
		"of a card that was lost": {"resetpin", func(t *testing.T, h *apptest.Server, _ apptest.Link) { setStatus(t, h, "lost") },
			"The card's status does not allow PIN operations."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := apptest.Start(t, "")
			first := apptest.AskLink(t, h.Client, c.operation, number, "order-1").ExpectStatus(http.StatusOK).Text("/data/0/set_pin_url")
			require.Equal(t, first, apptest.AskLink(t, h.Client, c.operation, number, "order-1").Text("/data/0/set_pin_url"))
			c.then(t, h, apptest.ParseLink(t, first))
			if c.refusal != "" {
				again := apptest.AskLink(t, h.Client, c.operation, number, "order-1").ExpectStatus(http.StatusBadRequest)
				require.Equal(t, c.refusal, again.Text("/message"))
			}
			var links sync.Map
			statuses := apptest.Together(8, func(int) int {
				reply := apptest.AskLink(t, h.Client, "resetpin", second, "order-1")
				links.Store(string(reply.Body), true)
				return reply.Status
			})
			require.Equal(t, map[int]int{http.StatusOK: 8}, statuses, "as fresh, for another card too")
			different := 0
			links.Range(func(any, any) bool { different++; return true })
			require.Equal(t, 1, different)
			fresh := apptest.AskLink(t, h.Client, "resetpin", second, "order-1").Text("/data/0/set_pin_url")
			require.NotEqual(t, first, fresh)
			apptest.AskLink(t, h.Client, c.operation, number, "order-1").ExpectStatus(http.StatusConflict)
			apptest.ParseLink(t, fresh).Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		})
	}
}

// A reset helps where the tries of a blocked card are used up, and its link lives on when they are.
func TestALinkToResetServesABlockedCard(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	first := apptest.AskLink(t, h.Client, "resetpin", card, "order-1").Text("/data/0/set_pin_url")
	s := apptest.NewLink(t, h.Client, "changepin", card).Exchange(t, h.Client)
	for range 3 {
		s.Submit(t, h.Client, "current", "9182").ExpectStatus(http.StatusOK)
	}
	require.Equal(t, first, apptest.AskLink(t, h.Client, "resetpin", card, "order-1").Text("/data/0/set_pin_url"))
	apptest.ParseLink(t, first).Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
}

// Whatever a cardholder's, wallet's or card's name holds that a header can: the issuer API takes it, and the partner
// finds the card by it.
func TestACardIsFoundByWhateverItIsCalled(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	const cardholder, wallet, id = "user@example.com", "W/1?2#3", "card:1/2"
	h.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards", contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour)), contracttest.JSON(map[string]any{
		"programId": "00000000-0000-7000-8000-00000000a001", "cardholderId": cardholder, "walletId": wallet,
		"references": []map[string]string{{"kind": "hashdtCardId", "value": id}},
	})).ExpectStatus(http.StatusCreated)
	apptest.AskLink(t, h.Client, "setpin", card, "order-1", contracttest.Header("x-cardholder-id", cardholder),
		contracttest.Header("x-wallet-id", wallet), contracttest.Header("x-card-id", id)).ExpectStatus(http.StatusOK)
}

// A card that was made without a PIN gets its first one by setpin, and then has all that others have.
func TestACardWithoutAPINGetsOne(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	const number = 16
	for _, operation := range []string{"resetpin", "changepin"} {
		refused := apptest.AskLink(t, h.Client, operation, number, operation).ExpectStatus(http.StatusBadRequest)
		require.Equal(t, "The card has no PIN; use setpin.", refused.Text("/message"))
	}
	apptest.NewLink(t, h.Client, "setpin", number).Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
	s := apptest.NewLink(t, h.Client, "changepin", number).Exchange(t, h.Client)
	require.Equal(t, "match", s.Submit(t, h.Client, "current", "4826").ExpectStatus(http.StatusOK).Text("/result"))
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
		"the client's own id":              {"x-client-id", "hashdt-sandbox", http.StatusOK},
		"no client id":                     {"x-client-id", "", http.StatusOK},
		"a client id in other letters":     {"x-client-id", "HASHDT-SANDBOX", http.StatusForbidden},
		"a client id with more to it":      {"x-client-id", "hashdt-sandbox.", http.StatusForbidden},
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
