package contracttest

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/rows"
)

// The words of Env.Authorize for callers that no operation serves, but that the last may be served what is its
// own program's.
const (
	Nobody        = "nobody"           // no credentials
	OtherContract = "another-contract" // good credentials of another contract
	NoScope       = "no-scope"         // a client of the contract without any of its scopes
	OtherProgram  = "another-program"  // one with all scopes, of another program than what the request names
)

// Rights holds, for each operation of doc that is not public, the request of a documented success with the server
// as callers that may not make it. Each must be refused by a documented 4xx; the client checks its shape. So an
// operation that is added to the document is looked at without another word.
//
// ofTheirOwn names operations that serve a caller of another program what is its own, with the reason; one that is
// refused after all must not be in it.
func Rights(t *testing.T, doc *openapi3.T, env Env, ofTheirOwn map[string]string) {
	t.Helper()
	conversations, byStep := executable(t, doc)
	successes := map[string]Conversation{}
	for _, c := range conversations {
		if _, known := successes[c.Operation]; !known && c.Reply.Status < http.StatusBadRequest && c.Authorization == "" && c.Fault == "" {
			successes[c.Operation] = c
		}
	}
	used := map[string]bool{}
	for _, operation := range rows.Operations(doc) {
		if operation.Public() {
			continue
		}
		id := operation.Op.OperationID
		c, ok := successes[id]
		if !ok {
			t.Errorf("%s: no documented success, so that nobody could be refused one", id)
			continue
		}
		t.Run(id, func(t *testing.T) {
			env.prepare(t, c, byStep) // for all of them: what is refused changes nothing
			for _, who := range []string{Nobody, OtherContract, NoScope, OtherProgram} {
				t.Run(who, func(t *testing.T) {
					c := c
					c.Authorization, c.Printed = who, nil // another's: sealed by whoever it is
					reply := env.exchange(t, c)
					status := reply.Status
					if env.Foreign != "" && bytes.Contains(reply.Body, []byte(env.Foreign)) {
						t.Errorf("told what is another program's: %s", reply.Body)
					}
					if reason := ofTheirOwn[id]; who == OtherProgram && reason != "" {
						if used[id] = true; status >= http.StatusBadRequest {
							t.Errorf("refused with %d, although it is said to serve: %s", status, reason)
						}
						return
					}
					if !slices.Contains(refusals[who], status) {
						t.Errorf("answered with %d, want one of %v", status, refusals[who])
					}
				})
			}
		})
	}
	for id := range ofTheirOwn {
		if !used[id] {
			t.Errorf("%s is excused, and is no operation that is not public", id)
		}
	}
}

// refusals are the statuses by which each is refused. Contracts that ask for an API key as for a field answer its
// absence with 400, and whoever is of another program may be told of its cards as of unknown ones.
var refusals = map[string][]int{
	Nobody:        {http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden},
	OtherContract: {http.StatusUnauthorized, http.StatusForbidden},
	NoScope:       {http.StatusUnauthorized, http.StatusForbidden},
	OtherProgram:  {http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity},
}
