package accosa_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
	"pinvault/openapi"
)

const path = "/mob1/api/onboarding/v1/resetPin"

// client is one of Accosa's clients as the fixtures list it.
type client struct {
	apiKey string
	key    *keyring.TokenKey
}

// keys are the keys of the sandbox's clients and, for the first, the IV of the worked example.
var keys = map[string]struct{ key, iv string }{
	"accosa":          {key: "404142434445464748494A4B4C4D4E4F5051525354555657"},
	"accosa_fixed_iv": {key: "7A2D94E0C65B13F8D07E4A91B6C3582F1E9D60B74FA8C235", iv: "A1B2C3D4E5F60718293A4B5C6D7E8F90"},
	"accosa_other":    {key: "E35F81C70A9D2B64F8170D3E5CA29B46D19E7F0358B4C26A"},
	"accosa_window":   {key: "5B0F9E2D7C416A83F1D4E6097B38C25AA94D1E70F36C82B5"},
}

func named(t testing.TB, name string) client {
	t.Helper()
	known, ok := keys[name]
	require.True(t, ok, name)
	return client{apiKey: name + "-sandbox." + name + "-sandbox-secret", key: tokenKey(t, known.key, known.iv)}
}

// tokenKey is a token key of hex digits; iv is "" for an IV in each token.
func tokenKey(t testing.TB, key, iv string) *keyring.TokenKey {
	t.Helper()
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	var fixed []byte
	if iv != "" {
		fixed, err = hex.DecodeString(iv)
		require.NoError(t, err)
	}
	k, err := keyring.NewTokenKey(raw, fixed)
	require.NoError(t, err)
	return k
}

// seal is the wire body of a text.
func (c client) seal(t testing.TB, text string) string {
	t.Helper()
	token, err := c.key.Seal(rand.Reader, []byte(text))
	require.NoError(t, err)
	body, err := json.Marshal(map[string]string{"token": token})
	require.NoError(t, err)
	return string(body)
}

// open is what is inside a wire body; one in clear is itself.
func (c client) open(t testing.TB, body []byte) []byte {
	t.Helper()
	var wire struct{ Token *string }
	require.NoError(t, json.Unmarshal(body, &wire), "%s", body)
	if wire.Token == nil {
		return body
	}
	text, ok := c.key.Open(*wire.Token)
	require.True(t, ok, "the reply does not open")
	return text
}

// headers are those that every call has.
func (c client) headers() []contracttest.Option {
	return []contracttest.Option{
		contracttest.Header("x-api-key", c.apiKey), contracttest.Header("clientId", "2000"), contracttest.Header("bankId", "7000"),
		contracttest.Header("entityId", "100"), contracttest.Header("secureCode", "accosa-sandbox-code"),
	}
}

// Every named example of the document comes out of a running server as it is written down, in a token or in clear.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	env := h.Env("accosa")
	env.Authorize = func(t testing.TB, r *http.Request, word string) {
		t.Helper()
		key := "not-a-key"
		if word != "malformed" {
			key = h.APIKey(t, "accosa", word)
		}
		if key != "" {
			r.Header.Set("x-api-key", key)
		}
	}
	env.Transform = func(t testing.TB, c contracttest.Conversation, body []byte) ([]byte, string) {
		t.Helper()
		if c.Printed == nil {
			return []byte(sender(t, c).seal(t, string(body))), "application/json"
		}
		require.JSONEq(t, string(body), string(sender(t, c).open(t, c.Printed)), "the token does not open to the message beside it")
		return c.Printed, "application/json"
	}
	env.Open = func(t testing.TB, c contracttest.Conversation, body []byte) []byte {
		t.Helper()
		text := sender(t, c).open(t, body)
		require.Equal(t, c.Reply.Sealed, string(text) != string(body), "in a token or in clear: %s", text)
		if c.Reply.Sealed {
			requireMessage(t, text, c.Reply.Status == http.StatusOK)
			require.JSONEq(t, string(c.Reply.Body), string(sender(t, c).open(t, c.Reply.Printed)), "the token does not open to the message beside it")
		}
		return text
	}
	apptest.Examples(t, "accosa", env, nil)
}

// Who tries the examples of a page one by one resets nothing between them: none stands in the way of the next.
func TestExamplesCanBeSentOneAfterAnother(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	c := named(t, "accosa")
	document, err := contract.Load(openapi.Documents, "accosa")
	require.NoError(t, err)
	post := document.Spec().Paths.Find(path).Post
	examples := post.RequestBody.Value.Content["application/json"].Examples
	send := func(name string) string {
		printed, err := json.Marshal(examples[name].Value.Value)
		require.NoError(t, err)
		reply := h.Client.For(t).Do(http.MethodPost, path, append(c.headers(), contracttest.Raw("application/json", string(printed)))...)
		return string(c.open(t, reply.Body))
	}
	require.Contains(t, send("pin-reset"), `"Success"`)
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound} {
		for name, documented := range post.Responses.Status(status).Value.Content["application/json"].Examples {
			if examples[name] != nil && documented.Value.Extensions["x-request"] == nil && documented.Value.Extensions["x-after"] == nil {
				require.NotContains(t, send(name), "DUPLICATE_CLIENT_TXN_ID", name)
			}
		}
	}
}

