package app_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

// A path without parameters may look like another one with: /issuer/v1/cards/search like
// /issuer/v1/cards/{cardId}. It has its own methods all the same.
func TestAConcretePathHasItsOwnMethods(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodPut, http.MethodOptions} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			reply := h.Client.For(t).Do(method, "/issuer/v1/cards/search")
			require.Equal(t, http.StatusMethodNotAllowed, reply.Status)
			require.Equal(t, "POST", reply.Header.Get("Allow"))
			require.Equal(t, "application/problem+json", reply.Header.Get("Content-Type"))
		})
	}
	reply := h.Client.For(t).Do(http.MethodPut, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001")
	require.Equal(t, "GET, HEAD, PATCH", reply.Header.Get("Allow"))
}
