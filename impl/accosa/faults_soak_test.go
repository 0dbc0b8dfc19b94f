package accosa_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// outside are the headers in the order of the errors that are answered in clear: what is absent, and then what is wrong.
var outside = []string{
	"clientId absent", "bankId absent", "secureCode absent", "clientId", "bankId", "secureCode", "entityId", "X-Consumer-Custom-ID",
}

// place is that of a fault among all: headers first, and then the message's fields in the order of the contract's table.
func place(f contracttest.Told) int {
	if f.In == "body" {
		return len(outside) + f.Place
	}
	if f.Rule == contracttest.Absent || f.Rule == contracttest.Empty {
		if i := slices.Index(outside, f.Field+" absent"); i >= 0 {
			return i
		}
	}
	return slices.Index(outside, f.Field)
}

func TestOfTwoFaultsTheFirstIsAnswered(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	env := h.Env("accosa")
	env.Authorize = func(t testing.TB, r *http.Request, word string) {
		t.Helper()
		r.Header.Set("x-api-key", h.APIKey(t, "accosa", word))
	}
	env.Transform = func(t testing.TB, c contracttest.Conversation, body []byte) ([]byte, string) {
		t.Helper()
		return []byte(sender(t, c).seal(t, string(body))), "application/json"
	}
	// In a token code, text and field are what tells; the rest of it is the request's.
	says := func(r *contracttest.Reply) string {
		var m struct{ ResponseCode, ResponseMessage, Description, Message string }
		require.NoError(t, json.Unmarshal(named(t, "accosa").open(t, r.Body), &m))
		return http.StatusText(r.Status) + " " + m.ResponseCode + " " + m.ResponseMessage + m.Message + " " + m.Description
	}
	f := contracttest.NewFaulty(t, apptest.Documents(t)["accosa"], env, contracttest.Step{Operation: "resetPin", Example: "everything-sent"}, nil)
	f.Pairs(t, f.Faults(), says, func(a, b contracttest.Told) string {
		if place(a) <= place(b) {
			return a.Answer
		}
		return b.Answer
	})
}
