package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// link is where a cardholder is sent: what the issuing API returned.
type link struct{ url, path, secret string }

// askLink calls one of the issuing API's operations for the card with that number in the fixtures.
func askLink(t testing.TB, h *harness, operation string, card int, requestID string, more ...contracttest.Option) *contracttest.Reply {
	t.Helper()
	options := append([]contracttest.Option{
		contracttest.Header("x-api-key", "hashdt-sandbox.hashdt-sandbox-secret"),
		contracttest.Header("x-product-id", "00000000-0000-7000-8000-00000000a001"),
		contracttest.Header("x-cardholder-id", fmt.Sprintf("CH%08d", card)),
		contracttest.Header("x-wallet-id", fmt.Sprintf("WL%08d", card)),
		contracttest.Header("x-card-id", fmt.Sprintf("CD%08d", card)),
		contracttest.Header("x-request-id", requestID),
	}, more...)
	return h.client.For(t).Do(http.MethodGet, "/issuing/api/v1/card/"+operation, options...)
}

func parseLink(t testing.TB, text string) link {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return link{url: text, path: u.Path, secret: u.Fragment}
}

// newLink is a link for a card.
func newLink(t testing.TB, h *harness, operation string, card int) link {
	t.Helper()
	id := fmt.Sprintf("%s-%d-%s", operation, card, rand.Text())
	return parseLink(t, askLink(t, h, operation, card, id).ExpectStatus(http.StatusOK).Text("/data/0/set_pin_url"))
}

// session is a link whose secret was exchanged.
type session struct {
	link
	token string
	key   *ecdh.PublicKey
}

func exchange(t testing.TB, h *harness, l link) session {
	t.Helper()
	reply := h.client.For(t).Do(http.MethodPost, l.path+"/exchange", contracttest.JSON(map[string]string{"secret": l.secret})).ExpectStatus(http.StatusOK)
	point := []byte{4}
	for _, coordinate := range []string{"/key/x", "/key/y"} {
		raw, err := base64.RawURLEncoding.DecodeString(reply.Text(coordinate))
		require.NoError(t, err)
		point = append(point, raw...)
	}
	key, err := ecdh.P256().NewPublicKey(point)
	require.NoError(t, err)
	return session{link: l, token: reply.Text("/token"), key: key}
}

// seal encrypts a message as the page does.
func (s session) seal(t testing.TB, message string) string {
	t.Helper()
	sealed, err := jwe.Encrypt([]byte(message), jwe.WithKey(jwa.ECDH_ES(), s.key), jwe.WithContentEncryption(jwa.A256GCM()))
	require.NoError(t, err)
	return string(sealed)
}

func message(purpose, digits string) string {
	return fmt.Sprintf("%-64s", fmt.Sprintf(`{"for":%q,"pin":%q}`, purpose, digits))
}

// submit sends a PIN for a purpose, which is the path's last segment too.
func (s session) submit(t testing.TB, h *harness, purpose, digits string) *contracttest.Reply {
	t.Helper()
	return s.send(t, h, purpose, s.seal(t, message(purpose, digits)))
}

func (s session) send(t testing.TB, h *harness, step, sealed string) *contracttest.Reply {
	t.Helper()
	return h.client.For(t).Do(http.MethodPost, s.path+"/"+step, contracttest.JSON(map[string]string{"token": s.token, "pin": sealed}))
}

// pinOf reads a card's PIN back, which the sandbox's programs allow.
func (h *harness) pinOf(t testing.TB, token string) string {
	t.Helper()
	return h.client.For(t).Do(http.MethodGet, "/api/v1/cards/"+token+"/pin", contracttest.Bearer(h.mint(t, "thredd-sandbox", time.Hour))).
		ExpectStatus(http.StatusOK).Text("/pin")
}

// triesOf is how many tries a card has left.
func (h *harness) triesOf(t testing.TB, token string) string {
	t.Helper()
	return h.client.For(t).Do(http.MethodGet, "/api/v1/cards/"+token+"/pin/status", contracttest.Bearer(h.mint(t, "thredd-sandbox", time.Hour))).
		ExpectStatus(http.StatusOK).Text("/remainingTries")
}

