package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract"
	"pinvault/impl/store/storetest"
	"pinvault/openapi"
)

// quickStep is a step as the introduction has it in a list: lines to paste, and what they print.
var quickStep = regexp.MustCompile("(?s)\n   ```bash\n(.*?)\n   ```\n\n   ```(?:json|text)\n(.*?)\n   ```")

// A partner who pastes the steps of a served document's quick start reads what it says that they print.
func TestQuickStartsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("AS_IS") != "" {
			t.Skipf("the quick starts need %s", tool)
		}
	}
	address := "127.0.0.1:" + freePort(t)
	p := apptest.ServeAs(t, nil, "serve", "--sandbox", "--listen", address, "--public-url", "http://"+address, "--database-url", storetest.SQLite(t))
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			var served struct{ Info struct{ Description string } }
			get(t, p.URL+"/openapi/"+name+".json", &served)
			apptest.Client(t, p.URL).Do(http.MethodPost, "/sandbox/reset").ExpectStatus(http.StatusNoContent)
			_, start, found := strings.Cut(served.Info.Description, "\n\n## Quick start\n\n")
			require.True(t, found)
			start, _, _ = strings.Cut(start, "\n\n## ")
			steps := quickStep.FindAllStringSubmatch(start, -1)
			require.NotEmpty(t, steps)
			require.LessOrEqual(t, len(steps), 5)
			require.Equal(t, len(steps), strings.Count(start, "```bash"), "each step tells what it prints")

			const between = "\n@@ next @@\n"
			var script strings.Builder
			for _, step := range steps {
				script.WriteString(strings.ReplaceAll("\n"+step[1], "\n   ", "\n") + "\nprintf '" + strings.ReplaceAll(between, "\n", `\n`) + "'\n")
			}
			c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail")
			c.Dir, c.Env, c.Stdin = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}, strings.NewReader(script.String())
			out, err := c.CombinedOutput()
			require.NoError(t, err, "%s", out)
			printed := strings.Split(string(out), between)
			for i, step := range steps {
				want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(step[2])), "…", ".+")
				require.Regexp(t, "^"+want+"$", strings.TrimSpace(printed[i]), "step %d", i+1)
			}
			left, err := os.ReadDir(c.Dir)
			require.NoError(t, err)
			require.Empty(t, left, "no files are left behind")
		})
	}
}

// get reads JSON.
func get(t *testing.T, url string, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, reply.Body.Close()) }()
	require.NoError(t, json.NewDecoder(reply.Body).Decode(into))
}
