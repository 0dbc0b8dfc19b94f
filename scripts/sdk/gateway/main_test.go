package main

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheFirstReplyOfACallIsLost(t *testing.T) {
	t.Parallel()
	reached := 0
	l := &losing{known: map[[sha256.Size]byte]bool{}, next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached++
		w.WriteHeader(http.StatusNoContent)
	})}
	call := func(method, path, body, key string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		l.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 503, call("POST", "/cards", "{}", "a"))
	require.Equal(t, 1, reached, "it had its effect")
	require.Equal(t, 204, call("POST", "/cards", "{}", "a"))
	require.Equal(t, 503, call("POST", "/cards", "{}", "a"), "another call that looks the same")
	require.Equal(t, 503, call("POST", "/cards", "{}", "b"), "another key is another call")
	require.Equal(t, 503, call("POST", "/cards", "[]", "a"))
	require.Equal(t, 204, call("POST", "/hosted/pin/1/exchange", "{}", "a"), "no document says that it may come twice")
	require.Equal(t, 204, call("POST", "/spaces/one/hosted/pin/1/exchange", "{}", "a"), "nor in a space")
	require.Equal(t, 503, call("POST", "/spaces/one/cards", "{}", "a"))
}
