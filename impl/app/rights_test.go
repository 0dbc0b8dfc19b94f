package app_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
)

// bought is a token of Thredd's contract for a secret.
func bought(t *testing.T, h *apptest.Server, secret string) contracttest.Option {
	t.Helper()
	return contracttest.Bearer(h.Client.For(t).Do(http.MethodPost, "/connect/token", contracttest.Form(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"thredd-sandbox"}, "client_secret": {secret},
	})).ExpectStatus(http.StatusOK).Text("/access_token"))
}

func TestWhatASecretWasGivenEndsWithTheSecret(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	asked := func(with contracttest.Option) int {
		return h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", with).Status
	}
	rotated := func(overlap int) string {
		return h.Client.For(t).Do(http.MethodPost, "/issuer/v1/clients/thredd-sandbox/rotate", issuer,
			contracttest.JSON(map[string]any{"overlapSeconds": overlap})).ExpectStatus(http.StatusOK).Text("/clientSecret")
	}
	const first = "thredd-sandbox-secret"
	before := bought(t, h, first)
	require.Equal(t, http.StatusOK, asked(before))

	second := rotated(60)
	during := bought(t, h, first)
	after := bought(t, h, second)
	for _, token := range []contracttest.Option{before, during, after} {
		require.Equal(t, http.StatusOK, asked(token), "both secrets are good")
	}
	h.Clock.Forward(time.Minute)
	require.Equal(t, http.StatusUnauthorized, asked(before))
	require.Equal(t, http.StatusUnauthorized, asked(during), "bought with the old secret while both were good")
	require.Equal(t, http.StatusOK, asked(after))

	third := bought(t, h, rotated(0))
	require.Equal(t, http.StatusUnauthorized, asked(after), "in this process at once")
	require.Equal(t, http.StatusOK, asked(third))
	h.Client.For(t).Do(http.MethodDelete, "/issuer/v1/clients/thredd-sandbox", issuer).ExpectStatus(http.StatusNoContent)
	require.Equal(t, http.StatusUnauthorized, asked(third))
}

// Who would dispose of more than they hold is refused, and the trail tells of it.
func TestAttemptsToGainRightsAreInTheTrail(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	climber := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour, "clients:write"))
	told := func() (n int) {
		events, err := h.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: "server", Page: pin.Page{Limit: 1000}})
		require.NoError(t, err)
		for _, e := range events {
			if e.Type == pin.EventAccessRefused && e.ClientID == "issuer-sandbox" {
				n++
			}
		}
		return n
	}
	for i, attempt := range []struct {
		method, path string
		with         []contracttest.Option
	}{
		{http.MethodPost, "/issuer/v1/clients/issuer-sandbox/rotate", []contracttest.Option{contracttest.JSON(map[string]any{})}},
		{http.MethodDelete, "/issuer/v1/clients/thredd-sandbox", nil},
		{http.MethodPost, "/issuer/v1/clients", []contracttest.Option{contracttest.JSON(map[string]any{"contract": "thredd",
			"programId": "00000000-0000-7000-8000-00000000a001", "name": "x", "scopes": []string{"pins:reveal"}})}},
		{http.MethodGet, "/issuer/v1/programs", nil},
	} {
		h.Client.For(t).Do(attempt.method, attempt.path, append(attempt.with, climber)...).ExpectStatus(http.StatusForbidden)
		require.Equal(t, i+1, told(), attempt.path)
	}
}

// Whoever changed a client's row by hand is not told to try again: it is no outage.
func TestAClientWhoseSealIsBrokenIsAnInternalError(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	token := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	row, err := h.Store.Row(t.Context(), pin.TableClients, "", "thredd-sandbox")
	require.NoError(t, err)
	row.Version++
	require.NoError(t, h.Store.Swap(t.Context(), pin.Change{Rows: []pin.Row{row}}))
	h.Vault.Reread()
	h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", token).ExpectStatus(http.StatusInternalServerError)
	require.Contains(t, h.Log.String(), `"tampered"`)
}
