package thredd_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// fields are what a reply says of each field, and its status.
type fields struct {
	Status int                 `json:"status"`
	Errors map[string][]string `json:"errors"`
}

func told(t *testing.T, answer string) (f fields) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(answer), &f), answer)
	return f
}

// Of two things that are wrong both are told, except that a malformed public token is 404 whatever else is wrong.
func TestOfTwoFaultsBothAreTold(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	says := func(r *contracttest.Reply) string {
		f := told(t, string(r.Body))
		text, err := json.Marshal(f)
		require.NoError(t, err)
		return string(text)
	}
	both := func(a, b contracttest.Told) string {
		for _, one := range []contracttest.Told{a, b} {
			if one.In == "path" {
				require.Equal(t, 404, told(t, one.Answer).Status)
				return one.Answer
			}
		}
		all, more := told(t, a.Answer), told(t, b.Answer)
		maps.Copy(all.Errors, more.Errors)
		text, err := json.Marshal(all)
		require.NoError(t, err)
		return string(text)
	}
	for _, test := range []struct {
		good contracttest.Step
		more map[string]any
	}{
		{contracttest.Step{Operation: "setCardPin", Example: "set-with-reason"}, nil},
		{contracttest.Step{Operation: "unblockCardPin", Example: "unblocked"}, nil},
		{contracttest.Step{Operation: "createCard", Example: "card-created"}, nil},
	} {
		t.Run(test.good.Operation, func(t *testing.T) {
			f := contracttest.NewFaulty(t, apptest.Documents(t)["thredd"], h.Env("thredd"), test.good, test.more)
			f.Pairs(t, f.Faults(), says, both)
		})
	}
}
