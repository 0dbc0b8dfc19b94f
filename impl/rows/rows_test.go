package rows

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

const (
	pinPath  = "/api/v1/cards/103169946/pin"
	pinQuery = pinPath + "?fields=pin&fields=tries"
)

// byStep returns the rows of a document in which all is well.
func byStep(t *testing.T, doc *openapi3.T) map[Step]Row {
	t.Helper()
	all, err := All(doc)
	require.NoError(t, err)
	rows := map[Step]Row{}
	for _, row := range all {
		rows[row.Step] = row
	}
	return rows
}

func TestRowsPutTheRequestTogether(t *testing.T) {
	rows := byStep(t, load(t, "cards.yaml"))
	type request struct {
		method, path, contentType, body string
		header, override                http.Header
	}
	tests := []struct {
		name string
		step Step
		want request
	}{
		{"examples of the name, an optional parameter among them", Step{"setCardPin", "pin-set"}, request{
			"POST", pinPath, "application/json", `{"pin":"1234"}`, http.Header{"X-Trace": {"trace 7"}}, http.Header{},
		}},
		{"default for what is required, what is optional left out", Step{"setCardPin", "vault-broken"}, request{
			"POST", pinPath, "application/json", `{"pin":"0007"}`, http.Header{}, http.Header{},
		}},
		{"the plain example for a required parameter, a list repeated", Step{"getCardPin", "pin-of-creation"}, request{
			"GET", pinQuery, "", "", http.Header{}, http.Header{},
		}},
		{"a body of a size", Step{"setCardPin", "body-too-large"}, request{
			"POST", pinPath, "application/json", strings.Repeat(" ", 2000), http.Header{}, http.Header{},
		}},
		{"no query", Step{"getCardPin", "fields-missing"}, request{
			"GET", pinPath, "", "", http.Header{}, http.Header{},
		}},
		{"a form", Step{"issueToken", "token-issued"}, request{
			"POST", "/connect/token", "application/x-www-form-urlencoded",
			"client_id=the+client+%26+co&grant_type=client_credentials&scope=pins&scope=cards",
			http.Header{}, http.Header{},
		}},
		{"a raw body has the type that the operation takes", Step{"issueToken", "grant-unknown"}, request{
			"POST", "/connect/token", "application/x-www-form-urlencoded", "grant_type=password",
			http.Header{}, http.Header{},
		}},
		{"a path that no schema allows", Step{"setCardPin", "token-with-a-slash"}, request{
			"POST", "/api/v1/cards/a%2Fb/pin", "application/json", `{"pin":"1234"}`, http.Header{}, http.Header{},
		}},
		{"another method has no body", Step{"setCardPin", "method-unknown"}, request{
			"PUT", pinPath, "", "", http.Header{}, http.Header{},
		}},
		{"another content type", Step{"setCardPin", "body-of-text"}, request{
			"POST", pinPath, "application/json", `{"pin":"1234"}`, http.Header{}, http.Header{"Content-Type": {"text/plain"}},
		}},
		{"no content type", Step{"setCardPin", "body-without-a-type"}, request{
			"POST", pinPath, "application/json", `{"pin":"1234"}`, http.Header{}, http.Header{"Content-Type": nil},
		}},
		{"another header", Step{"getCardPin", "bearer-malformed"}, request{
			"GET", pinQuery, "", "", http.Header{}, http.Header{"Authorization": {"Basic eDp5"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, rows, tt.step)
			c := rows[tt.step]
			require.Equal(t, tt.want, request{c.Method, c.Path, c.ContentType, string(c.Body), c.Header, c.Override})
		})
	}
}

func TestRowsTellTheirArguments(t *testing.T) {
	rows := byStep(t, load(t, "cards.yaml"))
	for step, want := range map[Step]map[string]any{
		{"setCardPin", "pin-set"}:            {"publicToken": "103169946", "X-Trace": "trace 7"},
		{"setCardPin", "token-with-a-slash"}: {"publicToken": "a/b"},
		{"getCardPin", "pin-of-creation"}:    {"publicToken": "103169946", "fields": []any{"pin", "tries"}},
		{"getCardPin", "fields-missing"}:     {"publicToken": "103169946"},
		{"issueToken", "token-issued"}:       {},
	} {
		got := map[string]any{}
		for _, a := range rows[step].Arguments {
			got[a.Name] = a.Value
		}
		require.Equal(t, want, got, step)
	}
}

func TestRowsSayWhatIsExpected(t *testing.T) {
	rows := byStep(t, load(t, "cards.yaml"))
	require.Equal(t, Reply{Status: 204, Header: http.Header{}}, rows[Step{"setCardPin", "pin-set"}].Reply)
	require.Equal(t, Reply{
		Status:      200,
		ContentType: "application/json",
		Body:        []byte(`{"access_token":"abc","expires_in":14400}`),
		Volatile:    []string{"/access_token"},
		Header:      http.Header{"Cache-Control": {"no-store"}, "Www-Authenticate": nil},
	}, rows[Step{"issueToken", "token-issued"}].Reply)

	require.True(t, rows[Step{"issueToken", "token-issued"}].Public)
	require.False(t, rows[Step{"setCardPin", "pin-set"}].Public)
	require.Equal(t, "none", rows[Step{"setCardPin", "bearer-missing"}].Authorization)
	require.Equal(t, "internal", rows[Step{"setCardPin", "vault-broken"}].Fault)
	require.Equal(t, &Session{Link: "changepin", Message: map[string]any{"pin": "7010"}}, rows[Step{"setCardPin", "vault-broken-in-a-session"}].Session)
	require.Equal(t, []Step{{"setCardPin", "pin-set"}, {"setCardPin", "pin-set"}},
		rows[Step{"getCardPin", "pin-after-two-changes"}].After)
}

func TestASharedResponseIsShownByTheOperationsThatItNames(t *testing.T) {
	rows := byStep(t, load(t, "cards.yaml"))
	for step, want := range map[Step]bool{
		{"setCardPin", "pin-unreadable"}:     true,
		{"issueToken", "pin-unreadable"}:     false,
		{"issueToken", "grant-unknown"}:      true,
		{"setCardPin", "bearer-missing"}:     true,
		{"getCardPin", "bearer-missing"}:     true,
		{"getCertificate", "bearer-missing"}: true,
	} {
		_, got := rows[step]
		require.Equal(t, want, got, step)
	}
}

func TestRowsRefuseAnExampleThatIsOnlyWrittenDown(t *testing.T) {
	tests := []struct {
		name     string
		old, new string
		want     string
	}{
		{"a required body without an example", "examples:\n              token-issued:\n                value: {grant_type",
			"x-none:\n              token-issued:\n                value: {grant_type",
			"issueToken/token-issued: the body is required and has no example of this name, no default and no rawBody"},
		{"a request body's example without a reply", "pin-set: {value: {pin: '1234'}}",
			"pin-set: {value: {pin: '1234'}}\n            pin-sett: {value: {pin: '1234'}}",
			`setCardPin request body application/json: the example "pin-sett" is part of no row`},
		{"a parameter's example without a reply", "card-unknown: {value: '999999999'}", "card-lost: {value: '999999999'}",
			`getCardPin parameter publicToken: the example "card-lost" is part of no row`},
		{"a required parameter without an example", "default: {value: '103169946'}", "other: {value: '103169946'}",
			"setCardPin/pin-set: parameter publicToken: no example"},
		{"an unknown operation in x-after",
			"x-after:\n                    - {operation: setCardPin,", "x-after:\n                    - {operation: setPin,",
			`getCardPin/pin-after-two-changes: x-after: no row "setPin/pin-set"`},
		{"an unknown example in x-after", "x-after:\n                    - {operation: setCardPin, example: pin-set}",
			"x-after:\n                    - {operation: setCardPin, example: pin-sett}",
			`getCardPin/pin-after-two-changes: x-after: no row "setCardPin/pin-sett"`},
		{"a misspelt member of x-request", "x-request: {fault: internal}", "x-request: {falt: internal}",
			`setCardPin 500: vault-broken: x-request: json: unknown field "falt"`},
		{"a misspelt member of x-after", "x-after:\n                    - {operation:", "x-after:\n                    - {op:",
			`getCardPin 200: pin-after-two-changes: x-after: json: unknown field "op"`},
		{"an unknown operation in x-operations", "x-operations: [issueToken]", "x-operations: [issueTokens]",
			`grant-unknown: x-operations: no operation "issueTokens"`},
		{"x-operations without the operation that has the response", "x-operations: [issueToken]",
			"x-operations: [getCardPin]", `components response Problem: the example "grant-unknown" is part of no row`},
		{"a volatile pointer to nothing", "x-volatile: [/changedAt]", "x-volatile: [/changed]",
			`getCardPin/pin-after-two-changes: x-volatile: nothing at "/changed"`},
		{"a volatile pointer without its slash", "x-volatile: [/changedAt]", "x-volatile: [changedAt]",
			`getCardPin/pin-after-two-changes: x-volatile: nothing at "changedAt"`},
		{"an example beside a raw body", "{summary: PIN set}", "{x-request: {rawBody: '{}'}}",
			`setCardPin request body application/json: the example "pin-set" is part of no row`},
		{"request bodies of two media types", "    Pin:\n      required: true\n      content:",
			"    Pin:\n      required: true\n      content:\n        text/plain: {examples: {pin-set: {value: '1234'}}}",
			`setCardPin/pin-set: request bodies of two media types have the name "pin-set"`},
		{"a request body without a value", "pin-set: {value: {pin: '1234'}}", "pin-set: {summary: nothing}",
			"setCardPin/pin-set: request body: the example has no value"},
		{"a parameter that is no text", "card-unknown: {value: '999999999'}", "card-unknown: {value: {a: b}}",
			`setCardPin/card-unknown: parameter publicToken: {"a":"b"} is not a text`},
		{"a cookie", "{name: fields, in: query,", "{name: fields, in: cookie,",
			"getCardPin/pin-of-creation: parameter fields in cookie is not provided for"},
		{"a path parameter that the path does not have", "{path: {publicToken: a/b}, rawBody", "{path: {token: a/b}, rawBody",
			`setCardPin/token-with-a-slash: /api/v1/cards/{publicToken}/pin has no path parameter ["token"]`},
		{"no path parameter", "{path: {publicToken: a/b}, rawBody", "{path: {publicToken: null}, rawBody",
			"setCardPin/token-with-a-slash: path parameter publicToken has no value"},
		{"a header that is no text", "headers: {authorization: Basic eDp5}", "headers: {authorization: {a: b}}",
			`setCardPin/bearer-malformed: x-request: header authorization: {"a":"b"} is not a text`},
		{"two replies of one name", "pin-of-creation:", "fields-missing:",
			"getCardPin/fields-missing: two replies have this name"},
		{"a reply without a name", "examples:\n                certificate:\n                  value:", "example:",
			"getCertificate 200: an example without a name is no row"},
		{"a reply without a value", "value: {pin: '0000', changes: 0}", "summary: nothing",
			"getCardPin/pin-of-creation: the example has no value"},
		{"a reply without a status", "'500':", "'5XX':", `setCardPin/vault-broken: a reply under "5XX" has no status`},
		{"a value in a reply without content", "{summary: PIN set}", "{value: PIN set}",
			"setCardPin/pin-set: a reply without content has no value"},
		{"x-examples beside content", "description: a token", "description: a token\n          x-examples: {a: {}}",
			"issueToken 200: x-examples is for a reply without content"},
		{"x-examples that are a list", "x-examples:\n            pin-set: {summary: PIN set}", "x-examples: [pin-set]",
			"setCardPin 204: x-examples: json: cannot unmarshal array"},
		{"a text body that is no text", `value: "-----BEGIN CERTIFICATE-----\n"`, "value: {a: b}",
			`getCertificate/certificate: {"a":"b"} cannot be sent as application/x-pem-file`},
		{"an operation without an operationId", "operationId: getCertificate", "description: none",
			`GET /api/v1/certificate: operationId "" is empty or not unique`},
		{"a response that no operation uses", "  schemas:\n    Problem:",
			"    Forgotten: {description: d, x-examples: {a: {}}}\n  schemas:\n    Problem:",
			`components response Forgotten: the example "a" is part of no row`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := All(load(t, "cards.yaml", tt.old, tt.new))
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, 1, strings.Count(err.Error(), tt.want), "said once")
		})
	}
}

