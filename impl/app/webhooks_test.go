package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

// message is one that a receiver was sent.
type message struct {
	id        string
	signature string
	body      map[string]any
	raw       []byte
	headers   http.Header
}

func (m message) kind() string { return m.body["type"].(string) }

// receiver takes messages, and answers what it is told to.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	got     []message
	answers []int // the next ones; 204 after them
}

func receive(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		m := message{id: q.Header.Get("webhook-id"), signature: q.Header.Get("webhook-signature"), raw: raw, headers: q.Header}
		_ = json.Unmarshal(raw, &m.body)
		r.mu.Lock()
		defer r.mu.Unlock()
		status := http.StatusNoContent
		if len(r.answers) > 0 {
			status, r.answers = r.answers[0], r.answers[1:]
		}
		r.got = append(r.got, m)
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

// messages waits until there are n, and returns all.
func (r *receiver) messages(t testing.TB, n int) []message {
	t.Helper()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got) >= n
	}, 20*time.Second, 5*time.Millisecond, "%d messages", n)
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]message{}, r.got...)
}

// operator calls a sandbox's issuer API, or the sandbox's own.
type operator struct {
	t     testing.TB
	url   string
	token string
}

func operate(t testing.TB, s *apptest.Server) *operator {
	return &operator{t, s.URL, s.Mint(t, "issuer-sandbox", time.Hour)}
}

func (o *operator) do(method, path, body string, status int) map[string]any {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, strings.NewReader(body))
	require.NoError(o.t, err)
	if !strings.HasPrefix(path, "/sandbox") {
		r.Header.Set("Authorization", "Bearer "+o.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	reply, err := http.DefaultClient.Do(r)
	require.NoError(o.t, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	require.NoError(o.t, err)
	require.Equal(o.t, status, reply.StatusCode, "%s %s: %s", method, path, text)
	var value map[string]any
	if len(text) > 0 {
		require.NoError(o.t, json.Unmarshal(text, &value))
	}
	return value
}

const (
	aCard       = "/issuer/v1/cards/00000000-0000-7000-8000-000000000001"
	anotherCard = "/issuer/v1/cards/00000000-0000-7000-8000-000000000002"
	unblock     = `{"reason":"asked"}`
)

func TestWebhooksAreToldOfWhatHappens(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	o, r := operate(t, s), receive(t)
	hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q}`, r.URL), 201)
	secret := hook["secret"].(string)
	require.True(t, strings.HasPrefix(secret, "whsec_"))

	o.do("POST", aCard+"/pin/verifications", `{"pinBlock":"8E5C68B2BF08164B","format":"ISO-0","keyId":"zpk-sandbox"}`, 200)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	o.do("PATCH", aCard, `{"status":"lost"}`, 200)
	o.do("POST", "/issuer/v1/webhooks/"+hook["webhookId"].(string)+"/test", "", 204)
	got := r.messages(t, 4)
	byKind := map[string]message{}
	for _, m := range got {
		byKind[m.kind()] = m
		verifier, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, verifier.VerifyIgnoringTimestamp(m.raw, m.headers))
		require.NotContains(t, string(m.raw), "9999990000000014")
	}
	data := func(kind string) map[string]any {
		require.Contains(t, byKind, kind)
		return byKind[kind].body["data"].(map[string]any)
	}
	require.Equal(t, "mismatch", data("pin.verification_failed")["outcome"])
	require.InDelta(t, 2, data("pin.verification_failed")["remainingTries"], 0)
	require.Equal(t, map[string]any{"contract": "issuer", "clientId": "issuer-sandbox"}, data("pin.unblocked")["actor"])
	require.Equal(t, []any{"lost", "normal"}, []any{data("card.status_changed")["status"], data("card.status_changed")["previousStatus"]})
	require.Equal(t, hook["webhookId"], data("webhook.test")["webhookId"])

	require.Eventually(t, func() bool {
		for _, d := range o.do("GET", "/issuer/v1/webhooks/"+hook["webhookId"].(string)+"/deliveries", "", 200)["items"].([]any) {
			if d.(map[string]any)["state"] != "delivered" {
				return false
			}
		}
		return true
	}, 10*time.Second, 5*time.Millisecond)

	page := o.do("GET", "/issuer/v1/events?cardId="+strings.TrimPrefix(aCard, "/issuer/v1/cards/"), "", 200)
	items := page["items"].([]any)
	require.Equal(t, byKind["card.status_changed"].body, items[len(items)-1], "the very message")
	next := o.do("GET", "/issuer/v1/events?waitSeconds=1&cardId="+strings.TrimPrefix(aCard, "/issuer/v1/cards/")+"&cursor="+page["next_cursor"].(string), "", 200)
	require.Equal(t, map[string]any{"items": []any{}, "next_cursor": page["next_cursor"]}, next)
}

func TestACardsEventsAreTakenInOrderAndOthersDoNotWait(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	o, r := operate(t, s), receive(t)
	hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL), 201)
	r.answers = []int{500}
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	r.messages(t, 1)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	o.do("POST", anotherCard+"/pin/unblock", unblock, 204)
	got := r.messages(t, 2)
	require.Equal(t, "00000000-0000-7000-8000-000000000002", got[1].body["data"].(map[string]any)["cardId"], "the other card does not wait")
	require.Eventually(t, func() bool { // the other's is delivered, the first has failed and the second waits
		return len(o.do("GET", "/issuer/v1/webhooks/"+hook["webhookId"].(string)+"/deliveries?state=pending", "", 200)["items"].([]any)) == 2
	}, 10*time.Second, 5*time.Millisecond)

	s.Clock.Forward(10 * time.Second)
	got = r.messages(t, 4)
	require.Equal(t, got[0].id, got[2].id, "the same once more")
	require.Less(t, got[2].body["data"].(map[string]any)["sequence"], got[3].body["data"].(map[string]any)["sequence"])
}

func TestWhatFailedForThreeDaysIsParkedAndItsWebhookPaused(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	o, r, other := operate(t, s), receive(t), receive(t)
	hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL), 201)
	o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["webhook.paused"]}`, other.URL), 201)
	r.answers = []int{503, 503, 503}
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	r.messages(t, 1)
	require.Eventually(t, func() bool { // written: in three days it would be the last one
		waiting := o.do("GET", "/issuer/v1/webhooks/"+hook["webhookId"].(string)+"/deliveries?state=pending", "", 200)["items"].([]any)
		return len(waiting) == 1 && waiting[0].(map[string]any)["status"] == 503.0
	}, 20*time.Second, 5*time.Millisecond)
	s.Clock.Forward(73 * time.Hour)
	r.messages(t, 2)
	told := other.messages(t, 1)[0].body["data"].(map[string]any)
	require.Equal(t, []any{hook["webhookId"], "failing"}, []any{told["webhookId"], told["reason"]})
	o.token = s.Mint(t, "issuer-sandbox", time.Hour)
	at := "/issuer/v1/webhooks/" + hook["webhookId"].(string)
	require.Equal(t, "paused", o.do("GET", at, "", 200)["state"])
	parked := o.do("GET", at+"/deliveries?state=parked", "", 200)["items"].([]any)
	require.Len(t, parked, 1)
	require.Equal(t, []any{"answer", 503.0, 2.0}, []any{parked[0].(map[string]any)["failure"], parked[0].(map[string]any)["status"], parked[0].(map[string]any)["attempts"]})

	r.mu.Lock()
	r.answers = nil
	r.mu.Unlock()
	o.do("PATCH", at, `{"state":"active"}`, 200)
	replayed := o.do("POST", at+"/replay", `{"from":"2000-01-01T00:00:00Z"}`, 200)["queued"].(float64)
	require.Positive(t, replayed)
	sent := map[string]int{}
	for _, m := range r.messages(t, 2+int(replayed)) {
		sent[m.id]++
	}
	require.Equal(t, 3, sent[r.messages(t, 1)[0].id])

	r.mu.Lock()
	r.answers = []int{410}
	r.mu.Unlock()
	o.do("POST", at+"/test", "", 204)
	require.Eventually(t, func() bool { return o.do("GET", at, "", 200)["pausedFor"] == "gone" }, 10*time.Second, 5*time.Millisecond)
}

