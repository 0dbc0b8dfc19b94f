package issuer_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func (v *fakeVault) CreateWebhook(_ context.Context, w pin.Webhook, m pin.Memo) (pin.Webhook, string, error) {
	v.webhook = w
	w.ID, w.CreatedAt, w.UpdatedAt, w.Keys = "webhook-1", noon(), noon(), []pin.WebhookKeys{{Public: []byte("public")}}
	return w, v.secret, v.change(m, w)
}

func (v *fakeVault) UpdateWebhook(_ context.Context, id string, patch func(*pin.Webhook) error, m pin.Memo) (pin.Webhook, error) {
	v.id = id
	if v.err != nil {
		return pin.Webhook{}, v.err
	}
	w := v.webhook
	if err := patch(&w); err != nil {
		return pin.Webhook{}, err
	}
	v.webhook = w
	return w, v.change(m, w)
}

func (v *fakeVault) RotateWebhook(_ context.Context, id string, overlap time.Duration, m pin.Memo) (pin.Webhook, string, error) {
	v.id, v.overlap = id, overlap
	return v.webhook, v.secret, v.change(m, v.webhook)
}

func (v *fakeVault) DeleteWebhook(_ context.Context, id string, m pin.Memo) error {
	v.id = id
	return v.change(m, nil)
}

func (v *fakeVault) TestWebhook(_ context.Context, id string, m pin.Memo) error {
	v.id = id
	return v.change(m, nil)
}

func (v *fakeVault) NoteReplay(_ context.Context, id string, result any, m pin.Memo) error {
	v.id = id
	return v.change(m, result)
}

func (v *fakeVault) Webhook(_ context.Context, id string) (pin.Webhook, error) {
	v.id = id
	return v.webhook, v.err
}

func (v *fakeVault) Webhooks(_ context.Context, page pin.Page) ([]pin.Webhook, error) {
	v.page = page
	return []pin.Webhook{v.webhook, v.webhook}[:min(2, page.Limit)], v.err
}

// feed hands out what the vault has, and remembers what it was asked.
type feed struct{ *fakeVault }

func (f feed) Events(_ context.Context, cardID string, page pin.Page, wait time.Duration) ([]json.RawMessage, string, error) {
	f.id, f.page, f.overlap = cardID, page, wait
	return []json.RawMessage{json.RawMessage(`{"id":"1","type":"pin.set","timestamp":"2026-03-01T12:00:00Z","data":{}}`)}, "1", f.err
}

func (f feed) Deliveries(_ context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error) {
	f.id, f.page, f.reason = webhookID, pin.Page{After: before, Limit: limit}, string(state)
	return f.deliveries, f.err
}

func (f feed) Replay(_ context.Context, webhookID, after string, from time.Time) (int, string, error) {
	f.id, f.page, f.at = webhookID, pin.Page{After: after}, from
	return 3, "last", f.err
}

// anEvent is an id that an event may have.
const anEvent = "0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e"

func TestAWebhookIsShownWithoutItsSecretButOnce(t *testing.T) {
	s := newServer(t)
	s.vault.secret, s.caller.ProgramID = "whsec_secret", "own"
	made := s.Do(http.MethodPost, "/issuer/v1/webhooks", key("k"), body(`{"url":"https://example.com/a","types":["pin.set"],"description":"note"}`)).ExpectStatus(http.StatusCreated)
	require.JSONEq(t, `{"webhookId":"webhook-1","programId":"own","url":"https://example.com/a","types":["pin.set"],"description":"note","state":"active",
		"publicKey":"whpk_key","secret":"whsec_secret","createdAt":"2026-03-01T12:00:00Z","updatedAt":"2026-03-01T12:00:00Z"}`, string(made.Body))
	require.Equal(t, "no-store", made.Header.Get("Cache-Control"))
	again := s.Do(http.MethodPost, "/issuer/v1/webhooks", key("k"), body(`{"url":"https://example.com/a","types":["pin.set"],"description":"note"}`)).ExpectStatus(http.StatusCreated)
	require.NotContains(t, string(again.Body), "whsec")
	require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
	s.Do(http.MethodPost, "/issuer/v1/webhooks", body(`{"url":"https://private/"}`)).ExpectStatus(http.StatusUnprocessableEntity)
}

func TestAWebhookIsPausedForTheReasonThatSomebodyAsked(t *testing.T) {
	s := newServer(t)
	s.vault.webhook = pin.Webhook{ID: "w", URL: "https://example.com", State: pin.WebhookPaused, PausedFor: pin.PausedGone, CreatedAt: noon(), UpdatedAt: noon()}
	shown := s.Do(http.MethodPatch, "/issuer/v1/webhooks/w", body(`{"state":"paused","types":[]}`)).ExpectStatus(http.StatusOK)
	require.Equal(t, "gone", shown.Text("/pausedFor"), "it was paused before")
	s.vault.webhook.State = pin.WebhookActive
	shown = s.Do(http.MethodPatch, "/issuer/v1/webhooks/w", body(`{"state":"paused"}`)).ExpectStatus(http.StatusOK)
	require.Equal(t, "asked", shown.Text("/pausedFor"))
}

