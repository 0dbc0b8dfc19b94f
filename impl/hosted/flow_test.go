package hosted_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/space"
	"pinvault/impl/store/storetest"
)

// pinOf reads a card's PIN back, which the sandbox's programs allow.
func pinOf(t testing.TB, h *apptest.Server, token string) string {
	t.Helper()
	return h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/"+token+"/pin", contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))).
		ExpectStatus(http.StatusOK).Text("/pin")
}

// triesOf is how many tries a card has left.
func triesOf(t testing.TB, h *apptest.Server, token string) string {
	t.Helper()
	return h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/"+token+"/pin/status", contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))).
		ExpectStatus(http.StatusOK).Text("/remainingTries")
}

// setProgram changes settings of the sandbox's program.
func setProgram(t testing.TB, h *apptest.Server, settings map[string]any) *contracttest.Reply {
	t.Helper()
	return h.Client.For(t).Do(http.MethodPatch, "/issuer/v1/programs/00000000-0000-7000-8000-00000000a001",
		contracttest.JSON(settings), contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour)))
}

// Cards of the fixtures by number, and the tokens by which Thredd's contract finds them.
const (
	normal, normalToken     = 1, "103169946"
	unchosen, unchosenToken = 4, "103169901"
	blocked, blockedToken   = 7, "103169904"
)

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	env := h.Env("hosted")
	env.Begin = func(tb testing.TB, c contracttest.Conversation) contracttest.Conversation {
		tb.Helper()
		return apptest.Begun(tb, h.Client, c)
	}
	apptest.Examples(t, "hosted", env, nil)
}

