package pinsession

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// shelf is a vault of one session.
type shelf struct {
	Vault
	session pin.Session
}

func (s shelf) Session(_ context.Context, id string) (pin.Session, error) {
	if id != s.session.ID {
		return pin.Session{}, &pin.Error{Code: pin.NotFound}
	}
	return s.session, nil
}

// A link is made again from its session's id. After a rotation of the keys it would be another one, which
// is said and not handed out.
func TestASecretIsMadeAgainUnlessTheKeysHaveChanged(t *testing.T) {
	t.Parallel()
	s := New(nil, unprotected{}, 0, nil, nil)
	secret, err := s.secret("session")
	require.NoError(t, err)
	require.Len(t, secret, 43, "256 bits")
	other, err := s.secret("another")
	require.NoError(t, err)
	require.NotEqual(t, secret, other)

	kept, err := s.keep(linkSecret, "session", secret)
	require.NoError(t, err)
	s.vault = shelf{session: pin.Session{ID: "session", SecretMAC: kept}}
	again, err := s.Secret(t.Context(), "session")
	require.NoError(t, err)
	require.Equal(t, secret, again)

	for name, kept := range map[string][]byte{
		"made under another key": func() []byte {
			m, _ := New(nil, unprotected{version: 2}, 0, nil, nil).keep(linkSecret, "session", secret)
			return m
		}(),
		"of another session": func() []byte { m, _ := s.keep(linkSecret, "another", secret); return m }(),
		"of a token":         func() []byte { m, _ := s.keep(pageToken, "session", secret); return m }(),
		"none":               nil,
	} {
		s.vault = shelf{session: pin.Session{ID: "session", SecretMAC: kept}}
		again, err = s.Secret(t.Context(), "session")
		require.Equal(t, pin.Conflict, pin.CodeOf(err), name)
		require.Equal(t, "session", pin.FieldOf(err))
		require.Empty(t, again)
	}
	_, err = s.Secret(t.Context(), "another")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
	s := New(nil, unprotected{}, 0, func() time.Time { return at }, nil)
	for name, c := range map[string]struct {
		state   pin.SessionState
		left    int
		expires time.Time
		want    error
	}{
		"open":                         {pin.SessionOpen, 1, at.Add(time.Second), nil},
		"open, its secret guessed at":  {pin.SessionOpen, 0, at.Add(time.Second), ErrUnusable},
		"open, expired":                {pin.SessionOpen, 3, at, ErrExpired},
		"exchanged":                    {pin.SessionExchanged, 3, at.Add(time.Second), ErrUnusable},
		"exchanged, expired":           {pin.SessionExchanged, 3, at, ErrExpired},
		"used":                         {pin.SessionUsed, 3, at.Add(time.Second), ErrUnusable},
		"used, which says no more":     {pin.SessionUsed, 3, at, ErrUnusable},
		"failed, and expired as well":  {pin.SessionFailed, 3, at, ErrUnusable},
		"verified, and not to be open": {pin.SessionVerified, 3, at.Add(time.Second), ErrUnusable},
	} {
		err := s.check(pin.Session{State: c.state, ExchangesLeft: c.left, ExpiresAt: c.expires}, pin.SessionOpen)
		require.ErrorIs(t, err, c.want, name)
	}
	require.NoError(t, s.check(pin.Session{State: pin.SessionExchanged, ExpiresAt: at.Add(time.Second)}, pin.SessionExchanged), "one try at the secret is enough")
}

// Nothing is right where nothing was kept: a session that was not exchanged has no token.
func TestSame(t *testing.T) {
	t.Parallel()
	s := New(nil, unprotected{}, 0, nil, nil)
	kept, err := s.keep(pageToken, "session", "secret")
	require.NoError(t, err)
	require.True(t, s.same(pageToken, "session", "secret", kept))
	require.False(t, s.same(pageToken, "session", "other", kept))
	require.False(t, s.same(pageToken, "another", "secret", kept))
	require.False(t, s.same(linkSecret, "session", "secret", kept))
	require.False(t, s.same(pageToken, "session", "", nil))
	require.False(t, s.same(pageToken, "session", "secret", nil))
}
