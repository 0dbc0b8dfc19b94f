package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

func TestDocsAreServedUnlessTheyAreSwitchedOff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags  []string
		status int
	}{
		{[]string{"--sandbox"}, http.StatusOK},
		{[]string{"--sandbox", "--no-docs"}, http.StatusNotFound},
	} {
		p := apptest.Serve(t, nil, test.flags...)
		for path, inside := range map[string]string{"/docs": "hashdt-sandbox.hashdt-sandbox-secret", "/openapi/thredd.json": `"/api/v1/cards"`} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path, http.NoBody)
			require.NoError(t, err)
			reply, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(reply.Body)
			require.NoError(t, err)
			require.NoError(t, reply.Body.Close())
			require.Equal(t, test.status, reply.StatusCode, "%s %v", path, test.flags)
			require.Equal(t, test.status == http.StatusOK, strings.Contains(string(body), inside), "%s %v", path, test.flags)
		}
		p.Kill(t)
		require.Equal(t, test.status == http.StatusOK, strings.Contains(p.Out.String(), "http://pinvault.localhost/docs"), "the greeting names what is there")
	}
}

func TestDocsAreWrittenAsAStaticSite(t *testing.T) {
	t.Parallel()
	c := apptest.Command(t, "docs", "--out", "site")
	said, err := c.CombinedOutput()
	require.NoError(t, err, "%s", said)
	index, err := os.ReadFile(filepath.Join(c.Dir, "site", "docs.html"))
	require.NoError(t, err)
	require.NotContains(t, string(index), "-secret")
	for name := range apptest.Documents(t) {
		require.FileExists(t, filepath.Join(c.Dir, "site", "openapi", name+".yaml"))
		require.FileExists(t, filepath.Join(c.Dir, "site", "openapi", name+".json"))
		require.FileExists(t, filepath.Join(c.Dir, "site", "docs", name+".html"))
		require.Contains(t, string(index), `"name":"`+name+`"`)
	}
}
