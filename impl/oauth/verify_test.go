package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

type object = map[string]any

// forgery makes tokens by hand: what no library would write must be refused all the same.
type forgery struct {
	header, claims object
	sign           func(input string) []byte
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (f forgery) String() string {
	header, _ := json.Marshal(f.header)
	claims, _ := json.Marshal(f.claims)
	input := segment(header) + "." + segment(claims)
	return input + "." + segment(f.sign(input))
}

// es256 signs as RFC 7518, 3.4 says: r and s, 32 bytes each.
func es256(key *ecdsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		digest := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			panic(err)
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	}
}

func hs256(key []byte) func(string) []byte {
	return func(input string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

// good is a forgery that passes: each case of the table below differs from it in one thing.
func (s setting) good() forgery {
	now := s.clock.Now().Unix()
	return forgery{
		header: object{"alg": "ES256", "kid": s.keys[0].KID, "typ": "at+jwt"},
		claims: object{"iss": issuer, "sub": partner.ID, "aud": "thredd", "client_id": partner.ID, "client_version": 1, "scope": "pins:read",
			"contract": "thredd", "program": "program-1", "iat": now, "exp": now + 60, "jti": "1"},
		sign: es256(private(s.keys[0])),
	}
}

func TestHandMadeTokenPasses(t *testing.T) {
	s := newSetting(t)
	caller, err := s.Verify(t.Context(), s.good().String())
	require.NoError(t, err)
	require.Equal(t, pin.Caller{ClientID: partner.ID, ProgramID: "program-1", Contract: "thredd", Scopes: []string{"pins:read"}}, caller)
}

func TestVerifyRefusesForgeries(t *testing.T) {
	s := newSetting(t, newKey(t, "key-1"), newKey(t, "key-2"))
	stranger := newKey(t, "key-1")
	strangerJWK := func() object {
		other := newSetting(t, stranger)
		published, err := other.JWKS()
		require.NoError(t, err)
		var set struct{ Keys []object }
		require.NoError(t, json.Unmarshal(published, &set))
		return set.Keys[0]
	}()
	der, err := x509.MarshalPKIXPublicKey(&private(s.keys[0]).PublicKey)
	require.NoError(t, err)
	published, err := s.JWKS()
	require.NoError(t, err)
	point, err := private(s.keys[0]).PublicKey.Bytes()
	require.NoError(t, err)
	confused := func(key []byte) func(*forgery) {
		return func(f *forgery) { f.header["alg"], f.sign = "HS256", hs256(key) }
	}
	header := func(name string, value any) func(*forgery) { return func(f *forgery) { f.header[name] = value } }
	claim := func(name string, value any) func(*forgery) { return func(f *forgery) { f.claims[name] = value } }
	now := s.clock.Now().Unix()

	for name, change := range map[string]func(*forgery){
		"no signature and alg none":           func(f *forgery) { f.header["alg"], f.sign = "none", func(string) []byte { return nil } },
		"a good signature and alg none":       header("alg", "none"),
		"no alg":                              func(f *forgery) { delete(f.header, "alg") },
		"alg in lower case":                   header("alg", "es256"),
		"alg that is no string":               header("alg", 256),
		"an algorithm nobody knows":           header("alg", "XX256"),
		"another curve's algorithm":           header("alg", "ES384"),
		"HMAC keyed by the public key in DER": confused(der),
		"HMAC keyed by the public key in PEM": confused(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HMAC keyed by the published key set": confused(published),
		"HMAC keyed by the public point":      confused(point),
		"HMAC keyed by nothing":               confused(nil),
		"no kid":                              func(f *forgery) { delete(f.header, "kid") },
		"an empty kid":                        header("kid", ""),
		"an unknown kid":                      header("kid", "key-3"),
		"the kid of another key of ours":      header("kid", "key-2"),
		"a stranger's key under our kid":      func(f *forgery) { f.sign = es256(private(stranger)) },
		"a key that the token brings along":   func(f *forgery) { f.header["jwk"], f.sign = strangerJWK, es256(private(stranger)) },
		"no type":                             func(f *forgery) { delete(f.header, "typ") },
		"another type of JWT":                 header("typ", "JWT"),
		"a critical extension":                func(f *forgery) { f.header["crit"], f.header["x"] = []string{"x"}, 1 },
		"an unencoded payload":                header("b64", false),
		"a signature of zeros":                func(f *forgery) { f.sign = func(string) []byte { return make([]byte, 64) } },
		"a signature cut short":               func(f *forgery) { sign := f.sign; f.sign = func(in string) []byte { return sign(in)[:63] } },
		"a signature in ASN.1":                func(f *forgery) { f.sign = asn1(private(s.keys[0])) },
		"another issuer":                      claim("iss", issuer+"/"),
		"no issuer":                           func(f *forgery) { delete(f.claims, "iss") },
		"no client":                           func(f *forgery) { f.claims["sub"], f.claims["client_id"] = "", "" },
		"two clients":                         claim("sub", "partner-2"),
		"no version of the client":            func(f *forgery) { delete(f.claims, "client_version") },
		"an unknown client":                   func(f *forgery) { f.claims["sub"], f.claims["client_id"] = "nobody", "nobody" },
		"an audience other than the contract": claim("aud", "issuer"),
		"several audiences":                   claim("aud", []string{"thredd", "issuer"}),
		"a contract that the client has not":  func(f *forgery) { f.claims["aud"], f.claims["contract"] = "issuer", "issuer" },
		"a program that the client has not":   claim("program", "program-2"),
		"no program, as if of the server":     func(f *forgery) { delete(f.claims, "program") },
		"no end":                              func(f *forgery) { delete(f.claims, "exp") },
		"an end that is now":                  claim("exp", now),
		"an end that is past":                 claim("exp", now-1),
		"an end in words":                     claim("exp", "tomorrow"),
		"an end beyond all numbers":           claim("exp", 1e300),
		"a beginning to come":                 claim("nbf", now+31),
		"an issue to come":                    claim("iat", now+31),
		"claims that are no object":           func(f *forgery) { f.claims = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := s.good()
			change(&f)
			token := f.String()
			s.refuses(t, token)
			s.refuses(t, token) // as the first time
		})
	}
}

func asn1(key *ecdsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		digest := sha256.Sum256([]byte(input))
		out, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			panic(err)
		}
		return out
	}
}