func TestWhileAWebhookIsRotatedItsMessagesBearBothSignatures(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	o, r := operate(t, s), receive(t)
	hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL), 201)
	at := "/issuer/v1/webhooks/" + hook["webhookId"].(string)
	rotated := o.do("POST", at+"/rotate", `{"overlapSeconds":3600}`, 200)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	m := r.messages(t, 1)[0]
	require.Len(t, strings.Fields(m.signature), 4)
	for _, secret := range []any{hook["secret"], rotated["secret"]} {
		verifier, err := standardwebhooks.NewWebhook(secret.(string))
		require.NoError(t, err)
		require.NoError(t, verifier.VerifyIgnoringTimestamp(m.raw, m.headers))
	}
	s.Clock.Forward(2 * time.Hour)
	o.token = s.Mint(t, "issuer-sandbox", time.Hour)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	require.Len(t, strings.Fields(r.messages(t, 2)[1].signature), 2)
	o.do("DELETE", at, "", 204)
	o.do("GET", at, "", 404)
}

func TestARuleOfTheSandboxDeliversTwiceOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	o, r := operate(t, s), receive(t)
	hook := o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["pin.unblocked"]}`, r.URL), 201)
	o.do("POST", "/sandbox/rules", `{"event":"pin.unblocked","client":"issuer-sandbox","delivery":"twice","times":1}`, 201)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	got := r.messages(t, 2)
	require.Equal(t, got[0].id, got[1].id)
	o.do("POST", "/sandbox/rules", `{"card":"00000000-0000-7000-8000-000000000002","delivery":"fail"}`, 201)
	o.do("POST", anotherCard+"/pin/unblock", unblock, 204)
	o.do("POST", aCard+"/pin/unblock", unblock, 204)
	require.Equal(t, "00000000-0000-7000-8000-000000000001", r.messages(t, 3)[2].body["data"].(map[string]any)["cardId"])
	require.Eventually(t, func() bool {
		waiting := o.do("GET", "/issuer/v1/webhooks/"+hook["webhookId"].(string)+"/deliveries?state=pending", "", 200)["items"].([]any)
		return len(waiting) == 1 && waiting[0].(map[string]any)["failure"] == "rehearsed"
	}, 10*time.Second, 5*time.Millisecond)
}

func TestASessionWhoseTimeIsOverIsToldOf(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	o, r := operate(t, s), receive(t)
	o.do("POST", "/issuer/v1/webhooks", fmt.Sprintf(`{"url":%q,"types":["session.expired"]}`, r.URL), 201)
	s.Clock.Forward(24 * 366 * 10 * time.Hour)
	require.Equal(t, "00000000-0000-7000-8000-00000000e001", r.messages(t, 1)[0].body["data"].(map[string]any)["sessionId"])
	o.token = s.Mint(t, "issuer-sandbox", time.Hour)
	require.Equal(t, "expired", o.do("GET", "/issuer/v1/pin-sessions/00000000-0000-7000-8000-00000000e001", "", 200)["state"])
}
