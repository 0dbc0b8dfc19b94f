package main

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
	h := start(t, url)
	c := newCrowd(t, h.url)
	normal, blocked := c.card("normal"), c.card("blocked")
	refusals := map[string]func() request{
		"unknown card": func() request { return c.changeWith(t, normal, map[string]any{"card_number": "9999990000000188"}) },
		"wrong expiry": func() request { return c.changeWith(t, normal, map[string]any{"card_expiry_date": "3111"}) },
		"wrong PIN":    func() request { return c.changeWith(t, normal, nil) },
		"blocked card": func() request { return c.changeWith(t, blocked, nil) },
	}
	names := slices.Sorted(maps.Keys(refusals))
	took := map[string][]time.Duration{}
	for i := range repetitions(60, 2000) + warmUp {
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			// Or the card would be blocked at the third; and each is to find the server as the others do.
			require.NoError(t, h.vault.Unblock(operating(t), pin.Query{CardID: normal.id}, pin.Memo{}))
			if lasted := h.lasts(t, refusals[name]()); i >= warmUp {
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

// changeWith asks to change the PIN with a wrong old one, some of the fields being others.
func (c *crowd) changeWith(t testing.TB, p plastic, fields map[string]any) request {
	t.Helper()
	return newRequest("networkintl", http.MethodPost, changeV1, c.network,
		c.ni.change(t, p.name, wrongPIN, "4826").with(map[string]any{"msg_id": messageID()}).with(fields))
}

// lasts is how long the server takes for a refusal, by its own clock.
func (h *harness) lasts(t testing.TB, r request) time.Duration {
	t.Helper()
	sent := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	sent.Header.Set("Content-Type", "application/json")
	sent.Header.Set("Authorization", "Bearer "+r.token)
	reply := httptest.NewRecorder()
	began := time.Now()
	h.app.ServeHTTP(reply, sent)
	lasted := time.Since(began)
	require.Equal(t, heard{http.StatusOK, "889", 0}, tell(reply.Code, reply.Body.Bytes()))
	return lasted
}