func TestVerifyRefusesMalformedTokens(t *testing.T) {
	s := newSetting(t)
	good := s.good().String()
	parts := strings.Split(good, ".")
	other := s.good()
	other.claims["scope"] = "pins:read pins:write"
	for name, token := range map[string]string{
		"nothing":                     "",
		"a word":                      "token",
		"dots":                        "..",
		"two parts":                   parts[0] + "." + parts[1],
		"four parts":                  good + "." + parts[2],
		"no signature":                parts[0] + "." + parts[1] + ".",
		"no payload":                  parts[0] + ".." + parts[2],
		"no header":                   "." + parts[1] + "." + parts[2],
		"another payload":             parts[0] + "." + strings.Split(other.String(), ".")[1] + "." + parts[2],
		"header that is not base64":   "%" + "." + parts[1] + "." + parts[2],
		"header that is not JSON":     segment([]byte("ES256")) + "." + parts[1] + "." + parts[2],
		"header that is null":         segment([]byte("null")) + "." + parts[1] + "." + parts[2],
		"JSON serialization":          `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"flattened JSON":              `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"a NUL at the end":            good + "\x00",
		"two tokens":                  good + "," + good,
		"more than 8 KB":              strings.Repeat("a", 8<<10+1),
		"more than 8 KB, well formed": parts[0] + "." + strings.Repeat("A", 8<<10) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) { s.refuses(t, token) })
	}
	_, err := s.Verify(t.Context(), good)
	require.NoError(t, err, "what the cases were made of is good")
}

func TestTokenLongerThan8KBIsRefusedThoughGood(t *testing.T) {
	s := newSetting(t)
	f := s.good()
	f.claims["padding"] = strings.Repeat("x", 5<<10)
	_, err := s.Verify(t.Context(), f.String())
	require.NoError(t, err)
	f.claims["padding"] = strings.Repeat("x", 8<<10)
	s.refuses(t, f.String())
}

func TestRefusalsDoNotQuoteTheToken(t *testing.T) {
	s := newSetting(t)
	f := s.good()
	f.claims["iss"], f.header["alg"], f.header["kid"] = "planted-issuer", "planted-alg", "planted-kid"
	claims := s.good()
	claims.claims["exp"] = "planted-exp"
	for _, token := range []string{f.String(), claims.String(), "planted.planted.planted", `{"planted":1}`} {
		_, err := s.Verify(t.Context(), token)
		require.ErrorIs(t, err, &pin.Error{Code: pin.Unauthorized})
		require.NotContains(t, err.Error(), "planted")
		for part := range strings.SplitSeq(token, ".") {
			require.NotContains(t, err.Error(), part)
		}
	}
}

func TestClocksMayDifferByHalfAMinute(t *testing.T) {
	s := newSetting(t)
	f := s.good()
	f.claims["iat"], f.claims["nbf"] = s.clock.Now().Unix()+30, s.clock.Now().Unix()+30
	_, err := s.Verify(t.Context(), f.String())
	require.NoError(t, err)
}

