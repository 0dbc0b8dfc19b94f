package hashdt

import (
	"errors"
	"fmt"
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

func fail(t *testing.T, err error) *httptest.ResponseRecorder {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	w := httptest.NewRecorder()
	e := gin.New()
	e.GET("/", func(c *gin.Context) { (&API{}).Fail(c, err) })
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	return w
}

// Every code has a row, and what goes out keeps the document's Error.
func TestEveryCodeHasARow(t *testing.T) {
	t.Parallel()
	d, err := contract.Load(openapi.Documents, Name)
	require.NoError(t, err)
	shape := d.Spec().Components.Schemas["Error"].Value
	require.Len(t, rows, len(codes))
	for _, code := range codes {
		require.Contains(t, rows, code)
		w := fail(t, &pin.Error{Code: code, Err: errors.New("cause 918273645546")})
		require.Equal(t, rows[code].status, w.Code, code)
		require.NotContains(t, w.Body.String(), "918273645546", "causes stay inside")
		value, err := contract.Strict(w.Body.Bytes())
		require.NoError(t, err)
		require.NoError(t, shape.VisitJSON(value, openapi3.MultiErrors()), code)
		require.Equal(t, fmt.Sprintf(`{"code":%d,"message":%q,"status":"error"}`, w.Code, rows[code].message), w.Body.String())
	}
	require.Equal(t, rows[pin.Internal], rowOf(errors.New("a fault")))
}

// What no request of the document's examples can be, or no card of the sandbox.
func TestSentences(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want row
	}{
		"no PIN to reset":             {&pin.Error{Code: pin.NoPIN}, row{400, "The card has no PIN; use setpin."}},
		"a PIN chosen already":        {&pin.Error{Code: pin.Conflict, Field: "pin"}, chosenAlready},
		"keys rotated since":          {&pin.Error{Code: pin.Conflict, Field: "session"}, rows[pin.Conflict]},
		"a bad bearer":                {badBearer{&pin.Error{Code: pin.Unauthorized}}, bearerBad},
		"no such path":                {contract.NoRoute, row{404, "No such endpoint."}},
		"no such method":              {contract.NoMethod, row{405, "Method not allowed."}},
		"a header twice":              {contract.Broken{{In: contract.InHeader, Label: "x-card-id", Rule: contract.RuleRepeated}}, row{400, "x-card-id must be sent once."}},
		"an empty header":             {contract.Broken{{In: contract.InHeader, Label: "x-card-id", Rule: contract.RuleMinLength}}, row{400, "x-card-id is required."}},
		"a body where there is none":  {contract.Broken{{In: contract.InBody, Rule: contract.RuleAdditionalBody}}, row{400, "The request breaks the contract."}},
		"something that cannot be":    {contract.Unbound, row{400, "The request breaks the contract."}},
		"the first of two violations": {contract.Broken{{In: contract.InHeader, Label: "a", Rule: contract.RuleRequired}, {In: contract.InHeader, Label: "b", Rule: contract.RuleRequired}}, row{400, "a is required."}},
	} {
		require.Equal(t, c.want, rowOf(c.err), name)
	}
}
