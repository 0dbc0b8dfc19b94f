package creditplus

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// reply is what Fail answers a request for a path with.
func reply(path string, err error) (status int, contentType, body string) {
	w := httptest.NewRecorder()
	c, _ := gin.CreateTestContext(w)
	unsealed := pin.Caller{Settings: json.RawMessage(`{"encryptionRequired":false}`)}
	c.Request = httptest.NewRequestWithContext(pin.WithCaller(context.Background(), unsealed), http.MethodPost, path, http.NoBody)
	(&API{}).Fail(c, err)
	return w.Code, w.Header().Get("Content-Type"), w.Body.String()
}

const (
	pathV1 = "/deviceapi/apis/v1/services/helpdesk/resetpinretrycounter"
	pathV2 = "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"
)

func TestFailAnswersEveryCodeOfTheVault(t *testing.T) {
	for _, code := range append(vaultCodes(t), expired, aliasOff, dateMalformed, dateLater, otherInstitution, planMissing, planUnread, deviceUnread) {
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

// vaultCodes are the codes that impl/pin declares.
func vaultCodes(t *testing.T) []pin.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../pin/error.go", nil, 0)
	require.NoError(t, err)
	var codes []pin.Code
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Code" {
				codes = append(codes, pin.Code(spec.Values[0].(*ast.BasicLit).Value[1:len(spec.Values[0].(*ast.BasicLit).Value)-1]))
			}
		}
		return true
	})
	require.Greater(t, len(codes), 20)
	return codes
}

func TestFailAnswersAFaultThatIsNobodysAsOurs(t *testing.T) {
	status, _, body := reply(pathV2, errors.New("4539511619543489"))
	require.Equal(t, http.StatusInternalServerError, status)
	require.JSONEq(t, `{"code":"INTERNAL_ERROR","description":"The server could not process the request."}`, body)
	status, _, body = reply(pathV1, errors.New("4539511619543489"))
	require.Equal(t, http.StatusInternalServerError, status)
	require.JSONEq(t, `{"code":"RP107","reason":"Error while executing Retry pin reset counter through AP"}`, body)
}

func TestFailAnswersWhatIsWrongWithTheRequestAsAWhole(t *testing.T) {
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
		{"a value that cannot be bound", contract.Unbound,
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
