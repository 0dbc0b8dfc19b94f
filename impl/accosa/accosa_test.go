package accosa

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// ring gives token keys by id: the id's bytes over and over.
type ring struct{}

func (ring) TokenKey(_ context.Context, _, id string, fixedIV []byte) (*keyring.TokenKey, error) {
	if id == "retired" {
		return nil, &pin.Error{Code: pin.UnknownKey}
	}
	return keyring.NewTokenKey(bytes.Repeat([]byte(id), 24)[:24], fixedIV)
}

// document is the contract's, which all tests share: it does not change.
func document(t testing.TB) *contract.Document {
	t.Helper()
	d, err := loadedOnce()
	require.NoError(t, err)
	return d
}

var loadedOnce = sync.OnceValues(func() (*contract.Document, error) { return contract.Load(openapi.Documents, Name) })

const valid = `{"messageCode":"1120","requestDateTime":"20160715025837","clientTxnId":"TXN","newPIN":"121200","urn":70000000008,"last4Digits":"1745"}`

// opener is an API that can open tokens, and what is known of a call of a client with these keys.
func opener(t testing.TB, keyIDs ...string) (*API, func() *call) {
	t.Helper()
	return New(nil, ring{}, document(t), nil, nil, nil), func() *call {
		return &call{schema: "ResetPinMessage", zone: time.UTC, settings: clientSettings{MessageKeyIDs: keyIDs, IVMode: prependedIV}}
	}
}

func sealed(t testing.TB, keyID, text string) string {
	t.Helper()
	k, err := ring{}.TokenKey(t.Context(), "", keyID, nil)
	require.NoError(t, err)
	token, err := k.Seal(bytes.NewReader(make([]byte, 16)), []byte(text))
	require.NoError(t, err)
	return token
}

// unpadded is the token of whole blocks without padding.
func unpadded(t testing.TB, keyID, blocks string) string {
	t.Helper()
	require.Zero(t, len(blocks)%16)
	raw, err := base64.StdEncoding.DecodeString(sealed(t, keyID, blocks))
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(raw[:len(raw)-16])
}

func TestEitherOfAClientsKeysOpens(t *testing.T) {
	for _, test := range []struct {
		name   string
		keys   []string
		under  string
		opened bool
	}{
		{"the only key", []string{"one"}, "one", true},
		{"the current key of two", []string{"one", "two"}, "one", true},
		{"the other key of two", []string{"one", "two"}, "two", true},
		{"the other key while the current one is retired", []string{"retired", "two"}, "two", true},
		{"a third key", []string{"one", "two", "three"}, "three", false},
		{"somebody else's key", []string{"one", "two"}, "six", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, known := opener(t, test.keys...)
			k := known()
			err := a.open(t.Context(), k, sealed(t, test.under, valid))
			if !test.opened {
				require.Equal(t, requestNotFound, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, k.message.fault())
			require.Equal(t, "70000000008", k.message.urn)
		})
	}
	a, known := opener(t, "retired")
	require.Equal(t, pin.UnknownKey, pin.CodeOf(a.open(t.Context(), known(), sealed(t, "one", valid))))
}

// FuzzOpen opens what anybody may send, as a token and as what is inside one. Nothing panics; there are
// two ways to end, and a message without a fault has all that the vault is asked with.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}", valid, strings.ReplaceAll(valid, "70000000008", `"7"`), strings.ReplaceAll(valid, "70000000008", "null"),
		strings.ReplaceAll(valid, "70000000008", "-0"), strings.ReplaceAll(valid, "70000000008", "7e10"), strings.ReplaceAll(valid, `"1745"`, "1745"),
		strings.ReplaceAll(valid, `"121200"`, `{"newPIN":null}`), strings.ReplaceAll(valid, `"121200"`, `[[[null]]]`), valid + valid, valid[:40],
		strings.ReplaceAll(valid, "TXN", "\xff"), strings.ReplaceAll(valid, "TXN", `\u0000`), strings.ReplaceAll(valid, "TXN", `\ud800`),
		`{"messageCode":1120,"messageCode":1120}`, strings.Repeat("[", 100), sealed(f, "one", valid), "AAAA\nBBBB", "====",
	} {
		f.Add(seed)
	}
	a, known := opener(f, "one", "two")
	f.Fuzz(func(t *testing.T, text string) {
		for _, token := range []string{text, sealed(t, "one", text), sealed(t, "two", text)} {
			k := known()
			if err := a.open(t.Context(), k, token); err != nil {
				require.Equal(t, requestNotFound, err)
				continue
			}
			_ = a.failure(k, invalidPIN)
			m := k.message
			if err := m.fault(); err != nil {
				require.Regexp(t, `^(1034|1088|1091|1092|9001|9002|9004) `, err.Error())
				continue
			}
			require.NotNil(t, number64(m.urn))
			require.Regexp(t, `^[0-9]{4,6}$`, m.newPIN)
			require.Regexp(t, `^[0-9]{4}$`, m.last4Digits)
			require.NotEmpty(t, m.clientTxnID)
			require.NotEmpty(t, m.content)
		}
	})
}

