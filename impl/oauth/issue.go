package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"pinvault/impl/pin"
)

// Token is an issued bearer token. It prints as ****.
type Token struct {
	hidden
	AccessToken string        // JWS compact serialization
	ExpiresIn   time.Duration // from its issue
	Scopes      []string      // as granted
}

// claims are the body of a token (RFC 9068, 2.2), with the contract as its audience: a token of one
// contract is worth nothing in another.
type claims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"` // the client: there is no user in this grant
	Audience  string `json:"aud"` // the contract
	ClientID  string `json:"client_id"`
	Scope     string `json:"scope"` // separated by single spaces
	Contract  string `json:"contract"`
	Program   string `json:"program,omitempty"` // "" for a client of the whole server
	Version   int64  `json:"client_version"`    // of the client, so that a rotation ends its tokens
	IssuedAt  int64  `json:"iat"`               // seconds since 1970
	NotBefore int64  `json:"nbf,omitempty"`     // never issued, honoured all the same
	Expires   int64  `json:"exp"`
	ID        string `json:"jti"`
}

// tokenType is what an access token calls itself, so that no other JWT passes for one (RFC 9068, 2.1).
const tokenType = "at+jwt"

// Issue gives a client a token that lives for ttl, with the scopes wanted or, if none are, all that
// the client has. A contract other than "" must be the client's. Unauthorized, Unavailable, and an
// [Error] InvalidScope for a scope that the client has not.
func (s *Server) Issue(ctx context.Context, clientID, secret, contract string, wantedScopes []string, ttl time.Duration) (Token, error) {
	if !printable(clientID) || !printable(secret) {
		return Token{}, refused("client credentials hold a character outside RFC 6749, A.1 and A.2")
	}
	client, err := s.clients.Authenticate(ctx, clientID, secret)
	if err != nil {
		return Token{}, err
	}
	if contract != "" && client.Contract != contract {
		return Token{}, &pin.Error{Code: pin.Unauthorized, Err: errors.New("oauth: client of another contract"), Client: client.ID}
	}
	for _, scope := range wantedScopes {
		if !slices.Contains(client.Scopes, scope) {
			return Token{}, failed(InvalidScope)
		}
	}
	if len(wantedScopes) > 0 {
		client.Scopes = common(client.Scopes, wantedScopes)
	}
	return s.Mint(client, ttl)
}

// Mint gives a token to a client that needs no authentication, because whoever calls vouches for it:
// the sandbox's fixtures. A ttl below zero makes a token that has expired.
func (s *Server) Mint(client pin.Client, ttl time.Duration) (Token, error) {
	id, err := uuid.NewRandomFromReader(s.rand)
	if err != nil {
		return Token{}, internal(err)
	}
	now := s.now()
	payload, err := json.Marshal(claims{
		Issuer: s.issuer, Subject: client.ID, Audience: client.Contract, ClientID: client.ID,
		Scope: strings.Join(client.Scopes, " "), Contract: client.Contract, Program: client.ProgramID, Version: client.Version,
		IssuedAt: now.Unix(), Expires: now.Add(ttl).Unix(), ID: id.String(),
	})
	if err != nil {
		return Token{}, internal(err)
	}
	k, err := s.current(now)
	if err != nil {
		return Token{}, err
	}
	signed, err := sign(payload, k.list[0])
	if err != nil {
		return Token{}, internal(err)
	}
	return Token{AccessToken: string(signed), ExpiresIn: ttl, Scopes: client.Scopes}, nil
}

func sign(payload []byte, key SigningKey) ([]byte, error) {
	header := jws.NewHeaders()
	for name, value := range map[string]string{jws.TypeKey: tokenType, jws.KeyIDKey: key.KID} {
		if err := header.Set(name, value); err != nil {
			return nil, err
		}
	}
	return jws.Sign(payload, jws.WithKey(jwa.ES256(), key.Key, jws.WithProtectedHeaders(header)))
}

// common are the scopes that both have, in the order of the first.
func common(scopes, others []string) []string {
	var out []string
	for _, scope := range scopes {
		if slices.Contains(others, scope) {
			out = append(out, scope)
		}
	}
	return slices.Clip(out)
}

// printable tells whether text is made of visible ASCII characters and spaces, all that a client id
// and a secret may hold (RFC 6749, A.1 and A.2). Others would get as far as the database, and NUL no
// further.
func printable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// refused is the one error for credentials and tokens that are not good. why is for the log and
// never holds what came in.
func refused(why string) error {
	return &pin.Error{Code: pin.Unauthorized, Err: fmt.Errorf("oauth: %s", why)}
}

func internal(err error) error {
	if pin.CodeOf(err) == pin.Unavailable { // the signing key may be in a token, which may be away
		return &pin.Error{Code: pin.Unavailable, Err: fmt.Errorf("oauth: %w", err)}
	}
	return &pin.Error{Code: pin.Internal, Err: fmt.Errorf("oauth: %w", err)}
}
