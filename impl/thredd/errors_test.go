package thredd

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// rendered is what an error of an operation is answered with.
func rendered(t *testing.T, op *contract.Operation, err error) contract.Reply {
	t.Helper()
	r := httptest.NewRequestWithContext(pin.WithCaller(t.Context(), pin.Caller{TraceID: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}), http.MethodGet, "/", http.NoBody)
	return (&API{}).Render(r, op, err)
}

// What goes out for a code keeps the document's Problem.
func TestEveryCodeIsAProblem(t *testing.T) {
	t.Parallel()
	d, err := contract.Load(openapi.Documents, Name)
	require.NoError(t, err)
	problem := d.Spec().Components.Schemas["Problem"].Value
	for _, code := range pin.Codes() {
		r := rows.Row(code)
		require.NotEmpty(t, types[r.status], code)
		reply := rendered(t, nil, quoted(&pin.Error{Code: code, Err: errors.New("cause 918273645546")}, "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e"))
		require.Equal(t, r.status, reply.Status, code)
		require.Equal(t, "application/problem+json", reply.Header.Get("Content-Type"))
		require.NotContains(t, string(reply.Body), "918273645546", "causes stay inside")
		require.NotContains(t, string(reply.Body), "%")
		value, err := contract.Strict(reply.Body)
		require.NoError(t, err)
		require.NoError(t, problem.VisitJSON(value, openapi3.MultiErrors()), code)
	}
}

func TestTokenEndpointFailsInOAuthsShape(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		body   string
	}{
		{&TokenError{Code: "invalid_client", Status: 401, Challenge: "Basic"}, 401, `{"error":"invalid_client"}`},
		{contract.Broken{{In: contract.InBody, Rule: contract.RuleRequired, Pointer: "/client_id"}}, 400, `{"error":"invalid_request"}`},
		{&pin.Error{Code: pin.Unavailable}, 503, `{"error":"temporarily_unavailable"}`},
		{errors.New("any"), 500, `{"error":"server_error"}`},
	} {
		reply := rendered(t, &contract.Operation{ID: "issueToken"}, test.err)
		require.Equal(t, test.status, reply.Status)
		require.JSONEq(t, test.body, string(reply.Body))
		require.Equal(t, test.status == 401, reply.Header.Get("WWW-Authenticate") != "")
	}
}

// Whatever day a card is made on and ends with, the reply says the last day of that month of that century.
func TestAnExpiryDateKeepsItsCentury(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		day, err := time.Parse(time.DateOnly, text)
		require.NoError(t, err)
		return day.Add(13 * time.Hour)
	}
	for _, c := range []struct{ made, sent, want string }{
		{"2026-01-15", "2031-12-31", "2031-12-31"},
		{"2026-01-15", "2031-06-10", "2031-06-30"},
		{"2026-01-15", "2028-02-01", "2028-02-29"},
		{"2026-01-15", "2027-02-01", "2027-02-28"},
		{"2026-01-15", "2026-01-15", "2026-01-31"},
		{"2026-01-15", "2046-01-15", "2046-01-31"},
		{"2026-01-15", "2026-01-14", ""},
		{"2026-01-15", "2046-01-16", ""},
		{"2026-01-15", "1999-12-31", ""},
		{"2026-01-15", "2075-06-30", ""},
		{"2026-01-15", "2126-01-15", ""},
		{"2026-01-15", "9999-12-31", ""},
		{"2055-01-15", "2075-06-30", ""},
		{"2055-06-30", "2075-06-30", "2075-06-30"}, // where two digits alone read as 1975
		{"2068-03-01", "2069-03-01", "2069-03-31"},
		{"2090-03-01", "2100-01-01", "2100-01-31"},
		{"2099-12-31", "2119-12-31", "2119-12-31"},
		{"2100-01-01", "2100-01-01", "2100-01-31"},
	} {
		day, err := time.Parse(time.DateOnly, c.sent)
		require.NoError(t, err)
		month, err := expiryMonth(day, at(c.made))
		if c.want == "" {
			require.Equal(t, expiryOutside, err, "%v", c)
			continue
		}
		require.NoError(t, err, "%v", c)
		got, err := lastDay(month, at(c.made))
		require.NoError(t, err)
		require.Equal(t, c.want, got.Format(time.DateOnly), "%v", c)
	}
	_, err := lastDay("3113", at("2026-01-15"))
	require.Error(t, err)
}

func TestWhatIsWrongWithABodyIsNotSaidOfAField(t *testing.T) {
	t.Parallel()
	for rule, want := range map[contract.Rule][2]string{
		contract.RuleRequired: {"The request body is required.", "The pin field is required."},
		contract.RuleType:     {"The request body must be a JSON object.", "The pin field must be a string."},
		contract.RuleValue:    {"The request body has an invalid value.", "The pin field is invalid."},
	} {
		require.Equal(t, want[0], sentence("body", contract.Violation{In: contract.InBody, Rule: rule, Limit: "object"}))
		require.Equal(t, want[1], sentence("pin", contract.Violation{In: contract.InBody, Pointer: "/pin", Label: "pin", Rule: rule, Limit: "string"}))
	}
}
