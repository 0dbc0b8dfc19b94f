package issuer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/issuer"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/rows"
)

// planted stands for a PAN, a PIN or a block in a request. It is in no document.
const planted = "492912345678"

// failer returns what gives the problem that an error is rendered as, held against the document's schema.
func failer(t *testing.T) func(error) map[string]any {
	t.Helper()
	schema := load(t, "common").Spec().Components.Schemas["Problem"].Value
	api := issuer.New(nil, nil, nil, issuer.Contracts{}, nil)
	return func(err error) map[string]any {
		t.Helper()
		reply := api.Render(failing(), nil, err)
		require.Equal(t, "application/problem+json", reply.Header.Get("Content-Type"))
		require.NotContains(t, string(reply.Body), planted)
		var problem map[string]any
		require.NoError(t, json.Unmarshal(reply.Body, &problem))
		require.NoError(t, schema.VisitJSON(problem, openapi3.VisitAsResponse()))
		require.EqualValues(t, reply.Status, problem["status"])
		return problem
	}
}

// failing is a request that is about to fail.
func failing() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	return r.WithContext(pin.WithCaller(r.Context(), pin.Caller{TraceID: traceID}))
}

func TestEveryCodeOfTheVaultHasAProblem(t *testing.T) {
	failed := failer(t)
	titles := map[any]pin.Code{}
	for _, code := range pin.Codes() {
		cause := &pin.Error{Code: code, Field: "publicToken", Err: errors.New(planted)}
		problem := failed(fmt.Errorf("wrapped: %w", cause))
		require.Equal(t, string(code), problem["code"])
		require.NotContains(t, titles, problem["title"], "the title of another code too")
		titles[problem["title"]] = code
	}
}

func TestOtherErrorsAreFaultsOfOurs(t *testing.T) {
	failed := failer(t)
	for _, err := range []error{errors.New(planted), &pin.Error{Code: "unheard-of"}} {
		require.Equal(t, map[string]any{"type": "about:blank", "title": "Internal server error.", "status": 500.0,
			"code": "internal", "traceId": traceID}, failed(err))
	}
}

func TestFieldOfTheVaultIsNamed(t *testing.T) {
	failed := failer(t)
	for _, tc := range []struct {
		name string
		err  error
		want any
	}{
		{"a setting that cannot be", &pin.Error{Code: pin.InvalidField, Field: "timeZone"}, []any{map[string]any{
			"in": "body", "field": "/timeZone", "rule": "value", "detail": "timeZone has an invalid value."}}},
		{"a reference that is taken", &pin.Error{Code: pin.Duplicate, Field: "publicToken"}, []any{map[string]any{
			"in": "body", "field": "publicToken", "rule": "unique", "detail": "publicToken is taken."}}},
		{"no field", &pin.Error{Code: pin.Duplicate}, nil},
		{"a field that is nothing of the request's", &pin.Error{Code: pin.Internal, Field: "column"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, failed(tc.err)["errors"])
		})
	}
}

