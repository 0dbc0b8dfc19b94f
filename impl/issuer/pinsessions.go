package issuer

import (
	"context"
	"time"

	api "pinvault/generated/issuer"
)

// GetPinSession tells how a session of the hosted page fares.
func (a *API) GetPinSession(ctx context.Context, r api.GetPinSessionRequestObject) (api.GetPinSessionResponseObject, error) {
	s, status, err := a.contracts.PINSession(ctx, r.SessionID)
	if err != nil {
		return nil, err
	}
	return api.GetPinSession200JSONResponse{SessionID: s.ID, State: api.PinSessionState(status), Action: api.PinSessionAction(s.Action),
		ProgramID: s.ProgramID, CardID: s.CardID, ClientID: s.ClientID, RequestID: s.RequestID,
		CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, ExchangedAt: when(s.ExchangedAt), EndedAt: when(s.EndedAt)}, nil
}

// when is a time that is left out as long as it has not come.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
