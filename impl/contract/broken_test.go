package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

func TestWhatIsBrokenCallsForAStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		broken contract.Broken
		want   int
	}{
		{"no route", contract.NoRoute, 404},
		{"no method", contract.NoMethod, 405},
		{"a body that is too long", contract.Broken{{In: contract.InSize, Rule: contract.RuleSize}}, 413},
		{"a body of another type", contract.Broken{{In: contract.InMediaType, Rule: contract.RuleMediaType}}, 415},
		{"a body that is coded", contract.Broken{{In: contract.InEncoding, Rule: contract.RuleEncoding}}, 415},
		{"a field that is missing", contract.Missing("pin"), 400},
		{"a value of no such type", contract.Unbound, 400},
		{"a route that the document does not describe", contract.Broken{{In: contract.InPath, Rule: contract.RuleOperation}}, 400},
		{"a bad path and a body of another type", contract.Broken{
			{In: contract.InPath, Rule: contract.RulePattern}, {In: contract.InMediaType, Rule: contract.RuleMediaType},
		}, 415},
	} {
		require.Equal(t, c.want, c.broken.Status(), c.name)
	}
}
