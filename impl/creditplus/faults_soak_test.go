package creditplus_test

import (
	"maps"
	"slices"
	"testing"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// step is one of those in which a request is looked at: what it finds wrong, nil for everything, in which fields, in their
// order. "" is any field.
type step struct {
	rules  []contracttest.Broken
	fields []string
}

// stepsV2 are the contract's, each with its fields in the order of the error table.
var stepsV2 = []step{
	{nil, []string{"Encryption-Algorithm"}}, // decryption
	{[]contracttest.Broken{noSelectorLeft}, []string{"/identifier"}},
	{missing, []string{"/timestamp", "/dataValidUntilTimestamp"}},
	{sizes, []string{"/packID", "/identifier", "/programCode", "/devicePlanCode", "/alias", "/notes", "/number"}},
	{nil, []string{"/source"}},
	{[]contracttest.Broken{contracttest.Pattern}, []string{"/identifier", "/packID", "/alias", "/number", "/programCode", "/devicePlanCode"}},
	{nil, []string{"/timestamp", "/dataValidUntilTimestamp"}},
	{nil, []string{""}},
}

// stepsV1 are V1's, by its error codes: what is not there, and then what is wrong.
var stepsV1 = []step{
	{empty, []string{"/institutionCode", "/deviceNumber", "/serviceCode"}},
	{nil, []string{"/serviceCode", "/deviceNumber", "/requestDate", ""}},
}

// selecting are the selectors, of which a request has one at least: noSelectorLeft.
var selecting = []string{"/identifier", "/packID", "/alias", "/number"}

const noSelectorLeft contracttest.Broken = "without a selector"

var (
	missing = []contracttest.Broken{contracttest.Absent, contracttest.Null}
	sizes   = []contracttest.Broken{contracttest.Empty, contracttest.TooShort, contracttest.TooLong}
	empty   = []contracttest.Broken{contracttest.Absent, contracttest.Null, contracttest.Empty}
)

// first is the answer to the one of two faults that an order has first; of two without a place of their own it is
// the one that the document has first.
func first(order []step) func(a, b contracttest.Told) string {
	place := func(f contracttest.Told) []int {
		for i, step := range order {
			for j, field := range step.fields {
				if (field == f.Field || field == "") && (step.rules == nil || slices.Contains(step.rules, f.Rule)) {
					return []int{i, j, f.Place}
				}
			}
		}
		return nil
	}
	return func(a, b contracttest.Told) string {
		if slices.Compare(place(a), place(b)) <= 0 {
			return a.Answer
		}
		return b.Answer
	}
}

func TestOfTwoFaultsTheFirstStepAnswers(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	d, env := newHelpdesk(t, s), s.Env("creditplus")
	env.Transform = func(t testing.TB, c contracttest.Conversation, body []byte) ([]byte, string) {
		t.Helper()
		if !c.Sealed {
			return body, c.ContentType
		}
		return []byte(d.sealed(t, "creditplus", "key", body)), c.ContentType
	}
	others := map[string]any{"/notes": "Caller verified", "/source": "IVR", "/programCode": "PROG01", "/devicePlanCode": "PLAN01"}
	selectors := map[string]any{"/packID": "PACK00000001", "/alias": "ALIAS_0001", "/number": "50000000000001"}
	maps.Copy(selectors, others)
	for name, test := range map[string]struct {
		good  contracttest.Step
		more  map[string]any
		only  bool // one selector is sent, and can be left out
		first func(a, b contracttest.Told) string
	}{
		"V2":                      {contracttest.Step{Operation: "resetPinRetryCounterV2", Example: "reset-by-identifier"}, selectors, false, first(stepsV2)},
		"V2 with one selector":    {contracttest.Step{Operation: "resetPinRetryCounterV2", Example: "reset-by-identifier"}, others, true, first(stepsV2)},
		"V2 in an encrypted body": {contracttest.Step{Operation: "resetPinRetryCounterV2", Example: "sealed"}, selectors, false, first(stepsV2)},
		"V1":                      {contracttest.Step{Operation: "resetPinRetryCounterV1", Example: "reset"}, nil, false, first(stepsV1)},
	} {
		t.Run(name, func(t *testing.T) {
			f := contracttest.NewFaulty(t, apptest.Documents(t)["creditplus"], env, test.good, test.more)
			faults := f.Faults()
			if test.only {
				faults = slices.DeleteFunc(faults, func(f contracttest.Fault) bool { return slices.Contains(selecting, f.Field) })
				faults = append(faults, f.Fault(t, selecting[0], noSelectorLeft, nil))
			}
			f.Pairs(t, faults, func(r *contracttest.Reply) string { return string(r.Body) }, test.first)
		})
	}
}