func TestTokenExpires(t *testing.T) {
	for _, seen := range []bool{false, true} {
		t.Run(map[bool]string{true: "when it was verified before", false: "when it was not"}[seen], func(t *testing.T) {
			s := newSetting(t)
			token := s.mint(t, partner)
			s.clock.Add(time.Hour - time.Nanosecond)
			if seen {
				_, err := s.Verify(t.Context(), token)
				require.NoError(t, err)
			}
			s.clock.Add(time.Nanosecond)
			s.refuses(t, token)
		})
	}
}

func TestMintWithoutTimeMakesAnExpiredToken(t *testing.T) {
	s := newSetting(t)
	token, err := s.Mint(partner, -time.Second)
	require.NoError(t, err)
	s.refuses(t, token.AccessToken)
}

func TestKeysRotate(t *testing.T) {
	old, fresh := newKey(t, "2026-01"), newKey(t, "2026-02")
	before := newSetting(t, old).mint(t, partner)

	during := newSetting(t, fresh, old)
	_, err := during.Verify(t.Context(), before)
	require.NoError(t, err, "a token of the old key")
	signed := during.mint(t, partner)

	after := newSetting(t, fresh)
	_, err = after.Verify(t.Context(), signed)
	require.NoError(t, err, "signed by the new key from the first day on")
	after.refuses(t, before)
}

func TestRevokedClientIsOutWithinASecond(t *testing.T) {
	s := newSetting(t)
	token := s.mint(t, partner)
	_, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	s.desk.change(partner.ID, func(c *pin.Client) { c.RevokedAt = s.clock.Now() })

	s.clock.Add(400*time.Millisecond - time.Nanosecond)
	_, err = s.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, 1, s.desk.questions(), "no question meanwhile")

	s.clock.Add(time.Nanosecond)
	s.refuses(t, token)
	s.refuses(t, token)
	s.refuses(t, s.mint(t, partner))
}

func TestClientIsAskedAfterAgainAllTheTime(t *testing.T) {
	s := newSetting(t)
	token := s.mint(t, partner)
	for tick := range 60 {
		_, err := s.Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, 1+tick/10, s.desk.questions())
		s.clock.Add(40 * time.Millisecond)
	}
}

// A rotation ends what the secret before was given, at once or when the overlap is over.
func TestARotationEndsTheTokensOfTheSecretBefore(t *testing.T) {
	s := newSetting(t)
	before := s.mint(t, partner)
	s.desk.change(partner.ID, func(c *pin.Client) {
		c.OldSecretVersion, c.SecretVersion, c.OldUntil = c.SecretVersion, c.Version+1, s.clock.Now().Add(time.Minute)
	})
	after := s.mint(t, s.desk.clients[partner.ID])
	_, err := s.Verify(t.Context(), before)
	require.NoError(t, err, "the secrets overlap")
	s.clock.Add(time.Minute)
	s.refuses(t, before)
	_, err = s.Verify(t.Context(), after)
	require.NoError(t, err)

	s.desk.change(partner.ID, func(c *pin.Client) {
		c.OldSecretVersion, c.SecretVersion, c.OldUntil = c.SecretVersion, c.Version+1, s.clock.Now()
	})
	s.clock.Add(400 * time.Millisecond)
	s.refuses(t, after)
}

func TestScopesTakenFromTheClientLeaveItsTokens(t *testing.T) {
	s := newSetting(t)
	token, err := s.Issue(t.Context(), partner.ID, secret, "", []string{"pins:write", "pins:read"}, time.Hour)
	require.NoError(t, err)
	scopes := func() []string {
		caller, err := s.Verify(t.Context(), token.AccessToken)
		require.NoError(t, err)
		return caller.Scopes
	}
	require.Equal(t, []string{"pins:write", "pins:read"}, scopes())

	s.desk.change(partner.ID, func(c *pin.Client) { c.Scopes = []string{"audit:read", "pins:read"} })
	s.clock.Add(10 * time.Second)
	require.Equal(t, []string{"pins:read"}, scopes(), "and what the client has gained does not join them")

	s.desk.change(partner.ID, func(c *pin.Client) { c.Scopes = nil })
	s.clock.Add(10 * time.Second)
	require.Empty(t, scopes())
}

func TestCallersDoNotShareWhatTheyAppend(t *testing.T) {
	s := newSetting(t)
	token := s.mint(t, partner)
	first, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	_ = append(first.Scopes, "audit:read")
	second, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, partner.Scopes, second.Scopes)
	require.Equal(t, len(second.Scopes), cap(second.Scopes))
}