// setProgram changes settings of the sandbox's program.
func (h *harness) setProgram(t testing.TB, settings map[string]any) *contracttest.Reply {
	t.Helper()
	return h.client.For(t).Do(http.MethodPatch, "/issuer/v1/programs/00000000-0000-7000-8000-00000000a001",
		contracttest.JSON(settings), contracttest.Bearer(h.mint(t, "issuer-sandbox", time.Hour)))
}

// Cards of the fixtures by number, and the tokens by which Thredd's contract finds them.
const (
	normal, normalToken     = 1, "103169946"
	unchosen, unchosenToken = 4, "103169901"
	blocked, blockedToken   = 7, "103169904"
)

func TestHostedFlows(t *testing.T) {
	h := start(t, "")
	t.Run("set: the first PIN, once", func(t *testing.T) {
		s := exchange(t, h, newLink(t, h, "setpin", unchosen))
		s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", h.pinOf(t, unchosenToken))
		reply := askLink(t, h, "setpin", unchosen, "again").ExpectStatus(http.StatusBadRequest)
		require.Equal(t, "A PIN was already chosen for the card; use resetpin or changepin.", reply.Text("/message"))
	})
	t.Run("reset: a new PIN and all tries", func(t *testing.T) {
		h.reset(t)
		exchange(t, h, newLink(t, h, "resetpin", blocked)).submit(t, h, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", h.pinOf(t, blockedToken))
		require.Equal(t, "3", h.triesOf(t, blockedToken))
	})
	t.Run("change: the current PIN first, by the shared counter", func(t *testing.T) {
		h.reset(t)
		s := exchange(t, h, newLink(t, h, "changepin", normal))
		s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNotFound)
		wrong := s.submit(t, h, "current", "9182").ExpectStatus(http.StatusOK)
		require.Equal(t, "mismatch", wrong.Text("/result"))
		require.InDelta(t, 2, wrong.JSON("/remainingTries"), 0)
		require.Equal(t, "2", h.triesOf(t, normalToken))
		require.Equal(t, "match", s.submit(t, h, "current", "7010").ExpectStatus(http.StatusOK).Text("/result"))
		require.Equal(t, "3", h.triesOf(t, normalToken))
		s.submit(t, h, "current", "7010").ExpectStatus(http.StatusNotFound)
		s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", h.pinOf(t, normalToken))
	})
	t.Run("a PIN that the policy refuses leaves the session for another", func(t *testing.T) {
		h.reset(t)
		h.setProgram(t, map[string]any{"pinPolicy": "history", "maxPinLength": 6}).ExpectStatus(http.StatusOK)
		s := exchange(t, h, newLink(t, h, "resetpin", normal))
		for digits, code := range map[string]string{"1234": "weak_pin", "4826193": "pin_length", "7010": "recent_pin", "482a": "invalid_pin", "": "invalid_pin"} {
			require.Equal(t, code, s.submit(t, h, "new", digits).ExpectStatus(http.StatusUnprocessableEntity).Text("/code"), digits)
		}
		s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNoContent)
	})
	t.Run("a card that was lost meanwhile takes no PIN", func(t *testing.T) {
		h.reset(t)
		s := exchange(t, h, newLink(t, h, "changepin", normal))
		h.client.For(t).Do(http.MethodPatch, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001", contracttest.JSON(map[string]string{"status": "lost"}),
			contracttest.Bearer(h.mint(t, "issuer-sandbox", time.Hour))).ExpectStatus(http.StatusOK)
		require.Equal(t, "card_status", s.submit(t, h, "current", "7010").ExpectStatus(http.StatusConflict).Text("/code"))
	})
	t.Run("the third wrong current PIN ends the session, and the right one after it changes nothing", func(t *testing.T) {
		h.reset(t)
		s := exchange(t, h, newLink(t, h, "changepin", normal))
		for _, want := range []string{"mismatch", "mismatch", "blocked"} {
			require.Equal(t, want, s.submit(t, h, "current", "9182").ExpectStatus(http.StatusOK).Text("/result"))
		}
		require.Equal(t, "unusable", s.submit(t, h, "current", "7010").ExpectStatus(http.StatusNotFound).Text("/code"))
		s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNotFound)
		require.Equal(t, "7010", h.pinOf(t, normalToken))
	})
	t.Run("who did it, through what, is in the audit trail", func(t *testing.T) {
		h.reset(t)
		exchange(t, h, newLink(t, h, "resetpin", blocked)).submit(t, h, "new", "4826").ExpectStatus(http.StatusNoContent)
		events, err := h.vault.AuditEvents(t.Context(), pin.AuditQuery{Chain: "00000000-0000-7000-8000-000000000007", Page: pin.Page{Limit: 1000}})
		require.NoError(t, err)
		last := events[len(events)-3:]
		for i, want := range []pin.AuditEvent{
			{Type: pin.EventSessionOpened, Contract: "hashdt"}, {Type: pin.EventPINSet, Contract: "hosted"}, {Type: pin.EventPINUnblocked, Contract: "hosted"},
		} {
			require.Equal(t, want.Type, last[i].Type)
			require.Equal(t, want.Contract, last[i].Contract)
			require.Equal(t, "hashdt-sandbox", last[i].ClientID)
			require.NotEmpty(t, last[i].TraceID)
		}
	})
}

