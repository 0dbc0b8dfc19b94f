package issuer_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestAuditEvents(t *testing.T) {
	s := newServer(t)
	s.vault.records = []pin.Record{{Card: storedCard()}}
	s.vault.events = []pin.AuditEvent{
		{ID: "event-1", Chain: cardID, Seq: 1, Type: pin.EventPINFailed, ProgramID: "p-1", CardID: cardID, Subject: "s-1",
			Outcome: "mismatch", At: noon(), Contract: "thredd", ClientID: "client-1", RemoteAddr: "192.0.2.1", TraceID: traceID,
			Description: "why", UpdatedBy: "who", MAC: []byte{0x0A, 0xFF}},
		{ID: "event-2", Chain: "server", Seq: 2, Type: pin.EventClientCreated, At: noon(), MAC: []byte{0x01}},
	}
	for path, want := range map[string]pin.AuditQuery{
		"/issuer/v1/audit-events":                      {Page: pin.Page{Limit: 51}},
		"/issuer/v1/cards/" + cardID + "/audit-events": {Chain: cardID, Page: pin.Page{Limit: 51}},
	} {
		t.Run(path, func(t *testing.T) {
			reply := s.For(t).Do(http.MethodGet, path).ExpectStatus(http.StatusOK)
			require.Equal(t, want, s.vault.audit)
			require.JSONEq(t, `{"items":[
				{"id":"event-1","chain":"`+cardID+`","sequence":1,"type":"pin.failed","programId":"p-1","cardId":"`+cardID+`",
					"subject":"s-1","outcome":"mismatch","at":"2026-03-01T12:00:00Z","contract":"thredd","clientId":"client-1",
					"remoteAddr":"192.0.2.1","traceId":"`+traceID+`","description":"why","updatedBy":"who","mac":"0aff"},
				{"id":"event-2","chain":"server","sequence":2,"type":"client.created","at":"2026-03-01T12:00:00Z","mac":"01"}
			]}`, string(reply.Body))
		})
	}
	t.Run("of a card that is not there", func(t *testing.T) {
		s.vault.err = &pin.Error{Code: pin.NotFound}
		s.vault.audit = pin.AuditQuery{}
		s.For(t).Do(http.MethodGet, "/issuer/v1/cards/"+cardID+"/audit-events").ExpectStatus(http.StatusNotFound)
		require.Equal(t, pin.Query{CardID: cardID}, s.vault.query)
		require.Equal(t, pin.AuditQuery{}, s.vault.audit, "events were read")
	})
}
