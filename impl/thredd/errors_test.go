package thredd

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// codes are all that the vault can report.
var codes = []pin.Code{
	pin.Internal, pin.Unavailable, pin.Unauthorized, pin.Forbidden, pin.NotFound, pin.Ambiguous, pin.Conflict, pin.Duplicate,
	pin.InvalidField, pin.InvalidPIN, pin.PINLength, pin.WeakPIN, pin.RecentPIN, pin.CardStatus, pin.NoPIN, pin.RetrievalOff,
	pin.WrongPIN, pin.Blocked, pin.Unopenable, pin.UnknownKey, pin.ReplayOther, pin.ReplayChanged, pin.ReplayUnderway,
}

func fail(t *testing.T, path string, err error) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET(path, func(c *gin.Context) { (&API{}).Fail(c, err) })
	r := httptest.NewRequestWithContext(pin.WithCaller(t.Context(), pin.Caller{TraceID: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}), http.MethodGet, path, http.NoBody)
	e.ServeHTTP(w, r)
	return w
}

// Every code has a row, and what goes out keeps the document's Problem.
func TestEveryCodeHasARow(t *testing.T) {
	t.Parallel()
	d, err := contract.Load(openapi.Documents, Name)
	require.NoError(t, err)
	problem := d.Spec().Components.Schemas["Problem"].Value
	require.Len(t, rows, len(codes))
	for _, code := range codes {
		r, ok := rows[code]
		require.True(t, ok, code)
		require.NotEmpty(t, types[r.status], code)
		w := fail(t, "/api/v1/x", quoted(&pin.Error{Code: code, Err: errors.New("cause 918273645546")}, "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e"))
		require.Equal(t, r.status, w.Code, code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.NotContains(t, w.Body.String(), "918273645546", "causes stay inside")
		require.NotContains(t, w.Body.String(), "%")
		value, err := contract.Strict(w.Body.Bytes())
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
		w := fail(t, "/connect/token", test.err)
		require.Equal(t, test.status, w.Code)
		require.JSONEq(t, test.body, w.Body.String())
		require.Equal(t, test.status == 401, w.Header().Get("WWW-Authenticate") != "")
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
