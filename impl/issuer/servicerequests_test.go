package issuer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGetServiceRequest(t *testing.T) {
	s := newServer(t)
	s.vault.serviceRequest = `{"number":"SR0000000007","programId":"p-1","cardId":"c-1","clientId":"client-2","contract":"creditplus",
		"version":"v2","serviceCode":"109","loggedAt":"2026-03-01T12:00:00Z"}`
	reply := s.For(t).Do(http.MethodGet, "/issuer/v1/service-requests/SR0000000007").ExpectStatus(http.StatusOK)
	require.JSONEq(t, s.vault.serviceRequest, string(reply.Body))
	require.Equal(t, "SR0000000007", s.vault.id)
}
