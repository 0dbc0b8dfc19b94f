package thredd_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "thredd", apptest.Start(t, "").Env("thredd"), map[string]string{"createCard": "the card is one of the caller's own program"})
}

// The samples of the partner's document, as they are printed there. The one that is no JSON is also sent as a
// client's serializer writes what it means.
func TestThePartnersSamples(t *testing.T) {
	t.Parallel()
	const card = "/api/v1/cards/103169946/pin"
	asJSON := func(text string) contracttest.Option { return contracttest.Raw("application/json", text) }
	for _, sample := range []struct {
		name, method, path string
		body               contracttest.Option
		status             int
		want               string
	}{
		{"Setting a card's PIN, Step 2", http.MethodPost, card, asJSON("{\n\"pin\": 0000\n}"), http.StatusBadRequest, ""},
		{"Setting a card's PIN, Step 2, as JSON", http.MethodPost, card, asJSON("{\n\"pin\": \"0000\"\n}"), http.StatusNoContent, ""},
		{"Retrieving a card's PIN, Step 2", http.MethodGet, card, nil, http.StatusOK, "{\n\"pin\": \"7010\"\n}"},
		{"Retrieving a PIN Status, Step 2", http.MethodGet, card + "/status", nil, http.StatusOK, "{\n\"status\": \"Unblocked\",\n\"remainingTries\": \"3\"\n}"},
		{"Unblocking a card's PIN, Step 2", http.MethodPost, card + "/unblock",
			asJSON("{\n\"description\": \"Unblocking blocked PIN\",\n\"updatedBy\": \"John Smith\"\n}"), http.StatusNoContent, ""},
		{"Unblocking a card's PIN, Note, without content_type", http.MethodPost, card + "/unblock", nil, http.StatusUnsupportedMediaType, ""},
	} {
		t.Run(sample.name, func(t *testing.T) {
			t.Parallel()
			h := apptest.Start(t, "")
			options := []contracttest.Option{contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))}
			if sample.body != nil {
				options = append(options, sample.body)
			}
			reply := h.Client.For(t).Do(sample.method, sample.path, options...).ExpectStatus(sample.status)
			switch {
			case sample.want != "":
				require.JSONEq(t, sample.want, string(reply.Body))
			case sample.status == http.StatusNoContent:
				require.Empty(t, reply.Body)
			}
		})
	}
}

// A malformed public token is an unknown one, whatever else is wrong with the call: only who may not make it hears
// of that first.
func TestAMalformedTokenComesBeforeAllOtherFaults(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	bearer := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	malformed := []string{"10316994", "1031699460", "10316994x", "%D9%A1%D9%A0%D9%A3169946", "10316994%2F", "10316994%00", "%FF03169946", "%20"}
	faults := map[string][]contracttest.Option{
		"nothing else":                 nil,
		"no body":                      {contracttest.Raw("application/json", "")},
		"no JSON":                      {contracttest.Raw("application/json", "{")},
		"no PIN":                       {contracttest.Raw("application/json", "{}")},
		"an unknown member":            {contracttest.Raw("application/json", `{"pin":"7010","moon":1}`)},
		"another media type":           {contracttest.Raw("text/plain", "{}")},
		"a body that is too large":     {contracttest.Raw("application/json", strings.Repeat(" ", 2_000_000))},
		"a body that is encoded":       {contracttest.Raw("application/json", `{"pin":"7010"}`), contracttest.Header("Content-Encoding", "gzip")},
		"a key that is no GUID":        {contracttest.Raw("application/json", `{"pin":"7010"}`), contracttest.Header("IdempotencyKey", "not-a-guid")},
		"two keys":                     {contracttest.Raw("application/json", `{"pin":"7010"}`), contracttest.Repeated("IdempotencyKey", "a", "b")},
		"a query that cannot be read":  {contracttest.Raw("application/json", `{"pin":"7010"}`)},
		"a description of 801 letters": {contracttest.Raw("application/json", `{"pin":"7010","description":"`+strings.Repeat("a", 801)+`"}`)},
	}
	for _, operation := range []struct{ method, suffix string }{
		{http.MethodPost, "/pin"}, {http.MethodGet, "/pin"}, {http.MethodGet, "/pin/status"}, {http.MethodPost, "/pin/unblock"},
	} {
		for name, fault := range faults {
			query := ""
			if strings.HasPrefix(name, "a query") {
				query = "?a=%zz;"
			}
			for _, token := range malformed {
				path := "/api/v1/cards/" + token + operation.suffix + query
				require.Equal(t, http.StatusNotFound, h.Client.For(t).Do(operation.method, path, append(fault, bearer)...).Status, "%s %s: %s", operation.method, path, name)
				require.Equal(t, http.StatusUnauthorized, h.Client.For(t).Do(operation.method, path, fault...).Status, "%s %s: %s", operation.method, path, name)
			}
		}
	}
}

