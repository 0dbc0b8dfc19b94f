package app_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pin"
)

// How long Network International's contract takes to say that there is something with card or PIN does
// not tell what it is. Alone, as the others would be measured too.
func TestAnswersOfCardIssuesTakeTheSameTime(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		t.Run(name, func(t *testing.T) { measure(t, databases[name](t)) })
	}
}

// spread is how far the medians may lie apart.
const spread = 0.10

func measure(t *testing.T, url string) {
	t.Helper()
	h := apptest.Start(t, url)
	c := newCrowd(t, h.URL)
	normal, blocked := c.card("normal"), c.card("blocked")
	refusals := map[string]func() request{
		"unknown card": func() request {
			return c.changeWith(t, normal, wrongPIN, "4826", map[string]any{"card_number": "9999990000000188"})
		},
		"wrong expiry": func() request {
			return c.changeWith(t, normal, wrongPIN, "4826", map[string]any{"card_expiry_date": "3111"})
		},
		"wrong PIN":    func() request { return c.change(t, normal, wrongPIN, "4826") },
		"blocked card": func() request { return c.change(t, blocked, wrongPIN, "4826") },
	}
	names := slices.Sorted(maps.Keys(refusals))
	took := map[string][]time.Duration{}
	for i := range repetitions(60, 2000) + warmUp {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			// Or the card would be blocked at the third; and each is to find the server as the others do.
			require.NoError(t, h.Vault.Unblock(apptest.Operating(t), pin.Query{CardID: normal.id}, pin.Memo{}))
			if lasted := lasts(t, h, refusals[name]()); i >= warmUp {
				took[name] = append(took[name], lasted)
			}
		}
	}
	medians := map[string]time.Duration{}
	for name, all := range took {
		slices.Sort(all)
		medians[name] = all[len(all)/2]
	}
	least, most := slices.Min(slices.Collect(maps.Values(medians))), slices.Max(slices.Collect(maps.Values(medians)))
	apart := float64(most-least) / float64(least)
	var figures strings.Builder
	for _, name := range slices.Sorted(maps.Keys(medians)) {
		fmt.Fprintf(&figures, "%s %v, ", name, medians[name].Round(time.Microsecond))
	}
	t.Logf("medians of %d: %s%.1f %% apart", len(took["wrong PIN"]), &figures, 100*apart)
	if long() {
		require.LessOrEqual(t, apart, spread)
	}
}

// warmUp are rounds that are not counted.
const warmUp = 10

// lasts is how long the server takes for a refusal, by its own clock.
func lasts(t testing.TB, h *apptest.Server, r request) time.Duration {
	t.Helper()
	sent := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	sent.Header.Set("Content-Type", "application/json")
	sent.Header.Set("Authorization", "Bearer "+r.token)
	reply := httptest.NewRecorder()
	began := time.Now()
	h.Handler.ServeHTTP(reply, sent)
	lasted := time.Since(began)
	require.Equal(t, heard{http.StatusOK, "889", 0}, tell(reply.Code, reply.Body.Bytes()))
	return lasted
}
