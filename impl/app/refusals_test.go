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

// Refused logins and refusals for want of a scope are in the server's chain: the first of a kind, the tenth,
// the hundredth, and none in between.
func TestRefusalsAreInTheTrailButDoNotFillIt(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	told := func(of pin.EventType) (changes []string) {
		events, err := h.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: "server", Page: pin.Page{Limit: 1000}})
		require.NoError(t, err)
		for _, e := range events {
			if e.Type == of {
				changes = append(changes, e.Subject+" "+e.Outcome+" "+e.Changes[0].New)
			}
		}
		return changes
	}
	login := func(id string) {
		h.Client.Do(http.MethodPost, "/connect/token", contracttest.Form(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"a guess"},
		})).ExpectStatus(http.StatusUnauthorized)
	}
	for range 25 {
		login("thredd-sandbox")
	}
	login("4111111111111111") // nobody's id, and not one to be kept
	require.Equal(t, []string{"thredd-sandbox unauthorized 1", "thredd-sandbox unauthorized 10", " unauthorized 1"}, told(pin.EventLoginRefused))

	narrow := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour, "pins:read"))
	for range 12 {
		h.Client.Do(http.MethodPost, "/api/v1/cards/103169946/pin", narrow, contracttest.JSON(map[string]string{"pin": "0000"})).ExpectStatus(http.StatusForbidden)
	}
	require.Equal(t, []string{"thredd-sandbox forbidden 1", "thredd-sandbox forbidden 10"}, told(pin.EventAccessRefused))
}