// An answer that was kept is given again although its day is over meanwhile.
func TestARepeatedCreationIsAnsweredAfterMidnight(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	create := func(body, key string) *contracttest.Reply {
		return h.Client.For(t).Do(http.MethodPost, "/api/v1/cards", contracttest.Raw("application/json", body),
			contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour)), contracttest.Header("IdempotencyKey", key))
	}
	h.Clock.Forward(11*time.Hour + 30*time.Minute) // half past eleven at night
	const today, key = `{"expiryDate":"2026-01-15"}`, "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e"
	first := create(today, key).ExpectStatus(http.StatusCreated)
	require.Equal(t, "2026-01-31", first.Text("/expiryDate"))
	h.Clock.Forward(45 * time.Minute)
	require.Equal(t, string(first.Body), string(create(today, key).ExpectStatus(http.StatusCreated).Body))
	create(today, "6d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e").ExpectStatus(http.StatusBadRequest)
}

// Both token endpoints know a client by HTTP Basic, with id and secret form-urlencoded before (RFC 6749, 2.3.1).
func TestATokenByBasic(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	for path, id := range map[string]string{"/connect/token": "thredd-sandbox", "/oauth2/token": "issuer-sandbox"} {
		for name, c := range map[string]struct {
			id, secret, more string
			status           int
		}{
			"as it is":                    {id, id + "-secret", "", http.StatusOK},
			"form-urlencoded":             {strings.ReplaceAll(id, "-", "%2D"), strings.ReplaceAll(id, "-", "%2d") + "-secret", "", http.StatusOK},
			"with the id in the form too": {id, id + "-secret", "&client_id=" + id, http.StatusOK},
			"with empty ones in the form": {id, id + "-secret", "&client_id=&client_secret=", http.StatusOK},
			"with the secret in the form": {id, id + "-secret", "&client_secret=" + id + "-secret", http.StatusBadRequest},
			"with both in the form":       {id, id + "-secret", "&client_id=" + id + "&client_secret=" + id + "-secret", http.StatusBadRequest},
			"with another's id":           {id, id + "-secret", "&client_id=nobody", http.StatusBadRequest},
			"badly encoded":               {"%zz", id + "-secret", "", http.StatusUnauthorized},
			"with a wrong secret":         {id, "guessed", "", http.StatusUnauthorized},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+path, strings.NewReader("grant_type=client_credentials"+c.more))
			require.NoError(t, err)
			r.SetBasicAuth(c.id, c.secret)
			reply := h.Client.For(t).Do(http.MethodPost, path, contracttest.Raw("application/x-www-form-urlencoded", "grant_type=client_credentials"+c.more),
				contracttest.Header("Authorization", r.Header.Get("Authorization")))
			require.Equal(t, c.status, reply.Status, "%s, %s", path, name)
			require.Equal(t, c.status == http.StatusUnauthorized, strings.HasPrefix(reply.Header.Get("WWW-Authenticate"), "Basic "), "%s, %s", path, name)
		}
	}
}
