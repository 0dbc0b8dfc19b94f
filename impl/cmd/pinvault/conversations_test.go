package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
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
			contracttest.Run(t, h.docs[name], contracttest.Env{
				Client: h.client, Reset: h.reset, Authorize: h.authorize(name), Fault: h.faults.fail,
			})
		})
	}
}