func TestFlows(t *testing.T) {
	h := apptest.Start(t, "")
	t.Run("set: the first PIN, once", func(t *testing.T) {
		s := apptest.NewLink(t, h.Client, "setpin", unchosen).Exchange(t, h.Client)
		s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", pinOf(t, h, unchosenToken))
		reply := apptest.AskLink(t, h.Client, "setpin", unchosen, "again").ExpectStatus(http.StatusBadRequest)
		require.Equal(t, "A PIN was already chosen for the card; use resetpin or changepin.", reply.Text("/message"))
	})
	t.Run("reset: a new PIN and all tries", func(t *testing.T) {
		h.Reset(t)
		apptest.NewLink(t, h.Client, "resetpin", blocked).Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", pinOf(t, h, blockedToken))
		require.Equal(t, "3", triesOf(t, h, blockedToken))
	})
	t.Run("change: the current PIN first, by the shared counter", func(t *testing.T) {
		h.Reset(t)
		s := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
		s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNotFound)
		wrong := s.Submit(t, h.Client, "current", "9182").ExpectStatus(http.StatusOK)
		require.Equal(t, "mismatch", wrong.Text("/result"))
		require.InDelta(t, 2, wrong.JSON("/remainingTries"), 0)
		require.Equal(t, "2", triesOf(t, h, normalToken))
		require.Equal(t, "match", s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusOK).Text("/result"))
		require.Equal(t, "3", triesOf(t, h, normalToken))
		s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusNotFound)
		s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", pinOf(t, h, normalToken))
	})
	t.Run("a PIN that the policy refuses leaves the session for another", func(t *testing.T) {
		h.Reset(t)
		setProgram(t, h, map[string]any{"pinPolicy": "history", "maxPinLength": 6}).ExpectStatus(http.StatusOK)
		s := apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client)
		for digits, code := range map[string]string{"1234": "weak_pin", "4826193": "pin_length", "7010": "recent_pin", "482a": "invalid_pin", "": "invalid_pin"} {
			require.Equal(t, code, s.Submit(t, h.Client, "new", digits).ExpectStatus(http.StatusUnprocessableEntity).Text("/code"), digits)
		}
		s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
	})
	t.Run("a card that was lost meanwhile takes no PIN", func(t *testing.T) {
		h.Reset(t)
		s := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
		h.Client.For(t).Do(http.MethodPatch, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001", contracttest.JSON(map[string]string{"status": "lost"}),
			contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))).ExpectStatus(http.StatusOK)
		require.Equal(t, "card_status", s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusConflict).Text("/code"))
	})
	t.Run("a PIN that was blocked meanwhile is not set", func(t *testing.T) {
		h.Reset(t)
		set, change := apptest.NewLink(t, h.Client, "setpin", unchosen).Exchange(t, h.Client), apptest.NewLink(t, h.Client, "changepin", unchosen).Exchange(t, h.Client)
		for range 3 {
			change.Submit(t, h.Client, "current", "9182").ExpectStatus(http.StatusOK)
		}
		require.Equal(t, "blocked", set.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusConflict).Text("/code"))
		require.Equal(t, "6183", pinOf(t, h, unchosenToken))
	})
	t.Run("the browser that was first goes on after a reload, and no other", func(t *testing.T) {
		h.Reset(t)
		l := apptest.NewLink(t, h.Client, "changepin", normal)
		known := func() (cookie string, by contracttest.Option) {
			cookie = h.Client.Do(http.MethodGet, l.Path).ExpectStatus(http.StatusOK).Header.Get("Set-Cookie")
			pair, _, _ := strings.Cut(cookie, ";")
			return cookie, contracttest.Header("Cookie", pair)
		}
		cookie, mine := known()
		require.Regexp(t, "^pinvault_page=[A-Za-z0-9_-]{43}; Path="+l.Path+"; Max-Age=300; HttpOnly; Secure; SameSite=None; Partitioned$", cookie)
		first := l.Exchanged(t, l.Try(t, h.Client, l.Secret, mine).ExpectStatus(http.StatusOK))
		require.Empty(t, h.Client.Do(http.MethodGet, l.Path, mine).ExpectStatus(http.StatusOK).Header.Get("Set-Cookie"), "it is known")
		reply := l.Try(t, h.Client, l.Secret, mine).ExpectStatus(http.StatusOK)
		require.Equal(t, "current", reply.Text("/step"))
		second := l.Exchanged(t, reply)
		first.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusNotFound)
		second.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusOK)
		_, others := known()
		l.Try(t, h.Client, l.Secret).ExpectStatus(http.StatusNotFound)
		l.Try(t, h.Client, l.Secret, others).ExpectStatus(http.StatusNotFound)
		l.Try(t, h.Client, l.Secret, contracttest.Header("Cookie", "pinvault_page=")).ExpectStatus(http.StatusNotFound)
		l.Try(t, h.Client, strings.Repeat("A", 43), mine).ExpectStatus(http.StatusNotFound)
		reply = l.Try(t, h.Client, l.Secret, mine).ExpectStatus(http.StatusOK)
		require.Equal(t, "new", reply.Text("/step"), "the current PIN was right before")
		l.Exchanged(t, reply).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		require.Equal(t, "4826", pinOf(t, h, normalToken))
		gone := h.Client.Do(http.MethodGet, l.Path).ExpectStatus(http.StatusNotFound)
		require.Empty(t, gone.Header.Get("Set-Cookie"))
		l.Try(t, h.Client, l.Secret, mine).ExpectStatus(http.StatusNotFound)
	})
	t.Run("a browser that keeps no cookie has its link for one exchange", func(t *testing.T) {
		h.Reset(t)
		for name, cookie := range map[string]string{"none": "", "another": "a=b", "one that is too short": "pinvault_page=x"} {
			l := apptest.NewLink(t, h.Client, "resetpin", normal)
			by := contracttest.Header("Cookie", cookie)
			require.Equal(t, "new", l.Try(t, h.Client, l.Secret, by).ExpectStatus(http.StatusOK).Text("/step"), name)
			l.Try(t, h.Client, l.Secret, by).ExpectStatus(http.StatusNotFound)
		}
	})
	t.Run("the third wrong current PIN ends the session, and the right one after it changes nothing", func(t *testing.T) {
		h.Reset(t)
		s := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
		for _, want := range []string{"mismatch", "mismatch", "blocked"} {
			require.Equal(t, want, s.Submit(t, h.Client, "current", "9182").ExpectStatus(http.StatusOK).Text("/result"))
		}
		require.Equal(t, "unusable", s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusNotFound).Text("/code"))
		s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNotFound)
		require.Equal(t, "7010", pinOf(t, h, normalToken))
	})
	t.Run("who did it, through what, is in the audit trail", func(t *testing.T) {
		h.Reset(t)
		apptest.NewLink(t, h.Client, "resetpin", blocked).Exchange(t, h.Client).Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
		events, err := h.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: "00000000-0000-7000-8000-000000000007", Page: pin.Page{Limit: 1000}})
		require.NoError(t, err)
		last := events[len(events)-4:]
		for i, want := range []pin.AuditEvent{
			{Type: pin.EventSessionOpened, Contract: "hashdt"}, {Type: pin.EventPINReset, Contract: "hosted"}, {Type: pin.EventPINUnblocked, Contract: "hosted"},
			{Type: pin.EventSessionCompleted, Contract: "hosted"},
		} {
			require.Equal(t, want.Type, last[i].Type)
			require.Equal(t, want.Contract, last[i].Contract)
			require.Equal(t, "hashdt-sandbox", last[i].ClientID)
			require.NotEmpty(t, last[i].TraceID)
		}
	})
}

