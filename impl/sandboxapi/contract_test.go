package sandboxapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	env := s.Env("sandbox")
	env.Reset = func(tb testing.TB) { anew(tb, s.Client) }
	env.Fault = func(tb testing.TB, word string) func() {
		if word == "call" { // the first that the journal has
			s.Client.For(tb).Do(http.MethodGet, "/livez").ExpectStatus(http.StatusOK)
			return func() {}
		}
		return s.Faults.Fail(tb, word)
	}
	apptest.Examples(t, "sandbox", env, nil)
}

// anew makes a sandbox what it was when it began, without spaces and snapshots.
func anew(tb testing.TB, c *contracttest.Client) {
	tb.Helper()
	c = c.For(tb)
	for _, kind := range []string{"spaces", "snapshots"} {
		var listed map[string][]struct{ ID string }
		require.NoError(tb, json.Unmarshal(c.Do(http.MethodGet, "/sandbox/"+kind).ExpectStatus(http.StatusOK).Body, &listed))
		for _, one := range listed[kind] {
			c.Do(http.MethodDelete, "/sandbox/"+kind+"/"+one.ID).ExpectStatus(http.StatusNoContent)
		}
	}
	c.Do(http.MethodPost, "/sandbox/reset").ExpectStatus(http.StatusNoContent)
}
