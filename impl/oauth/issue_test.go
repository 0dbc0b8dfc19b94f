package oauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

func TestNewRefuses(t *testing.T) {
	good := newKey(t, "good")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		keys   []oauth.SigningKey
		issuer string
	}{
		"no issuer":                {[]oauth.SigningKey{good}, ""},
		"no key":                   {nil, issuer},
		"a key without id":         {[]oauth.SigningKey{{Key: good.Key}}, issuer},
		"two keys of one id":       {[]oauth.SigningKey{good, newKey(t, "good")}, issuer},
		"an id without key":        {[]oauth.SigningKey{{KID: "empty"}}, issuer},
		"a key on another curve":   {[]oauth.SigningKey{{KID: "p384", Key: p384}}, issuer},
		"a second key not on P256": {[]oauth.SigningKey{good, {KID: "p384", Key: p384}}, issuer},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oauth.New(newDesk(), having(c.keys...), c.issuer, nil, nil)
			require.Error(t, err)
		})
	}
}

func TestDefaultsAreTheClockAndTheRandomSource(t *testing.T) {
	s, err := oauth.New(newDesk(), having(newKey(t, "k")), issuer, nil, nil)
	require.NoError(t, err)
	token, err := s.Mint(partner, time.Hour)
	require.NoError(t, err)
	_, err = s.Verify(t.Context(), token.AccessToken)
	require.NoError(t, err)
}

func TestIssue(t *testing.T) {
	for name, c := range map[string]struct {
		id, secret, contract string
		wanted               []string
		fault                error

		scopes []string
		code   pin.Code
		oauth  oauth.Code
	}{
		"all scopes unless some are wanted":             {id: partner.ID, secret: secret, scopes: partner.Scopes},
		"the scopes wanted":                             {id: partner.ID, secret: secret, wanted: []string{"pins:read"}, scopes: []string{"pins:read"}},
		"a scope wanted twice is granted once":          {id: partner.ID, secret: secret, wanted: []string{"pins:read", "pins:read"}, scopes: []string{"pins:read"}},
		"the client's own contract":                     {id: partner.ID, secret: secret, contract: "thredd", scopes: partner.Scopes},
		"another contract":                              {id: partner.ID, secret: secret, contract: "issuer", code: pin.Unauthorized},
		"a scope that the client has not":               {id: partner.ID, secret: secret, wanted: []string{"pins:read", "audit:read"}, oauth: oauth.InvalidScope},
		"an empty scope among others":                   {id: partner.ID, secret: secret, wanted: []string{"pins:read", ""}, oauth: oauth.InvalidScope},
		"a wrong secret":                                {id: partner.ID, secret: "wrong", code: pin.Unauthorized},
		"an unknown client":                             {id: "nobody", secret: secret, code: pin.Unauthorized},
		"an id that no database takes":                  {id: "partner\x00", secret: secret, fault: errors.New("must not be asked"), code: pin.Unauthorized},
		"an id that begins with what no database takes": {id: "\x00partner", secret: secret, fault: errors.New("must not be asked"), code: pin.Unauthorized},
		"a secret with the last of ASCII":               {id: partner.ID, secret: "~", fault: &pin.Error{Code: pin.Unavailable}, code: pin.Unavailable},
		"a secret beyond ASCII":                         {id: partner.ID, secret: "sécret", fault: errors.New("must not be asked"), code: pin.Unauthorized},
		"a database that cannot be reached":             {id: partner.ID, secret: secret, fault: &pin.Error{Code: pin.Unavailable}, code: pin.Unavailable},
		"a wrong secret comes before a wrong scope":     {id: partner.ID, secret: "wrong", wanted: []string{"audit:read"}, code: pin.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.desk.fail(c.fault)
			token, err := s.Issue(t.Context(), c.id, c.secret, c.contract, c.wanted, time.Hour)
			if c.code != "" {
				require.ErrorIs(t, err, &pin.Error{Code: c.code})
				return
			}
			if c.oauth != "" {
				var refusal *oauth.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, &oauth.Error{Code: c.oauth, Status: 400}, refusal)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.scopes, token.Scopes)
			require.Equal(t, time.Hour, token.ExpiresIn)

			caller, err := s.Verify(t.Context(), token.AccessToken)
			require.NoError(t, err)
			require.Equal(t, pin.Caller{ClientID: partner.ID, ProgramID: partner.ProgramID, Contract: "thredd", Scopes: c.scopes}, caller)
		})
	}
}

