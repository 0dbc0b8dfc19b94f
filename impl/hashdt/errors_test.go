package hashdt

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// What goes out for a code keeps the document's Error; every 401 says how to be known.
func TestEveryCodeIsAnError(t *testing.T) {
	t.Parallel()
	d, err := contract.Load(openapi.Documents, Name)
	require.NoError(t, err)
	shape := d.Spec().Components.Schemas["Error"].Value
	for _, code := range pin.Codes() {
		r := rows.Row(code)
		reply := (&API{}).Render(nil, nil, &pin.Error{Code: code, Err: errors.New("cause 918273645546")})
		require.Equal(t, r.status, reply.Status, code)
		require.NotContains(t, string(reply.Body), "918273645546", "causes stay inside")
		value, err := contract.Strict(reply.Body)
		require.NoError(t, err)
		require.NoError(t, shape.VisitJSON(value, openapi3.MultiErrors()), code)
		require.Equal(t, fmt.Sprintf(`{"code":%d,"message":%q,"status":"error"}`, reply.Status, r.message), string(reply.Body))
		require.Equal(t, reply.Status == http.StatusUnauthorized, reply.Header.Get("WWW-Authenticate") != "", code)
	}
	require.Equal(t, rows.Row(pin.Internal), rowOf(errors.New("a fault")))
}

// What no request of the document's examples can be, or no card of the sandbox.
func TestSentences(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want row
	}{
		"no PIN to reset":             {&pin.Error{Code: pin.NoPIN}, row{status: 400, message: "The card has no PIN; use setpin."}},
		"a PIN chosen already":        {opened(&pin.Error{Code: pin.Conflict, Field: "pin"}), chosenAlready},
		"keys rotated since":          {opened(&pin.Error{Code: pin.Conflict, Field: "session"}), rows.Row(pin.Conflict)},
		"a PIN that is not valid":     {opened(&pin.Error{Code: pin.InvalidField, Field: "pin"}), rows.Row(pin.InvalidField)},
		"a bad bearer":                {bearerBad.as(&pin.Error{Code: pin.Unauthorized}), bearerBad},
		"no such path":                {contract.NoRoute, row{status: 404, message: "No such endpoint."}},
		"no such method":              {contract.NoMethod, row{status: 405, message: "Method not allowed."}},
		"a header twice":              {contract.Broken{{In: contract.InHeader, Label: "x-card-id", Rule: contract.RuleRepeated}}, row{status: 400, message: "x-card-id must be sent once."}},
		"an empty header":             {contract.Broken{{In: contract.InHeader, Label: "x-card-id", Rule: contract.RuleMinLength}}, row{status: 400, message: "x-card-id is required."}},
		"something that cannot be":    {contract.Unbound, row{status: 400, message: "The request breaks the contract."}},
		"the first of two violations": {contract.Broken{{In: contract.InHeader, Label: "a", Rule: contract.RuleRequired}, {In: contract.InHeader, Label: "b", Rule: contract.RuleRequired}}, row{status: 400, message: "a is required."}},
	} {
		require.Equal(t, c.want, rowOf(c.err), name)
	}
}
