package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/store/storetest"
)

// rounds and guesses of the tests that guess from many connections at once.
const (
	rounds  = 200
	guesses = 12
)

// Wrong PINs from many connections to two processes on one PostgreSQL: exactly the limit is compared,
// in each of the rounds; the others find the PIN blocked.
func TestParallelGuessesAreStoppedAtTheLimit(t *testing.T) {
	t.Parallel()
	t.Run("two processes on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		at := storetest.Postgres(t)
		one := serveProcess(t, nil, "--sandbox", "--database-url", at)
		two := serveProcess(t, nil, "--sandbox", "--database-url", at)
		guessInRounds(t, one.url, two.url)
	})
	t.Run("one process on SQLite", func(t *testing.T) {
		t.Parallel()
		guessInRounds(t, start(t, "").url)
	})
}

func guessInRounds(t *testing.T, servers ...string) {
	t.Helper()
	const card = "/issuer/v1/cards/00000000-0000-7000-8000-000000000002/pin"
	fixtures := clientOf(t, servers[0]).Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK)
	token := fixtures.Text("/clients/issuer/token")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: guesses}}
	t.Cleanup(client.CloseIdleConnections)
	post := func(server, path, body string) (result struct {
		Result         string
		RemainingTries int
	}, status int) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+path, bytes.NewBufferString(body))
		if err != nil {
			return result, 0
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		response, err := client.Do(r)
		if err != nil {
			return result, 0
		}
		defer func() { _ = response.Body.Close() }()
		_ = json.NewDecoder(response.Body).Decode(&result)
		return result, response.StatusCode
	}
	for round := range rounds {
		_, status := post(servers[round%len(servers)], card+"/unblock", `{"reason":"next round"}`)
		require.Equal(t, http.StatusNoContent, status)
		results := make(chan string, guesses)
		remaining := make(chan int, guesses)
		var all sync.WaitGroup
		for i := range guesses {
			all.Go(func() {
				// A format 1 block of a PIN that is not this card's.
				v, status := post(servers[i%len(servers)], card+"/verifications", `{"pinBlock":"BB5F048CBE3EE516","format":"ISO-1","keyId":"zpk-sandbox"}`)
				if status != http.StatusOK {
					v.Result = http.StatusText(status)
				}
				results <- v.Result
				if v.Result == "mismatch" {
					remaining <- v.RemainingTries
				}
			})
		}
		all.Wait()
		close(results)
		close(remaining)
		count := map[string]int{}
		for r := range results {
			count[r]++
		}
		require.Equal(t, map[string]int{"mismatch": 3, "blocked": guesses - 3}, count, "round %d", round)
		left := map[int]bool{}
		for n := range remaining {
			left[n] = true
		}
		require.Equal(t, map[int]bool{2: true, 1: true, 0: true}, left, "round %d: each guess saw its own count", round)
	}
}
