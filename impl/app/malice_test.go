package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// Requests that no contract allows: each gets a clear 4xx in its contract's own shape, which the client
// checks, and changes nothing.
func TestMalformedRequestsAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	const card = "/api/v1/cards/103169946/pin"
	const issuerCard = "/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin"
	thredd := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	raw := func(body string) contracttest.Option { return contracttest.Raw("application/json", body) }
	state := func() [2]string {
		pin := h.Client.For(t).Do(http.MethodGet, card, thredd).ExpectStatus(http.StatusOK)
		tries := h.Client.For(t).Do(http.MethodGet, card+"/status", thredd).ExpectStatus(http.StatusOK)
		return [2]string{pin.Text("/pin"), tries.Text("/remainingTries")}
	}
	before := state()
	for _, test := range []struct {
		name, method, path string
		with               []contracttest.Option
		status             int
	}{
		{"a second PIN in other letters", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234","PIN":"1"}`)}, 400},
		{"something after the body", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234"} x`)}, 400},
		{"a second body", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234"}{"pin":"1234"}`)}, 400},
		{"duplicate keys", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234","pin":"1235"}`)}, 400},
		{"duplicate keys, one escaped", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234","\u0070in":"1235"}`)}, 400},
		{"a NUL in a text", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234","description":"a\u0000b"}`)}, 400},
		{"bad UTF-8", "POST", card, []contracttest.Option{thredd, raw("{\"pin\":\"1234\",\"description\":\"\xff\"}")}, 400},
		{"a byte order mark", "POST", card, []contracttest.Option{thredd, raw("\xef\xbb\xbf{\"pin\":\"1234\"}")}, 400},
		{"an array", "POST", card, []contracttest.Option{thredd, raw(`[{"pin":"1234"}]`)}, 400},
		{"null", "POST", card, []contracttest.Option{thredd, raw(`null`)}, 400},
		{"nested too deeply", "POST", card, []contracttest.Option{thredd, raw(strings.Repeat("[", 60_000))}, 400},
		{"a body of blanks", "POST", card, []contracttest.Option{thredd, raw("   ")}, 400},
		{"no body", "POST", card, []contracttest.Option{thredd, raw("")}, 400},
		{"two megabytes", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234","description":"` + strings.Repeat("a", 2<<20) + `"}`)}, 413},
		{"more than 64 KiB", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234","description":"` + strings.Repeat("a", 64<<10) + `"}`)}, 413},
		{"a false Content-Encoding", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234"}`), contracttest.Header("Content-Encoding", "gzip")}, 415},
		{"a wrong Content-Type", "POST", card, []contracttest.Option{thredd, contracttest.Raw("text/plain", `{"pin":"1234"}`)}, 415},
		{"no Content-Type", "POST", card, []contracttest.Option{thredd, contracttest.Raw("", `{"pin":"1234"}`)}, 415},
		{"a charset that is not UTF-8", "POST", card, []contracttest.Option{thredd, contracttest.Raw("application/json; charset=utf-16", `{"pin":"1234"}`)}, 415},
		{"a NUL in the path", "POST", "/api/v1/cards/10316994%00/pin", []contracttest.Option{thredd, raw(`{"pin":"1234"}`)}, 404},
		{"bad UTF-8 in the path", "GET", "/api/v1/cards/10316994%ff/pin", []contracttest.Option{thredd}, 404},
		{"a slash in the path's value", "GET", "/api/v1/cards/1031%2F69946/pin", []contracttest.Option{thredd}, 404},
		{"a slash of the path, encoded", "GET", "/api/v1/cards/103169946%2Fpin", []contracttest.Option{thredd}, 404},
		{"a slash of the path, encoded in small letters", "GET", "/api/v1/cards/103169946%2fpin", []contracttest.Option{thredd}, 404},
		{"the first slash of the path, encoded", "GET", "/api%2Fv1/cards/103169946/pin", []contracttest.Option{thredd}, 404},
		{"a path with dots", "GET", "/api/v1/cards/../cards/103169946/pin", []contracttest.Option{thredd}, 404},
		{"a slash too many", "GET", card + "/", []contracttest.Option{thredd}, 404},
		{"a wrong method", "PUT", card, []contracttest.Option{thredd, raw(`{"pin":"1234"}`)}, 405},
		{"a method that nobody knows", "GUESS", card, []contracttest.Option{thredd}, 405},
		{"an unknown path of this contract", "GET", "/api/v1/pins", []contracttest.Option{thredd}, 404},
		{"an unknown path of nobody's", "GET", "/wp-login.php", nil, 404},
		{"the other contract's token", "GET", card, []contracttest.Option{issuer}, 401},
		{"a token of the wrong form", "GET", card, []contracttest.Option{contracttest.Bearer("a b c")}, 401},
		{"a very long token", "GET", card, []contracttest.Option{contracttest.Bearer(strings.Repeat("a", 20_000))}, 401},
		{"a repeated idempotency key", "POST", card, []contracttest.Option{thredd, raw(`{"pin":"1234"}`), contracttest.Repeated("IdempotencyKey",
			"5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e", "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5f")}, 400},

		{"issuer: duplicate keys", "PUT", issuerCard, []contracttest.Option{issuer, raw(`{"pinBlock":"EDD5F661DF0A2FA5","pinBlock":"EDD5F661DF0A2FA5","format":"ISO-0","keyId":"zpk-sandbox"}`)}, 400},
		{"issuer: a member that is not documented", "PUT", issuerCard, []contracttest.Option{issuer, raw(`{"pinBlock":"EDD5F661DF0A2FA5","format":"ISO-0","keyId":"zpk-sandbox","keyid":"x"}`)}, 400},
		{"issuer: something after the body", "PUT", issuerCard, []contracttest.Option{issuer, raw(`{"pinBlock":"EDD5F661DF0A2FA5","format":"ISO-0","keyId":"zpk-sandbox"} x`)}, 400},
		{"issuer: a NUL in the path", "GET", "/issuer/v1/cards/%00/pin", []contracttest.Option{issuer}, 400},
		{"issuer: a NUL in the query", "GET", "/issuer/v1/cards?kind=urn&value=%00", []contracttest.Option{issuer}, 400},
		{"issuer: a repeated query parameter", "GET", "/issuer/v1/cards?kind=urn&value=1&value=2", []contracttest.Option{issuer}, 400},
		{"issuer: a query that cannot be read", "GET", "/issuer/v1/cards?kind=urn&value=%zz", []contracttest.Option{issuer}, 400},
		{"issuer: a number outside its range", "GET", "/issuer/v1/programs?limit=99999999999999999999", []contracttest.Option{issuer}, 400},
		{"issuer: two megabytes", "PUT", issuerCard, []contracttest.Option{issuer, raw(`{"pinBlock":"` + strings.Repeat("A", 2<<20) + `"}`)}, 413},
		{"issuer: a false Content-Encoding", "PUT", issuerCard, []contracttest.Option{issuer, raw(`{}`), contracttest.Header("Content-Encoding", "br")}, 415},
		{"issuer: a wrong method", "POST", issuerCard, []contracttest.Option{issuer, raw(`{}`)}, 405},
		{"issuer: an unknown path", "GET", "/issuer/v1/pins", []contracttest.Option{issuer}, 404},
		{"token: a grant named twice", "POST", "/connect/token", []contracttest.Option{contracttest.Raw("application/x-www-form-urlencoded", "grant_type=client_credentials&grant_type=x")}, 400},
		{"token: more than 8 KiB", "POST", "/oauth2/token", []contracttest.Option{contracttest.Raw("application/x-www-form-urlencoded", "grant_type="+strings.Repeat("a", 8<<10))}, 400},
		{"two tokens", "GET", card, []contracttest.Option{contracttest.Repeated("Authorization", "Bearer "+h.Mint(t, "thredd-sandbox", time.Hour), "Bearer x")}, 401},
		{"a token twice, by Basic", "POST", "/oauth2/token", []contracttest.Option{contracttest.Raw("application/x-www-form-urlencoded", "grant_type=client_credentials"),
			contracttest.Repeated("Authorization", "Basic aXNzdWVyLXNhbmRib3g6aXNzdWVyLXNhbmRib3gtc2VjcmV0", "Basic aXNzdWVyLXNhbmRib3g6aXNzdWVyLXNhbmRib3gtc2VjcmV0")}, 401},
		{"token: JSON instead of a form", "POST", "/oauth2/token", []contracttest.Option{raw(`{"grant_type":"client_credentials"}`)}, 400},
	} {
		t.Run(test.name, func(t *testing.T) { //nolint:tparallel // what changed is looked at when all have been sent
			reply := h.Client.For(t).Do(test.method, test.path, test.with...)
			require.Equal(t, test.status, reply.Status, "%s", reply.Body)
			if test.status == http.StatusMethodNotAllowed {
				require.NotEmpty(t, reply.Header.Get("Allow"))
			}
		})
	}
	require.Equal(t, before, state())
}