func TestASecretIsGuessedThreeTimesAtMost(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	try := func(t testing.TB, l apptest.Link, secret string) int {
		return h.Client.For(t).Do(http.MethodPost, l.Path+"/exchange", contracttest.JSON(map[string]string{"secret": secret})).Status
	}
	wrong := strings.Repeat("A", 43)
	t.Run("two wrong ones leave the right one good", func(t *testing.T) {
		t.Parallel()
		l := apptest.NewLink(t, h.Client, "resetpin", normal)
		require.Equal(t, http.StatusNotFound, try(t, l, wrong))
		require.Equal(t, http.StatusNotFound, try(t, l, wrong))
		require.Equal(t, http.StatusOK, try(t, l, l.Secret))
	})
	t.Run("after three wrong ones neither the right one nor the page works", func(t *testing.T) {
		t.Parallel()
		l := apptest.NewLink(t, h.Client, "resetpin", normal)
		for range 3 {
			require.Equal(t, http.StatusNotFound, try(t, l, wrong))
		}
		require.Equal(t, http.StatusNotFound, try(t, l, l.Secret))
		require.Equal(t, http.StatusNotFound, h.Client.For(t).Do(http.MethodGet, l.Path).Status)
	})
	t.Run("fifty at once are no more than three", func(t *testing.T) {
		t.Parallel()
		l := apptest.NewLink(t, h.Client, "resetpin", normal)
		statuses := apptest.Together(50, func(int) int { return try(t, l, wrong) })
		require.Equal(t, map[int]int{http.StatusNotFound: 50}, statuses)
		stored, err := h.Vault.Session(t.Context(), strings.TrimPrefix(l.Path, "/hosted/pin/"))
		require.NoError(t, err)
		require.Zero(t, stored.ExchangesLeft)
		require.Equal(t, http.StatusNotFound, try(t, l, l.Secret))
	})
	t.Run("the right one serves once, however many come at once", func(t *testing.T) {
		t.Parallel()
		l := apptest.NewLink(t, h.Client, "resetpin", normal)
		statuses := apptest.Together(3, func(int) int { return try(t, l, l.Secret) })
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusNotFound: 2}, statuses)
		require.Equal(t, http.StatusNotFound, try(t, l, l.Secret))
	})
	t.Run("the secret of one session does not open another", func(t *testing.T) {
		t.Parallel()
		l := apptest.NewLink(t, h.Client, "resetpin", normal)
		require.Equal(t, http.StatusNotFound, try(t, l, apptest.NewLink(t, h.Client, "resetpin", normal).Secret))
	})
}