// The same x-request-id gets the same URL while the session lives, and another one after.
func TestALinkIsHandedOutOncePerRequestID(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	ask := func() string {
		return askLink(t, h, "resetpin", normal, "order-1").ExpectStatus(http.StatusOK).Text("/data/0/set_pin_url")
	}
	first := ask()
	require.Regexp(t, `^http://sandbox/hosted/pin/[0-9a-f-]{36}#[A-Za-z0-9_-]{43}$`, first)
	h.clock.forward(5*time.Minute - time.Microsecond)
	require.Equal(t, first, ask())
	require.Equal(t, http.StatusConflict, askLink(t, h, "resetpin", normal, "order-1", contracttest.Header("x-client-id", "another")).Status)
	require.Equal(t, http.StatusConflict, askLink(t, h, "changepin", normal, "order-1").Status)
	h.clock.forward(time.Microsecond)
	second := ask()
	require.NotEqual(t, first, second)
	exchange(t, h, parseLink(t, second))

	var replies sync.Map
	statuses := together(20, func(int) int {
		reply := askLink(t, h, "resetpin", normal, "order-2")
		replies.Store(string(reply.Body), true)
		return reply.Status
	})
	require.Equal(t, map[int]int{http.StatusOK: 20}, statuses)
	different := 0
	replies.Range(func(any, any) bool { different++; return true })
	require.Equal(t, 1, different, "however many ask at once")
}

// What the OpenAPI document cannot say of the three operations' headers.
func TestIssuingHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"Content-Type with a charset":      {"Content-Type", "application/json; charset=utf-8", http.StatusOK},
		"Content-Type in capitals":         {"Content-Type", "APPLICATION/JSON", http.StatusOK},
		"a Content-Type that is none":      {"Content-Type", ";", http.StatusBadRequest},
		"a bearer of the client":           {"Authorization", "Bearer " + h.mint(t, "hashdt-sandbox", time.Hour), http.StatusOK},
		"a bearer of another contract":     {"Authorization", "Bearer " + h.mint(t, "thredd-sandbox", time.Hour), http.StatusUnauthorized},
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
			require.Equal(t, c.status, askLink(t, h, "resetpin", normal, rand.Text(), contracttest.Header(c.header, c.value)).Status)
		})
	}
}