// sender is the client of a conversation.
func sender(t testing.TB, c contracttest.Conversation) client {
	t.Helper()
	switch c.Authorization {
	case "other-program", contracttest.OtherProgram:
		return named(t, "accosa_other")
	case "accosa_window":
		return named(t, c.Authorization)
	}
	return named(t, "accosa")
}

// requireMessage holds what was inside a reply's token against the document.
func requireMessage(t testing.TB, text []byte, success bool) {
	t.Helper()
	all, err := apptest.Contracts()
	require.NoError(t, err)
	document := all["accosa"]
	schema := "ResetPinError"
	if success {
		schema = "ResetPinReply"
	}
	_, violations := document.CheckMessage(schema, text)
	require.Empty(t, violations, "%s", text)
}

// resetPIN sends a message and returns status and what is inside the reply.
func (c client) resetPIN(t testing.TB, client *contracttest.Client, text string, with ...contracttest.Option) (int, []byte) {
	t.Helper()
	options := append(c.headers(), contracttest.Raw("application/json", c.seal(t, text)))
	reply := client.For(t).Do(http.MethodPost, path, append(options, with...)...)
	return reply.Status, c.open(t, reply.Body)
}

// message is a message for the card "normal", with some fields changed; nil leaves one out.
func message(t testing.TB, changed map[string]any) string {
	t.Helper()
	m := map[string]any{"messageCode": "1120", "requestDateTime": "20160715025837", "clientTxnId": "TXN", "newPIN": "121200",
		"urn": 70000000001, "last4Digits": "0014"}
	for name, value := range changed {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	return string(text)
}

// The worked example in the contract's description is recomputed, and is what the server answers.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	example := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^ {4}(key|IV|text|token) +(.*)$`).FindAllStringSubmatch(apptest.Documents(t)["accosa"].Info.Description, -1) {
		example[line[1]] = line[2]
	}
	require.Len(t, example, 4)
	require.Equal(t, example["key"], keys["accosa"].key)
	iv, err := hex.DecodeString(example["IV"])
	require.NoError(t, err)
	token, err := tokenKey(t, example["key"], "").Seal(bytes.NewReader(iv), []byte(example["text"]))
	require.NoError(t, err)
	require.Equal(t, example["token"], token)

	client := named(t, "accosa")
	body, err := json.Marshal(map[string]string{"token": example["token"]})
	require.NoError(t, err)
	reply := h.Client.Do(http.MethodPost, path, append(client.headers(), contracttest.Raw("application/json", string(body)))...).ExpectStatus(http.StatusOK)
	text := string(client.open(t, reply.Body))
	require.Regexp(t, `^\{"urn":70000000001,"customerId":"IN00001201000001","description":"Reset Pin","responseCode":"00","messageCode":"1121",`+
		`"clientTxnId":"201507271458370149gM90jY0","clientId":"2000","responseDateTime":"20260115160000","accosaTransactionId":[0-9]+,`+
		`"responseMessage":"Success","accosaRefNo":"[0-9]+","bankId":7000\}$`, text, "types and order of the document's sample")
}

func TestResetTakesEffectOnce(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	c := named(t, "accosa")
	thredd := contracttest.Bearer(h.Mint(t, "thredd-sandbox", 72*time.Hour))
	pinOf := func(card string) string {
		return h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/"+card+"/pin", thredd).ExpectStatus(http.StatusOK).Text("/pin")
	}
	first := message(t, map[string]any{"clientTxnId": "ONCE", "newPIN": "048261"})
	status, one := c.resetPIN(t, h.Client, first)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "048261", pinOf("103169946"))
	status, _ = c.resetPIN(t, h.Client, message(t, map[string]any{"clientTxnId": "LATER", "newPIN": "7391"}))
	require.Equal(t, http.StatusOK, status)

	h.Clock.Forward(47 * time.Hour)
	status, again := c.resetPIN(t, h.Client, first)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(one), string(again), "the stored reply, its number and time included")
	require.Equal(t, "7391", pinOf("103169946"), "no second effect")

	reordered := `{"last4Digits":"0014", "newPIN":"048261","urn":70000000001,"clientTxnId":"ONCE","requestDateTime":"20160715025837","messageCode":"1120"}`
	_, again = c.resetPIN(t, h.Client, reordered)
	require.Equal(t, string(one), string(again), "the same message written differently")
	status, other := c.resetPIN(t, h.Client, message(t, map[string]any{"clientTxnId": "ONCE", "newPIN": "048262"}))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(other), `"responseCode":"9003"`)

	status, _ = named(t, "accosa_fixed_iv").resetPIN(t, h.Client, message(t, map[string]any{"clientTxnId": "ONCE", "newPIN": "5555"}))
	require.Equal(t, http.StatusOK, status, "another client's clientTxnId")

	h.Clock.Forward(2 * time.Hour)
	status, fresh := c.resetPIN(t, h.Client, first)
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, string(one), string(fresh), "forgotten after two days")
	require.Equal(t, "048261", pinOf("103169946"))
}