func TestAFailureOfTheVaultsIsNoWantOfADatabase(t *testing.T) {
	s := newSetting(t)
	fault := &pin.Error{Code: pin.Internal}
	s.desk.fail(fault)
	_, err := s.Verify(t.Context(), s.mint(t, partner))
	require.ErrorIs(t, err, fault)
	require.NotErrorIs(t, err, &pin.Error{Code: pin.Unavailable})
}

func TestClientThatCannotBeLookedUp(t *testing.T) {
	for name, fault := range map[string]error{
		"a database out of reach": &pin.Error{Code: pin.Unavailable},
		"any other failure":       errors.New("broken pipe"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetting(t)
			unavailable := func(token string) {
				t.Helper()
				_, err := s.Verify(t.Context(), token)
				require.ErrorIs(t, err, &pin.Error{Code: pin.Unavailable})
				require.ErrorIs(t, err, fault)
			}
			seen, fresh := s.mint(t, partner), s.mint(t, partner)
			_, err := s.Verify(t.Context(), seen)
			require.NoError(t, err)

			s.desk.fail(fault)
			unavailable(fresh)
			_, err = s.Verify(t.Context(), seen)
			require.NoError(t, err, "within ten seconds nobody asks")
			s.clock.Add(10 * time.Second)
			unavailable(seen)

			s.desk.fail(nil)
			_, err = s.Verify(t.Context(), seen)
			require.NoError(t, err)
		})
	}
}

func TestConcurrentQuestionsAfterOneClientAreOne(t *testing.T) {
	key := newKey(t, "k")
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.gate = make(chan struct{})
		s, err := oauth.New(d, having(key), issuer, nil, nil)
		require.NoError(t, err)
		var all sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			token, err := s.Mint(partner, time.Hour)
			require.NoError(t, err)
			all.Go(func() { _, errs[i] = s.Verify(context.Background(), token.AccessToken) })
		}
		synctest.Wait()
		require.Equal(t, 1, d.questions())
		close(d.gate)
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 1, d.questions())
	})
}

// The question is asked on behalf of all who wait, so the first one's departure must not fail it.
func TestQuestionOutlivesTheRequestThatCameFirst(t *testing.T) {
	s := newSetting(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Verify(gone, s.mint(t, partner))
	require.NoError(t, err)
}

func TestQuestionSeesClientsOfEveryProgram(t *testing.T) {
	s := newSetting(t)
	ctx := pin.WithCaller(t.Context(), pin.Caller{ProgramID: "program-2"})
	_, err := s.Verify(ctx, s.mint(t, partner))
	require.NoError(t, err)
}

// waiting is a server whose database does not answer before the desk's gate is closed, and a token of the partner's.
func waiting(t *testing.T, key oauth.SigningKey) (*desk, *oauth.Server, oauth.Token) {
	t.Helper()
	d := newDesk()
	d.gate = make(chan struct{})
	s, err := oauth.New(d, having(key), issuer, nil, nil)
	require.NoError(t, err)
	token, err := s.Mint(partner, time.Hour)
	require.NoError(t, err)
	return d, s, token
}

func TestAQuestionEndsInTime(t *testing.T) {
	key := newKey(t, "k")
	for name, c := range map[string]struct{ given, want time.Duration }{
		"after three seconds":                          {0, 3 * time.Second},
		"after three seconds of ten":                   {10 * time.Second, 3 * time.Second},
		"after a quarter of a minute that it is given": {time.Minute, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s, token := waiting(t, key)
				ctx := t.Context()
				if c.given > 0 {
					given, cancel := context.WithTimeout(ctx, c.given)
					defer cancel()
					ctx = given
				}
				start := time.Now()
				_, err := s.Verify(ctx, token.AccessToken)
				require.ErrorIs(t, err, &pin.Error{Code: pin.Unavailable})
				require.Equal(t, c.want, time.Since(start))
			})
		})
	}
}

// The ten seconds count from before the database was read: a slow answer must not stretch them.
func TestSlowAnswerIsAsOldAsItsQuestion(t *testing.T) {
	key := newKey(t, "k")
	synctest.Test(t, func(t *testing.T) {
		d, s, token := waiting(t, key)
		time.AfterFunc(2*time.Second, func() { close(d.gate) })
		_, err := s.Verify(context.Background(), token.AccessToken)
		require.NoError(t, err)

		<-time.After(8 * time.Second)
		d.change(partner.ID, func(c *pin.Client) { c.RevokedAt = time.Now() })
		_, err = s.Verify(context.Background(), token.AccessToken)
		require.ErrorIs(t, err, &pin.Error{Code: pin.Unauthorized})
	})
}