func TestSubmissionsThatAreNotTheHolders(t *testing.T) {
	h := apptest.Start(t, "")
	for _, c := range []struct {
		name   string
		submit func(t *testing.T, mine apptest.Session) *contracttest.Reply
		status int
		code   string
	}{
		{"the token of another session", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			other := apptest.NewLink(t, h.Client, "resetpin", 2).Exchange(t, h.Client)
			other.Path = mine.Path
			return other.Send(t, h.Client, "new", mine.Seal(t, apptest.PINMessage("new", "4826")))
		}, http.StatusNotFound, "unusable"},
		{"the session of another program", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			foreign := apptest.AskLink(t, h.Client, "resetpin", 11, rand.Text(), contracttest.Header("x-api-key", "hashdt_other-sandbox.hashdt_other-sandbox-secret"),
				contracttest.Header("x-product-id", "00000000-0000-7000-8000-00000000a002")).ExpectStatus(http.StatusOK)
			mine.Path = apptest.ParseLink(t, foreign.Text("/data/0/set_pin_url")).Path
			return mine.Submit(t, h.Client, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"no exchange before it", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			mine.Link = apptest.NewLink(t, h.Client, "resetpin", 2)
			return mine.Submit(t, h.Client, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"a token that was guessed", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			mine.Token = strings.Repeat("A", 43)
			return mine.Submit(t, h.Client, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"the link's secret for a token", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			mine.Token = mine.Secret
			return mine.Submit(t, h.Client, "new", "4826")
		}, http.StatusNotFound, "unusable"},
		{"the current PIN, where the session asks for none", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Submit(t, h.Client, "current", "7010")
		}, http.StatusNotFound, "unusable"},
		{"a PIN sealed to another session", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Send(t, h.Client, "new", apptest.NewLink(t, h.Client, "resetpin", 2).Exchange(t, h.Client).Seal(t, apptest.PINMessage("new", "4826")))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a PIN that was sealed as the current one", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Send(t, h.Client, "new", mine.Seal(t, apptest.PINMessage("current", "4826")))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a PIN under another content encryption", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			sealed, err := jwe.Encrypt([]byte(apptest.PINMessage("new", "4826")), jwe.WithKey(jwa.ECDH_ES(), mine.Key), jwe.WithContentEncryption(jwa.A128GCM()))
			require.NoError(t, err)
			return mine.Send(t, h.Client, "new", string(sealed))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a message that is compressed", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			sealed, err := jwe.Encrypt([]byte(apptest.PINMessage("new", "4826")), jwe.WithKey(jwa.ECDH_ES(), mine.Key), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithCompress(jwa.Deflate()))
			require.NoError(t, err)
			return mine.Send(t, h.Client, "new", string(sealed))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"an algorithm of the sender's own", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`))
			return mine.Send(t, h.Client, "new", header+"..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a message that is no JSON", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Send(t, h.Client, "new", mine.Seal(t, "4826"))
		}, http.StatusUnprocessableEntity, "unopenable"},
		{"a PIN in clear", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Send(t, h.Client, "new", "4826")
		}, http.StatusBadRequest, "invalid_request"},
		{"a message that is too long", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Send(t, h.Client, "new", mine.Seal(t, strings.Repeat(" ", 2000)))
		}, http.StatusBadRequest, "invalid_request"},
		{"a body of two megabytes", func(t *testing.T, mine apptest.Session) *contracttest.Reply {
			return mine.Send(t, h.Client, "new", mine.Seal(t, strings.Repeat(" ", 2_000_000)))
		}, http.StatusRequestEntityTooLarge, "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Reset(t)
			mine := apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client)
			reply := c.submit(t, mine).ExpectStatus(c.status)
			require.Equal(t, c.code, reply.Text("/code"))
			require.Equal(t, "7010", pinOf(t, h, normalToken))
			require.Equal(t, "3", triesOf(t, h, normalToken))
			mine.Submit(t, h.Client, "new", "5937").ExpectStatus(http.StatusNoContent) // the holder's own goes on
		})
	}
}

func TestASubmissionCannotBeReplayed(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	s := apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client)
	sealed := s.Seal(t, apptest.PINMessage("new", "4826"))
	s.Send(t, h.Client, "new", sealed).ExpectStatus(http.StatusNoContent)
	apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client).Submit(t, h.Client, "new", "5937").ExpectStatus(http.StatusNoContent)
	s.Send(t, h.Client, "new", sealed).ExpectStatus(http.StatusNotFound)
	require.Equal(t, "5937", pinOf(t, h, normalToken))
}

// A link serves for the PIN that it was made for: whoever changes it by another way, or by another link,
// voids the rest.
func TestALinkEndsWithThePINThatItWasMadeFor(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	change, reset := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client), apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client)
	verified := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
	verified.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusOK)
	apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client).Submit(t, h.Client, "new", "5937").ExpectStatus(http.StatusNoContent)
	for _, s := range []apptest.Session{reset, verified} {
		s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNotFound)
	}
	change.Submit(t, h.Client, "current", "5937").ExpectStatus(http.StatusNotFound)
	require.Equal(t, "5937", pinOf(t, h, normalToken))
	require.Equal(t, "3", triesOf(t, h, normalToken))
}

func TestASessionExpires(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	unopened, verified := apptest.NewLink(t, h.Client, "resetpin", normal), apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
	entered := apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client)
	verified.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusOK)
	left := func(l apptest.Link) any {
		return l.Try(t, h.Client, l.Secret).ExpectStatus(http.StatusOK).JSON("/expiresIn")
	}
	require.InDelta(t, 300, left(apptest.NewLink(t, h.Client, "resetpin", normal)), 0)
	late, last := apptest.NewLink(t, h.Client, "resetpin", normal), apptest.NewLink(t, h.Client, "resetpin", normal)
	h.Clock.Forward(time.Microsecond)
	require.InDelta(t, 300, left(late), 0, "a second that has begun")
	h.Clock.Forward(5*time.Minute - 2*time.Microsecond)
	require.InDelta(t, 1, left(last), 0)
	require.Equal(t, http.StatusOK, h.Client.Do(http.MethodGet, unopened.Path).Status)
	h.Clock.Forward(time.Microsecond)

	require.Equal(t, http.StatusGone, h.Client.Do(http.MethodGet, unopened.Path).Status)
	for _, reply := range []*contracttest.Reply{
		h.Client.Do(http.MethodPost, unopened.Path+"/exchange", contracttest.JSON(map[string]string{"secret": unopened.Secret})),
		entered.Submit(t, h.Client, "new", "4826"), verified.Submit(t, h.Client, "new", "4826"), verified.Submit(t, h.Client, "current", "7010"),
	} {
		require.Equal(t, "expired", reply.ExpectStatus(http.StatusGone).Text("/code"))
	}
	require.Equal(t, "7010", pinOf(t, h, normalToken))

	n, err := h.Store.PurgeSessions(t.Context(), h.Clock.Now().Add(time.Microsecond))
	require.NoError(t, err)
	require.EqualValues(t, 6, n)
	require.Equal(t, http.StatusNotFound, h.Client.Do(http.MethodGet, unopened.Path).Status)
}

// A notice of a session that there was is its program's page as any other: in its language, where it is embedded.
func TestTheNoticeOfAnExpiredSessionIsItsPrograms(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	setProgram(t, h, map[string]any{"hosted": map[string]any{"languages": []string{"ar", "en"}, "frameAncestors": []string{"https://bank.example"}}}).ExpectStatus(http.StatusOK)
	l := apptest.NewLink(t, h.Client, "resetpin", normal)
	h.Clock.Forward(5 * time.Minute)
	reply := h.Client.Do(http.MethodGet, l.Path).ExpectStatus(http.StatusGone)
	require.Contains(t, string(reply.Body), `<html lang="ar" dir="rtl">`)
	require.True(t, strings.HasSuffix(reply.Header.Get("Content-Security-Policy"), "; frame-ancestors https://bank.example 'self'"))
}

// Whatever the page cannot be made for is a page to the cardholder, and an error in the log.
func TestAFaultOnTheWayToAPageIsLogged(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	l := apptest.NewLink(t, h.Client, "resetpin", normal)
	for fault, want := range map[string]struct {
		status int
		code   string
	}{"database": {http.StatusServiceUnavailable, "unavailable"}, space.FaultDevicePlan: {http.StatusInternalServerError, "internal"}} {
		restore := h.Faults.Fail(t, fault)
		reply := h.Client.Do(http.MethodGet, l.Path).ExpectStatus(want.status)
		restore()
		require.Equal(t, "text/html; charset=utf-8", reply.Header.Get("Content-Type"))
		require.Regexp(t, `"level":"ERROR","msg":"request".*"operation":"getPinPage".*"code":"`+want.code+`"`, h.Log.String())
	}
}

func TestOfFiftySubmissionsAtOnceOneWins(t *testing.T) {
	t.Parallel()
	for _, database := range []struct {
		name string
		url  func(t testing.TB) string
	}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}} {
		t.Run(database.name, func(t *testing.T) {
			t.Parallel()
			h := apptest.Start(t, database.url(t))
			s := apptest.NewLink(t, h.Client, "resetpin", normal).Exchange(t, h.Client)
			sealed := make([]string, 50)
			for i := range sealed {
				sealed[i] = s.Seal(t, apptest.PINMessage("new", fmt.Sprint(4000+i)))
			}
			winner := make(chan int, len(sealed))
			statuses := apptest.Together(len(sealed), func(i int) int {
				status := s.Send(t, h.Client, "new", sealed[i]).Status
				if status == http.StatusNoContent {
					winner <- i
				}
				return status
			})
			require.Equal(t, map[int]int{http.StatusNoContent: 1, http.StatusNotFound: 49}, statuses)
			require.Equal(t, fmt.Sprint(4000+<-winner), pinOf(t, h, normalToken))
		})
	}
}

func TestFiftyGuessesAtTheCurrentPINTakeNoMoreThanTheTries(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	s := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
	sealed := s.Seal(t, apptest.PINMessage("current", "9182"))
	h.Client.Do(http.MethodGet, s.Path)
	apptest.Together(50, func(int) int { return s.Send(t, h.Client, "current", sealed).Status })
	require.Equal(t, "0", triesOf(t, h, normalToken))
	s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusNotFound)
	events, err := h.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: "00000000-0000-7000-8000-000000000001", Page: pin.Page{Limit: 1000}})
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
	h := apptest.Start(t, "")
	s := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
	sealed := s.Seal(t, apptest.PINMessage("current", "7010"))
	statuses := apptest.Together(3, func(int) int { return s.Send(t, h.Client, "current", sealed).Status })
	require.GreaterOrEqual(t, statuses[http.StatusOK], 1)
	require.Equal(t, 3, statuses[http.StatusOK]+statuses[http.StatusNotFound], "%v", statuses)
	require.Equal(t, "3", triesOf(t, h, normalToken))
	s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
}

func TestPageHeaders(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	setProgram(t, h, map[string]any{"hosted": map[string]any{"frameAncestors": []string{"https://app.bank.example", "https://bank.example:8443", "capacitor://localhost", "ionic://localhost", "app://localhost"},
		"parentOrigin": "https://app.bank.example"}}).
		ExpectStatus(http.StatusOK)
	l := apptest.NewLink(t, h.Client, "setpin", unchosen)
	reply := h.Client.Do(http.MethodGet, l.Path+"?lang=ar&theme=dark").ExpectStatus(http.StatusOK)
	policy := reply.Header.Get("Content-Security-Policy")
	require.Regexp(t, `^default-src 'none'; script-src 'nonce-[A-Za-z0-9_-]{22}'; style-src 'nonce-[A-Za-z0-9_-]{22}'; connect-src 'self'; `+
		`base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors https://app.bank.example https://bank.example:8443 capacitor://localhost ionic://localhost app://localhost 'self'$`, policy)
	require.NotContains(t, policy, "unsafe-")
	for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		require.Equal(t, want, reply.Header.Get(name), name)
	}
	require.NotEmpty(t, reply.Header.Get("Permissions-Policy"))
	require.Contains(t, string(reply.Body), "https://app.bank.example")
	require.NotContains(t, string(reply.Body), l.Secret)
	require.NotContains(t, string(reply.Body), "src=", "nothing is loaded")
	again := h.Client.Do(http.MethodGet, l.Path)
	require.NotEqual(t, policy, again.Header.Get("Content-Security-Policy"), "a nonce serves once")

	// A session that nobody knows has no program: nobody may embed its page, but the sandbox's own demo.
	unknown := h.Client.Do(http.MethodGet, "/hosted/pin/00000000-0000-0000-0000-000000000000").ExpectStatus(http.StatusNotFound)
	require.True(t, strings.HasSuffix(unknown.Header.Get("Content-Security-Policy"), "; frame-ancestors 'self'"))
}

func TestWhatIsConfiguredCannotLeaveItsPlace(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	for name, settings := range map[string]map[string]any{
		"an ancestor with a directive":      {"frameAncestors": []string{"https://bank.example; script-src *"}},
		"an ancestor with a line break":     {"frameAncestors": []string{"https://bank.example\r\nSet-Cookie: a=b"}},
		"an ancestor with another":          {"frameAncestors": []string{"https://bank.example https://other.example"}},
		"an ancestor that is everybody":     {"frameAncestors": []string{"*"}},
		"an ancestor that is a scheme":      {"frameAncestors": []string{"https:"}},
		"an ancestor of another app scheme": {"frameAncestors": []string{"file://localhost"}},
		"an ancestor of an app elsewhere":   {"frameAncestors": []string{"capacitor://bank.example"}},
		"an ancestor that is no host name":  {"frameAncestors": []string{"https://-.-"}},
		"an ancestor with a wild port":      {"frameAncestors": []string{"https://bank.example:99999"}},
		"a parent origin for everybody":     {"parentOrigin": "*"},
		"a parent origin with a path":       {"parentOrigin": "https://bank.example/app"},
		"a colour with a rule":              {"branding": map[string]string{"accent": "#000} body{display:none"}},
		"a colour that loads":               {"branding": map[string]string{"accent": "url(a.example)"}},
		"a colour that one sees through":    {"branding": map[string]string{"accent": "rgb(0, 0, 0, .1)"}},
		"a return to a script":              {"returnUrl": "javascript:alert(1)"},
		"a return with a line break":        {"returnUrl": "https://bank.example/\r\nSet-Cookie: a=b"},
		"a return with a fragment":          {"returnUrl": "https://bank.example/#a"},
		"a logo that is loaded":             {"issuerName": "Bank", "logo": "https://bank.example/logo.png"},
		"a logo with a script":              {"issuerName": "Bank", "logo": "data:image/svg+xml;base64,PHN2Zy8+"},
		"a variable that is not the page's": {"branding": map[string]string{"background-image": "#000000"}},
	} {
		reply := setProgram(t, h, map[string]any{"hosted": settings})
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, reply.Status, "%s: %s", name, reply.Body)
	}

	// Should one have come into the database by another way, it does not come out in a header.
	row, err := h.Store.Row(t.Context(), pin.TablePrograms, "", "00000000-0000-7000-8000-00000000a001")
	require.NoError(t, err)
	var p pin.Program
	require.NoError(t, json.Unmarshal(row.Body, &p))
	p.Version++
	p.Settings = map[string]json.RawMessage{"hosted": json.RawMessage(`{"frameAncestors": ["https://bank.example; script-src *", "https://bank.example"],
		"branding": {"accent": "#000} body{display:none"}}`)}
	row, err = pin.Sealed(keyring.New(keyring.Sandbox(), nil, nil), pin.Row{Table: pin.TablePrograms, ID: p.ID, Version: p.Version}, p)
	require.NoError(t, err)
	require.NoError(t, h.Store.Swap(t.Context(), pin.Change{Rows: []pin.Row{row}}))
	h.Vault.Reread()
	reply := h.Client.Do(http.MethodGet, apptest.NewLink(t, h.Client, "setpin", unchosen).Path).ExpectStatus(http.StatusOK)
	require.True(t, strings.HasSuffix(reply.Header.Get("Content-Security-Policy"), "; frame-ancestors https://bank.example 'self'"))
	require.NotContains(t, string(reply.Body), "display:none")
}