func TestResetUnblocks(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	thredd := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	left := func() string {
		return h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169904/pin/status", thredd).ExpectStatus(http.StatusOK).Text("/remainingTries")
	}
	require.Equal(t, "0", left())
	status, _ := named(t, "accosa").resetPIN(t, h.Client, message(t, map[string]any{"urn": 70000000007, "last4Digits": "0071"}))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "3", left())
	events, err := h.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: "00000000-0000-7000-8000-000000000007", Page: pin.Page{Limit: 100}})
	require.NoError(t, err)
	var last []pin.EventType
	for _, e := range events[len(events)-2:] {
		last = append(last, e.Type)
		require.Equal(t, "accosa-sandbox", e.ClientID)
	}
	require.Equal(t, []pin.EventType{pin.EventPINReset, pin.EventPINUnblocked}, last)
}

func TestRefusesAPINAgainstThePolicy(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	h.Client.Do(http.MethodPatch, "/issuer/v1/programs/00000000-0000-7000-8000-00000000a001", issuer,
		contracttest.JSON(map[string]any{"pinPolicy": "history", "maxPinLength": 5})).ExpectStatus(http.StatusOK)
	c := named(t, "accosa")
	for name, pin := range map[string]string{"weak": "1234", "used before": "7010", "too long for the program": "482615"} {
		status, text := c.resetPIN(t, h.Client, message(t, map[string]any{"newPIN": pin}))
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Contains(t, string(text), `"responseCode":"9001"`, name)
	}
}

// The reply is under the key that opened the request; a token with a fixed IV does not hold it.
func TestKeysAndIVs(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	fixtures := h.Client.Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK)
	next := named(t, "accosa")
	next.key = tokenKey(t, fixtures.Text("/clients/accosa/next_key_hex"), "")
	for name, c := range map[string]client{"the next key": next, "a fixed IV": named(t, "accosa_fixed_iv")} {
		status, text := c.resetPIN(t, h.Client, message(t, map[string]any{"clientTxnId": name}))
		require.Equal(t, http.StatusOK, status, name)
		requireMessage(t, text, true)
	}
	require.Equal(t, named(t, "accosa").apiKey, fixtures.Text("/clients/accosa/x-api-key"))
	require.Equal(t, keys["accosa"].key, fixtures.Text("/clients/accosa/key_hex"))
	require.Equal(t, keys["accosa_fixed_iv"].iv, fixtures.Text("/clients/accosa_fixed_iv/iv_hex"))
	for name, want := range map[string]string{"clientId": "2000", "bankId": "7000", "entityId": "100", "secureCode": "accosa-sandbox-code"} {
		require.Equal(t, want, fixtures.Text("/clients/accosa/"+name))
	}
}

// Forty calls at once over two servers on one database, each transaction sent twice: each has one effect,
// no number is given twice, and those of one server only grow.
func TestNumbersGrowAndAreGivenOnce(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := at(t)
			servers := []*apptest.Server{apptest.Start(t, database), apptest.Start(t, database)}
			c := named(t, "accosa")
			number := func(text []byte) int64 {
				transaction, reference := numbers(t, text)
				require.NotEqual(t, transaction, reference)
				return transaction
			}
			last := []int64{0, 0}
			for i := range 6 {
				status, text := c.resetPIN(t, servers[i%2].Client, message(t, map[string]any{"clientTxnId": "in turn " + strconv.Itoa(i)}))
				require.Equal(t, http.StatusOK, status)
				require.Greater(t, number(text), last[i%2])
				last[i%2] = number(text)
			}
			replies := make([][]byte, 40)
			var group sync.WaitGroup
			for i := range replies {
				group.Go(func() {
					status, text := c.resetPIN(t, servers[i%2].Client, message(t, map[string]any{"clientTxnId": "at once " + strconv.Itoa(i/2)}))
					if assert.Equal(t, http.StatusOK, status, "%s", text) {
						replies[i] = text
					}
				})
			}
			group.Wait()
			seen := map[int64]bool{}
			for i := 0; i < len(replies); i += 2 {
				require.Equal(t, string(replies[i]), string(replies[i+1]))
				seen[number(replies[i])] = true
				require.Greater(t, number(replies[i]), int64(3))
			}
			require.Len(t, seen, len(replies)/2)
		})
	}
}

