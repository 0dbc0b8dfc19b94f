package contract_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

type toldKey struct{}

// further has a server whose own rule breaks at the pointers, or fails.
func further(t testing.TB, err error, rule contract.Rule, pointers ...string) (e *gin.Engine, told *contract.Broken, failed *error) {
	t.Helper()
	told, failed = &contract.Broken{}, new(error)
	e = gin.New()
	e.Use(load(t).Middleware(func(c *gin.Context, err error) {
		require.Equal(t, "what it found out", c.Request.Context().Value(toldKey{}))
		if !errors.As(err, told) {
			*failed = err
		}
		c.Status(http.StatusBadRequest)
	}, func(r *http.Request, op *contract.Operation) (context.Context, []contract.Violation, error) {
		var found []contract.Violation
		for _, p := range pointers {
			found = append(found, op.Violation(p, rule))
		}
		return context.WithValue(r.Context(), toldKey{}, "what it found out"), found, err
	}))
	e.POST("/zeta/:publicToken/pin", func(c *gin.Context) {
		require.Equal(t, "what it found out", c.Request.Context().Value(toldKey{}))
		c.Status(http.StatusNoContent)
	})
	return e, told, failed
}

func TestAContractsOwnRulesStandAmongThoseOfTheDocument(t *testing.T) {
	const target = "/zeta/103169946/pin"
	for _, c := range []struct {
		name, body string
		target     string
		rule       contract.Rule
		pointers   []string
		want       []string
	}{
		{"nothing is wrong", `{"pin":"1234"}`, target, "", nil, []string{}},
		{"only an own rule is broken", `{"pin":"1234"}`, target, contract.RuleFormat, []string{"/pin"}, []string{"body /pin: format"}},
		{"one before", `{"pin":"1234","description":1}`, target, contract.RuleFormat, []string{"/pin"}, []string{"body /pin: format", "body /description: type string"}},
		{"one after", `{"pin":"1"}`, target, contract.RuleFormat, []string{"/updatedBy"}, []string{"body /pin: minLength 4", "body /pin: pattern ^[0-9]{4}$", "body /updatedBy: format"}},
		{"several, in any order", `{}`, target, contract.RuleFormat, []string{"/updatedBy", "/description"}, []string{"body /pin: required", "body /description: format", "body /updatedBy: format"}},
		{"one of the same field", `{"pin":"1"}`, target, contract.RuleFormat, []string{"/pin"}, []string{"body /pin: minLength 4", "body /pin: pattern ^[0-9]{4}$", "body /pin: format"}},
		{"the same one", `{}`, target, contract.RuleRequired, []string{"/pin"}, []string{"body /pin: required"}},
		{"beside the path", `{"pin":"1234"}`, "/zeta/x/pin", contract.RuleFormat, []string{"/pin"}, []string{"path publicToken: pattern ^[0-9]{9}$", "body /pin: format"}},
		{"of a body that is no JSON", `{`, target, contract.RuleFormat, []string{"/pin"}, []string{"body: json", "body /pin: format"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, told, failed := further(t, nil, c.rule, c.pointers...)
			w := serve(e, http.MethodPost, c.target, c.body)
			require.NoError(t, *failed)
			require.Equal(t, c.want, lines(*told))
			require.Equal(t, len(c.want) == 0, w.Code == http.StatusNoContent)
		})
	}
}

func TestAnOwnRuleHasTheLabelAndTheBoundOfItsField(t *testing.T) {
	v := operation(t, load(t), "setPin").Violation("/pin", contract.RuleMaxLength)
	require.Equal(t, "PIN", v.Label)
	require.Equal(t, "4", v.Limit)
	require.EqualValues(t, 4, *v.Schema.MaxLength)
	require.Equal(t, "/*", operation(t, load(t), "setPin").Violation("/1234", contract.RuleFormat).Pointer, "what the document does not name is not told")
}

func TestARuleThatCannotBeHeldEndsTheRequest(t *testing.T) {
	gone := errors.New("the database is gone")
	e, told, failed := further(t, gone, contract.RuleFormat, "/pin")
	require.Equal(t, http.StatusBadRequest, serve(e, http.MethodPost, "/zeta/103169946/pin", `{"pin":"1"}`).Code)
	require.Equal(t, gone, *failed)
	require.Empty(t, *told)
}