// What a partner's page loads, it may load from everywhere, and it says what it is.
func TestTheEmbeddingScriptIsForPagesOfEveryOrigin(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	for path, c := range map[string]struct{ contentType, says string }{
		"pinvault.js":   {"text/javascript; charset=utf-8", "export const mount"},
		"pinvault.d.ts": {"application/typescript; charset=utf-8", "export function mount"},
	} {
		reply := h.Client.Do(http.MethodGet, "/hosted/v1/"+path).ExpectStatus(http.StatusOK)
		require.Equal(t, c.contentType, reply.Header.Get("Content-Type"))
		require.Equal(t, "*", reply.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "cross-origin", reply.Header.Get("Cross-Origin-Resource-Policy"))
		require.Contains(t, string(reply.Body), c.says)
	}
}

// The partner's server asks what has become of a link, and is told nothing of others'.
func TestAStatusFollowsTheSession(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	status := func(l apptest.Link) *contracttest.Reply {
		return h.Client.For(t).Do(http.MethodGet, "/issuer/v1/pin-sessions/"+strings.TrimPrefix(l.Path, "/hosted/pin/"),
			contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))).ExpectStatus(http.StatusOK)
	}
	l, late := apptest.NewLink(t, h.Client, "changepin", normal), apptest.NewLink(t, h.Client, "changepin", 3)
	guessed, lost := apptest.NewLink(t, h.Client, "changepin", 2), apptest.NewLink(t, h.Client, "changepin", 2)
	opened := status(l)
	require.Equal(t, "opened", opened.Text("/state"))
	require.Equal(t, "change", opened.Text("/action"))
	require.Equal(t, "00000000-0000-7000-8000-000000000001", opened.Text("/cardId"))
	require.NotContains(t, string(opened.Body), "exchangedAt")
	h.Clock.Forward(time.Second)
	s := l.Exchange(t, h.Client)
	require.Equal(t, "exchanged", status(l).Text("/state"))
	s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusOK)
	exchanged := status(l)
	require.Equal(t, "exchanged", exchanged.Text("/state"))
	require.NotContains(t, string(exchanged.Body), "endedAt")
	h.Clock.Forward(time.Second)
	s.Submit(t, h.Client, "new", "4826").ExpectStatus(http.StatusNoContent)
	completed := status(l)
	require.Equal(t, "completed", completed.Text("/state"))
	made, err := time.Parse(time.RFC3339, completed.Text("/createdAt"))
	require.NoError(t, err)
	for at, after := range map[string]time.Duration{"/exchangedAt": time.Second, "/endedAt": 2 * time.Second} {
		when, err := time.Parse(time.RFC3339, completed.Text(at))
		require.NoError(t, err)
		require.Equal(t, after, when.Sub(made), at)
	}
	for range 3 {
		guessed.Try(t, h.Client, strings.Repeat("A", 43)).ExpectStatus(http.StatusNotFound)
	}
	require.Equal(t, "failed", status(guessed).Text("/state"))
	blocking := lost.Exchange(t, h.Client)
	for range 3 {
		blocking.Submit(t, h.Client, "current", "918273").ExpectStatus(http.StatusOK)
	}
	require.Equal(t, "failed", status(lost).Text("/state"))
	h.Clock.Forward(5 * time.Minute)
	require.Equal(t, "expired", status(late).Text("/state"))
	require.Equal(t, "completed", status(l).Text("/state"))
	h.Client.For(t).Do(http.MethodGet, "/issuer/v1/pin-sessions/"+strings.TrimPrefix(l.Path, "/hosted/pin/"),
		contracttest.Bearer(h.Mint(t, "issuer_other-sandbox", time.Hour))).ExpectStatus(http.StatusNotFound)
}

