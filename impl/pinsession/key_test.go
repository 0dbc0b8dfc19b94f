package pinsession

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// unprotected are keys that protect nothing: a MAC is the hash of what it is of, and a ciphertext is the
// plaintext behind what it is bound to.
type unprotected struct{ version byte }

func (u unprotected) MAC(use pin.Use, data []byte) ([]byte, error) {
	sum := sha256.Sum256(append([]byte{u.version}, append([]byte(use), data...)...))
	return append([]byte{1, 0, 0, 0, u.version}, sum[:]...), nil
}

func (u unprotected) VerifyMAC(use pin.Use, data, mac []byte) bool {
	made, _ := u.MAC(use, data)
	return bytes.Equal(made, mac)
}

func (unprotected) Seal(_ pin.Use, plaintext, associated []byte) ([]byte, error) {
	return append(append([]byte{}, associated...), plaintext...), nil
}

func (unprotected) Open(_ pin.Use, ciphertext, associated []byte) ([]byte, error) {
	if len(ciphertext) < len(associated) || string(ciphertext[:len(associated)]) != string(associated) {
		return nil, &pin.Error{Code: pin.Internal}
	}
	return append([]byte{}, ciphertext[len(associated):]...), nil
}

// keyed is a session with a key, and the public part as the page gets it.
func keyed(t *testing.T) (*Sessions, pin.Session, *ecdh.PublicKey) {
	t.Helper()
	s := New(nil, unprotected{}, 0, nil, nil)
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
		"the PIN first":             {`{"pin":"0482","for":"new"}`, "0482", ""},
		"blanks within":             {`{ "for" : "new" , "pin" : "0482" }`, "0482", ""},
		"a purpose with an escape":  {`{"for":"\u006eew","pin":"0482"}`, "0482", ""},
		"the PIN twice":             {`{"for":"new","pin":"0482","pin":"9173"}`, "", pin.Unopenable},
		"the PIN twice, escaped":    {`{"for":"new","pin":"0482","\u0070in":"9173"}`, "", pin.Unopenable},
		"the purpose twice":         {`{"for":"current","for":"new","pin":"0482"}`, "", pin.Unopenable},
		"the PIN in capitals":       {`{"for":"new","PIN":"0482"}`, "", pin.Unopenable},
		"the PIN in capitals too":   {`{"for":"new","pin":"0482","PIN":"9173"}`, "", pin.Unopenable},
		"the purpose in capitals":   {`{"For":"new","pin":"0482"}`, "", pin.Unopenable},
		"another member":            {`{"for":"new","pin":"0482","note":"x"}`, "", pin.Unopenable},
		"a purpose that is null":    {`{"for":null,"pin":"0482"}`, "", pin.Unopenable},
		"an object for a PIN":       {`{"for":"new","pin":{"pin":"0482"}}`, "", pin.InvalidPIN},
		"a bad UTF-8 PIN":           {"{\"for\":\"new\",\"pin\":\"04\xff2\"}", "", pin.Unopenable},
		"an array":                  {`["new","0482"]`, "", pin.Unopenable},
		"a comma too many":          {`{"for":"new","pin":"0482",}`, "", pin.Unopenable},
		"no end":                    {`{"for":"new","pin":"0482"`, "", pin.Unopenable},
		"nothing":                   {``, "", pin.Unopenable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.open(t.Context(), session, purposeNew, seal(t, key, c.message))
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
		_, err := s.open(t.Context(), session, purposeNew, sealed)
		require.Equal(t, &pin.Error{Code: pin.Unopenable}, err, name)
	}
}

