package app_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// What a call has changed of a card is told without what is secret, and a call that is sent again is a call of its own.
func TestTheJournalTellsWhatBecameOfACard(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	token := contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour))
	last := func() map[string]any {
		return h.Client.Do("GET", "/sandbox/journal?limit=1").JSON("/entries/0").(map[string]any)
	}
	card := func(name, id string, changes ...any) []any {
		if changes == nil {
			changes = []any{}
		}
		return []any{map[string]any{"cardId": "00000000-0000-7000-8000-" + id, "name": name, "changes": changes}}
	}
	change := func(field, before, after string) any {
		return map[string]any{"field": field, "before": before, "after": after}
	}

	h.Client.Do("POST", "/api/v1/cards/103169901/pin", token, contracttest.JSON(map[string]any{"pin": "4826"})).ExpectStatus(http.StatusNoContent)
	set := last()
	require.Equal(t, card("unchosen", "000000000004", change("pin", "****", "****"), change("pinState", "random", "chosen")), set["cards"])
	require.Equal(t, "setCardPin/set-to-0000", set["row"])
	require.Equal(t, "thredd-sandbox", set["client"])
	require.JSONEq(t, `{"pin":"****"}`, set["request"].(map[string]any)["body"].(string))

	h.Client.Do("GET", "/api/v1/cards/103169901/pin", token).ExpectStatus(http.StatusOK)
	read := last()
	require.Equal(t, card("unchosen", "000000000004"), read["cards"])
	require.JSONEq(t, `{"pin":"****"}`, read["reply"].(map[string]any)["body"].(string))

	again := h.Client.Do("POST", fmt.Sprintf("/sandbox/journal/%v/replay", set["number"])).ExpectStatus(http.StatusOK)
	require.Equal(t, read["number"].(float64)+1, again.JSON("/number"))
	require.Equal(t, set["request"], again.JSON("/request"))
	require.Equal(t, "setCardPin/set-to-0000", again.Text("/row"))
	require.Equal(t, card("unchosen", "000000000004", change("pin", "****", "****")), again.JSON("/cards"))
	h.Client.Do("POST", "/sandbox/journal/999/replay").ExpectStatus(http.StatusNotFound)
}

// The stream comes through all that a request goes through.
func TestTheJournalIsToldWhileItGrows(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/sandbox/journal/live?entries=1", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan())
	require.Equal(t, ": journal", lines.Text())
	h.Client.Do("GET", "/livez").ExpectStatus(http.StatusOK)
	var told strings.Builder
	for lines.Scan() {
		told.WriteString(lines.Text() + "\n")
	}
	require.NoError(t, lines.Err())
	require.Regexp(t, `(?s)\A\nid: 1\nevent: entry\ndata: \{.*"row":"getLiveness/alive".*\}\n\n\z`, told.String())
}
