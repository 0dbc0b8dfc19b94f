package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// Tests in files named …_soak_test.go have two forms: a short one that always runs, and a long one of
// many more repetitions, which scripts/soak asks for.

func long() bool { return os.Getenv("PINVAULT_TEST_LONG") == "1" }

// repetitions are how many a test makes in either form.
func repetitions(short, many int) int {
	if long() {
		return many
	}
	return short
}

// databases are those that a server may run on, by name.
var databases = map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres}

// tryLimit is that of the sandbox's programs.
const tryLimit = 3

// auditContent fails the test unless pinvault audit verify finds the database as the server left it.
func auditContent(t *testing.T, url string) {
	t.Helper()
	out, err := apptest.Command(t, "audit", "verify", "--sandbox", "--database-url", url).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "all whole")
}

// crowd is whoever calls a sandbox about its cards: the issuer, the partners of Thredd's and of Network
// International's contract, and cardholders on the hosted page. They say what they want of a card; the
// request that comes of it can be sent at any time, to any server, and again.
type crowd struct {
	fixtures                *contracttest.Reply
	issuer, thredd, network string // bearer tokens
	http                    *http.Client
}

func newCrowd(t testing.TB, server string) *crowd {
	t.Helper()
	client := apptest.Client(t, server)
	token := func(name string) string {
		return client.Do(http.MethodPost, "/oauth2/token", contracttest.Form(url.Values{"grant_type": {"client_credentials"},
			"client_id": {name + "-sandbox"}, "client_secret": {name + "-sandbox-secret"}})).ExpectStatus(http.StatusOK).Text("/access_token")
	}
	many := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 500}}
	t.Cleanup(many.CloseIdleConnections)
	return &crowd{fixtures: client.Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK),
		issuer: token("issuer"), thredd: token("thredd"), network: token("networkintl"), http: many}
}

// plastic is a card as its holder has it.
type plastic struct {
	name, id, pan, publicToken string
	number                     int
}

func (c *crowd) card(name string) plastic {
	of := func(field string) string { return c.fixtures.Text("/cards/" + name + "/" + field) }
	p := plastic{name: name, id: of("cardId"), pan: of("pan"), publicToken: of("publicToken")}
	_, _ = fmt.Sscanf(p.id[len(p.id)-12:], "%d", &p.number)
	return p
}

// request is a call that can be sent as often as one likes. What it does bears its trace in the audit
// trail, whichever time it was done.
type request struct {
	by                        string // the contract that its events name
	method, path, token, body string
	key                       [2]string // the header for an idempotency key, and the key
	trace                     string
}

func newRequest(by, method, path, token string, body any) request {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body) // of texts alone
	}
	return request{by: by, method: method, path: path, token: token, body: string(text), trace: strings.ReplaceAll(uuid.NewString(), "-", "")}
}

// keyed gives the request an idempotency key in the header of that name.
func (r request) keyed(header string) request {
	r.key = [2]string{header, uuid.NewString()}
	return r
}

// repeatable tells whether the request, sent again, is to have no second effect.
func (r request) repeatable() bool { return r.key[0] != "" || r.by == "networkintl" }

const (
	issuerKey = "Idempotency-Key"
	threddKey = "IdempotencyKey"
	junkBlock = "0000000000000000" // no PIN block under any key of the sandbox
)

// blockOf is a PIN block of format 0 under the issuer's key.
func (c *crowd) blockOf(t testing.TB, p plastic, digits string) map[string]string {
	t.Helper()
	block := apptest.PINBlock(t, pinblock.NewTDES, c.fixtures.Text("/clients/issuer/zpk_hex"), pinblock.ISO0, digits, p.pan)
	return map[string]string{"pinBlock": block, "format": "ISO-0", "keyId": "zpk-sandbox"}
}

func (p plastic) pinPath() string { return "/issuer/v1/cards/" + p.id + "/pin" }

func (c *crowd) verify(t testing.TB, p plastic, digits string) request {
	t.Helper()
	return newRequest("issuer", http.MethodPost, p.pinPath()+"/verifications", c.issuer, c.blockOf(t, p, digits))
}

func (c *crowd) verifyJunk(p plastic) request {
	return newRequest("issuer", http.MethodPost, p.pinPath()+"/verifications", c.issuer,
		map[string]string{"pinBlock": junkBlock, "format": "ISO-0", "keyId": "zpk-sandbox"})
}

func (c *crowd) set(t testing.TB, p plastic, digits string) request {
	t.Helper()
	return newRequest("issuer", http.MethodPut, p.pinPath(), c.issuer, c.blockOf(t, p, digits))
}

func (c *crowd) setByThredd(p plastic, digits string) request {
	return newRequest("thredd", http.MethodPost, "/api/v1/cards/"+p.publicToken+"/pin", c.thredd, map[string]string{"pin": digits})
}