// TestDocumentedProblems holds the tables against the document: every example of a problem has the
// title and the status that go with its code.
func TestDocumentedProblems(t *testing.T) {
	failed := failer(t)
	replies := map[any]map[string]any{}
	for _, code := range pin.Codes() {
		replies[string(code)] = failed(&pin.Error{Code: code})
	}
	for _, reason := range pin.KeyReasons() {
		replies[string(reason)] = failed(&pin.Error{Code: pin.Conflict, Err: reason})
		require.Equal(t, string(reason), replies[string(reason)]["code"], "it has a row of its own")
	}
	for _, reason := range pin.ApprovalReasons() {
		replies[string(reason)] = failed(&pin.Error{Code: pin.Conflict, Err: reason})
		require.Equal(t, string(reason), replies[string(reason)]["code"], "it has a row of its own")
	}
	for _, broken := range []contract.Broken{
		{{In: contract.InBody, Rule: contract.RuleJSON}}, contract.NoMethod,
		{{In: contract.InSize, Rule: contract.RuleSize}}, {{In: contract.InMediaType, Rule: contract.RuleMediaType}},
	} {
		problem := failed(broken)
		replies[problem["code"]] = problem
	}
	for _, err := range []error{&keyring.Refusal{Says: planted}, keylife.ErrInUse, keylife.ErrReadOnly} {
		problem := failed(fmt.Errorf("%w", err))
		replies[problem["code"]] = problem
	}
	seen := map[any]bool{}
	for _, op := range load(t, "issuer").Operations() {
		for _, response := range op.Spec.Responses.Map() {
			content := response.Value.Content["application/problem+json"]
			if content == nil {
				continue
			}
			for name, example := range content.Examples {
				value := example.Value.Value.(map[string]any)
				seen[value["code"]] = true
				for _, member := range []string{"type", "title", "status", "code"} {
					require.Equal(t, replies[value["code"]][member], value[member], "%s/%s: %s", op.ID, name, member)
				}
			}
		}
	}
	require.Greater(t, len(seen), 10)
}

// TestDocumentedViolations sends every example of a request that breaks the contract.
func TestDocumentedViolations(t *testing.T) {
	s := newServer(t)
	sent := 0
	conversations, err := rows.All(load(t, "issuer").Spec())
	require.NoError(t, err)
	for _, c := range conversations {
		if c.Reply.Status != http.StatusBadRequest {
			continue
		}
		sent++
		t.Run(c.String(), func(t *testing.T) {
			var options []contracttest.Option
			if c.Body != nil {
				options = append(options, contracttest.Raw(c.ContentType, string(c.Body)))
			}
			reply := s.For(t).Do(c.Method, c.Path, options...).ExpectStatus(http.StatusBadRequest)
			require.JSONEq(t, string(c.Reply.Body), string(reply.Body))
		})
	}
	require.Greater(t, sent, 15)
	require.Zero(t, s.vault.calls)
}

func TestUnroutedRequests(t *testing.T) {
	api := issuer.New(nil, nil, nil, issuer.Contracts{}, nil)
	for broken, want := range map[*contract.Broken]string{
		&contract.NoRoute:  `{"type":"about:blank","title":"Not found.","status":404,"code":"not_found","traceId":"` + traceID + `"}`,
		&contract.NoMethod: `{"type":"about:blank","title":"Method not allowed.","status":405,"code":"method_not_allowed","traceId":"` + traceID + `"}`,
	} {
		require.JSONEq(t, want, string(api.Render(failing(), nil, *broken).Body))
	}
}

func TestWhatTheExitIsGiven(t *testing.T) {
	s := newServer(t)
	for _, code := range []pin.Code{pin.Unavailable, pin.Internal, pin.NotFound} {
		s.vault.err = &pin.Error{Code: code}
		s.Do(http.MethodGet, "/issuer/v1/programs/p-1")
		require.Len(t, s.failed, 1)
		require.Equal(t, code, pin.CodeOf(s.failed[0]))
	}
	s.vault.err, s.vault.result = nil, pin.Verification{Result: pin.Opaque}
	s.Do(http.MethodPost, pinPath+"/verifications", body(`{"pinBlock":"0000000000000000","format":"ISO-0","keyId":"zpk-1"}`))
	require.Len(t, s.failed, 1)
	require.Equal(t, pin.Unopenable, pin.CodeOf(s.failed[0]))

	s.Do(http.MethodGet, "/issuer/v1/programs?limit=0").ExpectStatus(http.StatusBadRequest)
	require.Len(t, s.failed, 1)
	_, broken := errors.AsType[contract.Broken](s.failed[0])
	require.True(t, broken)
}

