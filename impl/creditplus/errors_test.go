package creditplus

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// reply is what an error of a request for a path is answered with.
func reply(path string, err error) (status int, contentType, body string) {
	unsealed := pin.Caller{Settings: json.RawMessage(`{"encryptionRequired":false}`)}
	r := httptest.NewRequestWithContext(pin.WithCaller(context.Background(), unsealed), http.MethodPost, path, http.NoBody)
	out := (&API{}).Render(r, nil, err)
	return out.Status, out.Header.Get("Content-Type"), string(out.Body)
}

const (
	pathV1 = "/deviceapi/apis/v1/services/helpdesk/resetpinretrycounter"
	pathV2 = "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"
)

func TestEveryCodeOfTheVaultIsAnswered(t *testing.T) {
	for _, code := range pin.Codes() {
		t.Run(string(code), func(t *testing.T) {
			secret := errors.New("4539511619543489")
			status, contentType, body := reply(pathV2, &pin.Error{Code: code, Field: "secret", Err: secret})
			require.GreaterOrEqual(t, status, 400)
			require.Equal(t, "application/json", contentType)
			require.Regexp(t, `^\{"code":"[A-Z_]+","description":"[^"]+"\}$`, body)
			require.NotContains(t, body, "453951")

			status, contentType, body = reply(pathV1, &pin.Error{Code: code, Field: "secret", Err: secret})
			require.GreaterOrEqual(t, status, 400)
			require.Equal(t, "application/json", contentType)
			require.Regexp(t, `^\{"code":"[A-Z0-9]+","reason":"[^"]+"\}$`, body)
			require.NotContains(t, body, "453951")
		})
	}
}

// A row is the error that it answers. It says its code, and never its text, in which a value may be quoted.
func TestARowIsAnError(t *testing.T) {
	_, _, body := reply(pathV2, past.of("dataValidUntilTimestamp", "2020-01-01T00:00:00Z", "in past"))
	require.JSONEq(t, `{"code":"TIMESTAMP_ERROR","description":"Request timestamp is in past.",
		"details":"Request timestamp of 'dataValidUntilTimestamp' field value '2020-01-01T00:00:00Z' is in past"}`, body)
	require.EqualError(t, past.of("dataValidUntilTimestamp", "2020-01-01T00:00:00Z", "in past"), "TIMESTAMP_ERROR")

	gone := &pin.Error{Code: pin.Unavailable}
	_, _, body = reply(pathV1, fault(planUnread, gone))
	require.JSONEq(t, `{"code":"RP103","reason":"Error while retrieving data from device plan"}`, body)
	require.ErrorIs(t, fault(planUnread, gone), gone, "the log has the cause")
	missed := &pin.Error{Code: pin.NotFound}
	require.Equal(t, error(missed), fault(planUnread, missed), "an answer is no fault")
}

func TestAFaultThatIsNobodysIsAnsweredAsOurs(t *testing.T) {
	status, _, body := reply(pathV2, errors.New("4539511619543489"))
	require.Equal(t, http.StatusInternalServerError, status)
	require.JSONEq(t, `{"code":"INTERNAL_ERROR","description":"The server could not process the request."}`, body)
	status, _, body = reply(pathV1, errors.New("4539511619543489"))
	require.Equal(t, http.StatusInternalServerError, status)
	require.JSONEq(t, `{"code":"RP107","reason":"Error while executing Retry pin reset counter through AP"}`, body)
}

func TestWhatIsWrongWithTheRequestAsAWhole(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken contract.Broken
		v2, v1 string
	}{
		{"no operation", contract.NoRoute, `{"code":"NOT_FOUND","description":"There is no operation at this path."}`,
			`{"code":"997","reason":"Reset Pin Retry Counter failed: invalid request"}`},
		{"a malformed query", contract.Broken{{In: contract.InQuery, Rule: contract.RuleMalformed}},
			`{"code":"INVALID_FIELD_FORMAT","description":"Incorrect value for field query."}`,
			`{"code":"997","reason":"Reset Pin Retry Counter failed: invalid request"}`},
		{"a header that is no text", contract.Broken{{In: contract.InHeader, Rule: contract.RuleCharacters}},
			`{"code":"INVALID_FIELD_FORMAT","description":"Incorrect value for field header."}`,
			`{"code":"997","reason":"Reset Pin Retry Counter failed: invalid request"}`},
		{"an invalid value bound", contract.Unbound,
			`{"code":"INVALID_FIELD_FORMAT","description":"Incorrect value for field body."}`,
			`{"code":"997","reason":"Reset Pin Retry Counter failed: invalid request"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, body := reply(pathV2, c.broken)
			require.JSONEq(t, c.v2, body)
			_, _, body = reply(pathV1, c.broken)
			require.JSONEq(t, c.v1, body)
		})
	}
}

func TestAValueIsQuotedAsItIs(t *testing.T) {
	alias := contract.Violation{In: contract.InBody, Pointer: "/alias", Rule: contract.RulePattern, Schema: &openapi3.Schema{}}
	for _, sent := range []string{"{label}", "{value}{name}", `"`, "<b>", "größer 🙂"} {
		got := first(v2Order, contract.Broken{alias}, map[string]any{"alias": sent})
		require.Equal(t, "'alias' field value '"+sent+"' is invalid.", got.text)
	}
}

func TestMasked(t *testing.T) {
	for value, want := range map[string]string{
		"":                         "",
		"DEVICE+000000001":         "DEVICE+000000001",
		"A1234567890!":             "A1234567890!",
		"12345678901":              "12345678901",
		"123456789012":             "************",
		"9999 9900 0000 0014":      "**** **** **** ****",
		"9999.9900/0000_0014 x":    "****.****/****_**** x",
		"9a9b9c9d9e9f9g9h9i9j9k9l": "*a*b*c*d*e*f*g*h*i*j*k*l",
	} {
		require.Equal(t, want, masked(value), value)
	}
}
