package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"pinvault/impl/pin"
)

// Clients knows the partners' clients. [pin.Vault] is one.
type Clients interface {
	// Authenticate finds the client whose secret this is: Unauthorized, Unavailable.
	Authenticate(ctx context.Context, id, secret string) (pin.Client, error)
	// Client finds an active client: NotFound for any other, Unavailable.
	Client(ctx context.Context, id string) (pin.Client, error)
}

// Server issues and verifies the tokens of one issuer. It is safe for concurrent use, and any number
// of processes with the same keys verify each other's tokens.
type Server struct {
	clients Clients
	issuer  string
	now     func() time.Time
	rand    io.Reader

	source func() []SigningKey
	keys   atomic.Pointer[keysAt]

	// Tokens that passed every check that cannot change, by their SHA-256: whoever reads this memory
	// must not find tokens in it.
	verified *lru.Cache[[32]byte, *verified]
	asking   singleflight.Group
	changes  atomic.Int64 // see Recheck
}

// cacheSize bounds the tokens remembered, at about 1 KB each. Clients hold one or a few.
const cacheSize = 1 << 14

// New makes a server for issuer, the iss of its tokens. The first of the source's keys signs; all of them verify. The
// source is asked again and again, so that a key rotates while the server serves: it is added behind the one that
// signs, put first when every process has had the time to see it, and the old one is dropped when the tokens that it
// signed are over. now and random default to the clock and to the system's random source.
func New(clients Clients, source func() []SigningKey, issuer string, now func() time.Time, random io.Reader) (*Server, error) {
	if issuer == "" {
		return nil, errors.New("oauth: no issuer")
	}
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	s := &Server{clients: clients, issuer: issuer, now: now, rand: random, source: source}
	if _, err := newKeys(source()); err != nil {
		return nil, err
	}
	var err error
	s.verified, err = lru.New[[32]byte, *verified](cacheSize)
	return s, err
}

// JWKS is the JSON Web Key Set (RFC 7517; application/jwk-set+json) with the public half of every key.
func (s *Server) JWKS() ([]byte, error) {
	k, err := s.current(s.now())
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(k.jwks)
	if err != nil {
		return nil, &pin.Error{Code: pin.Internal, Err: err}
	}
	return set, nil
}

const redacted = "****"

// hidden, embedded, makes a struct print as **** in every way that Go prints a value.
type hidden struct{}

func (hidden) String() string               { return redacted }
func (hidden) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, redacted) }
func (hidden) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
func (hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (hidden) LogValue() slog.Value         { return slog.StringValue(redacted) }