// The last four digits of the card's number are for whoever has the link's secret, and not on the page that anybody can open.
func TestWhoHasTheSecretIsToldWhichCardItIs(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	l := apptest.NewLink(t, h.Client, "changepin", normal)
	require.NotContains(t, string(h.Client.Do(http.MethodGet, l.Path).ExpectStatus(http.StatusOK).Body), "0014")
	require.Equal(t, "0014", l.Try(t, h.Client, l.Secret).ExpectStatus(http.StatusOK).Text("/cardEnding"))
}

// The pages have no example to show it by.
func TestABodyAndAQueryThatArePartOfNothingAreIgnored(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	page := apptest.NewLink(t, h.Client, "setpin", unchosen).Path
	for _, body := range []string{"{}", "null", `""`} {
		h.Client.Do(http.MethodGet, page, contracttest.Raw("application/json", body)).ExpectStatus(http.StatusOK)
		h.Client.Do(http.MethodGet, "/sandbox/iframe", contracttest.Raw("application/json", body)).ExpectStatus(http.StatusOK)
	}
	for _, query := range []string{"?a;b", "?a=%zz", "?lang=%00"} {
		h.Client.Do(http.MethodGet, "/sandbox/iframe"+query).ExpectStatus(http.StatusOK)
		h.Client.Do(http.MethodGet, page+query).ExpectStatus(http.StatusBadRequest) // its query is described
	}
	h.Client.Do(http.MethodGet, strings.Replace(page, "/pin/", "/pin%2F", 1)).ExpectStatus(http.StatusNotFound)
}

