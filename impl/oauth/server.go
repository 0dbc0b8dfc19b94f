package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
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

// SigningKey is a key on P-256 and the id by which tokens name it. It prints as ****.
type SigningKey struct {
	hidden
	KID string
	Key crypto.Signer // its Public is an *ecdsa.PublicKey
}

// Server issues and verifies the tokens of one issuer. It is safe for concurrent use, and any number
// of processes with the same keys verify each other's tokens.
type Server struct {
	clients Clients
	issuer  string
	now     func() time.Time
	rand    io.Reader

	signing SigningKey
	public  map[string]*ecdsa.PublicKey // by key id
	jwks    jwk.Set

	// Tokens that passed every check that cannot change, by their SHA-256: whoever reads this memory
	// must not find tokens in it.
	verified *lru.Cache[[32]byte, *verified]
	asking   singleflight.Group
	changes  atomic.Int64 // see Recheck
}

// cacheSize bounds the tokens remembered, at about 1 KB each. Clients hold one or a few.
const cacheSize = 1 << 14

// New makes a server for issuer, the iss of its tokens. The first key signs; all of them verify, so
// that a key is rotated by putting the new one first and dropping the old one when the tokens that it
// signed are over. now and random default to the clock and to the system's random source.
func New(clients Clients, keys []SigningKey, issuer string, now func() time.Time, random io.Reader) (*Server, error) {
	if issuer == "" {
		return nil, errors.New("oauth: no issuer")
	}
	if len(keys) == 0 {
		return nil, errors.New("oauth: no signing key")
	}
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	s := &Server{clients: clients, issuer: issuer, now: now, rand: random,
		signing: keys[0], public: make(map[string]*ecdsa.PublicKey), jwks: jwk.NewSet()}
	for _, k := range keys {
		if err := s.publish(k); err != nil {
			return nil, fmt.Errorf("oauth: signing key %q: %w", k.KID, err)
		}
	}
	var err error
	s.verified, err = lru.New[[32]byte, *verified](cacheSize)
	return s, err
}

// publish makes a key one that verifies, here and for readers of the JWKS.
func (s *Server) publish(k SigningKey) error {
	var public *ecdsa.PublicKey
	if k.Key != nil {
		public, _ = k.Key.Public().(*ecdsa.PublicKey)
	}
	switch {
	case k.KID == "":
		return errors.New("has no id")
	case s.public[k.KID] != nil:
		return errors.New("has the id of another")
	case public == nil || public.Curve != elliptic.P256():
		return errors.New("is not on P-256, as ES256 demands")
	}
	key, err := jwk.Import(public)
	if err != nil {
		return err
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey: k.KID, jwk.AlgorithmKey: jwa.ES256(), jwk.KeyUsageKey: jwk.ForSignature,
	} {
		if err := key.Set(name, value); err != nil {
			return err
		}
	}
	s.public[k.KID] = public
	return s.jwks.AddKey(key)
}

// JWKS is the JSON Web Key Set (RFC 7517; application/jwk-set+json) with the public half of every key.
func (s *Server) JWKS() ([]byte, error) {
	set, err := json.Marshal(s.jwks)
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