func (c *crowd) unblock(p plastic) request {
	return newRequest("issuer", http.MethodPost, p.pinPath()+"/unblock", c.issuer, map[string]string{"reason": "the next round"})
}

func (c *crowd) change(t testing.TB, p plastic, old, chosen string) request {
	t.Helper()
	return c.changeWith(t, p, old, chosen, nil)
}

func (c *crowd) changeJunk(t testing.TB, p plastic) request {
	t.Helper()
	return c.changeWith(t, p, "4826", "4826", map[string]any{"encrypted_old_pin": junkBlock})
}

// changeWith is a change through Network International's contract, with other fields in its body.
func (c *crowd) changeWith(t testing.TB, p plastic, old, chosen string, fields map[string]any) request {
	t.Helper()
	block := func(digits string) string {
		return apptest.PINBlock(t, pinblock.NewTDES, c.fixtures.Text("/clients/networkintl/zpk_hex"), pinblock.ISO0, digits, p.pan)
	}
	header := map[string]any{"msg_id": messageID(), "msg_type": "TRANSACTION", "msg_function": "REQ_CARD_PIN_CHANGE", "src_application": "IVR",
		"target_application": "PCMS", "timestamp": "2020-05-21T15:13:18.853+04:00", "tracking_id": "12345df", "bank_id": "NIC", "instance_id": nil}
	body := map[string]any{"card_number": p.pan, "card_sequence_number": "01", "card_expiry_date": "3112",
		"encrypted_old_pin": block(old), "encrypted_new_pin": block(chosen), "encryption_method": "SYMMETRIC_ENC"}
	maps.Copy(body, fields)
	return newRequest("networkintl", http.MethodPost, "/CardServices/Transaction/V1/CardPinChange", c.network,
		map[string]any{"NISrvRequest": map[string]any{"request_card_pin_change": map[string]any{"header": header, "body": body}}})
}

// messageID is one that was not used before.
func messageID() string { return strings.ReplaceAll(uuid.NewString(), "-", "")[:12] }

// current is a guess on the hosted page.
func current(t testing.TB, s apptest.Session, digits string) request {
	t.Helper()
	return newRequest("hosted", http.MethodPost, s.Path+"/current", "", map[string]string{"token": s.Token, "pin": s.Seal(t, apptest.PINMessage("current", digits))})
}

// heard is what a caller was told: the status, and in the contract's own words the outcome and the tries
// that remain.
type heard struct {
	status  int
	outcome string
	left    int
}

// send sends a request; no reply, or a part of one, is an error.
func (c *crowd) send(ctx context.Context, server string, r request) (heard, error) {
	sent, err := http.NewRequestWithContext(ctx, r.method, server+r.path, strings.NewReader(r.body))
	if err != nil {
		return heard{}, err
	}
	if r.body != "" {
		sent.Header.Set("Content-Type", "application/json")
	}
	sent.Header.Set("traceparent", "00-"+r.trace+"-00f067aa0ba902b7-01")
	if r.token != "" {
		sent.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.key[0] != "" {
		sent.Header.Set(r.key[0], r.key[1])
	}
	response, err := c.http.Do(sent)
	if err != nil {
		return heard{}, err
	}
	body, err := io.ReadAll(response.Body)
	if closed := response.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return heard{}, err
	}
	return tell(response.StatusCode, body), nil
}

// tell reads a reply of any of the contracts.
func tell(status int, body []byte) heard {
	var b struct {
		Result, Code, PIN string
		RemainingTries    int
		NISrvResponse     struct {
			Change struct {
				Details struct {
					Code string `json:"error_code"`
				} `json:"exception_details"`
			} `json:"response_card_pin_change"`
		}
	}
	_ = json.Unmarshal(body, &b) // 204 has none
	return heard{status, b.Result + b.Code + b.PIN + b.NISrvResponse.Change.Details.Code, b.RemainingTries}
}

// must sends a request that has to be answered with the status.
func (c *crowd) must(t testing.TB, server string, r request, status int) heard {
	t.Helper()
	answer, err := c.send(t.Context(), server, r)
	require.NoError(t, err)
	require.Equal(t, status, answer.status, "%s: %s", r.by, answer.outcome)
	return answer
}

// left is how many tries a card has, as the issuer's status call shows it.
func (c *crowd) left(t testing.TB, server string, p plastic) int {
	t.Helper()
	return c.must(t, server, newRequest("issuer", http.MethodGet, p.pinPath(), c.issuer, nil), http.StatusOK).left
}

