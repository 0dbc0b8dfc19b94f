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

// kept is what is kept of a secret of a session's link.
func kept(t *testing.T, s *Sessions, id, secret string) []byte {
	t.Helper()
	mac, err := s.keep(linkSecret, id, secret)
	require.NoError(t, err)
	return mac
}

// A link is made again from its session's id. After a rotation of the keys it would be another one, which
// is said and not handed out.
func TestASecretIsMadeAgainUnlessTheKeysHaveChanged(t *testing.T) {
	t.Parallel()
	s := New(nil, unprotected{}, 0, nil, nil)
	secret, err := s.secret("session")
	require.NoError(t, err)
	require.Len(t, secret, 43, "256 bits")

	s.vault = shelf{session: pin.Session{ID: "session", SecretMAC: kept(t, s, "session", secret)}}
	again, err := s.Secret(t.Context(), "session")
	require.NoError(t, err)
	require.Equal(t, secret, again)

	s.vault = shelf{session: pin.Session{ID: "session", SecretMAC: kept(t, s, "session", "made under another key")}}
	again, err = s.Secret(t.Context(), "session")
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Empty(t, again)

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

// Nothing is right where nothing was kept: a session that was not exchanged has no token. A secret serves
// its own session, and as what it is.
func TestSame(t *testing.T) {
	t.Parallel()
	s := New(nil, unprotected{}, 0, nil, nil)
	mac := kept(t, s, "session", "secret")
	require.True(t, s.same(linkSecret, "session", "secret", mac))
	require.False(t, s.same(linkSecret, "session", "other", mac))
	require.False(t, s.same(linkSecret, "another", "secret", mac))
	require.False(t, s.same(pageToken, "session", "secret", mac))
	require.False(t, s.same(linkSecret, "session", "", nil))
	require.False(t, s.same(linkSecret, "session", "secret", nil))
}
