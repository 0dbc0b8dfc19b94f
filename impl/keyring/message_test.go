package keyring_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

const (
	messageKey = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
	otherKey   = "FF0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
)

// sealed is a JWE of text under a key, with header fields besides alg and enc.
func sealed(tb testing.TB, key, text string, header map[string]any, options ...jwe.EncryptOption) string {
	tb.Helper()
	h := jwe.NewHeaders()
	for name, value := range header {
		require.NoError(tb, h.Set(name, value))
	}
	out, err := jwe.Encrypt([]byte(text), append([]jwe.EncryptOption{jwe.WithKey(jwa.DIRECT(), unhex(tb, key)),
		jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithProtectedHeaders(h)}, options...)...)
	require.NoError(tb, err)
	return string(out)
}

func named(kid string) map[string]any { return map[string]any{"kid": kid} }

// withMessageKeys is a ring whose store has keys of every kind.
func withMessageKeys(tb testing.TB) (*keyring.Ring, *store) {
	tb.Helper()
	s := newStore()
	ring := keyring.New(keyring.Sandbox(), s, atNoon)
	s.add(tb, ring, "mine", "program", pin.UsageMessage, "AES", messageKey)
	s.add(tb, ring, "next", "program", pin.UsageMessage, "AES", otherKey)
	s.add(tb, ring, "anybody's", "", pin.UsageMessage, "AES", messageKey)
	s.add(tb, ring, "other program's", "other", pin.UsageMessage, "AES", messageKey)
	s.add(tb, ring, "zone PIN key", "program", pin.UsageZonePIN, "AES", messageKey)
	s.add(tb, ring, "short", "program", pin.UsageMessage, "AES", messageKey[:32])
	s.add(tb, ring, "retired", "program", pin.UsageMessage, "AES", messageKey)
	s.change("retired", func(k *pin.ZoneKey) { k.State = pin.KeyRetired })
	return ring, s
}

var allowed = []string{"mine", "next", "anybody's", "other program's", "zone PIN key", "short", "retired"}

// A row of a message key is read once in a moment, and again when this process has changed a key.
func TestAMessageKeyIsReadOnceInAMoment(t *testing.T) {
	clock, store := newClock(), newStore()
	ring := keyring.New(keyring.Sandbox(), store, clock.now)
	store.add(t, ring, "mine", "program", pin.UsageMessage, "AES", messageKey)
	store.add(t, ring, "tokens", "program", pin.UsageMessage, "AES", messageKey[:48])
	message := []byte(sealed(t, messageKey, "text", named("mine")))
	ask := func() error {
		_, err := ring.OpenMessage(t.Context(), "program", allowed, message)
		_, failed := ring.TokenKeys(t.Context(), "program", "tokens", nil)
		return errors.Join(err, failed)
	}
	require.NoError(t, ask())
	clock.forward(keyring.MessageKeyLife - 1)
	require.NoError(t, ask())
	require.Equal(t, 2, store.asks, "each once")
	for _, id := range []string{"mine", "tokens"} {
		store.change(id, func(k *pin.ZoneKey) { k.State = pin.KeyRetired })
	}
	require.NoError(t, ask(), "another process has retired them a moment ago")
	clock.forward(1)
	require.Error(t, ask())
	require.Equal(t, 4, store.asks)
	for _, id := range []string{"mine", "tokens"} {
		store.change(id, func(k *pin.ZoneKey) { k.State = pin.KeyActive })
	}
	ring.Recheck()
	require.NoError(t, ask())
	clock.forward(-time.Second)
	require.NoError(t, ask())
	require.Equal(t, 8, store.asks, "nor is a clock that was put back believed")
}

func TestOpenMessage(t *testing.T) {
	ring, _ := withMessageKeys(t)
	for kid, key := range map[string]string{"mine": messageKey, "next": otherKey, "anybody's": messageKey} {
		plain, err := ring.OpenMessage(t.Context(), "program", allowed, []byte(sealed(t, key, "text", named(kid))))
		require.NoError(t, err, kid)
		require.Equal(t, "text", string(plain), kid)
	}
}

// headerOf is a message key's name and a field that makes the first part of a message n bytes long. n is a multiple of 4.
func headerOf(tb testing.TB, n int) map[string]any {
	tb.Helper()
	header := map[string]any{"kid": "mine", "x": ""}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(sealed(tb, messageKey, "", header), ".")[0])
	require.NoError(tb, err)
	header["x"] = strings.Repeat("x", n/4*3-len(text))
	return header
}