// A header that readers might take in different ways, or that asks for what nobody here understands, is
// refused although the message opens under it.
func TestOpenRefusesHeadersThatAreNotPlain(t *testing.T) {
	t.Parallel()
	s, session, key := keyed(t)
	for name, c := range map[string]struct {
		change func(header string) string
		code   pin.Code
	}{
		"as the page makes it":         {func(h string) string { return h }, ""},
		"a parameter of the sender's":  {func(h string) string { return `{"typ":"x",` + h[1:] }, ""},
		"an unknown crit":              {func(h string) string { return `{"crit":["exp"],"exp":1,` + h[1:] }, pin.Unopenable},
		"a crit of what is not there":  {func(h string) string { return `{"crit":["exp"],` + h[1:] }, pin.Unopenable},
		"an empty crit":                {func(h string) string { return `{"crit":[],` + h[1:] }, pin.Unopenable},
		"a crit of a known parameter":  {func(h string) string { return `{"crit":["alg"],` + h[1:] }, pin.Unopenable},
		"an algorithm twice":           {func(h string) string { return `{"alg":"dir",` + h[1:] }, pin.Unopenable},
		"an algorithm twice, the same": {func(h string) string { return `{"alg":"ECDH-ES",` + h[1:] }, pin.Unopenable},
		"an algorithm in capitals":     {func(h string) string { return `{"ALG":"dir",` + h[1:] }, pin.Unopenable},
		"one in capitals alone":        {func(h string) string { return strings.Replace(h, `"alg"`, `"ALG"`, 1) }, pin.Unopenable},
		"another algorithm":            {func(h string) string { return strings.Replace(h, "ECDH-ES", "ECDH-ES+A256KW", 1) }, pin.Unopenable},
		"another encryption":           {func(h string) string { return strings.Replace(h, "A256GCM", "A128GCM", 1) }, pin.Unopenable},
		"another curve":                {func(h string) string { return strings.Replace(h, "P-256", "P-384", 1) }, pin.Unopenable},
		"another type of key":          {func(h string) string { return strings.Replace(h, `"EC"`, `"OKP"`, 1) }, pin.Unopenable},
		"no key":                       {func(h string) string { return `{"alg":"ECDH-ES","enc":"A256GCM"}` }, pin.Unopenable},
		"compression that is null":     {func(h string) string { return `{"zip":null,` + h[1:] }, pin.Unopenable},
		"blanks after it":              {func(h string) string { return h + "  " }, ""},
		"a second header after it":     {func(h string) string { return h + h }, pin.Unopenable},
		"a coordinate too short":       {func(h string) string { return strings.Replace(h, `"x":"`, `"x":"AA","z":"`, 1) }, pin.Unopenable},
		"a coordinate twice":           {func(h string) string { return strings.Replace(h, `"x":`, `"x":"AA","x":`, 1) }, pin.Unopenable},
		"a coordinate in capitals":     {func(h string) string { return strings.Replace(h, `"x":`, `"X":"AA","x":`, 1) }, pin.Unopenable},
		"that one alone":               {func(h string) string { return strings.Replace(h, `"x":`, `"X":`, 1) }, pin.Unopenable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.open(t.Context(), session, purposeNew, sealUnder(t, key, c.change))
			require.Equal(t, c.code, pin.CodeOf(err))
			require.Equal(t, c.code == "", string(got.Digits()) == "0482")
		})
	}
}

// sealUnder seals under a header of the test's making, as RFC 7518, 4.6 and 5.3 have it.
func sealUnder(t *testing.T, key *ecdh.PublicKey, change func(header string) string) []byte {
	t.Helper()
	ephemeral, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	point := ephemeral.PublicKey().Bytes()[1:]
	header := encode([]byte(change(`{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"` + encode(point[:coordinate]) + `","y":"` + encode(point[coordinate:]) + `"}}`)))
	shared, err := ephemeral.ECDH(key)
	require.NoError(t, err)
	derived := sha256.New() // Concat KDF
	for _, part := range [][]byte{{0, 0, 0, 1}, shared, {0, 0, 0, 7}, []byte("A256GCM"), {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 1, 0}} {
		derived.Write(part)
	}
	block, err := aes.NewCipher(derived.Sum(nil))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	iv := make([]byte, gcm.NonceSize())
	sealed := gcm.Seal(nil, iv, []byte(`{"for":"new","pin":"0482"}`), []byte(header))
	tag := len(sealed) - gcm.Overhead()
	return []byte(strings.Join([]string{header, "", encode(iv), encode(sealed[:tag]), encode(sealed[tag:])}, "."))
}

func TestAKeyServesItsSessionOnly(t *testing.T) {
	t.Parallel()
	s, session, key := keyed(t)
	session.ID = "another"
	_, err := s.open(t.Context(), session, purposeNew, seal(t, key, `{"for":"new","pin":"0482"}`))
	require.Equal(t, pin.Internal, pin.CodeOf(err))
}
