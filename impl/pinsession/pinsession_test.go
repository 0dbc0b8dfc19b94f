package pinsession

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// shelf is a vault of one session and its card.
type shelf struct {
	Vault
	session pin.Session
	card    pin.Record
}

func (s shelf) Card(_ context.Context, q pin.Query) (pin.Record, error) {
	return s.card, q.Check(s.card)
}

func (s shelf) Session(_ context.Context, id string) (pin.Session, error) {
	if id != s.session.ID {
		return pin.Session{}, &pin.Error{Code: pin.NotFound}
	}
	return s.session, nil
}

// A link is made again from its session's id. After a rotation of the keys it would be another one, and serves no
// more.
func TestALinkServesUnlessTheKeysHaveChanged(t *testing.T) {
	t.Parallel()
	s := New(nil, unprotected{}, 0, nil, nil)
	secret, err := s.Secret("session")
	require.NoError(t, err)
	require.Len(t, secret, 43, "256 bits")
	other, err := s.Secret("another")
	require.NoError(t, err)
	require.NotEqual(t, secret, other)

	kept, err := s.keep(pin.SessionLink, "session", secret)
	require.NoError(t, err)
	open := shelf{card: pin.Record{Card: pin.Card{Status: pin.StatusNormal}, Program: pin.NewProgram("p"), PIN: pin.Value{State: pin.PINChosen, TriesLeft: 3}},
		session: pin.Session{ID: "session", State: pin.SessionOpen, Action: pin.ActionReset, ExchangesLeft: 1, SecretDigest: kept, ExpiresAt: time.Now().Add(time.Hour)}}
	s.vault = open
	good, err := s.Serves(t.Context(), "session")
	require.NoError(t, err)
	require.True(t, good)

	good, err = New(open, unprotected{version: 2}, 0, nil, nil).Serves(t.Context(), "session")
	require.NoError(t, err)
	require.False(t, good, "another key makes another secret")
	open.session.SecretDigest = nil
	s.vault = open
	good, err = s.Serves(t.Context(), "session")
	require.NoError(t, err)
	require.False(t, good, "none was kept")
	for name, kept := range map[string][]byte{
		"of another session": func() []byte { m, _ := s.keep(pin.SessionLink, "another", secret); return m }(),
		"of a token":         func() []byte { m, _ := s.keep(pin.SessionToken, "session", secret); return m }(),
	} {
		open.session.SecretDigest = kept
		s.vault = open
		good, err = s.Serves(t.Context(), "session")
		require.Equal(t, pin.Internal, pin.CodeOf(err), name)
		require.False(t, good, name)
	}
	good, err = s.Serves(t.Context(), "another")
	require.NoError(t, err)
	require.False(t, good)
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
	for state, want := range map[pin.SessionState]error{pin.SessionOpen: nil, pin.SessionExchanged: nil, pin.SessionVerified: nil, pin.SessionUsed: ErrUnusable, pin.SessionFailed: ErrUnusable} {
		session := pin.Session{State: state, ExchangesLeft: 1, ExpiresAt: at.Add(time.Second)}
		require.ErrorIs(t, s.exchangeable(session), want, state)
		session.ExchangesLeft = 0
		require.ErrorIs(t, s.exchangeable(session), ErrUnusable, state)
	}
}

// Nothing is right where nothing was kept: a session that was not exchanged has no token.
func TestSame(t *testing.T) {
	t.Parallel()
	s := New(nil, unprotected{}, 0, nil, nil)
	kept, err := s.keep(pin.SessionToken, "session", "secret")
	require.NoError(t, err)
	for _, c := range []struct {
		what, id, secret string
		kept             []byte
		right            bool
		code             pin.Code
	}{
		{pin.SessionToken, "session", "secret", kept, true, ""},
		{pin.SessionToken, "session", "other", kept, false, ""},
		{pin.SessionToken, "another", "secret", kept, false, pin.Internal},
		{pin.SessionLink, "session", "secret", kept, false, pin.Internal},
		{pin.SessionToken, "session", "", nil, false, ""},
		{pin.SessionToken, "session", "secret", nil, false, ""},
	} {
		right, err := s.same(c.what, c.id, c.secret, c.kept)
		require.Equal(t, c.code, pin.CodeOf(err), c)
		require.Equal(t, c.right, right, c)
	}
}