// Both limits are those of what is sent, and everything else about these messages is good.
func TestOpenMessageTakesMessagesUpToItsLimits(t *testing.T) {
	ring, _ := withMessageKeys(t)
	const maxHeader, maxMessage = 1024, 2 << 20
	const longest = (maxMessage - maxHeader - 42) * 3 / 4 // beside the header: four dots, an IV of 16 and a tag of 22
	for _, test := range []struct {
		name         string
		header, text int // bytes, the header's as it is sent
		message      int // bytes
		opens        bool
	}{
		{"the longest header", maxHeader, 3, maxHeader + 42 + 4, true},
		{"a longer header", maxHeader + 4, 3, maxHeader + 4 + 42 + 4, false},
		{"the longest message", maxHeader, longest, maxMessage, true},
		{"a longer message", maxHeader, longest + 1, maxMessage + 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			message := sealed(t, messageKey, strings.Repeat("x", test.text), headerOf(t, test.header))
			require.Equal(t, test.header, strings.IndexByte(message, '.'))
			require.Len(t, message, test.message)
			plain, err := ring.OpenMessage(t.Context(), "program", allowed, []byte(message))
			if !test.opens {
				require.Equal(t, &pin.Error{Code: pin.Unopenable}, err)
				return
			}
			require.NoError(t, err)
			require.Len(t, plain, test.text)
		})
	}
}

// moved are a ciphertext and its tag, whose first byte is the ciphertext's last.
func moved(tb testing.TB, ciphertext, tag string) []string {
	tb.Helper()
	c, err := base64.RawURLEncoding.DecodeString(ciphertext)
	require.NoError(tb, err)
	rest, err := base64.RawURLEncoding.DecodeString(tag)
	require.NoError(tb, err)
	at := len(c) - 1
	return []string{base64.RawURLEncoding.EncodeToString(c[:at]), base64.RawURLEncoding.EncodeToString(append(c[at:len(c):len(c)], rest...))}
}