// A token that is wrongly padded takes as long as one that holds no JSON. The statistic is printed; the
// bound is far above what a busy machine shows and far below what a short cut would.
func TestWrongPaddingTakesTheTimeOfWrongJSON(t *testing.T) {
	const samples = 2000
	a, known := opener(t, "one", "two")
	cut := valid[:len(valid)-len(valid)%16-1] // no JSON, and one byte short of whole blocks
	kinds := []string{unpadded(t, "one", cut+"\x11"), unpadded(t, "one", cut+"\x01")}
	var took [2][]float64
	for i := range 2 * samples {
		k, kind := known(), (i^i>>1)&1 // 0 1 1 0, so that neither always comes second
		began := time.Now()
		err := a.open(t.Context(), k, kinds[kind])
		elapsed := time.Since(began)
		require.Equal(t, requestNotFound, err)
		took[kind] = append(took[kind], float64(elapsed.Nanoseconds()))
	}
	median := func(x []float64) float64 { s := slices.Sorted(slices.Values(x)); return s[len(s)/2] }
	mad := func(x []float64) float64 {
		m, d := median(x), make([]float64, len(x))
		for i := range x {
			d[i] = math.Abs(x[i] - m)
		}
		return median(d)
	}
	padding, content := median(took[0]), median(took[1])
	t.Logf("medians of %d each: wrong padding %.0f ns (MAD %.0f), wrong JSON %.0f ns (MAD %.0f); difference %.0f ns, Welch's t of the lower 90%% %.2f",
		samples, padding, mad(took[0]), content, mad(took[1]), padding-content, welch(lower(took[0]), lower(took[1])))
	require.Less(t, math.Abs(padding-content), 0.25*max(padding, content), "a short cut would save more than half")
}

// lower drops the highest tenth, which is the scheduler's.
func lower(x []float64) []float64 { return slices.Sorted(slices.Values(x))[:len(x)*9/10] }

func welch(x, y []float64) float64 {
	moments := func(x []float64) (mean, variance float64) {
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x)-1)
		}
		return mean, variance
	}
	mx, vx := moments(x)
	my, vy := moments(y)
	return (mx - my) / math.Sqrt(vx/float64(len(x))+vy/float64(len(y)))
}

func TestEveryFieldOfAMessageHasARow(t *testing.T) {
	var have []string
	for _, f := range fields {
		have = append(have, f.name)
	}
	var want []string
	for name := range document(t).Spec().Components.Schemas["ResetPinMessage"].Value.Properties {
		want = append(want, name)
	}
	require.ElementsMatch(t, want, have)
}

// Of a message in which everything is wrong the fields are answered for one after the other, in the order
// of the contract's description.
func TestOneFieldIsAnsweredForAtATime(t *testing.T) {
	wrong := map[string]any{"messageCode": "1121", "clientTxnId": "", "requestDateTime": "20160230025837", "last4Digits": "17", "urn": true,
		"newPIN": "121", "customerId": "", "mobileNumber": "97150-ABC", "emailAddress": "nobody", "cardProfileId": "!"}
	right := map[string]any{"messageCode": "1120", "clientTxnId": "TXN", "requestDateTime": "20160229025837", "last4Digits": "1745", "urn": "7",
		"newPIN": "1212", "customerId": "C", "mobileNumber": "+97150000000", "emailAddress": "a@cards.example", "cardProfileId": "CP01"}
	a, known := opener(t, "one")
	fault := func() error {
		text, err := json.Marshal(wrong)
		require.NoError(t, err)
		k := known()
		require.NoError(t, a.open(t.Context(), k, sealed(t, "one", string(text))))
		return k.message.fault()
	}
	for _, step := range []struct {
		field string
		want  row
	}{
		{"messageCode", invalidCode}, {"clientTxnId", invalid("clientTxnId")}, {"requestDateTime", invalidDate}, {"last4Digits", invalid("last4Digits")},
		{"urn", invalid("urn")}, {"newPIN", invalidPIN}, {"customerId", invalid("customerId")}, {"mobileNumber", invalidMobile},
		{"emailAddress", invalidEmail}, {"cardProfileId", invalidProfile},
	} {
		require.Equal(t, step.want, fault(), step.field)
		wrong[step.field] = right[step.field]
	}
	require.NoError(t, fault())
	for name, want := range map[string]row{"messageCode": missing("messageCode"), "clientTxnId": missing("clientTxnId"),
		"requestDateTime": missing("requestDateTime"), "last4Digits": missing("last4Digits"), "urn": missing("urn"), "newPIN": invalidPIN} {
		delete(wrong, name)
		require.Equal(t, want, fault(), name)
		wrong[name] = nil
		require.Equal(t, want, fault(), name)
		wrong[name] = right[name]
	}
}

func TestAMessageDoesNotPrint(t *testing.T) {
	a, known := opener(t, "one")
	k := known()
	require.NoError(t, a.open(t.Context(), k, sealed(t, "one", valid)))
	require.NotRegexp(t, "121200|1745", fmt.Sprintf("%v %+v %#v %s", k.message, k.message, k.message, k.message))
}

// The check of replies cannot look into a token: it is told what is inside of each, of an error too.
func TestWhoeverChecksRepliesIsToldWhatIsInsideATokenThatGoesOut(t *testing.T) {
	a, known := opener(t, "one")
	a.random = bytes.NewReader(make([]byte, 16))
	var heard []byte
	k := known()
	k.settings.ClientID = "2000"
	ctx := contract.Listen(context.WithValue(t.Context(), callKey{}, k), func(message []byte) { heard = message })
	reply := a.Render(httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody), nil, invalidPIN)
	require.Contains(t, string(reply.Body), `{"token":`)
	_, violations := document(t).CheckMessage("ResetPinError", heard)
	require.Empty(t, violations)
	require.Contains(t, string(heard), invalidPIN.code)
}
