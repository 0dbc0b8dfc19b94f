package thredd

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

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

func TestLastDayOfTheExpiryMonth(t *testing.T) {
	t.Parallel()
	for expiry, want := range map[string]string{"3112": "2031-12-31", "2802": "2028-02-29", "2702": "2027-02-28", "2604": "2026-04-30"} {
		got, err := lastDay(expiry)
		require.NoError(t, err)
		require.Equal(t, want, got.Format("2006-01-02"))
	}
	_, err := lastDay("3113")
	require.Error(t, err)
}
