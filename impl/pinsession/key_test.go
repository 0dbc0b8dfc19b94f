package pinsession

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// plain are keys that protect nothing: a ciphertext is the plaintext behind what it is bound to, a MAC five bytes
// that name the key, and a hash.
type plain struct{ version byte }

func (p plain) MAC(use pin.Use, data []byte) ([]byte, error) {
	sum := sha256.Sum256(append([]byte(use), data...))
	return append([]byte{1, 0, 0, 0, p.version}, sum[:]...), nil
}

func (p plain) VerifyMAC(use pin.Use, data, mac []byte) bool {
	want, _ := p.MAC(use, data)
	return bytes.Equal(want, mac)
}

func (plain) Seal(_ pin.Use, plaintext, associated []byte) ([]byte, error) {
	return append(append([]byte{}, associated...), plaintext...), nil
}

func (plain) Open(_ pin.Use, ciphertext, associated []byte) ([]byte, error) {
	if len(ciphertext) < len(associated) || string(ciphertext[:len(associated)]) != string(associated) {
		return nil, &pin.Error{Code: pin.Internal}
	}
	return append([]byte{}, ciphertext[len(associated):]...), nil
}

// keyed is a session with a key, and the public part as the page gets it.
func keyed(t *testing.T) (*Sessions, pin.Session, *ecdh.PublicKey) {
	t.Helper()
	s := New(nil, plain{}, 0, nil, nil)
	key, wrapped, err := s.newKey("session")
	require.NoError(t, err)
	point := []byte{4}
	for _, text := range []string{key.X, key.Y} {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		require.NoError(t, err)
		require.Len(t, raw, coordinate)
		point = append(point, raw...)
	}
	public, err := ecdh.P256().NewPublicKey(point)
	require.NoError(t, err)
	return s, pin.Session{ID: "session", PrivateKey: wrapped}, public
}

func seal(t *testing.T, key *ecdh.PublicKey, message string) []byte {
	t.Helper()
	sealed, err := jwe.Encrypt([]byte(message), jwe.WithKey(jwa.ECDH_ES(), key), jwe.WithContentEncryption(jwa.A256GCM()))
	require.NoError(t, err)
	return sealed
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s, session, key := keyed(t)
	for name, c := range map[string]struct {
		message string
		want    string
		code    pin.Code
	}{
		"a PIN":                     {`{"for":"new","pin":"0482"}`, "0482", ""},
		"a PIN and blanks after it": {`{"for":"new","pin":"048261"}            `, "048261", ""},
		"a PIN for another purpose": {`{"for":"current","pin":"0482"}`, "", pin.Unopenable},
		"a PIN for no purpose":      {`{"pin":"0482"}`, "", pin.Unopenable},
		"a PIN that is a number":    {`{"for":"new","pin":4826}`, "", pin.InvalidPIN},
		"no PIN":                    {`{"for":"new"}`, "", pin.InvalidPIN},
		"null":                      {`{"for":"new","pin":null}`, "", pin.InvalidPIN},
		"an escaped digit":          {`{"for":"new","pin":"\u0034826"}`, "", pin.InvalidPIN},
		"digits of another script":  {`{"for":"new","pin":"٤٨٢٦"}`, "", pin.InvalidPIN},
		"too few":                   {`{"for":"new","pin":"482"}`, "", pin.InvalidPIN},
		"too many":                  {`{"for":"new","pin":"1234567890123"}`, "", pin.InvalidPIN},
		"no JSON":                   {`0482`, "", pin.Unopenable},
		"something after it":        {`{"for":"new","pin":"0482"}{}`, "", pin.Unopenable},
		"nothing":                   {``, "", pin.Unopenable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.open(session, purposeNew, seal(t, key, c.message))
			require.Equal(t, c.code, pin.CodeOf(err))
			require.Equal(t, c.want, string(got.Digits()))
			if err != nil {
				require.NotContains(t, err.Error(), "482")
			}
		})
	}
}

// What is no compact ECDH-ES and A256GCM message to this key is one error.
func TestOpenRefusesWhatThePageDoesNotSend(t *testing.T) {
	t.Parallel()
	s, session, key := keyed(t)
	_, _, other := keyed(t)
	message := []byte(`{"for":"new","pin":"0482"}`)
	encrypt := func(options ...jwe.EncryptOption) []byte {
		sealed, err := jwe.Encrypt(message, options...)
		require.NoError(t, err)
		return sealed
	}
	secret := make([]byte, 32)
	_, err := rand.Read(secret)
	require.NoError(t, err)
	good := string(seal(t, key, string(message)))
	header, err := json.Marshal(map[string]any{"alg": "ECDH-ES", "enc": "A256GCM", "epk": map[string]string{"kty": "EC", "crv": "P-256",
		"x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE", "y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}})
	require.NoError(t, err)
	for name, sealed := range map[string][]byte{
		"another key":                encrypt(jwe.WithKey(jwa.ECDH_ES(), other), jwe.WithContentEncryption(jwa.A256GCM())),
		"another key algorithm":      encrypt(jwe.WithKey(jwa.ECDH_ES_A256KW(), key), jwe.WithContentEncryption(jwa.A256GCM())),
		"another content encryption": encrypt(jwe.WithKey(jwa.ECDH_ES(), key), jwe.WithContentEncryption(jwa.A256CBC_HS512())),
		"compression":                encrypt(jwe.WithKey(jwa.ECDH_ES(), key), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithCompress(jwa.Deflate())),
		"a key of the sender's":      encrypt(jwe.WithKey(jwa.DIRECT(), secret), jwe.WithContentEncryption(jwa.A256GCM())),
		"a changed tag":              []byte(good[:len(good)-4] + "AAAA"),
		"a point off the curve":      []byte(base64.RawURLEncoding.EncodeToString(header) + "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"),
		"no message":                 []byte("...."),
		"nothing":                    nil,
	} {
		_, err := s.open(session, purposeNew, sealed)
		require.Equal(t, &pin.Error{Code: pin.Unopenable}, err, name)
	}
}

func TestAKeyServesItsSessionOnly(t *testing.T) {
	t.Parallel()
	s, session, key := keyed(t)
	session.ID = "another"
	_, err := s.open(session, purposeNew, seal(t, key, `{"for":"new","pin":"0482"}`))
	require.Equal(t, pin.Internal, pin.CodeOf(err))
}
