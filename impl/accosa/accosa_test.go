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

func (r ring) TokenKeys(_ context.Context, _, id string, fixedIV []byte) ([]*keyring.TokenKey, error) {
	k, err := r.tokenKey(id, fixedIV)
	if err != nil {
		return nil, err
	}
	return []*keyring.TokenKey{k}, nil
}

func (ring) tokenKey(id string, fixedIV []byte) (*keyring.TokenKey, error) {
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
	k, err := ring{}.tokenKey(keyID, nil)
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
		strings.ReplaceAll(valid, `"urn":70000000008,`, ""), strings.ReplaceAll(valid, `"urn":70000000008`, `"mobileNumber":"+97150000000"`),
		strings.ReplaceAll(valid, `"urn"`, `"x":1e999,"\u0000":"\ud800","customerId":"C","urn"`),
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
			require.NotEmpty(t, m.urn+m.customerID+m.mobileNumber)
			require.Regexp(t, `^(-0|[0-9]{1,11})?$`, m.urn)
			require.Regexp(t, `^[0-9]{4,6}$`, m.newPIN)
			require.Regexp(t, map[bool]string{true: `^[0-9]{4}$`, false: `^([0-9]{4})?$`}[m.urn != ""], m.last4Digits)
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
		"requestDateTime": missing("requestDateTime"), "last4Digits": missing("last4Digits"), "newPIN": invalidPIN} {
		delete(wrong, name)
		require.Equal(t, want, fault(), name)
		wrong[name] = nil
		require.Equal(t, want, fault(), name)
		wrong[name] = right[name]
	}
	for _, name := range []string{"urn", "last4Digits", "mobileNumber"} {
		delete(wrong, name)
		require.NoError(t, fault(), name)
	}
	wrong["customerId"] = nil
	require.Equal(t, noSelector, fault())
	wrong["mobileNumber"] = "x"
	require.Equal(t, invalidMobile, fault(), "one was sent")
}

// Around a change of the clocks a time is meant as before or as after it.
func TestTheWindowOfTimesThatMayBeSent(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	const window = 15 * time.Minute
	for _, test := range []struct {
		name, now, sent string
		window          time.Duration
		want            bool
	}{
		{"the same second", "2026-01-15T12:00:00.9Z", "20260115130000", window, true},
		{"the first second", "2026-01-15T12:00:00Z", "20260115124500", window, true},
		{"before it", "2026-01-15T12:00:00Z", "20260115124459", window, false},
		{"the last second", "2026-01-15T12:00:00Z", "20260115131500", window, true},
		{"after it", "2026-01-15T12:00:00Z", "20260115131501", window, false},
		{"without a window", "2026-01-15T12:00:00Z", "19990115131501", 0, true},
		{"without a window, no date", "2026-01-15T12:00:00Z", "20260230131501", 0, false},
		{"no date", "2026-03-01T12:00:00Z", "20260229130000", window, false},
		{"no hour", "2026-01-15T23:00:00Z", "20260115240000", window, false},
		{"summer time begins: before", "2026-03-29T01:05:00Z", "20260329015500", window, true},
		{"summer time begins: after", "2026-03-29T01:05:00Z", "20260329030500", window, true},
		{"summer time begins: ahead", "2026-03-29T00:55:00Z", "20260329030500", window, true},
		{"summer time ends: the second hour", "2026-10-25T01:05:00Z", "20261025020500", window, true},
		{"summer time ends: the end of the first hour", "2026-10-25T01:05:00Z", "20261025025500", window, true},
		{"summer time ends: an hour ago, which is written in the same way", "2026-10-25T01:05:00Z", "20261025021000", window, true},
		{"summer time has ended", "2026-10-25T02:05:00Z", "20261025020500", window, false},
	} {
		now, err := time.Parse(time.RFC3339Nano, test.now)
		require.NoError(t, err)
		require.Equal(t, test.want, near(test.sent, now, zone, test.window), test.name)
	}
}

