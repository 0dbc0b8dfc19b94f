package pinsession

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestStatusOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		state   pin.SessionState
		left    int
		expires time.Time
		want    Status
	}{
		"open":                        {pin.SessionOpen, 1, at.Add(time.Second), Opened},
		"open, its secret guessed at": {pin.SessionOpen, 0, at.Add(time.Second), Failed},
		"open, expired":               {pin.SessionOpen, 3, at, Expired},
		"exchanged":                   {pin.SessionExchanged, 0, at.Add(time.Second), Exchanged},
		"exchanged, expired":          {pin.SessionExchanged, 3, at, Expired},
		"verified":                    {pin.SessionVerified, 3, at.Add(time.Second), Exchanged},
		"used":                        {pin.SessionUsed, 3, at.Add(time.Second), Completed},
		"used, and its time over":     {pin.SessionUsed, 3, at, Completed},
		"failed, and its time over":   {pin.SessionFailed, 3, at, Failed},
	} {
		require.Equal(t, c.want, StatusOf(pin.Session{State: c.state, ExchangesLeft: c.left, ExpiresAt: c.expires}, at), name)
	}
}

func TestAStatusIsToldWithinReach(t *testing.T) {
	t.Parallel()
	s := New(shelf{session: pin.Session{ID: "session", ProgramID: "p", State: pin.SessionUsed}}, unprotected{}, 0, nil, nil)
	session, status, err := s.Status(pin.WithCaller(t.Context(), pin.Caller{ProgramID: "p"}), "session")
	require.NoError(t, err)
	require.Equal(t, Completed, status)
	require.Equal(t, "session", session.ID)
	for name, c := range map[string]struct{ program, id string }{"another program": {"q", "session"}, "another session": {"p", "other"}} {
		session, _, err = s.Status(pin.WithCaller(t.Context(), pin.Caller{ProgramID: c.program}), c.id)
		require.Equal(t, pin.NotFound, pin.CodeOf(err), name)
		require.Zero(t, session, name)
	}
}