// What a caller sends into a header or the page's text comes out escaped or not at all.
func TestNothingSentSplitsAHeaderOrLeavesItsText(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	hostile := `"></script><script>alert(1)</script>`
	reply := apptest.AskLink(t, h.Client, "setpin", unchosen, hostile).ExpectStatus(http.StatusOK)
	page := h.Client.Do(http.MethodGet, apptest.ParseLink(t, reply.Text("/data/0/set_pin_url")).Path).ExpectStatus(http.StatusOK)
	require.NotContains(t, string(page.Body), "<script>alert")
	require.Equal(t, 2, strings.Count(string(page.Body), "</script>"))

	l := apptest.NewLink(t, h.Client, "setpin", unchosen)
	for _, path := range []string{
		l.Path + "?lang=en%0d%0aSet-Cookie:%20a=b", l.Path + "?theme=dark%0d%0aX-Split:%201", l.Path + "%0d%0aX-Split:%201",
		l.Path + "?lang=%22%3E%3Cscript%3E", "/hosted/pin/%3Cscript%3E",
	} {
		reply := h.Client.Do(http.MethodGet, path)
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
	h := apptest.Start(t, file)
	s := apptest.NewLink(t, h.Client, "changepin", normal).Exchange(t, h.Client)
	s.Submit(t, h.Client, "current", "918273").ExpectStatus(http.StatusOK)
	s.Submit(t, h.Client, "current", "7010").ExpectStatus(http.StatusOK)
	s.Submit(t, h.Client, "new", "591827364").ExpectStatus(http.StatusNoContent)
	stored, err := h.Vault.Session(t.Context(), strings.TrimPrefix(s.Path, "/hosted/pin/"))
	require.NoError(t, err)
	require.Equal(t, pin.SessionUsed, stored.State)
	kept, err := json.Marshal(stored)
	require.NoError(t, err)
	places := map[string]string{"log": h.Log.String(), "session": string(kept)}
	path := strings.TrimPrefix(file, "sqlite://")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		places["database"+suffix] = string(content)
	}
	for place, text := range places {
		for _, secret := range []string{s.Secret, s.Token, "918273", "591827364"} {
			require.NotContains(t, text, secret, place)
		}
	}
	require.Contains(t, places["database"]+places["database-wal"], strings.TrimPrefix(s.Path, "/hosted/pin/"), "the session is in what was searched")
}
