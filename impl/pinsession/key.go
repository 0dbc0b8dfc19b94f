package pinsession

import (
	"crypto/ecdh"
	"encoding/json"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"

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
	wrapped, err := s.keys.Seal(pin.UseKeyWrap, raw, bound(id))
	point := private.PublicKey().Bytes()[1:] // uncompressed, without the byte that says so
	return Key{X: encode(point[:coordinate]), Y: encode(point[coordinate:])}, wrapped, err
}

// bound keeps a wrapped key from serving another session, or as another kind of key.
func bound(id string) []byte { return []byte("pinvault: key of a PIN session: " + id) }

// open reads a PIN that the page sealed: Unopenable for whatever is not such a message to this session,
// and InvalidPIN for one without a PIN in it.
func (s *Sessions) open(session pin.Session, purpose string, sealed []byte) (pin.PIN, error) {
	raw, err := s.keys.Open(pin.UseKeyWrap, session.PrivateKey, bound(session.ID))
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
	var message struct {
		For string `json:"for"`
		PIN digits `json:"pin"`
	}
	defer func() { clear(message.PIN) }()
	if !ok || json.Unmarshal(plain, &message) != nil || message.For != purpose {
		return pin.PIN{}, &pin.Error{Code: pin.Unopenable}
	}
	return pin.New(message.PIN)
}

// digits is a JSON string of a PIN's digits, kept in bytes that can be cleared. What is between the
// quotes is taken as it stands: an escape is no digit.
type digits []byte

// UnmarshalJSON takes what stands between the quotes.
func (d *digits) UnmarshalJSON(text []byte) error {
	if len(text) >= 2 && text[0] == '"' {
		*d = append(make(digits, 0, len(text)), text[1:len(text)-1]...)
	}
	return nil
}

// decrypt opens a compact JWE of the one kind that the page makes. What else the format offers (other
// algorithms, compression, several recipients) is refused before anything is computed.
func decrypt(private *ecdh.PrivateKey, sealed []byte) ([]byte, bool) {
	m, err := jwe.Parse(sealed)
	if err != nil {
		return nil, false
	}
	h := m.ProtectedHeaders()
	algorithm, _ := h.Algorithm()
	encryption, _ := h.ContentEncryption()
	_, compressed := h.Compression()
	if algorithm != jwa.ECDH_ES() || encryption != jwa.A256GCM() || compressed {
		return nil, false
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, false
	}
	plain, err := jwe.Decrypt(sealed, jwe.WithKey(jwa.ECDH_ES(), key))
	return plain, err == nil
}
