package oauth_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

func TestBearer(t *testing.T) {
	for name, c := range map[string]struct {
		header, token string
	}{
		"a token":                        {"Bearer abc", "abc"},
		"the scheme in any case":         {"bEARER abc", "abc"},
		"all that a token may hold":      {"Bearer AZaz09-._~+/==", "AZaz09-._~+/=="},
		"nothing":                        {"", ""},
		"the scheme alone":               {"Bearer", ""},
		"the scheme and a space":         {"Bearer ", ""},
		"another scheme":                 {"Basic abc", ""},
		"a longer scheme":                {"Bearers abc", ""},
		"two spaces":                     {"Bearer  abc", "abc"},
		"a tab":                          {"Bearer\tabc", ""},
		"a space before":                 {" Bearer abc", ""},
		"a space after":                  {"Bearer abc ", ""},
		"two tokens":                     {"Bearer abc def", ""},
		"a comma":                        {"Bearer abc,def", ""},
		"padding alone":                  {"Bearer ==", ""},
		"padding within":                 {"Bearer a=c", ""},
		"a quoted token":                 {`Bearer "abc"`, ""},
		"a NUL":                          {"Bearer abc\x00", ""},
		"a line break":                   {"Bearer abc\n", ""},
		"a letter beyond ASCII":          {"Bearer äbc", ""},
		"bytes that are no text":         {"Bearer \xff\xfe", ""},
		"the token without its scheme":   {"abc", ""},
		"a parameter instead of a token": {"Bearer token=abc", ""},
	} {
		t.Run(name, func(t *testing.T) {
			token, ok := oauth.Bearer(c.header)
			require.Equal(t, c.token, token)
			require.Equal(t, c.token != "", ok)
		})
	}
}

// form is a token request's body; parameters that are "" are left out.
func form(grant, id, secret, scope string) url.Values {
	f := url.Values{}
	for name, value := range map[string]string{"grant_type": grant, "client_id": id, "client_secret": secret, "scope": scope} {
		if value != "" {
			f.Set(name, value)
		}
	}
	return f
}

// basic is the header of RFC 6749, 2.3.1.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func encoded(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

