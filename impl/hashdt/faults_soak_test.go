package hashdt_test

import (
	"cmp"
	"testing"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// Of two things that are wrong the API key is answered first, since it says who calls, and then the first in the
// document.
func TestOfTwoFaultsTheFirstIsAnswered(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	env := h.Env("hashdt")
	env.Authorize = nil // the API key is a header of the good request
	says := func(r *contracttest.Reply) string { return string(r.Body) }
	first := func(a, b contracttest.Told) string {
		place := func(f contracttest.Told) int {
			if f.Field == "x-api-key" {
				return -1
			}
			return f.Place
		}
		if cmp.Compare(place(a), place(b)) <= 0 {
			return a.Answer
		}
		return b.Answer
	}
	for _, good := range []contracttest.Step{{Operation: "resetPin", Example: "url-fetched-with-all-headers"}} {
		t.Run(good.Operation, func(t *testing.T) {
			f := contracttest.NewFaulty(t, apptest.Documents(t)["hashdt"], env, good, nil)
			f.Pairs(t, f.Faults(), says, first)
		})
	}
}