// Of several keys or tokens none counts, the good ones neither.
func TestIssuingTakesOneCredentialOfEachKind(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	const key = "hashdt-sandbox.hashdt-sandbox-secret"
	bearer := "Bearer " + h.mint(t, "hashdt-sandbox", time.Hour)
	for name, option := range map[string]contracttest.Option{
		"a key twice":                repeated("x-api-key", key, key),
		"the good key first":         repeated("x-api-key", key, "x.y"),
		"the good key last":          repeated("x-api-key", "x.y", key),
		"a token twice":              repeated("Authorization", bearer, bearer),
		"the good token first":       repeated("Authorization", bearer, "Bearer x"),
		"an empty one after a token": repeated("Authorization", bearer, ""),
	} {
		reply := askLink(t, h, "resetpin", normal, rand.Text(), option)
		require.Equal(t, http.StatusUnauthorized, reply.Status, name)
	}
}

func TestASecretIsGuessedThreeTimesAtMost(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	try := func(t testing.TB, l link, secret string) int {
		return h.client.For(t).Do(http.MethodPost, l.path+"/exchange", contracttest.JSON(map[string]string{"secret": secret})).Status
	}
	wrong := strings.Repeat("A", 43)
	t.Run("two wrong ones leave the right one good", func(t *testing.T) {
		t.Parallel()
		l := newLink(t, h, "resetpin", normal)
		require.Equal(t, http.StatusNotFound, try(t, l, wrong))
		require.Equal(t, http.StatusNotFound, try(t, l, wrong))
		require.Equal(t, http.StatusOK, try(t, l, l.secret))
	})
	t.Run("after three the right one does not serve, nor does the page", func(t *testing.T) {
		t.Parallel()
		l := newLink(t, h, "resetpin", normal)
		for range 3 {
			require.Equal(t, http.StatusNotFound, try(t, l, wrong))
		}
		require.Equal(t, http.StatusNotFound, try(t, l, l.secret))
		require.Equal(t, http.StatusNotFound, h.client.For(t).Do(http.MethodGet, l.path).Status)
	})
	t.Run("fifty at once are no more than three", func(t *testing.T) {
		t.Parallel()
		l := newLink(t, h, "resetpin", normal)
		statuses := together(50, func(int) int { return try(t, l, wrong) })
		require.Equal(t, map[int]int{http.StatusNotFound: 50}, statuses)
		stored, err := h.vault.Session(t.Context(), strings.TrimPrefix(l.path, "/hosted/pin/"))
		require.NoError(t, err)
		require.Zero(t, stored.ExchangesLeft)
		require.Equal(t, http.StatusNotFound, try(t, l, l.secret))
	})
	t.Run("the right one serves once, however many come at once", func(t *testing.T) {
		t.Parallel()
		l := newLink(t, h, "resetpin", normal)
		statuses := together(3, func(int) int { return try(t, l, l.secret) })
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusNotFound: 2}, statuses)
		require.Equal(t, http.StatusNotFound, try(t, l, l.secret))
	})
	t.Run("the secret of one session does not open another", func(t *testing.T) {
		t.Parallel()
		l := newLink(t, h, "resetpin", normal)
		require.Equal(t, http.StatusNotFound, try(t, l, newLink(t, h, "resetpin", normal).secret))
	})
}