// numbers are accosaTransactionId and accosaRefNo of a reply.
func numbers(t testing.TB, text []byte) (transaction, reference int64) {
	t.Helper()
	var reply struct {
		AccosaRefNo         string
		AccosaTransactionID int64
	}
	require.NoError(t, json.Unmarshal(text, &reply), "%s", text)
	reference, err := strconv.ParseInt(reply.AccosaRefNo, 10, 64)
	require.NoError(t, err)
	return reply.AccosaTransactionID, reference
}

// Each program counts by itself, so that none reads from the gaps of its numbers what others do; and what is refused
// leaves no gap either.
func TestNumbersAreCountedByProgram(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	ours, theirs, everybodys := named(t, "accosa"), named(t, "accosa_other"), wholeServer(t, h)
	var wantOurs, wantTheirs int64
	for i, call := range []struct {
		by      client
		changed map[string]any
		counted *int64
	}{
		{ours, nil, &wantOurs}, {theirs, others(), &wantTheirs}, {ours, nil, &wantOurs}, {ours, map[string]any{"last4Digits": "9999"}, nil},
		{ours, nil, &wantOurs}, {theirs, others(), &wantTheirs}, {everybodys, others(), &wantTheirs}, {everybodys, nil, &wantOurs}, {ours, nil, &wantOurs},
	} {
		m := map[string]any{"clientTxnId": strconv.Itoa(i)}
		maps.Copy(m, call.changed)
		status, text := call.by.resetPIN(t, h.Client, message(t, m))
		if call.counted == nil {
			require.Equal(t, http.StatusNotFound, status)
			continue
		}
		require.Equal(t, http.StatusOK, status, "%s", text)
		transaction, reference := numbers(t, text)
		*call.counted++
		require.Equal(t, *call.counted, transaction, i)
		require.Equal(t, *call.counted+1_000_000, reference, i)
	}
}

// others is what names the card of the other program.
func others() map[string]any {
	return map[string]any{"urn": 70000000011, "last4Digits": "0113", "cardProfileId": "CP01"}
}

// wholeServer is a client of no program, with a key that serves all.
func wholeServer(t testing.TB, h *apptest.Server) client {
	t.Helper()
	c, err := h.Vault.Client(apptest.Operating(t), "accosa-sandbox")
	require.NoError(t, err)
	c = h.Copied(t, c, "accosa_everywhere-sandbox")
	c.ProgramID = ""
	c.Settings = json.RawMessage(`{"clientId":"2000","bankId":"7000","entityId":"100","messageKeyIds":["everybodys-key"],"requestWindowSeconds":0}`)
	_, _, err = h.Vault.CreateClient(apptest.Operating(t), c, c.ID+"-secret", pin.Memo{})
	require.NoError(t, err)
	const digits = "0F1E2D3C4B5A69788796A5B4C3D2E1F00112233445566778"
	raw, err := hex.DecodeString(digits)
	require.NoError(t, err)
	row, err := keyring.New(h.Keys, nil, nil).WrapZoneKey("everybodys-key", "", pin.UsageMessage, "AES", raw)
	require.NoError(t, err)
	require.NoError(t, h.Vault.ImportZoneKey(apptest.Operating(t), row, pin.Memo{}))
	return client{apiKey: c.ID + "." + c.ID + "-secret", key: tokenKey(t, digits, "")}
}