func TestDeliveriesAreShownWithWhatHasBecomeOfThem(t *testing.T) {
	s := newServer(t)
	at := noon().UnixMicro()
	s.vault.deliveries = []pin.Delivery{
		{Chain: "card", Seq: 2, EventID: "e2", State: pin.DeliveryPending, Attempts: 1, DueAt: at, CreatedAt: at, FirstAt: at, Status: 503, Failure: "answer"},
		{Chain: "card", Seq: 1, EventID: "e1", State: pin.DeliveryDelivered, Attempts: 1, DueAt: at, CreatedAt: at, FirstAt: at, DoneAt: at, Status: 204},
	}
	shown := s.Do(http.MethodGet, "/issuer/v1/webhooks/w/deliveries?state=pending&cursor="+anEvent+"&limit=1").ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"items":[{"eventId":"e2","chain":"card","sequence":2,"state":"pending","attempts":1,"status":503,"failure":"answer","createdAt":"2026-03-01T12:00:00Z",
		"firstAttemptAt":"2026-03-01T12:00:00Z","nextAttemptAt":"2026-03-01T12:00:00Z"}],"next_cursor":"e2"}`, string(shown.Body))
	require.Equal(t, []any{"w", "pending", pin.Page{After: anEvent, Limit: 2}}, []any{s.vault.id, s.vault.reason, s.vault.page})
	s.vault.deliveries = s.vault.deliveries[1:]
	shown = s.Do(http.MethodGet, "/issuer/v1/webhooks/w/deliveries").ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"items":[{"eventId":"e1","chain":"card","sequence":1,"state":"delivered","attempts":1,"status":204,"createdAt":"2026-03-01T12:00:00Z",
		"firstAttemptAt":"2026-03-01T12:00:00Z","endedAt":"2026-03-01T12:00:00Z"}]}`, string(shown.Body))
}

// Where a list goes on from an event, what is no event's id is refused: the list would be empty for ever, and who polls it none the wiser.
func TestACursorOfEventsIsAnEventsID(t *testing.T) {
	s := newServer(t)
	s.vault.records = []pin.Record{{Card: storedCard()}}
	for _, path := range []string{"/issuer/v1/events", "/issuer/v1/audit-events", "/issuer/v1/cards/c/audit-events", "/issuer/v1/webhooks/w/deliveries"} {
		s.Do(http.MethodGet, path+"?cursor="+anEvent).ExpectStatus(http.StatusOK)
		for name, cursor := range map[string]string{"garbage": "garbage", "a number": "0", "an id in capitals": strings.ToUpper(anEvent), "an id and more": anEvent + "0", "half an id": anEvent[:18]} {
			refused := s.Do(http.MethodGet, path+"?cursor="+cursor).ExpectStatus(http.StatusBadRequest)
			require.Equal(t, []string{"cursor", "pattern"}, []string{refused.Text("/errors/0/field"), refused.Text("/errors/0/rule")}, "%s: %s", path, name)
		}
	}
}

func TestEventsAreAskedForAndReplayedAsTheRequestSays(t *testing.T) {
	s := newServer(t)
	s.vault.webhook = pin.Webhook{ID: "w", URL: "https://example.com", State: pin.WebhookActive, CreatedAt: noon(), UpdatedAt: noon()}
	shown := s.Do(http.MethodGet, "/issuer/v1/events?cardId=card&cursor="+anEvent+"&limit=7&waitSeconds=3").ExpectStatus(http.StatusOK)
	require.Equal(t, "1", shown.Text("/next_cursor"))
	require.Equal(t, []any{"card", pin.Page{After: anEvent, Limit: 7}, 3 * time.Second}, []any{s.vault.id, s.vault.page, s.vault.overlap})
	replayed := s.Do(http.MethodPost, "/issuer/v1/webhooks/w/replay", body(`{"from":"2026-03-01T12:00:00Z","after":"`+anEvent+`"}`)).ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"queued":3,"next":"last"}`, string(replayed.Body))
	require.Equal(t, []any{"w", anEvent, noon()}, []any{s.vault.id, s.vault.page.After, s.vault.at.UTC()})
	for name, c := range map[string]struct {
		body  string
		after string
		at    time.Time
	}{
		"from a time on":                        {`{"from":"2026-03-01T12:00:00Z"}`, "", noon()},
		"a time, and an event that is null":     {`{"from":"2026-03-01T12:00:00Z","after":null}`, "", noon()},
		"what comes after an event":             {`{"after":"` + anEvent + `"}`, anEvent, time.Time{}},
		"an event, and a time that is null":     {`{"from":null,"after":"` + anEvent + `"}`, anEvent, time.Time{}},
		"what comes after an event from a time": {`{"from":"2026-03-01T12:00:00Z","after":"` + anEvent + `"}`, anEvent, noon()},
	} {
		s.Do(http.MethodPost, "/issuer/v1/webhooks/w/replay", body(c.body)).ExpectStatus(http.StatusOK)
		require.Equal(t, []any{c.after, c.at}, []any{s.vault.page.After, s.vault.at.UTC()}, name)
	}
	s.vault.id = ""
	for _, nowhere := range []string{`{}`, `{"from":null}`, `{"after":null}`, `{"from":null,"after":null}`} {
		refused := s.Do(http.MethodPost, "/issuer/v1/webhooks/w/replay", body(nowhere)).ExpectStatus(http.StatusBadRequest)
		require.Equal(t, "minProperties", refused.Text("/errors/0/rule"), nowhere)
	}
	s.Do(http.MethodPost, "/issuer/v1/webhooks/w/replay", body(`{"after":"e"}`)).ExpectStatus(http.StatusBadRequest)
	require.Empty(t, s.vault.id, "nothing was replayed")
	s.Do(http.MethodPost, "/issuer/v1/webhooks/w/rotate", body(`{"overlapSeconds":60}`)).ExpectStatus(http.StatusOK)
	require.Equal(t, time.Minute, s.vault.overlap)
	s.Do(http.MethodPost, "/issuer/v1/webhooks/w/test").ExpectStatus(http.StatusNoContent)
	s.Do(http.MethodDelete, "/issuer/v1/webhooks/w").ExpectStatus(http.StatusNoContent)
}
