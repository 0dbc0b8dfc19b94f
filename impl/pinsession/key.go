package pinsession

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"pinvault/impl/jose"
	"pinvault/impl/pin"
)

// A PIN leaves the browser as a compact JWE (RFC 7516), ECDH-ES with A256GCM (RFC 7518, 4.6 and 5.3), to
// a P-256 key that is made for one session and kept wrapped. Inside is {"for":"current","pin":"1234"},
// followed by blanks so that all are of one length. What a PIN is for stands inside, so that a recorded
// submission of the current PIN cannot be sent as the new one.

// Key is the public key of a session (RFC 7518, 6.2.1), coordinates in base64url.
type Key struct{ X, Y string }

// What a submitted PIN is for.
const (
	purposeCurrent = "current"
	purposeNew     = "new"
)

// coordinate is the length of a P-256 coordinate, in bytes.
const coordinate = 32

// newKey makes a session's key; the private part is wrapped and bound to the session.
func (s *Sessions) newKey(id string) (Key, []byte, error) {
	private, err := ecdh.P256().GenerateKey(s.rand)
	if err != nil {
		return Key{}, nil, &pin.Error{Code: pin.Internal, Err: err}
	}
	raw := private.Bytes()
	defer clear(raw)
	wrapped, err := s.keys.Seal(pin.UseKeyWrap, raw, pin.SessionKeyBound(id))
	point := private.PublicKey().Bytes()[1:] // uncompressed, without the byte that says so
	return Key{X: encode(point[:coordinate]), Y: encode(point[coordinate:])}, wrapped, err
}

// open reads a PIN that the page sealed: Unopenable for whatever is not such a message to this session,
// and InvalidPIN for one without a PIN in it.
func (s *Sessions) open(ctx context.Context, session pin.Session, purpose string, sealed []byte) (pin.PIN, error) {
	raw, err := s.keys.Open(pin.UseKeyWrap, session.PrivateKey, pin.SessionKeyBound(session.ID))
	if err != nil {
		return pin.PIN{}, err
	}
	defer clear(raw)
	private, err := ecdh.P256().NewPrivateKey(raw)
	if err != nil {
		return pin.PIN{}, &pin.Error{Code: pin.Internal, Err: err}
	}
	plain, ok := decrypt(private, sealed)
	defer clear(plain)
	if !ok {
		return pin.PIN{}, &pin.Error{Code: pin.Unopenable}
	}
	s.opened(ctx, plain)
	sealedFor, digits, ok := read(plain)
	if !ok || sealedFor != purpose {
		return pin.PIN{}, &pin.Error{Code: pin.Unopenable}
	}
	return pin.New(digits)
}

// read reads what is inside, as strictly as bodies are read elsewhere (RFC 7493): no member twice, none in
// other letters and none besides the two. The digits are a part of plain, nil where the PIN is no string:
// what is between its quotes is taken as it stands, so that an escape is no digit.
func read(plain []byte) (purpose string, digits []byte, ok bool) {
	d := jsontext.NewDecoder(bytes.NewBuffer(plain)) // which reads in place
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return "", nil, false
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return "", nil, false
		}
		switch name.String() {
		case "for":
			value, err := d.ReadToken()
			if err != nil || value.Kind() != '"' {
				return "", nil, false
			}
			purpose = value.String()
		case "pin":
			value, err := d.ReadValue()
			if err != nil {
				return "", nil, false
			}
			if value.Kind() == '"' {
				at := int(d.InputOffset())
				digits = plain[at-len(value)+1 : at-1]
			}
		default:
			return "", nil, false
		}
	}
	if token, err := d.ReadToken(); err != nil || token.Kind() != '}' {
		return "", nil, false
	}
	_, err := d.ReadToken()
	return purpose, digits, errors.Is(err, io.EOF)
}

// decrypt opens a compact JWE of the one kind that the page makes. What else the format offers (other
// algorithms, compression, several recipients, a demand ("crit", RFC 7516, 4.1.13)) is refused before anything is computed.
func decrypt(private *ecdh.PrivateKey, sealed []byte) ([]byte, bool) {
	m, err := jwe.Parse(sealed)
	if err != nil || !jose.PlainHeader(sealed) {
		return nil, false
	}
	h := m.ProtectedHeaders()
	algorithm, _ := h.Algorithm()
	encryption, _ := h.ContentEncryption()
	_, compressed := h.Compression()
	if algorithm != jwa.ECDH_ES() || encryption != jwa.A256GCM() || compressed || h.Has(jwe.CriticalKey) {
		return nil, false
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, false
	}
	plain, err := jwe.Decrypt(sealed, jwe.WithKey(jwa.ECDH_ES(), key))
	return plain, err == nil
}