// What nobody should send: no 500, the reply is of the contract, and nothing changes.
func TestMalice(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	c := named(t, "accosa")
	thredd := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	state := func() [2]string {
		pin := h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169946/pin", thredd).ExpectStatus(http.StatusOK)
		tries := h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", thredd).ExpectStatus(http.StatusOK)
		return [2]string{pin.Text("/pin"), tries.Text("/remainingTries")}
	}
	before := state()
	const notFound = `{"responseCode":"1053","responseMessage":"REQUEST NOT FOUND"}`
	for name, body := range map[string]string{
		"no body": "", "no JSON": "{", "null": "null", "an array": `["token"]`, "a number": "1", "another name": `{"Token":"AAAA"}`,
		"a token that is a number": `{"token":1}`, "a token that is an object": `{"token":{"token":null}}`, "a token that is null": `{"token":null}`,
		"an empty token": `{"token":""}`, "two tokens": `{"token":"AAAA","token":"AAAA"}`, "a token with a NUL": `{"token":"AA\u0000A"}`,
		"a token with line breaks": `{"token":"AAAA\nAAAA"}`, "a token of blanks": `{"token":" \n"}`, "a very long token": `{"token":"` + strings.Repeat("A", 20_000) + `"}`,
		"zeros": `{"token":"` + strings.Repeat("A", 64) + `"}`, "something behind the body": `{"token":"AAAA"} x`, "bad UTF-8": "{\"token\":\"\xff\"}",
		"inside: nothing": c.seal(t, ""), "inside: null": c.seal(t, "null"), "inside: an array": c.seal(t, "["+message(t, nil)+"]"),
		"inside: a string": c.seal(t, `"x"`), "inside: two messages": c.seal(t, message(t, nil)+message(t, nil)),
		"inside: a member twice": c.seal(t, `{"newPIN":"1234","newPIN":"1235"}`), "inside: bad UTF-8": c.seal(t, "{\"a\":\"\xff\"}"),
		"inside: nested deeply": c.seal(t, strings.Repeat("[", 5000)),
	} {
		t.Run(name, func(t *testing.T) {
			reply := h.Client.For(t).Do(http.MethodPost, path, append(c.headers(), contracttest.Raw("application/json", body))...)
			require.Equal(t, http.StatusBadRequest, reply.Status)
			require.Equal(t, notFound, string(reply.Body))
		})
	}
	wrong := map[string]any{"null": json.RawMessage("null"), "a boolean": true, "a list of nulls": []any{nil, []any{nil}}, "an object": map[string]any{"urn": nil},
		"an empty text": "", "a fraction": 1.5, "a negative number": -1, "a long number": 123456789012, "a long text": strings.Repeat("9", 300),
		"a NUL": "a\x00b", "a control character": "a\x1fb", "a number beyond all": json.RawMessage("1e999"), "half a letter": json.RawMessage(`"\ud800"`)}
	optional := []string{"customerId", "mobileNumber", "emailAddress", "cardProfileId"}
	for _, field := range append([]string{"messageCode", "clientTxnId", "requestDateTime", "last4Digits", "urn", "newPIN"}, optional...) {
		for kind, value := range wrong {
			if kind == "null" && (slices.Contains(optional, field) || field == "urn" || field == "last4Digits") || kind == "an empty text" && field == "cardProfileId" {
				continue // as if absent
			}
			t.Run(field+" is "+kind, func(t *testing.T) {
				status, text := c.resetPIN(t, h.Client, message(t, map[string]any{field: value}))
				require.Equal(t, http.StatusBadRequest, status, "%s", text)
			})
		}
	}
	for name, header := range map[string]contracttest.Option{
		"an API key that is not UTF-8": contracttest.Repeated("x-api-key", "\xff\xfe.x"), "an API key without a stop": contracttest.Header("x-api-key", "accosa-sandbox"),
		"an API key without a secret": contracttest.Header("x-api-key", "accosa-sandbox."), "an API key of stops": contracttest.Header("x-api-key", "..."),
		"two API keys": contracttest.Repeated("x-api-key", "x.y", c.apiKey), "two API keys, the good one first": contracttest.Repeated("x-api-key", c.apiKey, "x.y"),
		"the API key twice": contracttest.Repeated("x-api-key", c.apiKey, c.apiKey), "a long API key": contracttest.Header("x-api-key", strings.Repeat("a.", 5000)),
		"two entityIds": contracttest.Repeated("entityId", "100", "101"), "two bankIds": contracttest.Repeated("bankId", "7000", "7001"), "two clientIds": contracttest.Repeated("clientId", "2000", "2000"),
		"two secureCodes": contracttest.Repeated("secureCode", "accosa-sandbox-code", "x"), "a clientId that is not UTF-8": contracttest.Repeated("clientId", "\xff"),
		"a bankId with a sign": contracttest.Header("bankId", "+7000"), "a consumer that is not UTF-8": contracttest.Repeated("X-Consumer-Custom-ID", "\xff"),
		"two consumers": contracttest.Repeated("X-Consumer-Custom-ID", "a", "b"), "a blank secureCode": contracttest.Header("secureCode", " "),
		"another header that is not UTF-8": contracttest.Repeated("X-Whatever", "\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			options := append(c.headers(), contracttest.Raw("application/json", c.seal(t, message(t, nil))), header)
			reply := h.Client.For(t).Do(http.MethodPost, path, options...)
			require.True(t, reply.Status >= 400 && reply.Status < 500, "%d %s", reply.Status, reply.Body)
		})
	}
	for _, path := range []string{"/mob1", "/mob1/api/onboarding/v1/changePin", path + "/"} {
		reply := h.Client.For(t).Do(http.MethodPost, path, append(c.headers(), contracttest.Raw("application/json", c.seal(t, message(t, nil))))...)
		require.Equal(t, http.StatusNotFound, reply.Status, path)
		require.Equal(t, notFound, string(reply.Body), path)
	}
	require.Equal(t, before, state())
	require.NotContains(t, h.Log.String(), "121200")
	require.NotContains(t, h.Log.String(), "panic")
}

