package networkintl

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

func TestEveryRowCanBeSent(t *testing.T) {
	for _, code := range pin.Codes() {
		r := rows.Row(code)
		require.NotZero(t, r.status, code)
		require.NotEmpty(t, r.description, code)
		require.LessOrEqual(t, len(r.description), 100, code)
	}
}

func TestEveryWayAnAttemptEndsHasItsRow(t *testing.T) {
	for _, test := range []struct {
		name string
		v    pin.Verification
		want row
	}{
		{"a wrong old PIN", pin.Verification{Result: pin.Mismatch}, cardIssue},
		{"no tries left", pin.Verification{Result: pin.Exhausted}, cardIssue},
		{"a block that does not open", pin.Verification{Result: pin.Opaque}, cardIssue},
		{"a new PIN of a wrong length", pin.Verification{Result: pin.Rejected, Reason: pin.PINLength}, rejected},
		{"a weak new PIN", pin.Verification{Result: pin.Rejected, Reason: pin.WeakPIN}, rejected},
		{"a new PIN that was used before", pin.Verification{Result: pin.Rejected, Reason: pin.RecentPIN}, rejected},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, rows.Row(outcome(test.v))) })
	}
	require.Empty(t, outcome(pin.Verification{Result: pin.Match}), "a changed PIN is a success")
}

func TestViolationsAreRankedByCodeAndThenByTheDocument(t *testing.T) {
	v := func(label string, rule contract.Rule) contract.Violation {
		return contract.Violation{In: contract.InBody, Pointer: "/" + label, Rule: rule, Label: label}
	}
	for _, test := range []struct {
		name   string
		broken contract.Broken
		want   string
	}{
		{"what is missing comes before what is wrong", contract.Broken{v("a", contract.RuleEnum), v("b", contract.RulePattern), v("c", contract.RuleMaxLength), v("d", contract.RuleRequired)}, missing.description + "d"},
		{"a length comes before a form", contract.Broken{v("a", contract.RulePattern), v("b", contract.RuleMaxLength)}, length.description + "b"},
		{"a form comes before a value", contract.Broken{v("a", contract.RuleEnum), v("b", contract.RuleFormat)}, format.description + "b"},
		{"of one code the first field in the document", contract.Broken{v("a", contract.RuleEnum), v("b", contract.RuleEnum)}, value.description + "a"},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, rowOf(test.broken, nil).description) })
	}
}