// Another implementation of the RFCs, with nothing but the published keys, must make sense of a token.
func TestTokenIsReadByOthers(t *testing.T) {
	s := newSetting(t, newKey(t, "new"), newKey(t, "old"))
	token, err := s.Issue(t.Context(), partner.ID, secret, "", nil, 4*time.Hour)
	require.NoError(t, err)
	published, err := s.JWKS()
	require.NoError(t, err)
	set, err := jwk.Parse(published)
	require.NoError(t, err)

	parsed, err := jwt.Parse([]byte(token.AccessToken), jwt.WithKeySet(set), jwt.WithIssuer(issuer), jwt.WithAudience("thredd"),
		jwt.WithClock(jwt.ClockFunc(s.clock.Now)))
	require.NoError(t, err)
	jti, _ := parsed.JwtID()
	require.NotEmpty(t, jti)
	body, err := json.Marshal(parsed)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"iss":%q,"sub":"partner-1","aud":["thredd"],"client_id":"partner-1","contract":"thredd",
		"program":"program-1","client_version":1,"scope":"pins:write pins:read cards:write","iat":%d,"exp":%d,"jti":%q}`,
		issuer, s.clock.Now().Unix(), s.clock.Now().Add(4*time.Hour).Unix(), jti), string(body))

	message, err := jws.ParseString(token.AccessToken)
	require.NoError(t, err)
	header, err := json.Marshal(message.Signatures()[0].ProtectedHeaders())
	require.NoError(t, err)
	require.JSONEq(t, `{"alg":"ES256","kid":"new","typ":"at+jwt"}`, string(header))
}

func TestTokensOfOneClientDiffer(t *testing.T) {
	s := newSetting(t)
	ids := map[string]bool{}
	for range 10 {
		message, err := jws.ParseString(s.mint(t, partner))
		require.NoError(t, err)
		var c struct{ JTI string }
		require.NoError(t, json.Unmarshal(message.Payload(), &c))
		ids[c.JTI] = true
	}
	require.Len(t, ids, 10)
}

func TestMintFailsWithTheRandomSource(t *testing.T) {
	s, err := oauth.New(newDesk(), having(newKey(t, "k")), issuer, nil, iotest.ErrReader(errors.New("dry")))
	require.NoError(t, err)
	_, err = s.Mint(partner, time.Hour)
	require.ErrorIs(t, err, &pin.Error{Code: pin.Internal})
}

func TestClientOfTheWholeServerHasNoProgram(t *testing.T) {
	s := newSetting(t)
	whole := pin.Client{ID: "operator", Contract: "issuer", Scopes: []string{"programs:write"}}
	s.desk.clients[whole.ID] = whole
	caller, err := s.Verify(t.Context(), s.mint(t, whole))
	require.NoError(t, err)
	require.Equal(t, pin.Caller{ClientID: "operator", Everywhere: true, Contract: "issuer", Scopes: []string{"programs:write"}}, caller)
}

func TestJWKSPublishesPublicKeysOnly(t *testing.T) {
	s := newSetting(t, newKey(t, "new"), newKey(t, "old"))
	published, err := s.JWKS()
	require.NoError(t, err)
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal(published, &set))
	require.Len(t, set.Keys, 2)
	for i, kid := range []string{"new", "old"} {
		got := set.Keys[i]
		require.NotEmpty(t, got["x"])
		require.NotEmpty(t, got["y"])
		delete(got, "x")
		delete(got, "y")
		require.Equal(t, map[string]string{"kty": "EC", "crv": "P-256", "alg": jwa.ES256().String(), "use": "sig", "kid": kid}, got)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	key := newKey(t, "kid-that-may-show")
	s := newSetting(t, key)
	token, err := s.Issue(t.Context(), partner.ID, secret, "", nil, time.Hour)
	require.NoError(t, err)
	request, err := oauth.ParseRequest("", form("client_credentials", partner.ID, secret, ""))
	require.NoError(t, err)
	raw, err := key.Key.(*ecdsa.PrivateKey).Bytes()
	require.NoError(t, err)
	number := strings.TrimLeft(fmt.Sprintf("%x", raw), "0")

	for name, value := range map[string]any{
		"a token": token, "a token's address": &token, "a token within": struct{ T oauth.Token }{token}, "tokens": []oauth.Token{token},
		"a request": request, "a request within": map[string]any{"r": request},
		"a signing key": key, "signing keys": []oauth.SigningKey{key},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			require.NoError(t, json.NewEncoder(&out).Encode(value))
			slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "value", value)
			if text, ok := value.(interface {
				fmt.Stringer
				MarshalText() ([]byte, error)
			}); ok {
				marshalled, err := text.MarshalText()
				require.NoError(t, err)
				fmt.Fprintln(&out, text.String(), string(marshalled))
			}
			require.Contains(t, out.String(), "****")
			for _, s := range []string{token.AccessToken, fmt.Sprintf("%x", token.AccessToken), secret, fmt.Sprintf("%x", secret), number} {
				require.NotContains(t, out.String(), s)
			}
			require.NotRegexp(t, `[0-9]{60}`, out.String(), "a private key in decimals")
		})
	}
}

// away is a signer that does not answer.
type away struct{ crypto.Signer }

func (away) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, &pin.Error{Code: pin.Unavailable}
}

func TestATokenIsNotIssuedWhileItsKeyIsAway(t *testing.T) {
	key := newKey(t, "k")
	key.Key = away{key.Key}
	s, err := oauth.New(newDesk(), func() []oauth.SigningKey { return []oauth.SigningKey{key} }, issuer, nil, nil)
	require.NoError(t, err)
	_, err = s.Mint(pin.Client{ID: "client"}, time.Hour)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
}