// Of several cards those that agree are left; the row is that of the first thing that none of them has.
func TestTheCardIsTheOneThatAgrees(t *testing.T) {
	card := func(customer, mobile, email, profile, last4 string) candidate {
		c := candidate{last4: last4}
		c.CustomerID, c.MobileNumber, c.EmailAddress, c.CardProfileID = customer, mobile, email, profile
		return c
	}
	a, b, bare := card("A", "1", "a@x", "P1", "0001"), card("B", "1", "b@x", "P2", "0002"), card("A", "", "", "", "0003")
	demanding := a
	demanding.profileDemanded = true
	for _, test := range []struct {
		name string
		all  []candidate
		m    message
		want any // the candidate or its row
	}{
		{"the only one", []candidate{a}, message{}, a},
		{"the only one, which agrees in all", []candidate{a}, message{last4Digits: "0001", customerID: "A", mobileNumber: "1", emailAddress: "A@X", cardProfileID: "P1"}, a},
		{"of two customers", []candidate{a, b}, message{mobileNumber: "1"}, severalCustomers},
		{"of two customers, one of whom is named", []candidate{a, b}, message{customerID: "B"}, b},
		{"of two customers, one of whose cards is named", []candidate{a, b}, message{last4Digits: "0001"}, a},
		{"of two customers, one of whose profiles is named", []candidate{a, b}, message{cardProfileID: "P2"}, b},
		{"of two customers, one of whose addresses is named", []candidate{a, b}, message{emailAddress: "b@x"}, b},
		{"of two cards of a customer", []candidate{a, bare}, message{customerID: "A"}, mismatch},
		{"of two cards of a customer, one of which is named", []candidate{a, bare}, message{last4Digits: "0003"}, bare},
		{"of two cards, one of which has no number", []candidate{a, bare}, message{mobileNumber: "1"}, mismatch},
		{"of two cards, one of which has no number and the other another", []candidate{a, bare}, message{mobileNumber: "2"}, bare},
		{"of almost as many as are looked at", append(slices.Repeat([]candidate{a}, mostLookedAt-2), bare), message{last4Digits: "0003"}, bare},
		{"of as many as are looked at, since there may be more", append(slices.Repeat([]candidate{a}, mostLookedAt-1), bare), message{last4Digits: "0003"}, mismatch},
		{"without an address", []candidate{bare}, message{emailAddress: "c@x"}, bare},
		{"with other digits", []candidate{a, b}, message{last4Digits: "0009", customerID: "C"}, dataNotFound},
		{"of another customer", []candidate{a}, message{customerID: "B", mobileNumber: "2"}, elsewhere{pin.Holder{CustomerID: "B"}, unknownCustomer}},
		{"with another number", []candidate{a}, message{mobileNumber: "2", cardProfileID: "P9"}, dataNotFound},
		{"with another address", []candidate{a}, message{emailAddress: "b@x"}, dataNotFound},
		{"with another profile", []candidate{a}, message{cardProfileID: "P2"}, elsewhere{pin.Holder{CardProfileID: "P2"}, invalidProfile}},
		{"without a profile, which is not held against no profile", []candidate{bare}, message{}, bare},
		{"without a profile, where one is named", []candidate{bare}, message{cardProfileID: "P2"}, elsewhere{pin.Holder{CardProfileID: "P2"}, invalidProfile}},
		{"whose profile is demanded", []candidate{demanding}, message{}, profileMandatory},
		{"whose profile is demanded, and sent", []candidate{demanding}, message{cardProfileID: "P1"}, demanding},
	} {
		chosen, err := choose(test.all, test.m)
		if want, refused := test.want.(error); refused {
			require.Equal(t, want, err, test.name)
			continue
		}
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, chosen, test.name)
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
	heard := &listener{}
	k := known()
	k.settings.ClientID = "2000"
	ctx := contract.Listen(context.WithValue(t.Context(), callKey{}, k), heard)
	reply := a.Render(httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody), nil, invalidPIN)
	require.Contains(t, string(reply.Body), `{"token":`)
	_, violations := document(t).CheckMessage("ResetPinError", heard.inside)
	require.Empty(t, violations)
	require.Contains(t, string(heard.inside), invalidPIN.code)
}

