package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
	"pinvault/openapi"
)

const traceID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// rendered is a row as it goes out, held against the document's schema.
func rendered(t *testing.T, r problem.Row, fields contract.Broken) map[string]any {
	t.Helper()
	d, err := contract.Load(openapi.Documents, "common")
	require.NoError(t, err)
	reply := r.Reply(pin.WithCaller(t.Context(), pin.Caller{TraceID: traceID}), fields)
	require.Equal(t, r.Status, reply.Status)
	require.Equal(t, http.Header{"Content-Type": {"application/problem+json"}}, reply.Header)
	var body map[string]any
	require.NoError(t, json.Unmarshal(reply.Body, &body))
	require.NoError(t, d.Spec().Components.Schemas["Problem"].Value.VisitJSON(body, openapi3.VisitAsResponse()))
	return body
}

func TestARowIsAnErrorAndGoesOutAsItIs(t *testing.T) {
	t.Parallel()
	tries := int32(2)
	row := problem.Row{Status: http.StatusConflict, Code: "spent", Title: "It is spent.", RemainingTries: &tries}
	found, ok := errors.AsType[problem.Row](fmt.Errorf("%w: %w", row, &pin.Error{Code: pin.Unopenable}))
	require.True(t, ok)
	require.EqualError(t, found, "spent")
	require.Equal(t, map[string]any{"type": "about:blank", "title": "It is spent.", "status": 409.0, "code": "spent", "remainingTries": 2.0, "traceId": traceID},
		rendered(t, found, nil))
}

// whole are the violations that stand for a whole reply, which names no fields.
func whole() map[contract.Rule]contract.In {
	return map[contract.Rule]contract.In{
		contract.RuleSize:      contract.InSize,
		contract.RuleMediaType: contract.InMediaType,
		contract.RuleEncoding:  contract.InEncoding,
		contract.RuleRoute:     contract.InPath,
		contract.RuleMethod:    contract.InPath,
	}
}

func TestEveryRuleHasItsWords(t *testing.T) {
	t.Parallel()
	const unworded = "breaks the rule"
	for _, rule := range rules(t) {
		if in, ok := whole()[rule]; ok {
			broken := contract.Broken{{In: in, Rule: rule, Limit: "7"}, {In: contract.InQuery, Pointer: "limit", Rule: contract.RuleMinimum}}
			body := rendered(t, problem.Breach(broken), broken)
			require.NotEqual(t, 400.0, body["status"], rule)
			require.NotContains(t, body, "errors", rule)
			continue
		}
		for in, unlabelled := range map[contract.In]string{contract.InPath: "The path ", contract.InQuery: "The query ",
			contract.InHeader: "A header ", contract.InBody: "The body "} {
			broken := contract.Broken{
				{In: in, Pointer: "/name", Rule: rule, Limit: "7", Label: "name"},
				{In: in, Rule: rule, Limit: "7"},
			}
			body := rendered(t, problem.Breach(broken), broken)
			require.Equal(t, 400.0, body["status"], rule)
			require.Equal(t, "invalid_request", body["code"], rule)
			first, second := body["errors"].([]any)[0].(map[string]any), body["errors"].([]any)[1].(map[string]any)
			require.Equal(t, string(in), first["in"])
			require.Equal(t, "/name", first["field"])
			require.Equal(t, string(rule), first["rule"])
			detail, _ := strings.CutPrefix(first["detail"].(string), "name ")
			require.Equal(t, unlabelled+detail, second["detail"])
			require.True(t, strings.HasSuffix(detail, "."), detail)
			require.NotContains(t, detail, "{}")
			if rule != contract.RuleOperation && rule != contract.RuleAdditionalBody { // a fault of the wiring, and of replies
				require.NotContains(t, detail, unworded, rule)
			}
		}
	}
	require.Equal(t, "n breaks the rule multipleOf.", problem.Detail(contract.Violation{In: contract.InBody, Pointer: "/n", Rule: "multipleOf", Limit: "5", Label: "n"}))
}

// rules are all that impl/contract declares.
func rules(t *testing.T) []contract.Rule {
	t.Helper()
	var all []contract.Rule
	for _, name := range []string{"../contract/violation.go", "../contract/broken.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if declared, ok := spec.Type.(*ast.Ident); ok && declared.Name == "Rule" {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				all = append(all, contract.Rule(text))
			}
			return true
		})
	}
	require.NotEmpty(t, all)
	return all
}
