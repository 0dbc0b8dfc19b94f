package apptest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/rows"
	"pinvault/impl/space"
)

// Env is how the examples of the contract named are sent to the server, by a client of its fixtures with a bearer
// token. Envelopes, and callers who are known by other means, are the contract's own to add.
func (s *Server) Env(name string) contracttest.Env {
	return contracttest.Env{Cannot: cannot, Client: s.Client, Reset: s.Reset, Authorize: s.Authorize(name), Fault: s.Faults.Fail,
		Foreign: "00000000-0000-7000-8000-00000000a001"}
}

// cannot tells of what a server whose keys are in a token does not do: no key leaves it.
func cannot(c contracttest.Conversation) bool {
	return keyringtest.InToken() && c.Operation == "exportKey" && c.Reply.Status == http.StatusOK
}

// Examples demands that every named example of a document comes out of a running server as it is written down,
// that every documented status has one, that the journal names a row for each call and hides its secrets, that nobody is served what is not theirs, and that what counts as not sent
// changes nothing: see [contracttest.Rights], which explains ofTheirOwn, and [contracttest.Unsent].
func Examples(t *testing.T, name string, env contracttest.Env, ofTheirOwn map[string]string) {
	t.Helper()
	document := Documents(t)[name]
	require.NotNil(t, document, name)
	require.Empty(t, rows.Missing(document), "statuses without an example")
	contracttest.Run(t, document, env)
	if name != space.Name { // of which no call is kept
		journaled(t, name, env.Client.For(t))
	}
	contracttest.Rights(t, document, env, ofTheirOwn)
	contracttest.Unsent(t, document, env)
}

// journaled demands that the journal, after the examples of a contract, has a row for each call of an operation of it, and
// none of the fixtures' secrets.
func journaled(t *testing.T, contract string, client *contracttest.Client) {
	t.Helper()
	entries := client.Do(http.MethodGet, "/sandbox/journal?limit=1000").ExpectStatus(http.StatusOK).JSON("/entries").([]any)
	told, secrets := 0, fixtureSecrets(t, client)
	for _, one := range entries {
		entry := one.(map[string]any)
		if entry["contract"] == contract && entry["operation"] != nil && entry["cut"] == nil {
			require.NotEmpty(t, entry["row"], "%v", entry)
			told++
		}
		for _, part := range []string{"request", "reply", "curl", "cards"} {
			text, err := json.Marshal(entry[part])
			require.NoError(t, err)
			for name, secret := range secrets {
				require.False(t, secret.Match(text), "%s stands in %s", name, text)
			}
		}
	}
	require.NotZero(t, told)
}

// fixtureSecrets are the PINs, PANs, keys and credentials of the fixtures, as they would stand in a text.
func fixtureSecrets(t testing.TB, client *contracttest.Client) map[string]*regexp.Regexp {
	t.Helper()
	known := client.Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK)
	secrets := map[string]*regexp.Regexp{}
	for name, card := range known.JSON("/cards").(map[string]any) {
		for _, what := range []string{"pin", "pan"} {
			if digits, _ := card.(map[string]any)[what].(string); digits != "" {
				secrets[name+" "+what] = regexp.MustCompile(`(^|[^-.0-9A-Za-z])` + digits + `([^-0-9A-Za-z]|$)`)
			}
		}
	}
	for name, one := range known.JSON("/clients").(map[string]any) {
		for what, value := range one.(map[string]any) {
			text, _ := value.(string)
			if what == "token" || what == "client_secret" || what == "secureCode" || what == "x-api-key" || strings.HasSuffix(what, "_hex") {
				secrets[name+" "+what] = regexp.MustCompile(`(?i)` + regexp.QuoteMeta(text))
			}
		}
	}
	return secrets
}
