package issuer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/pinsession"
)

func TestGetPinSession(t *testing.T) {
	s := newServer(t)
	at := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	s.vault.session = pin.Session{ID: "s-1", ProgramID: "p-1", CardID: "c-1", ClientID: "client-2", Action: pin.ActionChange, RequestID: "r-1",
		State: pin.SessionUsed, CreatedAt: at, ExpiresAt: at.Add(5 * time.Minute)}
	s.vault.status = pinsession.Opened
	reply := s.For(t).Do(http.MethodGet, "/issuer/v1/pin-sessions/s-1").ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"sessionId":"s-1","state":"opened","action":"change","programId":"p-1","cardId":"c-1","clientId":"client-2","requestId":"r-1",
		"createdAt":"2026-03-01T12:00:00Z","expiresAt":"2026-03-01T12:05:00Z"}`, string(reply.Body))
	require.Equal(t, "s-1", s.vault.id)

	s.vault.session.ExchangedAt, s.vault.session.EndedAt, s.vault.status = at.Add(time.Minute), at.Add(2*time.Minute), pinsession.Completed
	reply = s.For(t).Do(http.MethodGet, "/issuer/v1/pin-sessions/s-1").ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"sessionId":"s-1","state":"completed","action":"change","programId":"p-1","cardId":"c-1","clientId":"client-2","requestId":"r-1",
		"createdAt":"2026-03-01T12:00:00Z","expiresAt":"2026-03-01T12:05:00Z","exchangedAt":"2026-03-01T12:01:00Z","endedAt":"2026-03-01T12:02:00Z"}`, string(reply.Body))
}