// What a call carries in secret is kept nowhere, and neither are the keys of its tokens.
func TestSecretsAreFoundNowhere(t *testing.T) {
	t.Parallel()
	at := storetest.SQLite(t)
	h := apptest.Start(t, at)
	c := named(t, "accosa")
	const message = `{"messageCode":"1120","requestDateTime":"20160715025837","clientTxnId":"TXN","newPIN":"7391","urn":70000000001,"last4Digits":"0014"}`
	body := c.seal(t, message)
	secrets := map[string]string{"secure code": "accosa-sandbox-code", "API key": c.apiKey, "secret": "accosa-sandbox-secret", "token": body[10:74],
		"key": keys["accosa"].key, "key in bytes": "@ABCDEFGHIJKLMNOPQRSTUVW", "message": `"newPIN":"7391"`}
	for _, sent := range []string{body, body, c.seal(t, strings.Replace(message, "7391", "7392", 1)), strings.Replace(body, "=", "A", 1)} {
		h.Client.Do(http.MethodPost, path, append(c.headers(), contracttest.Raw("application/json", sent))...)
	}
	apptest.RequireNowhere(t, secrets, "the log", h.Log.String())
	apptest.RequireNowhere(t, secrets, "the database", apptest.Dump(t, at))
}

// Over HTTP a token that is wrongly padded takes as long as one that holds no JSON, and gets the same
// bytes. The statistic is printed; the bound is generous, since other work shares the machine.
func TestNoPaddingOracle(t *testing.T) {
	const samples = 2000
	h := apptest.Start(t, "")
	c := named(t, "accosa")
	message := message(t, nil)
	good, err := c.key.Seal(bytes.NewReader(make([]byte, 16)), []byte(message))
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	raw[len(raw)-17] ^= 0x80 // turns over a bit of the last byte: of the padding
	garbled := `no JSON` + message[7:]
	bodies := []string{`{"token":"` + base64.StdEncoding.EncodeToString(raw) + `"}`, c.seal(t, garbled)}
	require.Len(t, bodies[0], len(bodies[1]))

	client := &http.Client{}
	defer client.CloseIdleConnections()
	send := func(body string) (float64, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		for _, set := range append(c.headers(), contracttest.Header("Content-Type", "application/json")) {
			set(t, r)
		}
		began := time.Now()
		response, err := client.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		took := float64(time.Since(began).Nanoseconds()) / 1000
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
		return took, string(text)
	}
	var took [2][]float64
	for i := range 2 * samples {
		kind := (i ^ i>>1) & 1 // 0 1 1 0, so that neither always comes second
		micros, text := send(bodies[kind])
		require.Equal(t, `{"responseCode":"1053","responseMessage":"REQUEST NOT FOUND"}`, text)
		took[kind] = append(took[kind], micros)
	}
	median := func(x []float64) float64 { s := slices.Sorted(slices.Values(x)); return s[len(s)/2] }
	var spread []float64
	for _, x := range took {
		m := median(x)
		for _, v := range x {
			spread = append(spread, math.Abs(v-m))
		}
	}
	difference, mad := median(took[0])-median(took[1]), median(spread)
	t.Logf("medians of %d each: wrong padding %.1f µs, wrong JSON %.1f µs; difference %.2f µs, %.3f of the MAD of %.1f µs",
		samples, median(took[0]), median(took[1]), difference, difference/mad, mad)
	require.Less(t, math.Abs(difference), mad, "the difference is beyond noise")
}

// A partner that is set up through the issuer API can call.
func TestClientOfTheIssuer(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	made := h.Client.Do(http.MethodPost, "/issuer/v1/clients", issuer, contracttest.JSON(map[string]any{
		"contract": "accosa", "programId": "00000000-0000-7000-8000-00000000a001", "name": "Wallet", "scopes": []string{"pins:write"},
		"accosa": map[string]any{"clientId": "2000", "bankId": "7000", "entityId": "100", "secureCode": "accosa-sandbox-code",
			"messageKeyIds": []string{"accosa-key"}},
	})).ExpectStatus(http.StatusCreated)
	c := named(t, "accosa")
	c.apiKey = made.Text("/clientId") + "." + made.Text("/clientSecret")
	require.EqualValues(t, 900, made.JSON("/accosa/requestWindowSeconds"))
	status, text := c.resetPIN(t, h.Client, message(t, nil))
	require.Equal(t, http.StatusBadRequest, status, "%s", text)
	require.Contains(t, string(text), `"responseCode":"1088"`)
	status, text = c.resetPIN(t, h.Client, message(t, map[string]any{"requestDateTime": at(h, 0)}))
	require.Equal(t, http.StatusOK, status, "%s", text)
	requireMessage(t, text, true)
}

