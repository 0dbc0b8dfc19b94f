package oauth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

// Whatever comes in, there is the one refusal or the caller that a token of ours names: its base64 can
// be written in more ways than one, its content cannot.
func FuzzVerify(f *testing.F) {
	s := newSetting(f)
	token := s.mint(f, partner)
	want, err := s.Verify(f.Context(), token)
	require.NoError(f, err)
	part := strings.Split(token, ".")
	for _, seed := range []string{
		token, "", "..", part[0] + "." + part[1] + ".", `{"payload":"","signatures":[]}`, " " + token,
		segment([]byte(`{"alg":"none"}`)) + "." + part[1] + ".",
		segment([]byte(`{"alg":"HS256","kid":"key-1","typ":"at+jwt"}`)) + "." + part[1] + "." + part[2],
		segment([]byte(`{"alg":"ES256","kid":"key-1","typ":"at+jwt","crit":["b64"],"b64":false}`)) + ".{}." + part[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		caller, err := s.Verify(t.Context(), text)
		if err == nil {
			require.Equal(t, want, caller)
			return
		}
		require.ErrorIs(t, err, &pin.Error{Code: pin.Unauthorized})
		require.Zero(t, caller)
	})
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer a.b-c_~+/==", "Bearer", "Bearer  abc", "Basic abc", "Bearer =", "Bearer a b", "Bearer\x00a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, ok := oauth.Bearer(header)
		if !ok {
			require.Empty(t, token)
			return
		}
		require.Regexp(t, `^[A-Za-z0-9._~+/-]+=*$`, token)
		scheme, found := strings.CutSuffix(header, token)
		require.True(t, found)
		require.Regexp(t, `^bearer +$`, strings.ToLower(scheme))
	})
}
