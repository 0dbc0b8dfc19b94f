package outbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/bundle"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// document is events.yaml, in one piece.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	whole, err := bundle.Of(openapi.Documents, "events")
	require.NoError(t, err)
	text, err := whole.JSON()
	require.NoError(t, err)
	spec, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return spec
}

// everyType are all types of events that impl/pin has.
func everyType(t *testing.T) (all []pin.EventType) {
	t.Helper()
	files, err := filepath.Glob("../pin/*.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`EventType *= "([a-z_.]+)"`).FindAllSubmatch(text, -1) {
			all = append(all, pin.EventType(found[1]))
		}
	}
	require.Greater(t, len(all), 20)
	return all
}

// quiet are the events that webhooks are not told of: who runs the server knows of the vault's own keys, and who
// manages partners' keys and PIN services of those.
var quiet = []pin.EventType{pin.EventCardUpdated, pin.EventPINVerified, pin.EventProgramCreated, pin.EventProgramUpdated, pin.EventVaultInitialized, pin.EventLoginRefused,
	pin.EventAccessRefused, pin.EventWebhookCreated, pin.EventWebhookUpdated, pin.EventWebhookRotated, pin.EventWebhookResumed, pin.EventWebhookDeleted, pin.EventWebhookReplayed,
	pin.EventKeyComponent, pin.EventKeyConfirmed, pin.EventKeyRefused, pin.EventPINTranslated, pin.EventPINDerived, pin.EventPINMailed,
	pin.EventPortfolioExported, pin.EventVaultKeyGenerated, pin.EventVaultKeyRotated, pin.EventVaultKeyActivated, pin.EventVaultKeyRetired, pin.EventVaultKeyRestored,
	pin.EventVaultKeyDestroyed, pin.EventVaultKeysRewrapped, pin.EventAuditRekeyed,
	pin.EventKeyGenerated, pin.EventKeyRequested, pin.EventKeyComponent, pin.EventKeyConfirmed, pin.EventKeyActivated, pin.EventKeyRetired, pin.EventKeyDestroyed,
	pin.EventKeyExported, pin.EventKeyRefused, pin.EventPINTranslated, pin.EventPINDerived, pin.EventPINMailed}

// Each event of the trail has a message or is said to have none; each webhook of the document has one; and what is sent is what the
// document says, whether everything about the event is known or as little as can be.
func TestEveryMessageIsAsTheDocumentHasIt(t *testing.T) {
	t.Parallel()
	spec := document(t)
	sent := map[string]bool{}
	left := 2
	outcomes := map[pin.EventType]string{pin.EventPINFailed: "mismatch", pin.EventPINBlocked: "unopenable", pin.EventPINRefused: "recent_pin", pin.EventWebhookPaused: "failing"}
	for _, kind := range everyType(t) {
		full := pin.AuditEvent{ID: "0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e", Chain: "chain", Seq: 7, ProgramID: "program", Type: kind, CardID: "card", Subject: "subject", Outcome: outcomes[kind], Left: &left,
			Changes: []pin.FieldChange{{Field: "status", Old: "normal", New: "lost"}, {Field: "upgradeStatus", Old: "0", New: "1"}, {Field: "embossName"}},
			At:      time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Contract: "issuer", ClientID: "client", RemoteAddr: "203.0.113.9", TraceID: "trace", Description: "free text", UpdatedBy: "somebody"}
		bare := pin.AuditEvent{ID: full.ID, Chain: full.Chain, Seq: 1, Type: kind, Subject: "subject", CardID: full.CardID, ProgramID: full.ProgramID, Outcome: full.Outcome, At: full.At}
		for _, e := range []pin.AuditEvent{full, bare} {
			text, err := Message(e)
			require.NoError(t, err)
			if text == nil {
				require.Contains(t, quiet, kind, "it has no webhook: say so, or give it one")
				continue
			}
			sent[e.Announced()] = true
			webhook := spec.Webhooks[e.Announced()]
			require.NotNil(t, webhook, e.Announced())
			var value any
			require.NoError(t, json.Unmarshal(text, &value))
			schema := webhook.Post.RequestBody.Value.Content["application/json"].Schema.Value
			require.NoError(t, schema.VisitJSON(value), "%s: %s", kind, text)
			require.Equal(t, e.Announced(), value.(map[string]any)["type"])
			known := schema.Properties["data"].Value.Properties
			for member := range value.(map[string]any)["data"].(map[string]any) {
				require.Contains(t, known, member)
			}
			for _, secret := range []string{"203.0.113.9", "free text", "somebody", "embossName"} {
				require.NotContains(t, string(text), secret)
			}
		}
	}
	for name, webhook := range spec.Webhooks {
		require.True(t, sent[name], "nobody sends %s", name)
		for _, example := range webhook.Post.RequestBody.Value.Content["application/json"].Examples {
			require.NoError(t, webhook.Post.RequestBody.Value.Content["application/json"].Schema.Value.VisitJSON(example.Value.Value), name)
		}
		require.True(t, name == "webhook.test" || slices.Contains(pin.EventNames(), name), name)
	}
	require.Len(t, spec.Webhooks, len(pin.EventNames())+1)
}

func TestARequestIsTheDocuments(t *testing.T) {
	t.Parallel()
	e := pin.AuditEvent{ID: "id", Type: pin.EventPINSet, At: time.Unix(5, 0).UTC()}
	r, err := request("https://receiver.example/pins?x=1", e, nil, time.Unix(1614265330, 0))
	require.NoError(t, err)
	require.Equal(t, "POST https://receiver.example/pins?x=1", r.Method+" "+r.URL.String())
	for name, want := range map[string]string{"webhook-id": "id", "webhook-timestamp": "1614265330", "content-type": "application/json", "user-agent": "PinVault"} {
		require.Equal(t, want, r.Header.Get(name), name)
	}
	_, err = request("https://receiver.example", pin.AuditEvent{Type: pin.EventPINVerified}, nil, time.Unix(0, 0))
	require.ErrorContains(t, err, "pin.verified")
}