// at is the server's time and more as its program writes it.
func at(h *apptest.Server, more time.Duration) string {
	return h.Clock.Now().Add(more).In(time.FixedZone("Dubai", 4*60*60)).Format("20060102150405")
}

// An old token never sets the old PIN again: while it may be sent it is a repetition, and later it is too old.
func TestAnOldTokenHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	c := named(t, "accosa_window")
	reset := func(text string) (int, string) {
		status, reply := c.resetPIN(t, h.Client, text)
		return status, string(reply)
	}
	for name, test := range map[string]struct {
		at     string
		status int
	}{
		"now": {at(h, 0), 200}, "15 minutes ago": {at(h, -15*time.Minute), 200}, "in 15 minutes": {at(h, 15*time.Minute), 200},
		"a second more ago": {at(h, -15*time.Minute-time.Second), 400}, "in a second more": {at(h, 15*time.Minute+time.Second), 400},
		"now in UTC": {at(h, -4*time.Hour), 400}, "1999": {"19990715025837", 400}, "2999": {"29990715025837", 400}, "no date": {"20260230155959", 400},
	} {
		status, reply := reset(message(t, map[string]any{"requestDateTime": test.at, "clientTxnId": name}))
		require.Equal(t, test.status, status, "%s: %s", name, reply)
		if status == http.StatusBadRequest {
			require.Contains(t, reply, `"responseCode":"1088"`, name)
		}
	}

	ahead := message(t, map[string]any{"requestDateTime": at(h, 15*time.Minute), "clientTxnId": "AHEAD", "newPIN": "5271"})
	status, first := reset(ahead)
	require.Equal(t, http.StatusOK, status)
	h.Clock.Forward(30 * time.Minute)
	status, again := reset(ahead)
	require.Equal(t, http.StatusOK, status, again)
	require.Equal(t, first, again)
	for range 100 {
		h.Clock.Forward(time.Hour)
		status, reply := reset(ahead)
		require.Equal(t, http.StatusBadRequest, status, reply)
	}
}

// However a request finds the card, it can be made at the issuer API so that requests find it.
func TestCardsOfTheIssuerAreFound(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	card := func(changed map[string]any) *contracttest.Reply {
		n := map[string]any{"programId": "00000000-0000-7000-8000-00000000a001"}
		maps.Copy(n, changed)
		return h.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards", issuer, contracttest.JSON(n))
	}
	made := card(map[string]any{"customerId": "AB/12", "mobileNumber": "+97155501234", "emailAddress": "User@cards.example"}).ExpectStatus(http.StatusCreated)
	require.Equal(t, "97155501234", made.Text("/mobileNumber"))
	c := named(t, "accosa")
	for i, by := range []map[string]any{
		{"customerId": "AB/12"}, {"mobileNumber": "97155501234"}, {"mobileNumber": "+97155501234", "emailAddress": "user@CARDS.example"},
		{"customerId": "AB/12", "mobileNumber": "+97155501234", "cardProfileId": nil},
	} {
		m := map[string]any{"urn": nil, "last4Digits": nil, "clientTxnId": strconv.Itoa(i)}
		maps.Copy(m, by)
		status, text := c.resetPIN(t, h.Client, message(t, m))
		require.Equal(t, http.StatusOK, status, "%s", text)
		require.NotContains(t, string(text), `"urn"`, "the card has none")
		require.Contains(t, string(text), `"customerId":"AB/12"`)
		requireMessage(t, text, true)
	}
	for name, changed := range map[string]map[string]any{
		"emailAddress": {"emailAddress": "nobody"}, "mobileNumber": {"mobileNumber": "97150-ABC"}, "customerId": {"customerId": strings.Repeat("x", 21)},
		"references/0/value": {"references": []any{map[string]any{"kind": "urn", "value": "abc"}}},
	} {
		require.Equal(t, "/"+name, card(changed).ExpectStatus(http.StatusBadRequest).Text("/errors/0/field"))
		if name == "references/0/value" {
			continue
		}
		h.Client.For(t).Do(http.MethodPatch, "/issuer/v1/cards/"+made.Text("/cardId"), issuer, contracttest.JSON(changed)).ExpectStatus(http.StatusBadRequest)
	}
}

