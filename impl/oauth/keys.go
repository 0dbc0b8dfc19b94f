package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"pinvault/impl/pin"
)

// SigningKey is a key on P-256 and the id by which tokens name it. It prints as ****.
type SigningKey struct {
	hidden
	KID string
	Key crypto.Signer // its Public is an *ecdsa.PublicKey
}

// keys are those that one source had, ready for use.
type keys struct {
	list   []SigningKey                // the one to sign with first
	public map[string]*ecdsa.PublicKey // by key id
	jwks   jwk.Set
}

// sighting of the source's keys: what they were when.
type keysAt struct {
	*keys
	at time.Time
}

func newKeys(list []SigningKey) (*keys, error) {
	if len(list) == 0 {
		return nil, errors.New("oauth: no signing key")
	}
	k := &keys{list: list, public: make(map[string]*ecdsa.PublicKey), jwks: jwk.NewSet()}
	for _, one := range list {
		if err := k.publish(one); err != nil {
			return nil, fmt.Errorf("oauth: signing key %q: %w", one.KID, err)
		}
	}
	return k, nil
}

// publish makes a key one that verifies, here and for readers of the JWKS.
func (s *keys) publish(k SigningKey) error {
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

// are tells whether these are the keys of a list, in its order.
func (s *keys) are(list []SigningKey) bool {
	return slices.EqualFunc(s.list, list, func(a, b SigningKey) bool { return a.KID == b.KID })
}

// recent are the keys as they were not longer than recheck ago: a key that was retired verifies nothing after it.
func (s *Server) recent(now time.Time) (*keys, error) {
	if seen := s.keys.Load(); seen != nil {
		if age := now.Sub(seen.at); age >= 0 && age < recheck {
			return seen.keys, nil
		}
	}
	return s.current(now)
}

// current are the keys as they are: an Internal where they are none to work with.
func (s *Server) current(now time.Time) (*keys, error) {
	list := s.source()
	seen := s.keys.Load()
	fresh := &keysAt{at: now}
	if seen != nil && seen.are(list) {
		fresh.keys = seen.keys
	} else {
		var err error
		if fresh.keys, err = newKeys(list); err != nil {
			return nil, &pin.Error{Code: pin.Internal, Err: err}
		}
	}
	s.keys.CompareAndSwap(seen, fresh) // or somebody else has looked meanwhile
	return fresh.keys, nil
}