// listener keeps what it hears.
type listener struct{ opened, inside []byte }

func (l *listener) NoteOpened(message []byte) { l.opened = bytes.Clone(message) }
func (l *listener) NoteInside(message []byte) { l.inside = bytes.Clone(message) }

func TestWhoeverListensIsToldWhatWasInsideATokenThatOpens(t *testing.T) {
	a, known := opener(t, "one", "two")
	for name, want := range map[string]string{sealed(t, "two", valid): valid, sealed(t, "other", valid): "", sealed(t, "one", "no message"): ""} {
		heard := &listener{}
		_ = a.open(contract.Listen(t.Context(), heard), known(), name)
		require.Equal(t, want, string(heard.opened))
	}
}

// An error goes out under the key that opened its request; one that comes before, under the client's current key,
// for which nobody is asked when the fault is the server's.
func TestTheKeyOfAnErrorsToken(t *testing.T) {
	a, known := opener(t, "one", "two")
	two, err := ring{}.tokenKey("two", nil)
	require.NoError(t, err)
	for _, test := range []struct {
		name   string
		key    *keyring.TokenKey
		status int
		under  string // "": in the clear
	}{
		{"before a key has opened anything", nil, http.StatusBadRequest, "one"},
		{"after the other key has", two, http.StatusBadRequest, "two"},
		{"of the server's, before a key has opened anything", nil, http.StatusInternalServerError, ""},
		{"of the server's, after the other key has", two, http.StatusInternalServerError, "two"},
	} {
		k := known()
		k.key = test.key
		token, ok := a.sealed(context.WithValue(t.Context(), callKey{}, k), row{status: test.status, code: "9999"})
		require.Equal(t, test.under != "", ok, test.name)
		if ok {
			under, err := ring{}.tokenKey(test.under, nil)
			require.NoError(t, err)
			_, opens := under.Open(token.Token)
			require.True(t, opens, test.name)
		}
	}
}

func TestWhatIsWrongAroundTheMessage(t *testing.T) {
	a, _ := opener(t, "one")
	for rule, want := range map[contract.Rule]row{contract.RuleRequired: missing("entityId"), contract.RulePattern: invalid("entityId")} {
		require.Equal(t, want, a.wire(t.Context(), contract.Broken{{In: contract.InHeader, Label: "entityId", Rule: rule}}))
	}
	require.Equal(t, invalid("header"), a.wire(t.Context(), contract.Broken{{In: contract.InHeader, Rule: contract.RuleRepeated}}))
}

func TestAClientTxnIDIsKeptForLongerThanItsMessageMayBeSent(t *testing.T) {
	require.Equal(t, 48*time.Hour, clientSettings{}.remembered())
	require.Equal(t, 50*time.Hour, clientSettings{RequestWindowSeconds: 3600}.remembered())
}

// holding has cards whose number ends in 0001.
type holding struct{ Vault }

func (holding) MaskedPAN(pin.Card) (string, error) { return "************0001", nil }

// What a message says of a card is held against it once more when its PIN is changed: it may have changed since.
func TestACardThatNoLongerAgreesIsRefused(t *testing.T) {
	was := pin.Card{ID: "card"}
	was.CustomerID = "A"
	a := New(holding{}, nil, nil, nil, nil, nil)
	var told []string
	q := a.query(message{customerID: "A", last4Digits: "0001"}, func(c pin.Card) error {
		told = append(told, c.ID)
		return nil
	})
	_, err := q.Choose(nil)
	require.Equal(t, unknownCustomer, err)
	require.Empty(t, told)
	chosen, err := q.Choose([]pin.Record{{Card: was}})
	require.NoError(t, err)
	require.Equal(t, "card", chosen.Card.ID)
	require.Equal(t, []string{"card"}, told)
	require.NoError(t, q.Check(pin.Record{Card: was}))
	is := was
	is.CustomerID = "B"
	require.Error(t, q.Check(pin.Record{Card: is}))
}
