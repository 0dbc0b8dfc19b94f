package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
)

// envelopes seal and open the messages of the contracts that have them, by the contract's name.
var envelopes = map[string]func(t testing.TB, h *harness) (transform transform, open open){
	"accosa":     accosaEnvelope,
	"creditplus": creditplusEnvelope,
}

// callers say who is calling, in the contracts that know it by other means than a bearer token.
var callers = map[string]func(t testing.TB, r *http.Request, word string){
	"accosa": accosaCaller,
}

type (
	transform func(t testing.TB, c contracttest.Conversation, body []byte) (sealed []byte, contentType string)
	open      func(t testing.TB, c contracttest.Conversation, body []byte) []byte
)

// Every named example of every document comes out of a running server as it is written down, and every
// documented status has one.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	for name := range specs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, "")
			require.Empty(t, contracttest.Missing(h.docs[name]), "statuses without an example")
			env := contracttest.Env{Client: h.client, Reset: h.reset, Authorize: h.authorize(name), Fault: h.faults.fail}
			if of := envelopes[name]; of != nil {
				env.Transform, env.Open = of(t, h)
			}
			if caller := callers[name]; caller != nil {
				env.Authorize = caller
			}
			contracttest.Run(t, h.docs[name], env)
		})
	}
}
