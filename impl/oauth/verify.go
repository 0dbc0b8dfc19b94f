package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"pinvault/impl/pin"
)

const (
	// maxToken bounds a token, in bytes: ours have some 600, and a longer one is not worth parsing.
	maxToken = 8 << 10

	// recheck is how long a client's standing is taken for granted. With as much again that the vault takes
	// for it a client that was revoked or rotated by another process is out within a second.
	recheck = 400 * time.Millisecond

	// skew is how far the clocks of two processes that issue and verify may be apart.
	skew = 30 * time.Second

	// lookupTime bounds the question about a client, which the requests waiting for it share, unless they were given much time.
	lookupTime = 3 * time.Second
)

// verified is a token whose signature and claims are good by those keys, and how its client stood when last asked.
type verified struct {
	claims claims
	by     *keys
	latest atomic.Pointer[standing]
}

// standing is a client as it was seen: who calls with the token, with no more than what the client
// still has.
type standing struct {
	caller  pin.Caller
	asked   time.Time
	changes int64 // of clients by this process, until then
}

// Verify tells who calls with a bearer token; the address and the trace are the caller's to fill in.
// The scopes are those that the token and, by now, the client have; they are shared, not to be
// written to.
//
// Unauthorized for every token that is not good: malformed, another algorithm, unknown key, bad
// signature, another issuer, expired, not yet valid, or of a client that was revoked or has another secret
// by now, which shows within a second. Unavailable when the client cannot be looked up.
func (s *Server) Verify(ctx context.Context, bearer string) (pin.Caller, error) {
	if len(bearer) > maxToken {
		return pin.Caller{}, refused("token too long")
	}
	now := s.now()
	keys, err := s.recent(now)
	if err != nil {
		return pin.Caller{}, err
	}
	var buffer [1024]byte // keeps the copy of a usual token off the heap
	digest := sha256.Sum256(append(buffer[:0], bearer...))
	// Peek, unlike Get, takes no exclusive lock. A token's place among the recently used ones is
	// renewed with its client's standing, which is exact enough for an eviction.
	v, known := s.verified.Peek(digest)
	if !known || v.by != keys {
		c, err := s.read(bearer, keys)
		if err != nil {
			return pin.Caller{}, err
		}
		v = &verified{claims: c, by: keys}
	}
	if err := v.claims.timely(now); err != nil {
		return pin.Caller{}, err
	}
	changes := s.changes.Load()
	if latest := v.latest.Load(); latest != nil && latest.changes == changes && now.Before(latest.asked.Add(recheck)) {
		return latest.caller, nil
	}
	latest, err := s.standing(ctx, v.claims)
	if err != nil {
		return pin.Caller{}, err
	}
	latest.changes = changes
	v.latest.Store(latest)
	s.verified.Add(digest, v)
	return latest.caller, nil
}

// Recheck has every client asked after before it is served again: this process has changed one.
func (s *Server) Recheck() { s.changes.Add(1) }

// read checks what never changes about a token: its form, its signature and whose it is.
func (s *Server) read(bearer string, by *keys) (claims, error) {
	payload, err := jws.Verify([]byte(bearer), jws.WithCompact(), jws.WithKeyProvider(jws.KeyProviderFunc(by.keyFor)))
	if err != nil {
		return claims{}, refused("token malformed or not signed by one of our keys") // err quotes the token
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, refused("token with claims that are not ours")
	}
	if c.Issuer != s.issuer || c.Subject != c.ClientID || c.Audience != c.Contract {
		return claims{}, refused("token of another issuer or with claims that are not ours")
	}
	return c, nil
}

// keyFor finds the key that a token names. The algorithm is ours to say: the header's may only agree
// with it (RFC 8725, 3.1), and it takes a key by id only, never one that the token brings along.
func (s *keys) keyFor(_ context.Context, sink jws.KeySink, sig *jws.Signature, _ *jws.Message) error {
	header := sig.ProtectedHeaders()
	alg, _ := header.Algorithm()
	typ, _ := header.Type()
	kid, _ := header.KeyID()
	key, known := s.public[kid]
	if !known || alg != jwa.ES256() || typ != tokenType || header.Has(jws.CriticalKey) {
		return errors.New("oauth: header is not one of ours")
	}
	sink.Key(jwa.ES256(), key)
	return nil
}

// timely refuses a token before and after its time.
func (c claims) timely(now time.Time) error {
	switch {
	case now.Unix() >= c.Expires:
		return refused("token expired")
	case max(c.IssuedAt, c.NotBefore) > now.Add(skew).Unix():
		return refused("token not yet valid")
	}
	return nil
}

// standing asks after a token's client.
func (s *Server) standing(ctx context.Context, c claims) (*standing, error) {
	seen, err := s.ask(ctx, c.ClientID)
	switch {
	case pin.CodeOf(err) == pin.NotFound:
		return nil, refused("token of a client that is unknown or revoked")
	case errors.Is(err, &pin.Error{Code: pin.Internal}): // the vault's own failure, a broken seal for one
		return nil, err
	case err != nil:
		return nil, &pin.Error{Code: pin.Unavailable, Err: err}
	case seen.client.Contract != c.Contract || seen.client.ProgramID != c.Program:
		return nil, refused("token of a client that has moved")
	case !seen.client.Honours(c.Version, seen.at):
		return nil, refused("token of a secret that was rotated")
	}
	who := seen.client.Caller()
	who.Scopes = common(strings.Fields(c.Scope), seen.client.Scopes)
	return &standing{asked: seen.at, caller: who}, nil
}

// sighting is a client and the time before which it was not looked at.
type sighting struct {
	client pin.Client
	at     time.Time
}

// ask looks a client up, once for all who ask at the same time. So it must not end with the request
// that came first, and sees every client, whoever calls.
func (s *Server) ask(ctx context.Context, id string) (sighting, error) {
	seen, err, _ := s.asking.Do(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(pin.WithCaller(context.WithoutCancel(ctx), pin.Caller{Everywhere: true}), pin.Patience(ctx, lookupTime))
		defer cancel()
		at := s.now()
		client, err := s.clients.Client(ctx, id)
		return sighting{client, at}, err
	})
	return seen.(sighting), err
}
