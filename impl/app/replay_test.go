package app_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// The same call from many connections at once has one effect; who comes while it has not ended is told so.
func TestParallelRepetitionsHaveOneEffect(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := apptest.Start(t, database(t))
			const card = "00000000-0000-7000-8000-000000000001"
			thredd := contracttest.Bearer(h.Mint(t, "thredd-sandbox", 2*time.Hour))
			issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
			set := func() int {
				return h.Client.Do(http.MethodPost, "/api/v1/cards/103169946/pin", thredd, contracttest.JSON(map[string]string{"pin": "4826"}),
					contracttest.Header("IdempotencyKey", "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e")).Status
			}
			verify := func() int {
				return h.Client.Do(http.MethodPost, "/issuer/v1/cards/"+card+"/pin/verifications", issuer, contracttest.Header("Idempotency-Key", "order-1"),
					contracttest.Raw("application/json", `{"pinBlock":"8E5C68B2BF08164B","format":"ISO-0","keyId":"zpk-sandbox"}`)).Status
			}
			require.Subset(t, []int{http.StatusNoContent, http.StatusConflict}, atOnce(set))
			require.Subset(t, []int{http.StatusOK, http.StatusConflict}, atOnce(verify))
			require.Equal(t, http.StatusNoContent, set(), "replayed when the first has ended")
			require.Equal(t, http.StatusOK, verify())
			require.Equal(t, 1, events(t, h, card, pin.EventPINSet))
			require.Equal(t, 1, events(t, h, card, pin.EventPINFailed))
			status := h.Client.Do(http.MethodGet, "/issuer/v1/cards/"+card+"/pin", issuer).ExpectStatus(http.StatusOK)
			require.InDelta(t, 2, status.JSON("/remainingTries"), 0, "one try is taken")

			h.Clock.Forward(time.Hour)
			require.Equal(t, http.StatusNoContent, set())
			require.Equal(t, 2, events(t, h, card, pin.EventPINSet), "an hour later the key is free again")
		})
	}
}

// atOnce makes a call from twelve connections and returns the statuses.
func atOnce(call func() int) []int {
	statuses := make([]int, 12)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = call() })
	}
	all.Wait()
	return statuses
}

// events counts a card's audit events of a type.
func events(t *testing.T, h *apptest.Server, card string, of pin.EventType) int {
	t.Helper()
	all, err := h.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: card, Page: pin.Page{Limit: 1000}})
	require.NoError(t, err)
	n := 0
	for _, e := range all {
		if e.Type == of {
			n++
		}
	}
	return n
}
