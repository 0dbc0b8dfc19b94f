package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pinvault/impl/pin"
)

// Code is an error of the token endpoint in the protocol's own words (RFC 6749, 5.2).
type Code string

// The codes.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidClient        Code = "invalid_client"
	InvalidScope         Code = "invalid_scope"
	UnsupportedGrantType Code = "unsupported_grant_type"
)

// Error is the token endpoint's refusal: Code is the reply's error, Status its HTTP status, Err what the
// vault said, nil where it was not asked.
type Error struct {
	Code   Code
	Status int
	Err    error
}

// Error is the code.
func (e *Error) Error() string { return "oauth: " + string(e.Code) }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

// Challenge is the WWW-Authenticate that goes with the status, "" for none. Every 401 needs one
// (RFC 9110, 15.5.2), also where Basic was not tried.
func (e *Error) Challenge() string {
	if e.Status != http.StatusUnauthorized {
		return ""
	}
	return `Basic realm="token", charset="UTF-8"`
}

func failed(c Code) *Error {
	if c == InvalidClient {
		return &Error{Code: c, Status: http.StatusUnauthorized}
	}
	return &Error{Code: c, Status: http.StatusBadRequest}
}

// Request is a token request that keeps RFC 6749, 4.4.2. It prints as ****.
type Request struct {
	hidden
	ClientID string
	Secret   string
	Scopes   []string // none: all of the client's
}

// ParseRequest reads a token request: authorization is the header of that name, form the parameters
// of the body, not those of the URL. Any error is an [Error].
func ParseRequest(authorization string, form url.Values) (Request, error) {
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope"} {
		if len(form[name]) > 1 { // RFC 6749, 3.2
			return Request{}, failed(InvalidRequest)
		}
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return Request{}, failed(InvalidRequest)
	default:
		return Request{}, failed(UnsupportedGrantType)
	}
	r := Request{ClientID: form.Get("client_id"), Secret: form.Get("client_secret")}
	if scope := form.Get("scope"); scope != "" {
		r.Scopes = strings.Split(scope, " ")
	}
	if authorization != "" {
		id, secret, ok := basic(authorization)
		switch {
		case !ok || id == "":
			return Request{}, failed(InvalidClient)
		case r.Secret != "" || r.ClientID != "" && r.ClientID != id: // one way only: RFC 6749, 2.3
			return Request{}, failed(InvalidRequest)
		}
		r.ClientID, r.Secret = id, secret
	}
	switch {
	case r.Secret == "":
		return Request{}, failed(InvalidClient)
	case r.ClientID == "": // a parameter that is missing, not a client that fails
		return Request{}, failed(InvalidRequest)
	}
	return r, nil
}

// Exchange is Issue for a token request, with the refusals of RFC 6749: an [Error] for what the
// client did wrong, otherwise Unavailable or Internal. The reply, either way, goes out with
// Cache-Control: no-store (RFC 6749, 5.1).
func (s *Server) Exchange(ctx context.Context, r Request, contract string, ttl time.Duration) (Token, error) {
	token, err := s.Issue(ctx, r.ClientID, r.Secret, contract, r.Scopes, ttl)
	if errors.Is(err, &pin.Error{Code: pin.Unauthorized}) {
		err = &Error{Code: InvalidClient, Status: http.StatusUnauthorized, Err: err}
	}
	return token, err
}

// basic reads HTTP Basic credentials, whose parts are form-urlencoded within (RFC 6749, 2.3.1).
func basic(authorization string) (id, secret string, ok bool) {
	encoded, ok := credentials(authorization, "Basic")
	if !ok {
		return "", "", false
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(pair), ":")
	if !ok {
		return "", "", false
	}
	if id, err = url.QueryUnescape(id); err != nil {
		return "", "", false
	}
	if secret, err = url.QueryUnescape(secret); err != nil {
		return "", "", false
	}
	return id, secret, true
}

// Bearer reads the token from an Authorization header: the scheme in any case, a space or more, and a
// token of the characters that RFC 6750, 2.1 allows.
func Bearer(header string) (token string, ok bool) { return credentials(header, "Bearer") }

// credentials reads a header of the form scheme 1*SP token68 (RFC 9110, 11.4).
func credentials(header, scheme string) (string, bool) {
	name, value, found := strings.Cut(header, " ")
	value = strings.TrimLeft(value, " ")
	// EqualFold knows letters beyond ASCII that fold to ASCII ones; they are longer.
	if !found || len(name) != len(scheme) || !strings.EqualFold(name, scheme) || !token68(value) {
		return "", false
	}
	return value, true
}

func token68(text string) bool {
	text = strings.TrimRight(text, "=")
	for i := range len(text) { // every request is looked through
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return text != ""
}
