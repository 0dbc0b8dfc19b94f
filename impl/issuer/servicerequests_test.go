package issuer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestGetServiceRequest(t *testing.T) {
	s := newServer(t)
	for _, tc := range []struct {
		name          string
		notes, source string
		reply         string
	}{
		{"with all that can be said", "Caller verified", "IVR", `,"notes":"Caller verified","source":"IVR"`},
		{"with what must be said", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.vault.serviceRequest = pin.ServiceRequest{Number: "SR0000000007", ProgramID: "p-1", CardID: "c-1", ClientID: "client-2", Contract: "creditplus",
				Version: "v2", ServiceCode: "109", Notes: tc.notes, Source: tc.source, LoggedAt: noon()}
			reply := s.For(t).Do(http.MethodGet, "/issuer/v1/service-requests/SR0000000007").ExpectStatus(http.StatusOK)
			require.JSONEq(t, `{"number":"SR0000000007","programId":"p-1","cardId":"c-1","clientId":"client-2","contract":"creditplus",
				"version":"v2","serviceCode":"109","loggedAt":"2026-03-01T12:00:00Z"`+tc.reply+`}`, string(reply.Body))
			require.Equal(t, "SR0000000007", s.vault.id)
		})
	}
}
