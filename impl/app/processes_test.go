package app_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/store/storetest"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("RECEIVER_ADDRESS"); address != "" {
		receiveInProcess(address)
	}
	apptest.Main(m)
}

// A card is blocked through one process, reset through the other, seen at once in the first.
func TestResetIsSeenInTheOtherProcess(t *testing.T) {
	t.Parallel()
	at := storetest.Postgres(t)
	here := apptest.Client(t, apptest.Serve(t, nil, "--sandbox", "--database-url", at).URL)
	there := apptest.Client(t, apptest.Serve(t, nil, "--sandbox", "--database-url", at).URL)
	token := func(path, client string) contracttest.Option {
		return contracttest.Bearer(here.Do(http.MethodPost, path, contracttest.Form(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client + "-sandbox"}, "client_secret": {client + "-sandbox-secret"},
		})).ExpectStatus(http.StatusOK).Text("/access_token"))
	}
	issuer, thredd, creditplus := token("/oauth2/token", "issuer"), token("/connect/token", "thredd"), token("/oauth2/token", "creditplus")
	verify := func(block string) string {
		return there.Do(http.MethodPost, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin/verifications", issuer,
			contracttest.JSON(map[string]string{"pinBlock": block, "format": "ISO-0", "keyId": "zpk-sandbox"})).ExpectStatus(http.StatusOK).Text("/result")
	}
	status := func() string {
		return there.Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", thredd).ExpectStatus(http.StatusOK).Text("/status")
	}
	const right, wrong = "2F780C8387FFF32C", "8E5C68B2BF08164B"
	for range 3 {
		require.Equal(t, "mismatch", verify(wrong))
	}
	require.Equal(t, "blocked", verify(right))
	require.Equal(t, "Blocked", status())
	now := time.Now()
	here.Do(http.MethodPost, "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter", creditplus, contracttest.JSON(map[string]string{
		"identifier": "DEVICE0000000001", "timestamp": now.Format(time.RFC3339), "dataValidUntilTimestamp": now.Add(time.Hour).Format(time.RFC3339),
	})).ExpectStatus(http.StatusOK)
	require.Equal(t, "Unblocked", status())
	require.Equal(t, "match", verify(right))
}

// What a rotation without overlap or a revocation ends in one process, every other one refuses within a second.
func TestAnEndedSecretIsRefusedByEveryProcessWithinASecond(t *testing.T) {
	t.Parallel()
	at := storetest.Postgres(t)
	here := apptest.Client(t, apptest.Serve(t, nil, "--sandbox", "--database-url", at).URL)
	there := apptest.Client(t, apptest.Serve(t, nil, "--sandbox", "--database-url", at).URL)
	token := func(path, client, secret string) contracttest.Option {
		return contracttest.Bearer(there.Do(http.MethodPost, path, contracttest.Form(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret},
		})).ExpectStatus(http.StatusOK).Text("/access_token"))
	}
	issuer := token("/oauth2/token", "issuer-sandbox", "issuer-sandbox-secret")
	asked := func(with contracttest.Option) int {
		return there.Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", with).Status
	}
	ends := func(with contracttest.Option, end func() *contracttest.Reply) *contracttest.Reply {
		require.Equal(t, http.StatusOK, asked(with))
		reply := end()
		ended := time.Now()
		for asked(with) == http.StatusOK {
			require.Less(t, time.Since(ended), time.Second)
		}
		require.Equal(t, http.StatusUnauthorized, asked(with))
		return reply
	}
	rotated := ends(token("/connect/token", "thredd-sandbox", "thredd-sandbox-secret"), func() *contracttest.Reply {
		return here.Do(http.MethodPost, "/issuer/v1/clients/thredd-sandbox/rotate", issuer, contracttest.JSON(map[string]any{"overlapSeconds": 0})).ExpectStatus(http.StatusOK)
	})
	fresh := token("/connect/token", "thredd-sandbox", rotated.Text("/clientSecret"))
	ends(fresh, func() *contracttest.Reply {
		return here.Do(http.MethodDelete, "/issuer/v1/clients/thredd-sandbox", issuer).ExpectStatus(http.StatusNoContent)
	})
}