func TestParseRequest(t *testing.T) {
	const grant = "client_credentials"
	with := func(f url.Values, name string, values ...string) url.Values { f[name] = values; return f }
	for name, c := range map[string]struct {
		authorization string
		form          url.Values

		id, secret string
		scopes     []string
		code       oauth.Code
	}{
		"credentials in the form":             {form: form(grant, "me", "s3", ""), id: "me", secret: "s3"},
		"credentials by Basic":                {basic("me", "s3"), form(grant, "", "", ""), "me", "s3", nil, ""},
		"Basic in any case":                   {"bASIC" + strings.TrimPrefix(basic("me", "s3"), "Basic"), form(grant, "", "", ""), "me", "s3", nil, ""},
		"Basic with a colon and per cent":     {basic("m:e %", "s:3+ä"), form(grant, "", "", ""), "m:e %", "s:3+ä", nil, ""},
		"Basic with the client id once more":  {basic("me", "s3"), form(grant, "me", "", ""), "me", "s3", nil, ""},
		"scopes":                              {form: form(grant, "me", "s3", "a b"), id: "me", secret: "s3", scopes: []string{"a", "b"}},
		"a scope without value is none":       {form: with(form(grant, "me", "s3", ""), "scope", ""), id: "me", secret: "s3"},
		"two spaces between scopes are kept":  {form: form(grant, "me", "s3", "a  b"), id: "me", secret: "s3", scopes: []string{"a", "", "b"}},
		"a parameter that nobody knows":       {form: with(form(grant, "me", "s3", ""), "resource", "x", "y"), id: "me", secret: "s3"},
		"an empty secret beside Basic":        {basic("me", "s3"), with(form(grant, "", "", ""), "client_secret", ""), "me", "s3", nil, ""},
		"no parameter":                        {form: nil, code: oauth.InvalidRequest},
		"no grant type":                       {form: form("", "me", "s3", ""), code: oauth.InvalidRequest},
		"a grant type without value":          {form: with(form("", "me", "s3", ""), "grant_type", ""), code: oauth.InvalidRequest},
		"another grant type":                  {form: form("password", "me", "s3", ""), code: oauth.UnsupportedGrantType},
		"a grant type in capitals":            {form: form("CLIENT_CREDENTIALS", "me", "s3", ""), code: oauth.UnsupportedGrantType},
		"the grant type twice":                {form: with(form(grant, "me", "s3", ""), "grant_type", grant, grant), code: oauth.InvalidRequest},
		"the client id twice":                 {form: with(form(grant, "me", "s3", ""), "client_id", "me", "me"), code: oauth.InvalidRequest},
		"the secret twice":                    {form: with(form(grant, "me", "s3", ""), "client_secret", "s3", "s3"), code: oauth.InvalidRequest},
		"the scope twice":                     {form: with(form(grant, "me", "s3", ""), "scope", "a", "a"), code: oauth.InvalidRequest},
		"Basic and a secret in the form":      {basic("me", "s3"), form(grant, "me", "s3", ""), "", "", nil, oauth.InvalidRequest},
		"Basic and the secret once more":      {basic("me", "s3"), form(grant, "", "s3", ""), "", "", nil, oauth.InvalidRequest},
		"Basic and another client's id":       {basic("me", "s3"), form(grant, "you", "", ""), "", "", nil, oauth.InvalidRequest},
		"no credentials":                      {form: form(grant, "", "", ""), code: oauth.InvalidClient},
		"no secret":                           {form: form(grant, "me", "", ""), code: oauth.InvalidClient},
		"no client id":                        {form: form(grant, "", "s3", ""), code: oauth.InvalidRequest},
		"another scheme":                      {"Bearer abc", form(grant, "me", "s3", ""), "", "", nil, oauth.InvalidClient},
		"Basic with a letter that folds to s": {"Baſic bWU6czM=", form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic with nothing":                  {"Basic", form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic that is not base64":            {"Basic bWU6czM", form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic without a colon":               {encoded("me"), form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic without a client id":           {encoded(":s3"), form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic without a secret":              {encoded("me:"), form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic with an id badly urlencoded":   {encoded("m%zz:s3"), form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"Basic with a secret so":              {encoded("me:s%3"), form(grant, "", "", ""), "", "", nil, oauth.InvalidClient},
		"a grant type comes before a client":  {"Bearer abc", form("password", "", "", ""), "", "", nil, oauth.UnsupportedGrantType},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := oauth.ParseRequest(c.authorization, c.form)
			if c.code != "" {
				var refusal *oauth.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, c.code, refusal.Code)
				require.Zero(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, oauth.Request{ClientID: c.id, Secret: c.secret, Scopes: c.scopes}, got)
		})
	}
}

func TestExchange(t *testing.T) {
	for name, c := range map[string]struct {
		authorization string
		form          url.Values
		contract      string
		fault         error

		refusal   oauth.Error
		challenge bool
		code      pin.Code
	}{
		"a token":                         {form: form("client_credentials", partner.ID, secret, "pins:read")},
		"a token by Basic":                {authorization: basic(partner.ID, secret), form: form("client_credentials", "", "", "pins:read"), contract: "thredd"},
		"a wrong secret":                  {form: form("client_credentials", partner.ID, "wrong", ""), refusal: oauth.Error{Code: "invalid_client", Status: 401}, challenge: true},
		"a wrong secret by Basic":         {authorization: basic(partner.ID, "wrong"), form: form("client_credentials", "", "", ""), refusal: oauth.Error{Code: "invalid_client", Status: 401}, challenge: true},
		"a NUL in an id":                  {authorization: basic("\x00", secret), form: form("client_credentials", "", "", ""), refusal: oauth.Error{Code: "invalid_client", Status: 401}, challenge: true},
		"a client of another contract":    {form: form("client_credentials", partner.ID, secret, ""), contract: "issuer", refusal: oauth.Error{Code: "invalid_client", Status: 401}, challenge: true},
		"a scope that the client lacks":   {form: form("client_credentials", partner.ID, secret, "audit:read"), refusal: oauth.Error{Code: "invalid_scope", Status: 400}},
		"another grant":                   {form: form("refresh_token", partner.ID, secret, ""), refusal: oauth.Error{Code: "unsupported_grant_type", Status: 400}},
		"no grant":                        {form: form("", partner.ID, secret, ""), refusal: oauth.Error{Code: "invalid_request", Status: 400}},
		"a database that is out of reach": {form: form("client_credentials", partner.ID, secret, ""), fault: &pin.Error{Code: pin.Unavailable}, code: pin.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			s.desk.fail(c.fault)
			var token oauth.Token
			request, err := oauth.ParseRequest(c.authorization, c.form)
			if err == nil {
				token, err = s.Exchange(t.Context(), request, c.contract, time.Hour)
			}
			switch {
			case c.code != "":
				require.ErrorIs(t, err, &pin.Error{Code: c.code})
			case c.refusal.Code != "":
				var refusal *oauth.Error
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, c.refusal.Code, refusal.Code)
				require.Equal(t, c.refusal.Status, refusal.Status)
				asked := refusal.Err != nil // the vault, whose word the log has
				require.Equal(t, asked, pin.CodeOf(refusal) == pin.Unauthorized)
				require.Equal(t, c.challenge, refusal.Challenge() != "")
				require.Equal(t, "oauth: "+string(c.refusal.Code), refusal.Error())
			default:
				require.NoError(t, err)
				require.Equal(t, []string{"pins:read"}, token.Scopes)
				_, err = s.Verify(t.Context(), token.AccessToken)
				require.NoError(t, err)
			}
		})
	}
}