func TestOpenMessageFailsInOneWay(t *testing.T) {
	ring, _ := withMessageKeys(t)
	good := sealed(t, messageKey, "text", named("mine"))
	part := strings.Split(good, ".")
	// The key and the message are right, the header claims something else.
	claim := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + strings.Join(part[1:], ".")
	}
	// All is right, and the header is written by hand.
	written := func(header string) string {
		block, err := aes.NewCipher(unhex(t, messageKey))
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		protected, iv := base64.RawURLEncoding.EncodeToString([]byte(header)), make([]byte, gcm.NonceSize())
		out := gcm.Seal(nil, iv, []byte("text"), []byte(protected))
		for _, part := range [][]byte{nil, iv, out[:len("text")], out[len("text"):]} {
			protected += "." + base64.RawURLEncoding.EncodeToString(part)
		}
		return protected
	}
	plain, err := ring.OpenMessage(t.Context(), "program", allowed, []byte(written(`{"alg":"dir","enc":"A256GCM","kid":"mine"}`)))
	require.NoError(t, err)
	require.Equal(t, "text", string(plain))
	plain, err = ring.OpenMessage(t.Context(), "program", allowed, []byte(written(`{"alg":"dir","enc":"A256GCM","kid":"mine","x5t#S256":"x"}`)))
	require.NoError(t, err, "what nobody here knows is passed over")
	require.Equal(t, "text", string(plain))
	object := `{"protected":"` + part[0] + `","iv":"` + part[2] + `","ciphertext":"` + part[3] + `","tag":"` + part[4] + `"}`
	for name, message := range map[string]string{
		"nothing":                 "",
		"no JWE":                  "text",
		"JSON serialization":      object,
		"a blank, then JSON":      " " + object,
		"dots":                    "....",
		"too many parts":          good + ".",
		"a header beyond a limit": claim(`{"alg":"dir","enc":"A256GCM","kid":"mine","x":"` + strings.Repeat("x", 2000) + `"}`),
		"a message beyond one":    good + strings.Repeat("A", 3<<20),
		"an encrypted key":        part[0] + ".AAAA." + strings.Join(part[2:], "."),
		"another key":             sealed(t, otherKey, "text", named("mine")),
		"no kid":                  sealed(t, messageKey, "text", nil),
		"an unknown kid":          sealed(t, messageKey, "text", named("nobody")),
		"a key of another's":      sealed(t, messageKey, "text", named("other program's")),
		"a zone PIN key":          sealed(t, messageKey, "text", named("zone PIN key")),
		"a retired key":           sealed(t, messageKey, "text", named("retired")),
		"another enc throughout":  sealed(t, messageKey, "text", named("mine"), jwe.WithContentEncryption(jwa.A128CBC_HS256())),
		"a short key":             sealed(t, messageKey[:32], "text", named("short"), jwe.WithContentEncryption(jwa.A128GCM())),
		"a compressed message":    sealed(t, messageKey, "text", named("mine"), jwe.WithCompress(jwa.Deflate())),
		"a critical header":       sealed(t, messageKey, "text", map[string]any{"kid": "mine", "crit": []string{"exp"}, "exp": 1}),
		"an empty crit":           claim(`{"alg":"dir","enc":"A256GCM","kid":"mine","crit":[]}`),
		"a byte moved to the tag": strings.Join(append(part[:3:3], moved(t, part[3], part[4])...), "."),
		"the page's alg":          claim(`{"alg":"ECDH-ES","enc":"A256GCM","kid":"mine","epk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`),
		"no alg":                  claim(`{"enc":"A256GCM","kid":"mine"}`),
		"alg none":                claim(`{"alg":"none","enc":"A256GCM","kid":"mine"}`),
		"another alg":             claim(`{"alg":"A256GCMKW","enc":"A256GCM","kid":"mine"}`),
		"a password's alg":        claim(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","kid":"mine","p2c":1000000000,"p2s":"AAAA"}`),
		"another enc":             claim(`{"alg":"dir","enc":"A128CBC-HS256","kid":"mine"}`),
		"a kid of another type":   claim(`{"alg":"dir","enc":"A256GCM","kid":1}`),
		"no JSON in the header":   claim(`{"alg"`),
		"an alg twice":            written(`{"alg":"RSA-OAEP","alg":"dir","enc":"A256GCM","kid":"mine"}`),
		"an enc in capitals too":  written(`{"alg":"dir","Enc":"A128GCM","enc":"A256GCM","kid":"mine"}`),
		"a kid twice":             written(`{"alg":"dir","enc":"A256GCM","kid":"mine","kid":"mine"}`),
		"a blank after it":        good + " ",
		"a line end after it":     good + "\n",
		"a line end within":       good[:len(good)-4] + "\r\n" + good[len(good)-4:],
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := ring.OpenMessage(t.Context(), "program", allowed, []byte(message))
			require.Equal(t, &pin.Error{Code: pin.Unopenable}, err)
			require.Nil(t, plain)
		})
	}
	t.Run("a key that the client is not allowed", func(t *testing.T) {
		for _, keys := range [][]string{nil, {"next"}} {
			_, err := ring.OpenMessage(t.Context(), "program", keys, []byte(good))
			require.Equal(t, &pin.Error{Code: pin.Unopenable}, err)
		}
	})
	t.Run("a changed character", rapid.MakeCheck(func(t *rapid.T) {
		at := rapid.IntRange(0, len(good)-1).Draw(t, "at")
		to := rapid.SampledFrom([]byte("ABCDwxyz0189-_.{ \n")).Draw(t, "to")
		if changed := good[:at] + string(to) + good[at+1:]; changed != good {
			_, err := ring.OpenMessage(t.Context(), "program", allowed, []byte(changed))
			require.Equal(t, &pin.Error{Code: pin.Unopenable}, err)
		}
	}))
}

// The last character of a part has bits that mean nothing: written otherwise, a message that was seen would be
// another.
func TestOneMessageHasOneText(t *testing.T) {
	ring, _ := withMessageKeys(t)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, text := range []string{"a", "ab", "abc", "abcd"} {
		good := sealed(t, messageKey, text, named("mine"))
		for at := range good {
			if at+1 < len(good) && good[at+1] != '.' {
				continue
			}
			for _, to := range letters {
				changed := good[:at] + string(to) + good[at+1:]
				_, err := ring.OpenMessage(t.Context(), "program", allowed, []byte(changed))
				if changed == good {
					require.NoError(t, err)
				} else {
					require.Equal(t, &pin.Error{Code: pin.Unopenable}, err, changed)
				}
			}
		}
	}
}

func TestOpenMessagePassesOnWhatIsNoFaultOfTheMessage(t *testing.T) {
	ring, s := withMessageKeys(t)
	message := []byte(sealed(t, messageKey, "text", named("mine")))
	s.change("mine", func(k *pin.ZoneKey) { k.ProgramID = "" })
	_, err := ring.OpenMessage(t.Context(), "program", allowed, message)
	require.Equal(t, pin.Internal, pin.CodeOf(err), "a row that was changed")

	s.err = &pin.Error{Code: pin.Unavailable}
	ring.Recheck()
	_, err = ring.OpenMessage(t.Context(), "program", allowed, message)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
}