// together makes calls at once and counts what they return.
func together(n int, call func(i int) int) map[int]int {
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

func TestSubmissionsThatAreNotTheHolders(t *testing.T) {
	h := start(t, "")
	for _, c := range []struct {
		name   string
		submit func(t *testing.T, mine session) *contracttest.Reply
		status int
		code   string
	}{
		{"the token of another session", func(t *testing.T, mine session) *contracttest.Reply {
			other := exchange(t, h, newLink(t, h, "resetpin", 2))
			other.path = mine.path
			return other.send(t, h, "new", mine.seal(t, message("new", "4826")))
		}, http.StatusNotFound, "unusable"},
		{"the session of another program", func(t *testing.T, mine session) *contracttest.Reply {
			foreign := askLink(t, h, "resetpin", 11, rand.Text(), contracttest.Header("x-api-key", "hashdt_other-sandbox.hashdt_other-sandbox-secret"),
				contracttest.Header("x-product-id", "00000000-0000-7000-8000-00000000a002")).ExpectStatus(http.StatusOK)
			mine.path = parseLink(t, foreign.Text("/data/0/set_pin_url")).path
			return mine.submit(t, h, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"no exchange before it", func(t *testing.T, mine session) *contracttest.Reply {
			mine.link = newLink(t, h, "resetpin", 2)
			return mine.submit(t, h, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"a token that was guessed", func(t *testing.T, mine session) *contracttest.Reply {
			mine.token = strings.Repeat("A", 43)
			return mine.submit(t, h, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"the link's secret for a token", func(t *testing.T, mine session) *contracttest.Reply {
			mine.token = mine.secret
			return mine.submit(t, h, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"the current PIN, where the session asks for none", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.submit(t, h, "current", "7010")
		}, http.StatusNotFound, "unusable"},
		{"a PIN sealed to another session", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.send(t, h, "new", exchange(t, h, newLink(t, h, "resetpin", 2)).seal(t, message("new", "4826")))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a PIN that was sealed as the current one", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.send(t, h, "new", mine.seal(t, message("current", "4826")))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a PIN under another content encryption", func(t *testing.T, mine session) *contracttest.Reply {
			sealed, err := jwe.Encrypt([]byte(message("new", "4826")), jwe.WithKey(jwa.ECDH_ES(), mine.key), jwe.WithContentEncryption(jwa.A128GCM()))
			require.NoError(t, err)
			return mine.send(t, h, "new", string(sealed))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a message that is compressed", func(t *testing.T, mine session) *contracttest.Reply {
			sealed, err := jwe.Encrypt([]byte(message("new", "4826")), jwe.WithKey(jwa.ECDH_ES(), mine.key), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithCompress(jwa.Deflate()))
			require.NoError(t, err)
			return mine.send(t, h, "new", string(sealed))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"an algorithm of the sender's own", func(t *testing.T, mine session) *contracttest.Reply {
			header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`))
			return mine.send(t, h, "new", header+"..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a message that is no JSON", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.send(t, h, "new", mine.seal(t, "4826"))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a PIN in clear", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.send(t, h, "new", "4826")
		}, http.StatusBadRequest, "invalid_request"},
		{"a message that is too long", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.send(t, h, "new", mine.seal(t, strings.Repeat(" ", 2000)))
		}, http.StatusBadRequest, "invalid_request"},
		{"a body of two megabytes", func(t *testing.T, mine session) *contracttest.Reply {
			return mine.send(t, h, "new", mine.seal(t, strings.Repeat(" ", 2_000_000)))
		}, http.StatusRequestEntityTooLarge, "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.reset(t)
			mine := exchange(t, h, newLink(t, h, "resetpin", normal))
			reply := c.submit(t, mine).ExpectStatus(c.status)
			require.Equal(t, c.code, reply.Text("/code"))
			require.Equal(t, "7010", h.pinOf(t, normalToken))
			require.Equal(t, "3", h.triesOf(t, normalToken))
			mine.submit(t, h, "new", "5937").ExpectStatus(http.StatusNoContent) // the holder's own goes on
		})
	}
}

func TestASubmissionCannotBeReplayed(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	s := exchange(t, h, newLink(t, h, "resetpin", normal))
	sealed := s.seal(t, message("new", "4826"))
	s.send(t, h, "new", sealed).ExpectStatus(http.StatusNoContent)
	exchange(t, h, newLink(t, h, "resetpin", normal)).submit(t, h, "new", "5937").ExpectStatus(http.StatusNoContent)
	s.send(t, h, "new", sealed).ExpectStatus(http.StatusNotFound)
	require.Equal(t, "5937", h.pinOf(t, normalToken))
}

// A link serves for the PIN that it was made for: whoever changes it by another way, or by another link,
// voids the rest.
func TestALinkEndsWithThePINThatItWasMadeFor(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	change, reset := exchange(t, h, newLink(t, h, "changepin", normal)), exchange(t, h, newLink(t, h, "resetpin", normal))
	verified := exchange(t, h, newLink(t, h, "changepin", normal))
	verified.submit(t, h, "current", "7010").ExpectStatus(http.StatusOK)
	exchange(t, h, newLink(t, h, "resetpin", normal)).submit(t, h, "new", "5937").ExpectStatus(http.StatusNoContent)
	for _, s := range []session{reset, verified} {
		s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNotFound)
	}
	change.submit(t, h, "current", "5937").ExpectStatus(http.StatusNotFound)
	require.Equal(t, "5937", h.pinOf(t, normalToken))
	require.Equal(t, "3", h.triesOf(t, normalToken))
}

func TestASessionExpires(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	unopened, verified := newLink(t, h, "resetpin", normal), exchange(t, h, newLink(t, h, "changepin", normal))
	entered := exchange(t, h, newLink(t, h, "resetpin", normal))
	verified.submit(t, h, "current", "7010").ExpectStatus(http.StatusOK)
	h.clock.forward(5*time.Minute - time.Microsecond)
	require.Equal(t, http.StatusOK, h.client.Do(http.MethodGet, unopened.path).Status)
	h.clock.forward(time.Microsecond)

	require.Equal(t, http.StatusGone, h.client.Do(http.MethodGet, unopened.path).Status)
	for _, reply := range []*contracttest.Reply{
		h.client.Do(http.MethodPost, unopened.path+"/exchange", contracttest.JSON(map[string]string{"secret": unopened.secret})),
		entered.submit(t, h, "new", "4826"), verified.submit(t, h, "new", "4826"), verified.submit(t, h, "current", "7010"),
	} {
		require.Equal(t, "expired", reply.ExpectStatus(http.StatusGone).Text("/code"))
	}
	require.Equal(t, "7010", h.pinOf(t, normalToken))

	n, err := h.store.PurgeSessions(t.Context(), h.clock.now().Add(time.Microsecond))
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.Equal(t, http.StatusNotFound, h.client.Do(http.MethodGet, unopened.path).Status)
}

func TestOfFiftySubmissionsAtOnceOneWins(t *testing.T) {
	t.Parallel()
	for _, database := range []struct {
		name string
		url  func(t testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		t.Run(database.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, database.url(t))
			s := exchange(t, h, newLink(t, h, "resetpin", normal))
			sealed := make([]string, 50)
			for i := range sealed {
				sealed[i] = s.seal(t, message("new", fmt.Sprint(4000+i)))
			}
			winner := make(chan int, len(sealed))
			statuses := together(len(sealed), func(i int) int {
				status := s.send(t, h, "new", sealed[i]).Status
				if status == http.StatusNoContent {
					winner <- i
				}
				return status
			})
			require.Equal(t, map[int]int{http.StatusNoContent: 1, http.StatusNotFound: 49}, statuses)
			require.Equal(t, fmt.Sprint(4000+<-winner), h.pinOf(t, normalToken))
		})
	}
}

func TestFiftyGuessesAtTheCurrentPINTakeNoMoreThanTheTries(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	s := exchange(t, h, newLink(t, h, "changepin", normal))
	sealed := s.seal(t, message("current", "9182"))
	h.client.Do(http.MethodGet, s.path)
	together(50, func(int) int { return s.send(t, h, "current", sealed).Status })
	require.Equal(t, "0", h.triesOf(t, normalToken))
	s.submit(t, h, "current", "7010").ExpectStatus(http.StatusNotFound)
	events, err := h.vault.AuditEvents(t.Context(), pin.AuditQuery{Chain: "00000000-0000-7000-8000-000000000001", Page: pin.Page{Limit: 1000}})
	require.NoError(t, err)
	compared := 0
	for _, e := range events {
		if e.Type == pin.EventPINFailed && e.Outcome == string(pin.Mismatch) {
			compared++
		}
	}
	require.Equal(t, 3, compared)
}

// Two browsers that send the right PIN at once both hear so, and no try is lost on the way.
func TestRightPINsAtOnceLoseNoTry(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	s := exchange(t, h, newLink(t, h, "changepin", normal))
	sealed := s.seal(t, message("current", "7010"))
	statuses := together(3, func(int) int { return s.send(t, h, "current", sealed).Status })
	require.GreaterOrEqual(t, statuses[http.StatusOK], 1)
	require.Equal(t, 3, statuses[http.StatusOK]+statuses[http.StatusNotFound], "%v", statuses)
	require.Equal(t, "3", h.triesOf(t, normalToken))
	s.submit(t, h, "new", "4826").ExpectStatus(http.StatusNoContent)
}

func TestPageHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	h.setProgram(t, map[string]any{"hosted": map[string]any{"frameAncestors": []string{"https://app.bank.example", "https://bank.example:8443"}, "parentOrigin": "https://app.bank.example"}}).
		ExpectStatus(http.StatusOK)
	l := newLink(t, h, "setpin", unchosen)
	reply := h.client.Do(http.MethodGet, l.path+"?lang=ar&theme=dark").ExpectStatus(http.StatusOK)
	policy := reply.Header.Get("Content-Security-Policy")
	require.Regexp(t, `^default-src 'none'; script-src 'nonce-[A-Za-z0-9_-]{22}'; style-src 'nonce-[A-Za-z0-9_-]{22}'; connect-src 'self'; `+
		`base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors https://app.bank.example https://bank.example:8443 'self'$`, policy)
	require.NotContains(t, policy, "unsafe-")
	for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Set-Cookie": ""} {
		require.Equal(t, want, reply.Header.Get(name), name)
	}
	require.NotEmpty(t, reply.Header.Get("Permissions-Policy"))
	require.Contains(t, string(reply.Body), "https://app.bank.example")
	require.NotContains(t, string(reply.Body), l.secret)
	require.NotContains(t, string(reply.Body), "src=", "nothing is loaded")
	again := h.client.Do(http.MethodGet, l.path)
	require.NotEqual(t, policy, again.Header.Get("Content-Security-Policy"), "a nonce serves once")

	// A session that nobody knows has no program: nobody may embed its page, but the sandbox's own demo.
	unknown := h.client.Do(http.MethodGet, "/hosted/pin/00000000-0000-0000-0000-000000000000").ExpectStatus(http.StatusNotFound)
	require.True(t, strings.HasSuffix(unknown.Header.Get("Content-Security-Policy"), "; frame-ancestors 'self'"))
}

func TestWhatIsConfiguredCannotLeaveItsPlace(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	for name, settings := range map[string]map[string]any{
		"an ancestor with a directive":      {"frameAncestors": []string{"https://bank.example; script-src *"}},
		"an ancestor with a line break":     {"frameAncestors": []string{"https://bank.example\r\nSet-Cookie: a=b"}},
		"an ancestor with another":          {"frameAncestors": []string{"https://bank.example https://other.example"}},
		"an ancestor that is everybody":     {"frameAncestors": []string{"*"}},
		"an ancestor that is a scheme":      {"frameAncestors": []string{"https:"}},
		"an ancestor that is no host name":  {"frameAncestors": []string{"https://-.-"}},
		"an ancestor with a wild port":      {"frameAncestors": []string{"https://bank.example:99999"}},
		"a parent origin for everybody":     {"parentOrigin": "*"},
		"a parent origin with a path":       {"parentOrigin": "https://bank.example/app"},
		"a colour with a rule":              {"branding": map[string]string{"accent": "#000} body{display:none"}},
		"a colour that loads":               {"branding": map[string]string{"accent": "url(a.example)"}},
		"a variable that is not the page's": {"branding": map[string]string{"background-image": "#000000"}},
	} {
		reply := h.setProgram(t, map[string]any{"hosted": settings})
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, reply.Status, "%s: %s", name, reply.Body)
	}

	// Should one have come into the database by another way, it does not come out in a header.
	row, err := h.store.Row(t.Context(), pin.TablePrograms, "", "00000000-0000-7000-8000-00000000a001")
	require.NoError(t, err)
	var p pin.Program
	require.NoError(t, json.Unmarshal(row.Body, &p))
	p.Version++
	p.Settings = map[string]json.RawMessage{"hosted": json.RawMessage(`{"frameAncestors": ["https://bank.example; script-src *", "https://bank.example"],
		"branding": {"accent": "#000} body{display:none"}}`)}
	row, err = pin.Sealed(keyring.New(keyring.Sandbox(), nil, nil), pin.Row{Table: pin.TablePrograms, ID: p.ID, Version: p.Version}, p)
	require.NoError(t, err)
	require.NoError(t, h.store.Swap(t.Context(), pin.Change{Rows: []pin.Row{row}}))
	h.vault.Reread()
	reply := h.client.Do(http.MethodGet, newLink(t, h, "setpin", unchosen).path).ExpectStatus(http.StatusOK)
	require.True(t, strings.HasSuffix(reply.Header.Get("Content-Security-Policy"), "; frame-ancestors https://bank.example 'self'"))
	require.NotContains(t, string(reply.Body), "display:none")
}

// What a caller sends into a header or the page's text comes out escaped or not at all.
func TestNothingSentSplitsAHeaderOrLeavesItsText(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	hostile := `"></script><script>alert(1)</script>`
	reply := askLink(t, h, "setpin", unchosen, hostile).ExpectStatus(http.StatusOK)
	page := h.client.Do(http.MethodGet, parseLink(t, reply.Text("/data/0/set_pin_url")).path).ExpectStatus(http.StatusOK)
	require.NotContains(t, string(page.Body), "<script>alert")
	require.Equal(t, 2, strings.Count(string(page.Body), "</script>"))

	l := newLink(t, h, "setpin", unchosen)
	for _, path := range []string{
		l.path + "?lang=en%0d%0aSet-Cookie:%20a=b", l.path + "?theme=dark%0d%0aX-Split:%201", l.path + "%0d%0aX-Split:%201",
		l.path + "?lang=%22%3E%3Cscript%3E", "/hosted/pin/%3Cscript%3E",
	} {
		reply := h.client.Do(http.MethodGet, path)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, reply.Status, path)
		require.Empty(t, reply.Header.Get("Set-Cookie"), path)
		require.Empty(t, reply.Header.Get("X-Split"), path)
		require.NotContains(t, string(reply.Body), "<script>")
		require.NotContains(t, string(reply.Body), "X-Split")
	}
}

// No secret of a session is in the database or the log: not the link's, not the token, not a PIN.
func TestNoSecretOfASessionIsKept(t *testing.T) {
	t.Parallel()
	file := storetest.SQLite(t)
	h := start(t, file)
	s := exchange(t, h, newLink(t, h, "changepin", normal))
	s.submit(t, h, "current", "918273").ExpectStatus(http.StatusOK)
	s.submit(t, h, "current", "7010").ExpectStatus(http.StatusOK)
	s.submit(t, h, "new", "591827364").ExpectStatus(http.StatusNoContent)
	stored, err := h.vault.Session(t.Context(), strings.TrimPrefix(s.path, "/hosted/pin/"))
	require.NoError(t, err)
	require.Equal(t, pin.SessionUsed, stored.State)
	kept, err := json.Marshal(stored)
	require.NoError(t, err)
	places := map[string]string{"log": h.log.String(), "session": string(kept)}
	path := strings.TrimPrefix(file, "sqlite://")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		places["database"+suffix] = string(content)
	}
	for place, text := range places {
		for _, secret := range []string{s.secret, s.token, "918273", "591827364"} {
			require.NotContains(t, text, secret, place)
		}
	}
	require.Contains(t, places["database"]+places["database-wal"], strings.TrimPrefix(s.path, "/hosted/pin/"), "the session is in what was searched")
}
