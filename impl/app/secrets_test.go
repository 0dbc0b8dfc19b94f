package app_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// Secrets planted in requests, good ones and bad, are found nowhere afterwards. They are long, so that
// a hit means something.
func TestPlantedSecretsAreFoundNowhere(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			h := apptest.Start(t, at)
			secrets, bodies := plant(t, h)
			apptest.RequireNowhere(t, secrets, "the log", h.Log.String())
			apptest.RequireNowhere(t, secrets, "the replies", strings.Join(bodies, "\n"))
			apptest.RequireNowhere(t, recognizable(secrets), "the journal", string(h.Client.Do("GET", "/sandbox/journal?limit=1000").Body))
			apptest.RequireNowhere(t, secrets, "the metrics", metricsOf(t, h.URL))
			apptest.RequireNowhere(t, secrets, "the database", apptest.Dump(t, at))
		})
	}
}

// recognizable are the secrets that can be told from what else stands where they were sent: a PIN in a path cannot.
func recognizable(secrets map[string]string) map[string]string {
	all := maps.Clone(secrets)
	delete(all, "PIN")
	return all
}

// plant sends secrets every way there is and returns them with the replies.
func plant(t *testing.T, h *apptest.Server) (secrets map[string]string, replies []string) {
	t.Helper()
	const (
		planted = "918273645546" // a PIN of twelve digits
		wrong   = "135792468013"
		pan     = "9999991234567893"
		block   = "C0FFEE00DEADBEEF"
		key     = "F00DFACECAFEBABEF00DFACECAFED00D"

		component = "BADC0FFEE0DDF00D5EED1E55CAFE0DD5"
		secret    = "planted-client-secret-5b1d"
	)
	threddToken, issuerToken := h.Mint(t, "thredd-sandbox", time.Hour), h.Mint(t, "issuer-sandbox", time.Hour)
	secrets = map[string]string{"PIN": planted, "wrong PIN": wrong, "PAN": pan, "PIN block": block, "key": key, "component": component, "client secret": secret,
		"Thredd token": threddToken, "issuer token": issuerToken}
	thredd, issuer := contracttest.Bearer(threddToken), contracttest.Bearer(issuerToken)
	send := func(method, path string, with ...contracttest.Option) *contracttest.Reply {
		reply := h.Client.Do(method, path, with...)
		replies = append(replies, string(reply.Body), fmt.Sprint(reply.Header))
		return reply
	}
	json := func(body string) contracttest.Option { return contracttest.Raw("application/json", body) }

	// A card with the PAN and the PIN, through the API and the vault.
	created := send("POST", "/issuer/v1/cards", issuer, contracttest.Header("Idempotency-Key", "make"),
		contracttest.JSON(map[string]any{"programId": "00000000-0000-7000-8000-00000000a001", "pan": pan, "expiry": "3112"})).ExpectStatus(http.StatusCreated)
	card := created.Text("/cardId")
	vault := pin.NewVault(h.Store, keyring.Open(keyring.Sandbox(), h.Store, nil), h.Clock.Now, nil)
	long, err := pin.New([]byte(planted))
	require.NoError(t, err)
	require.NoError(t, vault.SetPIN(apptest.Operating(t), pin.Query{CardID: card}, pin.Plain(long), pin.Memo{Description: "PAN " + pan, UpdatedBy: pan}))
	guess, err := pin.New([]byte(wrong))
	require.NoError(t, err)
	_, err = vault.Verify(apptest.Operating(t), pin.Query{CardID: card}, pin.Plain(guess), pin.Memo{})
	require.NoError(t, err)
	send("POST", "/issuer/v1/cards", issuer, contracttest.Header("Idempotency-Key", "make"),
		contracttest.JSON(map[string]any{"programId": "00000000-0000-7000-8000-00000000a001", "pan": pan, "expiry": "3112"})).ExpectStatus(http.StatusCreated)
	send("POST", "/issuer/v1/cards/search", issuer, contracttest.JSON(map[string]any{"kind": "pan", "value": pan})).ExpectStatus(http.StatusOK)
	send("POST", "/issuer/v1/cards", issuer, contracttest.JSON(map[string]any{"programId": "00000000-0000-7000-8000-00000000a001", "pan": pan})).ExpectStatus(http.StatusConflict)

	verifications := "/issuer/v1/cards/" + card + "/pin/verifications"
	for _, body := range []string{
		`{"pinBlock":"` + block + `","format":"ISO-0","keyId":"zpk-sandbox"}`,
		`{"pinBlock":"` + block + `","format":"ISO-0","keyId":"` + key + `"}`,
		`{"pinBlock":"` + block + key + `","format":"ISO-0","keyId":"zpk-sandbox"}`,
		`{"pinBlock":"` + block + `","format":"` + planted + `","keyId":"zpk-sandbox"}`,
		`{"pinBlock":` + planted + `}`,
		`{"` + planted + `":"` + pan + `"}`,
		`{"pinBlock":"` + planted + `" x`,
	} {
		send("POST", verifications, issuer, contracttest.Header("Idempotency-Key", "k"+fmt.Sprint(len(replies))), json(body))
	}
	// Components, key blocks and values that stand for PINs.
	send("POST", "/issuer/v1/keys", issuer, json(`{"keyId":"planted","usage":"zone-pin","algorithm":"TDES","components":2}`)).ExpectStatus(http.StatusCreated)
	for _, body := range []string{
		`{"number":1,"component":"` + component + `"}`, `{"number":1,"component":"` + component + `"}`, `{"number":` + planted + `,"component":"` + component + `"}`,
		`{"number":2,"component":"` + component + component + `"}`, `{"number":2,"component":["` + component + `"]}`, `{"` + component + `":1}`,
	} {
		send("POST", "/issuer/v1/keys/planted/components", issuer, contracttest.Header("Idempotency-Key", "c"+fmt.Sprint(len(replies))), json(body))
	}
	send("POST", "/issuer/v1/key-blocks", issuer, json(`{"keyId":"planted-2","usage":"zone-pin","masterKeyId":"zmk-sandbox","keyBlock":"D0112P0AE00E0000`+component+`"}`))
	send("POST", "/issuer/v1/pin-blocks/translation", issuer, json(`{"programId":"00000000-0000-7000-8000-00000000a001","pinBlock":"`+block+`","format":"ISO-0","keyId":"zpk-sandbox","pan":"`+pan+`","to":{"keyId":"zpk-sandbox","format":"ISO-3"}}`))
	send("POST", "/issuer/v1/cards/"+card+"/pin/verification-values", issuer, json(`{"method":"visa-pvv","keyId":"pvk-sandbox","keyIndex":1,"entered":{"pinBlock":"`+block+`","format":"ISO-0","keyId":"zpk-sandbox"}}`))
	set := "/api/v1/cards/103169946/pin"
	for _, body := range []string{
		`{"pin":"` + planted + `"}`, `{"pin":` + planted + `}`, `{"pin":"1234","` + planted + `":"x"}`, `{"pin":"` + pan + `","pin":"` + pan + `"}`,
		`{"pin":"1234","description":"` + pan + `","updatedBy":"` + pan + `"}`, planted, `{"pin":{"` + planted + `":1}}`,
	} {
		send("POST", set, thredd, contracttest.Header("IdempotencyKey", "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e"), json(body))
		send("POST", set, thredd, json(body))
	}
	send("GET", "/api/v1/cards/"+planted+"/pin", thredd)
	send("GET", "/"+pan+"/"+planted, thredd)
	send("GET", "/issuer/v1/cards?kind=urn&value="+planted, issuer)
	send(planted, set, thredd)
	send("GET", set, contracttest.Bearer(planted))
	send("GET", set, contracttest.Bearer(threddToken+"x"))
	send("POST", "/connect/token", contracttest.Form(url.Values{"grant_type": {"client_credentials"}, "client_id": {"thredd-sandbox"}, "client_secret": {secret}}))
	send("POST", "/oauth2/token", contracttest.Form(url.Values{"grant_type": {planted}, "client_id": {pan}, "client_secret": {secret}}))
	for _, fault := range []string{"database", "internal"} {
		restore := h.Faults.Fail(t, fault)
		send("POST", set, thredd, json(`{"pin":"4826","description":"`+pan+`"}`))
		send("POST", verifications, issuer, json(`{"pinBlock":"`+block+`","format":"ISO-0","keyId":"zpk-sandbox"}`))
		restore()
	}
	return secrets, replies
}

// metricsOf is what Prometheus would read.
func metricsOf(t *testing.T, base string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "pinvault_http_requests_total")
	return string(body)
}