// What the partner's page prints, sent as it is printed by a client and for a card as it prints them. The page's curly
// quotes around token are no JSON; a serialiser writes straight ones.
const (
	printedRequest = `{
"messageCode": "1120",
"requestDateTime": "20160715025837",
"clientTxnId": "201507271458370149gM90jY0",
"newPIN": "121200",
"urn": 70000000008,
"last4Digits": "1745",
"customerId": "IN00001201001868"
}`
	printedReply = `{
"urn": 70000000008,
"customerId": "IN00001201001868",
"description": "Reset Pin",
"responseCode": "00",
"messageCode": "1121",
"clientTxnId": "201507271458370149gM90jY0",
"clientId": "2000",
"responseDateTime": "20160715025837",
"accosaTransactionId": 1031,
"responseMessage": "Success",
"accosaRefNo": "6007283",
"bankId": 7000
}`
	printedPacket = `{
"token": "h/0YSUdGzgNsMcmfYAvIIPgF3Z80/kMJkW/7l9wG9L+bXt//P/HBG0NsuoPtbn6ugjzNOLl/wQPJFbCKMqQJtSSQs4JVYBohia1TPP1yJULHN+TLIVKFRZsg0GokTPI+ZKpNPcrKrQSa70qV/RtVWMv6CmqRHaG1gQvgAYKjNyOpip7G3Io5IDEF4b2cXOlH4G1hbOtjAHQ/7ZS9KrkmJA=="
}`
)

func TestWhatThePartnersPagePrints(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	program := h.Client.Do(http.MethodPost, "/issuer/v1/programs", issuer, contracttest.JSON(map[string]any{"name": "Accosa", "maxPinLength": 6, "pinPolicy": "off"})).
		ExpectStatus(http.StatusCreated).Text("/programId")
	h.Client.Do(http.MethodPost, "/issuer/v1/cards", issuer, contracttest.JSON(map[string]any{"programId": program, "pan": "9999990000001745",
		"customerId": "IN00001201001868", "references": []any{map[string]any{"kind": "urn", "value": "70000000008"}}})).ExpectStatus(http.StatusCreated)
	made := h.Client.Do(http.MethodPost, "/issuer/v1/clients", issuer, contracttest.JSON(map[string]any{
		"contract": "accosa", "programId": program, "name": "As printed", "scopes": []string{"pins:write"},
		"accosa": map[string]any{"clientId": "2000", "bankId": "7000", "entityId": "100", "secureCode": "accosa-sandbox-code",
			"messageKeyIds": []string{"everybodys-key"}, "requestWindowSeconds": 0},
	})).ExpectStatus(http.StatusCreated)
	c := wholeServer(t, h)
	c.apiKey = made.Text("/clientId") + "." + made.Text("/clientSecret")

	t.Run("request, packet sample (decrypted)", func(t *testing.T) {
		status, text := c.resetPIN(t, h.Client, printedRequest)
		require.Equal(t, http.StatusOK, status, "%s", text)
		var want, got map[string]any
		require.NoError(t, json.Unmarshal([]byte(printedReply), &want))
		require.NoError(t, json.Unmarshal(text, &got))
		for _, name := range []string{"accosaTransactionId", "accosaRefNo", "responseDateTime"} { // of each call
			require.IsType(t, want[name], got[name], name)
			want[name] = got[name]
		}
		require.Equal(t, want, got)
		names := regexp.MustCompile(`"\w+":`)
		require.Equal(t, names.FindAllString(printedReply, -1), names.FindAllString(string(text), -1), "the members in their order")
	})
	t.Run("request and response, packet sample (encrypted), which no key opens", func(t *testing.T) {
		reply := h.Client.For(t).Do(http.MethodPost, path, append(c.headers(), contracttest.Raw("application/json", printedPacket))...)
		require.Equal(t, http.StatusBadRequest, reply.Status)
		require.JSONEq(t, `{"responseCode":"1053","responseMessage":"REQUEST NOT FOUND"}`, string(reply.Body))
	})
	for name, changed := range map[string]map[string]any{ // of the table of parameters
		"requestDateTime 20161031214559": {"requestDateTime": "20161031214559"}, "newPIN 123456": {"newPIN": "123456"},
		"messageCode 1120 as a number": {"messageCode": 1120}, "urn 70000000008 as a string": {"urn": "70000000008"},
	} {
		t.Run(name, func(t *testing.T) {
			m := map[string]any{"clientTxnId": name, "urn": 70000000008, "last4Digits": "1745"}
			maps.Copy(m, changed)
			status, text := c.resetPIN(t, h.Client, message(t, m))
			require.Equal(t, http.StatusOK, status, "%s", text)
		})
	}
	t.Run("last4Digits 4664, which are another card's", func(t *testing.T) {
		status, text := c.resetPIN(t, h.Client, message(t, map[string]any{"urn": 70000000008, "last4Digits": "4664"}))
		require.Equal(t, http.StatusNotFound, status)
		require.Contains(t, string(text), `"responseMessage":"DATA_NOT_FOUND"`)
	})
	t.Run("messageCode GOUd789hhhjfscs, which is none", func(t *testing.T) {
		status, text := c.resetPIN(t, h.Client, message(t, map[string]any{"messageCode": "GOUd789hhhjfscs"}))
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, string(text), `"responseMessage":"INVALID_MESSAGE_CODE"`)
	})
}