// TestUnboundRequests leaves the contract check out: what the generated code cannot bind must not be
// quoted either.
func TestUnboundRequests(t *testing.T) {
	var failed []error
	e := engine(&pin.Caller{ClientID: "client-1", TraceID: traceID}, &failed)
	api := issuer.New(nil, nil, nil, issuer.Contracts{}, nil)
	api.Mount(e, exit(api, &failed))
	for _, tc := range []struct{ name, method, path, body string }{
		{"a parameter of another type", http.MethodGet, "/issuer/v1/programs?limit=" + planted + "x", ""},
		{"no JSON", http.MethodPost, "/issuer/v1/cards", `{"pan":"` + planted + `"`},
		{"a field of another type", http.MethodPost, "/issuer/v1/cards", `{"pan":{"number":` + planted + `}}`},
		{"a block that is not hexadecimal", http.MethodPut, pinPath, `{"pinBlock":"` + planted + `32CX","format":"ISO-0","keyId":"zpk"}`},
		{"a format that does not exist", http.MethodPost, pinPath + "/verifications", `{"pinBlock":"2F780C8387FFF32C","format":"` + planted + `","keyId":"zpk"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			e.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
			require.JSONEq(t, `{"type":"about:blank","title":"The request breaks the contract.","status":400,"code":"invalid_request",
				"traceId":"`+traceID+`","errors":[{"in":"body","field":"","rule":"value","detail":"The body has an invalid value."}]}`, w.Body.String())
			require.Equal(t, []error{contract.Unbound}, failed)
		})
	}
}

// TestNothingOfARequestIsInAProblem plants a number in every place of a request: first where it breaks
// the contract, then where it keeps it and the vault reports an error, whatever its code.
func TestNothingOfARequestIsInAProblem(t *testing.T) {
	type request struct{ method, path, body string }
	document := load(t, "issuer")
	var broken []request
	for _, op := range document.Operations() {
		path := strings.NewReplacer("{cardId}", cardID, "{programId}", programID, "{clientId}", "client-2", "{use}", "pan", "{version}", "1").Replace(op.Path)
		if op.Spec.Parameters.GetByInAndName("query", "limit") != nil || op.Spec.Parameters.GetByInAndName("query", "kind") != nil {
			broken = append(broken,
				request{op.Method, path + "?" + planted + "=%00" + planted, ""},
				request{op.Method, path + "?limit=" + planted + "&kind=" + planted + "&value=+" + planted + "&cursor=+" + planted, ""},
			)
		}
		if op.Path != path {
			bad := strings.NewReplacer("{cardId}", planted+"%20", "{programId}", planted+"%20", "{clientId}", planted+"%20", "{use}", planted+"%20", "{version}", "1").Replace(op.Path)
			broken = append(broken, request{op.Method, bad, "{}"})
		}
		if op.Spec.RequestBody == nil {
			continue // what is sent all the same is not looked at
		}
		broken = append(broken,
			request{op.Method, path, planted},
			request{op.Method, path, `{"` + planted + `":1,"` + planted + `":2}`},
			request{op.Method, path, `{"` + planted + `":"` + planted + `"}`},
		)
		for _, value := range []string{planted, `"` + planted + `\u0007"`, `["` + planted + `\u0007"]`, `{"` + planted + `":` + planted + `}`,
			`[{"kind":"` + planted + `","value":"` + planted + `\u0007","` + planted + `":1}]`} {
			broken = append(broken, request{op.Method, path, everyMember(op, value)})
		}
	}
	kept := []request{
		{http.MethodPost, "/issuer/v1/programs", `{"name":"` + planted + `"}`},
		{http.MethodPatch, "/issuer/v1/programs/" + planted, `{"timeZone":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/clients", `{"contract":"thredd","programId":"` + planted + `","name":"` + planted + `","scopes":["pins:read"]}`},
		{http.MethodPost, "/issuer/v1/clients/" + planted + "/rotate", `{}`},
		{http.MethodPut, "/issuer/v1/clients/" + planted + "/limits", `{"requestsPerMinute":5}`},
		{http.MethodPost, "/issuer/v1/clients/" + planted + "/release", `{"reason":"` + planted + `"}`},
		{http.MethodDelete, "/issuer/v1/clients/" + planted, ""},
		{http.MethodPost, "/issuer/v1/cards", `{"programId":"` + planted + `","pan":"` + planted + `","references":[{"kind":"number","value":"` + planted + `"}]}`},
		{http.MethodGet, "/issuer/v1/cards?kind=urn&value=" + planted, ""},
		{http.MethodPost, "/issuer/v1/cards/search", `{"kind":"pan","value":"` + planted + `"}`},
		{http.MethodPatch, "/issuer/v1/cards/" + planted, `{"references":[{"kind":"number","value":"` + planted + `"}]}`},
		{http.MethodGet, "/issuer/v1/cards/" + planted, ""},
		{http.MethodGet, "/issuer/v1/cards/" + planted + "/pin", ""},
		{http.MethodGet, "/issuer/v1/cards/" + planted + "/pin/capabilities", ""},
		{http.MethodPut, "/issuer/v1/cards/" + planted + "/pin", `{"pinBlock":"` + planted + `0000","format":"ISO-0","keyId":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/cards/" + planted + "/pin/verifications", `{"pinBlock":"` + planted + `0000","format":"ISO-0","keyId":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/cards/" + planted + "/pin/unblock", `{"reason":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/cards/" + planted + "/approvals", `{"action":"unblock","clientId":"` + planted + `","reason":"` + planted + `"}`},
		{http.MethodGet, "/issuer/v1/approvals?cursor=" + planted, ""},
		{http.MethodGet, "/issuer/v1/approvals/" + planted, ""},
		{http.MethodPost, "/issuer/v1/approvals/" + planted + "/decision", `{"decision":"grant","reason":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/approvals/" + planted + "/cancel", ""},
		{http.MethodGet, "/issuer/v1/audit-events", ""},
		{http.MethodGet, "/issuer/v1/cards/" + planted + "/audit-events", ""},
		{http.MethodGet, "/issuer/v1/programs?cursor=" + planted, ""},
		{http.MethodGet, "/issuer/v1/programs/" + planted, ""},
		{http.MethodGet, "/issuer/v1/clients?cursor=" + planted, ""},
		{http.MethodGet, "/issuer/v1/clients/" + planted, ""},
		{http.MethodGet, "/issuer/v1/service-requests/" + planted, ""},
		{http.MethodGet, "/issuer/v1/pin-sessions/" + planted, ""},
		{http.MethodPost, "/issuer/v1/keys", `{"keyId":"` + planted + `","programId":"` + planted + `","usage":"zone-pin","algorithm":"AES"}`},
		{http.MethodGet, "/issuer/v1/keys?cursor=" + planted, ""},
		{http.MethodGet, "/issuer/v1/keys/" + planted, ""},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/activate", ""},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/rotate", `{"keyId":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/retire", `{}`},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/destroy", ""},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/components", `{"number":1,"component":"` + strings.Repeat(planted, 4) + `"}`},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/confirmations", `{"checkValue":"` + planted[:6] + `"}`},
		{http.MethodPost, "/issuer/v1/keys/" + planted + "/key-blocks", `{"masterKeyId":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/cards/" + planted + "/pin/verification-values", `{"method":"visa-pvv","keyIndex":1,"keyId":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/cards/" + planted + "/pin/mailer", `{"format":"ISO-0","keyId":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/pin-blocks/translation", `{"programId":"` + planted + `","pinBlock":"` + planted + `0000","format":"ISO-0","keyId":"` + planted + `","pan":"` + planted + `","to":{"keyId":"` + planted + `","format":"ISO-0"}}`},
		{http.MethodPost, "/issuer/v1/key-blocks", `{"keyId":"` + planted + `","usage":"zone-pin","masterKeyId":"` + planted + `","keyBlock":"` + planted + planted + `"}`},
		{http.MethodGet, "/issuer/v1/vault-keys", ""},
		{http.MethodGet, "/issuer/v1/vault-keys/moon", ""},
		{http.MethodPost, "/issuer/v1/vault-keys/moon/rotations", `{"reason":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/vault-keys/moon/keys/1/steps", `{"step":"retire","reason":"` + planted + `"}`},
		{http.MethodPost, "/issuer/v1/webhooks", `{"url":"https://example.com/` + planted + `","programId":"` + planted + `"}`},
		{http.MethodGet, "/issuer/v1/webhooks?cursor=" + planted, ""},
		{http.MethodGet, "/issuer/v1/webhooks/" + planted, ""},
		{http.MethodPatch, "/issuer/v1/webhooks/" + planted, `{"description":"` + planted + `"}`},
		{http.MethodDelete, "/issuer/v1/webhooks/" + planted, ""},
		{http.MethodPost, "/issuer/v1/webhooks/" + planted + "/rotate", `{}`},
		{http.MethodPost, "/issuer/v1/webhooks/" + planted + "/test", ""},
		{http.MethodGet, "/issuer/v1/webhooks/" + planted + "/deliveries", ""},
		{http.MethodPost, "/issuer/v1/webhooks/" + planted + "/replay", `{"after":"` + anEvent + `"}`},
		{http.MethodGet, "/issuer/v1/events?cardId=" + planted, ""},
	}
	s := newServer(t)
	problem := func(r request) map[string]any {
		w := httptest.NewRecorder()
		sent := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
		if r.body != "" {
			sent.Header.Set("Content-Type", "application/json")
			sent.Header.Set("Idempotency-Key", planted)
		}
		s.engine.ServeHTTP(w, sent)
		require.NotContains(t, w.Body.String(), planted, "%v", r)
		for name := range maps.Keys(w.Header()) {
			require.NotContains(t, w.Header().Get(name), planted, "%v", r)
		}
		var value map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &value), "%v: %s", r, w.Body)
		return value
	}
	for _, r := range broken {
		require.Equal(t, "invalid_request", problem(r)["code"], "%v", r)
	}
	for _, code := range pin.Codes() {
		s.vault.err = &pin.Error{Code: code, Field: "publicToken", Err: errors.New(planted)}
		for _, r := range kept {
			require.Equal(t, string(code), problem(r)["code"], "%v", r)
		}
	}
	require.Greater(t, len(broken), 100)
	require.Len(t, kept, len(document.Operations()))
}

func TestMoreOfACardCannotBeRead(t *testing.T) {
	s := newServer(t)
	s.vault.records = []pin.Record{{Card: storedCard()}}
	s.vault.errMore = &pin.Error{Code: pin.Unavailable, Err: errors.New("the key store is gone")}
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/issuer/v1/cards", `{"programId":"p-1"}`},
		{http.MethodGet, "/issuer/v1/cards?kind=urn&value=1", ""},
		{http.MethodPost, "/issuer/v1/cards/search", `{"kind":"urn","value":"1"}`},
		{http.MethodGet, "/issuer/v1/cards/" + cardID, ""},
		{http.MethodPatch, "/issuer/v1/cards/" + cardID, `{}`},
		{http.MethodGet, "/issuer/v1/cards/" + cardID + "/audit-events", ""},
	} {
		var options []contracttest.Option
		if r.body != "" {
			options = append(options, body(r.body))
		}
		reply := s.Do(r.method, r.path, options...).ExpectStatus(http.StatusServiceUnavailable)
		require.Equal(t, "unavailable", reply.Text("/code"))
	}
}

// everyMember is a body that gives the same value to every member that the operation describes.
func everyMember(op *contract.Operation, value string) string {
	var members []string
	if op.Spec.RequestBody != nil {
		schema := op.Spec.RequestBody.Value.Content["application/json"].Schema.Value
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			members = append(members, `"`+name+`":`+value)
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}
