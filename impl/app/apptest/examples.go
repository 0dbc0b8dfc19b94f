package apptest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
	"pinvault/impl/rows"
)

// Env is how the examples of the contract named are sent to the server, by a client of its fixtures with a bearer
// token. Envelopes, and callers who are known by other means, are the contract's own to add.
func (s *Server) Env(name string) contracttest.Env {
	return contracttest.Env{Client: s.Client, Reset: s.Reset, Authorize: s.Authorize(name), Fault: s.Faults.Fail,
		Foreign: "00000000-0000-7000-8000-00000000a001"}
}

// Examples demands that every named example of a document comes out of a running server as it is written down,
// that every documented status has one, that nobody is served what is not theirs, and that what counts as not sent
// changes nothing: see [contracttest.Rights], which explains ofTheirOwn, and [contracttest.Unsent].
func Examples(t *testing.T, name string, env contracttest.Env, ofTheirOwn map[string]string) {
	t.Helper()
	document := Documents(t)[name]
	require.NotNil(t, document, name)
	require.Empty(t, rows.Missing(document), "statuses without an example")
	contracttest.Run(t, document, env)
	contracttest.Rights(t, document, env, ofTheirOwn)
	contracttest.Unsent(t, document, env)
}
