package oauth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

// A signing key rotates while the server serves: it is published before it signs, what the one before has signed stays
// good, and is good no more once that is retired, even where it was good a moment ago.
func TestKeysRotateWhileTheServerServes(t *testing.T) {
	t.Parallel()
	before, after := newKey(t, "before"), newKey(t, "after")
	keys := []oauth.SigningKey{before}
	clock := newClock()
	s, err := oauth.New(newDesk(), func() []oauth.SigningKey { return keys }, issuer, clock.Now, nil)
	require.NoError(t, err)
	published := func() (kids []string) {
		set, err := s.JWKS()
		require.NoError(t, err)
		var read struct{ Keys []struct{ KID string } }
		require.NoError(t, json.Unmarshal(set, &read))
		for _, k := range read.Keys {
			kids = append(kids, k.KID)
		}
		return kids
	}
	mint := func() string {
		token, err := s.Mint(partner, time.Hour)
		require.NoError(t, err)
		return token.AccessToken
	}
	verify := func(token string) pin.Code {
		_, err := s.Verify(t.Context(), token)
		return pin.CodeOf(err)
	}

	first := mint()
	require.Empty(t, verify(first))
	keys = []oauth.SigningKey{before, after}
	require.Equal(t, []string{"before", "after"}, published(), "before it signs")
	keys = []oauth.SigningKey{after, before}
	second := mint()
	clock.Add(time.Second)
	require.Empty(t, verify(first))
	require.Empty(t, verify(second))
	keys = []oauth.SigningKey{after}
	clock.Add(time.Second)
	require.Equal(t, pin.Unauthorized, verify(first))
	require.Empty(t, verify(second))
	require.Equal(t, []string{"after"}, published())

	keys = nil
	clock.Add(time.Second)
	require.Equal(t, pin.Internal, verify(second), "without any key nobody is served")
	_, err = s.Mint(partner, time.Hour)
	require.Equal(t, pin.Internal, pin.CodeOf(err))
	_, err = s.JWKS()
	require.Equal(t, pin.Internal, pin.CodeOf(err))
}