func TestExamplesBesideAReferenceBelongToTheOperation(t *testing.T) {
	doc := load(t, "cards.yaml",
		"description: the PIN is set\n          x-examples:\n            pin-set: {summary: PIN set}",
		"$ref: '#/components/responses/Done'\n          x-examples:\n            pin-set: {x-headers: {Allow: null}}",
		"  schemas:\n    Problem:", "    Done: {description: done}\n  schemas:\n    Problem:")
	require.Equal(t, Reply{Status: 204, Header: http.Header{"Allow": nil}},
		byStep(t, doc)[Step{"setCardPin", "pin-set"}].Reply)
}

func TestMissingNamesTheStatusesThatNoExampleShows(t *testing.T) {
	tests := []struct {
		name   string
		oldnew []string
		want   []string
	}{
		{"nothing, 503 being excused", nil, nil},
		{"what is not excused", []string{"x-unexercised: {503: needs a database that is away}", "x-unexercised: {}"},
			[]string{"setCardPin 503"}},
		{"an excuse without a reason", []string{"{503: needs a database that is away}", "{503: ' '}"},
			[]string{"x-unexercised 503 without a reason"}},
		{"what only a broken example shows", []string{"{summary: PIN set}", "{x-after: [{operation: a, example: b}]}"},
			[]string{"setCardPin 204"}},
		{"what a shared response shows for other operations only", []string{"x-operations: [issueToken]", "x-operations: []"},
			[]string{"issueToken 400"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, Missing(load(t, "cards.yaml", tt.oldnew...)))
		})
	}
}

// load reads a document, each old text in it replaced by the new one after it.
func load(t *testing.T, file string, oldnew ...string) *openapi3.T {
	t.Helper()
	source, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	document := string(source)
	for i := 0; i < len(oldnew); i += 2 {
		require.Equal(t, 1, strings.Count(document, oldnew[i]), "%q has to stand in the document once", oldnew[i])
		document = strings.Replace(document, oldnew[i], oldnew[i+1], 1)
	}
	return parse(t, document)
}

// parse loads a document, however wrong its examples are.
func parse(t *testing.T, document string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
	require.NoError(t, err)
	return doc
}

func TestTextsWritesWhatAParameterCanHold(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want []string
	}{
		{"nothing for null", nil, nil},
		{"a text", "a", []string{"a"}},
		{"a boolean", true, []string{"true"}},
		{"a large number without an exponent", 103169946000.0, []string{"103169946000"}},
		{"a list", []any{"a", 1.5}, []string{"a", "1.5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := texts(tt.in)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	_, err := texts([]any{map[string]any{"a": 1.0}})
	require.EqualError(t, err, `{"a":1} is not a text, number, boolean or list of these`)
}
