package app_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/store/storetest"
)

// The long form of TestTwoProcessesAdmitOneLimit: two processes, 100,000 calls. A run that the hour's end falls into begins anew, with
// another client.
func TestSoakTwoProcessesAdmitOneLimit(t *testing.T) {
	if !long() {
		t.Skip("PINVAULT_TEST_LONG=1 runs it")
	}
	const limit, calls, workers = 50_000, 100_000, 8
	at := storetest.Postgres(t)
	var servers []string
	for range 2 {
		servers = append(servers, apptest.Serve(t, nil, "--sandbox", "--limits", "verificationsPerHour=50000", "--database-url", at).URL)
	}
	for {
		token, hour := limited(t, servers[0]), time.Now().Truncate(time.Hour)
		total := 0
		for admitted, n := range apptest.Together(workers, func(worker int) (admitted int) {
			own := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
			defer own.CloseIdleConnections()
			for i := range calls / workers {
				switch status := verified(t, own, servers[(worker+i)%2], token); status {
				case http.StatusOK:
					admitted++
				case http.StatusTooManyRequests:
				default:
					t.Errorf("status %d", status)
				}
			}
			return admitted
		}) {
			total += admitted * n
		}
		if !time.Now().Truncate(time.Hour).Equal(hour) {
			continue
		}
		t.Logf("%d of %d admitted", total, limit)
		require.LessOrEqual(t, total, limit)
		require.GreaterOrEqual(t, total, limit*98/100)
		return
	}
}

// limited is the token of a new client that may verify PINs.
func limited(t *testing.T, server string) string {
	t.Helper()
	c := apptest.Client(t, server)
	minted := func(id, secret string) string {
		return c.Do(http.MethodPost, "/oauth2/token", contracttest.Form(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
		})).ExpectStatus(http.StatusOK).Text("/access_token")
	}
	made := c.Do(http.MethodPost, "/issuer/v1/clients", contracttest.Bearer(minted("issuer-sandbox", "issuer-sandbox-secret")), contracttest.JSON(map[string]any{
		"contract": "issuer", "name": "Limited", "scopes": []string{"pins:verify"}})).ExpectStatus(http.StatusCreated)
	return minted(made.Text("/clientId"), made.Text("/clientSecret"))
}

// verified verifies the right PIN of a card.
func verified(t *testing.T, by *http.Client, server, token string) int {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+"/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin/verifications",
		bytes.NewBufferString(`{"pinBlock":"2F780C8387FFF32C","format":"ISO-0","keyId":"zpk-sandbox"}`))
	if err != nil {
		t.Error(err)
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	reply, err := by.Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, reply.Body)
	_ = reply.Body.Close()
	return reply.StatusCode
}
