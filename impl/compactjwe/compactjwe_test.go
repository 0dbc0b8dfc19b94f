package compactjwe_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"

	"pinvault/impl/compactjwe"
)

var secret = bytes.Repeat([]byte{7}, compactjwe.KeySize)

// sealed is a message that the library made, with header fields besides its own.
func sealed(tb testing.TB, header map[string]any, options ...jwe.EncryptOption) []byte {
	tb.Helper()
	h := jwe.NewHeaders()
	for name, value := range header {
		require.NoError(tb, h.Set(name, value))
	}
	m, err := jwe.Encrypt([]byte("text"), append(options, jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithProtectedHeaders(h))...)
	require.NoError(tb, err)
	return m
}

func direct(compact []byte) (string, bool) {
	m, ok := compactjwe.Parse(compact, compactjwe.Direct)
	if !ok {
		return "", false
	}
	plain, ok := m.Open(secret)
	return string(plain), ok
}

func agreed(private *ecdh.PrivateKey, compact []byte) (string, bool) {
	m, ok := compactjwe.Parse(compact, compactjwe.ECDHES)
	if !ok {
		return "", false
	}
	key, ok := m.Agree(private)
	if !ok {
		return "", false
	}
	plain, ok := m.Open(key)
	return string(plain), ok
}

func TestMessagesOfTheLibraryOpen(t *testing.T) {
	t.Parallel()
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	for name, header := range map[string]map[string]any{
		"nothing besides":              nil,
		"a key's name":                 {"kid": "mine"},
		"what nobody here knows":       {"exp": 1, "note": map[string]any{"a": []int{1}}},
		"a type and a type of content": {"typ": "JOSE", "cty": "json"},
	} {
		plain, ok := direct(sealed(t, header, jwe.WithKey(jwa.DIRECT(), secret)))
		require.True(t, ok, name)
		require.Equal(t, "text", plain, name)
		plain, ok = agreed(private, sealed(t, header, jwe.WithKey(jwa.ECDH_ES(), private.PublicKey())))
		require.True(t, ok, name)
		require.Equal(t, "text", plain, name)
	}
	m, ok := compactjwe.Parse(sealed(t, map[string]any{"kid": "mine"}, jwe.WithKey(jwa.DIRECT(), secret)), compactjwe.Direct)
	require.True(t, ok)
	require.Equal(t, "mine", m.KeyID())
}

// A message by one algorithm is none by the other, whoever has which key.
func TestAMessageByOneAlgorithmIsNoneByTheOther(t *testing.T) {
	t.Parallel()
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, ok := compactjwe.Parse(sealed(t, nil, jwe.WithKey(jwa.DIRECT(), secret)), compactjwe.ECDHES)
	require.False(t, ok)
	_, ok = compactjwe.Parse(sealed(t, nil, jwe.WithKey(jwa.ECDH_ES(), private.PublicKey())), compactjwe.Direct)
	require.False(t, ok)
	m, ok := compactjwe.Parse(sealed(t, nil, jwe.WithKey(jwa.DIRECT(), secret)), compactjwe.Direct)
	require.True(t, ok)
	_, ok = m.Agree(private)
	require.False(t, ok, "there is nothing to agree with")
	for _, name := range []string{"apu", "apv"} {
		m, ok := compactjwe.Parse(sealed(t, map[string]any{name: []byte("name")}, jwe.WithKey(jwa.ECDH_ES(), private.PublicKey())), compactjwe.ECDHES)
		require.True(t, ok)
		_, ok = m.Agree(private)
		require.False(t, ok, name)
	}
}

// An IV of another length than GCM's would panic within, a shorter tag would be easier to guess.
func TestIVAndTagHaveTheirLengths(t *testing.T) {
	t.Parallel()
	parts := strings.Split(string(sealed(t, nil, jwe.WithKey(jwa.DIRECT(), secret))), ".")
	with := func(at, size int) []byte {
		changed := append([]string{}, parts...)
		changed[at] = base64.RawURLEncoding.EncodeToString(make([]byte, size))
		return []byte(strings.Join(changed, "."))
	}
	for at, size := range map[int]int{2: 12, 4: 16} {
		_, ok := compactjwe.Parse(with(at, size), compactjwe.Direct)
		require.True(t, ok)
		for _, other := range []int{0, size - 1, size + 1} {
			_, ok := compactjwe.Parse(with(at, other), compactjwe.Direct)
			require.False(t, ok, "part %d of %d bytes", at, other)
		}
	}
}

// Whatever opens here opens as the same in the library, which is told the algorithm.
func FuzzOpen(f *testing.F) {
	private, err := ecdh.P256().NewPrivateKey(secret)
	require.NoError(f, err)
	good := sealed(f, map[string]any{"kid": "mine"}, jwe.WithKey(jwa.DIRECT(), secret))
	f.Add(good)
	f.Add(sealed(f, nil, jwe.WithKey(jwa.ECDH_ES(), private.PublicKey())))
	f.Add([]byte("...."))
	for _, header := range []string{`{"alg":"dir","alg":"dir","enc":"A256GCM"}`, `{"alg":"dir","ALG":"none","enc":"A256GCM"}`, `{"alg":"dir","enc":"A256GCM","crit":null}`,
		`{"alg":"ECDH-ES","enc":"A256GCM","epk":{"kty":"EC","crv":"P-256","x":"","y":""}}`} {
		_, rest, _ := bytes.Cut(good, []byte{'.'})
		f.Add(append([]byte(base64.RawURLEncoding.EncodeToString([]byte(header))+"."), rest...))
	}
	f.Fuzz(func(t *testing.T, compact []byte) {
		if plain, ok := direct(compact); ok {
			theirs, err := jwe.Decrypt(compact, jwe.WithKey(jwa.DIRECT(), secret))
			require.NoError(t, err)
			require.Equal(t, plain, string(theirs))
		}
		if plain, ok := agreed(private, compact); ok {
			theirs, err := jwe.Decrypt(compact, jwe.WithKey(jwa.ECDH_ES(), private))
			require.NoError(t, err)
			require.Equal(t, plain, string(theirs))
		}
	})
}