// reveal reads a card's PIN back, through Thredd's contract.
func (c *crowd) reveal(t testing.TB, server string, p plastic) string {
	t.Helper()
	return c.must(t, server, newRequest("thredd", http.MethodGet, "/api/v1/cards/"+p.publicToken+"/pin", c.thredd, nil), http.StatusOK).outcome
}

// trail reads the events of a card, each once, and counts with them how many tries remain.
type trail struct {
	card string
	seq  int64 // of the newest event that was read
	left int
}

func newTrail(p plastic) *trail { return &trail{card: p.id, left: tryLimit} }

// fate is what became of a request, as its event tells. The zero fate: there is no event.
type fate struct {
	event   pin.EventType
	outcome string
	left    int // tries, after it
}

// chapter is what the trail tells of some requests.
type chapter struct {
	fates    map[string][]fate // by trace; that the card is blocked now is no fate of its own
	wrong    int               // guesses that took a try
	restored int               // how often all tries were given back
	empty    bool              // whether no try was left at some time
}

// read reads on. It fails the test where a guess took a try that there was not.
func (tr *trail) read(t testing.TB, s *store.Store) chapter {
	t.Helper()
	c := chapter{fates: map[string][]fate{}, empty: tr.left == 0}
	for more := true; more; {
		rows, err := s.ChainEvents(context.WithoutCancel(t.Context()), tr.card, tr.seq, 1000)
		require.NoError(t, err)
		more = len(rows) == 1000
		for _, row := range rows {
			if row.Chain != tr.card { // the next card's
				return c
			}
			require.Equal(t, tr.seq+1, row.Seq, "the trail has no gap")
			tr.seq = row.Seq
			var e pin.AuditEvent
			require.NoError(t, json.Unmarshal(row.Body, &e))
			tr.count(t, e, &c)
		}
	}
	return c
}

// count counts with an event. PINs that the hosted page took after a check restore nothing again; none of
// these tests sends one.
func (tr *trail) count(t testing.TB, e pin.AuditEvent, c *chapter) {
	t.Helper()
	taken := e.Outcome == string(pin.Mismatch) || e.Outcome == string(pin.Opaque)
	switch {
	case e.Type == pin.EventPINBlocked:
		return
	case e.Type == pin.EventPINFailed && taken:
		require.Positive(t, tr.left, "event %d: a guess took a try that there was not", tr.seq)
		tr.left--
		c.wrong++
		c.empty = c.empty || tr.left == 0
	case e.Type == pin.EventPINVerified, e.Type == pin.EventPINChanged, e.Type == pin.EventPINUnblocked:
		tr.left = tryLimit
		c.restored++
	}
	trace := e.TraceID[min(3, len(e.TraceID)):min(35, len(e.TraceID))]
	c.fates[trace] = append(c.fates[trace], fate{e.Type, e.Outcome, tr.left})
}

// agrees fails the test unless a caller who guessed was told what became of the guess. Who is told that
// the card is blocked has no event as a rule.
func (c chapter) agrees(t testing.TB, r request, answer heard) {
	t.Helper()
	fates := c.fates[r.trace]
	require.LessOrEqual(t, len(fates), 1, "%s: a guess counts once", r.by)
	var f fate
	if len(fates) == 1 {
		f = fates[0]
	}
	guessed := f.event == pin.EventPINVerified || f.event == pin.EventPINChanged
	if !guessed && f.outcome != string(pin.Mismatch) && f.outcome != string(pin.Opaque) { // nothing was compared
		require.Contains(t, untold[r.by], answer, "%s: nothing was compared", r.by)
		require.True(t, c.empty || answer.outcome == "unusable" || answer.outcome == "889", "%s: told of a block that was not", r.by)
		return
	}
	var want heard
	switch {
	case r.by == "networkintl" && guessed:
		want = heard{http.StatusOK, "000", 0}
	case r.by == "networkintl":
		want = heard{http.StatusOK, "889", 0}
	case guessed:
		want = heard{http.StatusOK, "match", tryLimit}
	case r.by == "hosted" && f.left == 0: // the page says so at once
		want = heard{http.StatusOK, "blocked", 0}
	case f.outcome == string(pin.Opaque):
		want = heard{http.StatusUnprocessableEntity, "unopenable", f.left}
	default:
		want = heard{http.StatusOK, "mismatch", f.left}
	}
	require.Equal(t, want, answer, "%s: told what the trail tells: %s", r.by, f.outcome)
}

// untold are the answers, by contract, from which nobody learns whether a PIN was right.
var untold = map[string][]heard{
	"issuer":      {{http.StatusOK, "blocked", 0}},
	"networkintl": {{http.StatusOK, "889", 0}},
	"hosted":      {{http.StatusOK, "blocked", 0}, {http.StatusNotFound, "unusable", 0}}, // a link ends when its card is blocked, or its PIN changed
}
