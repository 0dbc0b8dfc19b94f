package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
)

// suite is a sandbox as a test suite starts it.
type suite struct {
	*apptest.Process
	ready
	in   io.Closer
	temp string // the folder of its temporary files
}

func startSuite(t *testing.T, args ...string) suite {
	t.Helper()
	return startSuiteIn(t, t.TempDir(), args...)
}

func startSuiteIn(t *testing.T, temp string, args ...string) suite {
	t.Helper()
	s := suite{temp: temp}
	c := apptest.Command(t, append([]string{"sandbox", "--port", "0"}, args...)...)
	c.Env = append(c.Env, "TMPDIR="+s.temp)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	s.in, s.Process = in, apptest.ServeBy(t, c)
	require.Eventually(t, func() bool { return strings.HasSuffix(s.Out.String(), "\n") }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, json.Unmarshal([]byte(s.Out.String()), &s.ready), "%s", s.Out)
	return s
}

// asked is the JSON of a reply.
func asked(t *testing.T, method, url, body string, header ...string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	value := map[string]any{}
	if len(text) > 0 {
		require.NoError(t, json.Unmarshal(text, &value), "%s", text)
	}
	return value
}

// pinOf is the PIN of a card, by Thredd's contract.
func pinOf(t *testing.T, base, clientID, publicToken string) any {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {"gifts-app-secret"}}
	token := asked(t, "POST", base+"/connect/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	return asked(t, "GET", base+"/api/v1/cards/"+publicToken+"/pin", "", "Authorization", "Bearer "+token["access_token"].(string))["pin"]
}

const seedOfDocs = "../../../docs/sandbox/seed.yaml"

// What a sandbox leaves behind that is killed, its database and its spaces', is gone when the next one has begun.
func TestSandboxRemovesWhatAKilledOneHasLeft(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	killed := startSuiteIn(t, temp)
	asked(t, "POST", killed.ready.URL+"/sandbox/spaces", "{}", "Content-Type", "application/json")
	killed.Kill(t)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Len(t, left, 2)
	next := startSuiteIn(t, temp)
	now, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Len(t, now, 1)
	require.NotContains(t, []string{left[0].Name(), left[1].Name()}, now[0].Name())
	require.NoError(t, next.Process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, ended(t, next.Process, 20*time.Second), "%s", next.Log)
	now, err = os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, now)
}

func TestSandboxSaysOnceThatItServes(t *testing.T) {
	t.Parallel()
	s := startSuite(t)
	require.Equal(t, ready{true, s.Process.URL, s.Process.URL + "/docs", s.Process.URL + "/sandbox", s.Process.Process.Pid, ""}, s.ready)
	require.Equal(t, http.StatusOK, statusOf(t, s.ready.URL+"/readyz"))
	require.Equal(t, http.StatusOK, statusOf(t, s.Docs))
	require.NoError(t, s.Process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, ended(t, s.Process, 20*time.Second), "%s", s.Log)
	require.Equal(t, 1, strings.Count(s.Out.String(), "\n"), "%s", s.Out)
	require.Empty(t, left(t, s.temp))
}

// Spaces and resets begin with the seed too.
func TestSandboxIsSeededWhereverItBegins(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs(seedOfDocs)
	require.NoError(t, err)
	s := startSuite(t, "--seed", file, "--until-stdin-closes")
	require.Equal(t, "4826", pinOf(t, s.ready.URL, "gifts-app", "207000001"))
	space := asked(t, "POST", s.ready.URL+"/sandbox/spaces", `{"id":"one"}`, "Content-Type", "application/json")
	require.Equal(t, "gifts-app@one", space["clients"].(map[string]any)["gifts-app"].(map[string]any)["client_id"])
	require.Equal(t, "4826", pinOf(t, s.ready.URL, "gifts-app@one", "207000001"))
	for _, base := range []string{s.ready.URL, space["url"].(string)} {
		asked(t, "POST", base+"/sandbox/reset", "")
		cards := asked(t, "GET", base+"/sandbox/cards", "")["cards"].([]any)
		names := map[any]any{}
		for _, card := range cards {
			names[card.(map[string]any)["name"]] = card.(map[string]any)["remainingTries"]
		}
		require.Contains(t, names, "normal")
		require.EqualValues(t, 5, names["gold"])
		require.EqualValues(t, 0, names["worn_out"])
	}
	require.NoError(t, s.in.Close())
	require.NoError(t, ended(t, s.Process, 20*time.Second), "%s", s.Log)
	require.Empty(t, left(t, s.temp))
}

// left is what is in a folder.
func left(t *testing.T, folder string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names
}

func TestSandboxThatIsSeededBadlyChangesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, says string }{
		"what the schema does not allow": {"cards:\n  - {name: gold, colour: red}\n", "seed.yaml:2: cards[0].colour is unknown; there are "},
		"what the vault does not allow":  {"cards:\n  - name: gold\n    pin: '4826'\n    references:\n      - {kind: urn, value: '70000000001'}\n", "seed.yaml:5: cards[0]: another one has this urn already."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := apptest.Command(t, "sandbox", "--port", "0", "--seed", "seed.yaml", "--database-url", "sqlite://kept.db")
			c.Env = append(c.Env, "TMPDIR="+c.Dir)
			require.NoError(t, os.WriteFile(filepath.Join(c.Dir, "seed.yaml"), []byte(test.text), 0o600))
			out, err := c.CombinedOutput()
			require.Error(t, err)
			require.Equal(t, 1, c.ProcessState.ExitCode())
			require.Contains(t, string(out), test.says)
			require.Equal(t, []string{"seed.yaml"}, left(t, c.Dir))
		})
	}
}

func TestSchemaOfSeedsIsWhatIsInDocs(t *testing.T) {
	t.Parallel()
	want, err := app.SeedSchema()
	require.NoError(t, err)
	got, err := os.ReadFile("../../../docs/sandbox/seed.schema.json")
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", string(got), "pinvault sandbox --print-seed-schema > docs/sandbox/seed.schema.json")
}

func TestHealthcheckTellsWhetherAServerIsReady(t *testing.T) {
	t.Parallel()
	s := startSuite(t)
	require.NoError(t, apptest.Command(t, "healthcheck", s.ready.URL).Run())
	asked(t, "POST", s.ready.URL+"/sandbox/rules", `{"row":"getReadiness/not-ready"}`, "Content-Type", "application/json")
	out, err := apptest.Command(t, "healthcheck", s.ready.URL).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "503")
	require.Error(t, apptest.Command(t, "healthcheck", "http://127.0.0.1:1").Run())
}
