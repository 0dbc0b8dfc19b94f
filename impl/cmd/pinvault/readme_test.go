package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// readmeLines are the shell lines of the README's section of that title.
func readmeLines(t *testing.T, title string) string {
	t.Helper()
	for _, tool := range []string{"bash", "curl", "sed", "jq", "openssl"} {
		_, err := exec.LookPath(tool)
		if err != nil && os.Getenv("AS_IS") != "" {
			t.Skipf("the README's calls need %s", tool)
		}
		require.NoError(t, err, "the README's calls need %s", tool)
	}
	return readmeBlocks(t, title, "sh")
}

// readmeBlocks are the README section's blocks of a language, one after the other.
func readmeBlocks(t *testing.T, title, language string) string {
	t.Helper()
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "## "+title+"\n")
	require.True(t, found, title)
	section, _, _ = strings.Cut(section, "\n## ")
	var lines strings.Builder
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(section, -1) {
		lines.WriteString(block[1])
	}
	return lines.String()
}

// The call that the README begins with is answered as it says.
func TestReadmeFirstCallIsAnswered(t *testing.T) {
	t.Parallel()
	p := apptest.Serve(t, nil, "--sandbox", "--database-url", storetest.SQLite(t))
	c := exec.CommandContext(t.Context(), "bash")
	c.Stdin = strings.NewReader(strings.ReplaceAll(readmeLines(t, "Try it"), "http://127.0.0.1:8080", p.URL))
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.JSONEq(t, readmeBlocks(t, "Try it", "json"), string(out))
}

// The calls of the README, pasted one after the other, and once more after a restart.
func TestReadmeCallsWork(t *testing.T) {
	t.Parallel()
	script := readmeLines(t, "Five minutes with one card")
	database := storetest.SQLite(t)
	for _, run := range []string{"fresh", "after a restart"} {
		p := apptest.Serve(t, nil, "--sandbox", "--database-url", database)
		c := exec.CommandContext(t.Context(), "bash")
		c.Stdin = strings.NewReader(strings.ReplaceAll(script, "http://127.0.0.1:8080", p.URL))
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		lines := strings.Fields(string(out))
		require.GreaterOrEqual(t, len(lines), 10, "%s: %s", run, out)
		require.Equal(t, []string{
			"204", `{"pin":"0000"}`, `{"status":"Unblocked","remainingTries":"3"}`,
			`{"result":"mismatch","remainingTries":2}`, `{"result":"mismatch","remainingTries":1}`, `{"result":"mismatch","remainingTries":0}`,
			`{"status":"Blocked","remainingTries":"0"}`, "204", `{"status":"Unblocked","remainingTries":"3"}`,
		}, lines[:9], run)
		require.Contains(t, string(out), "Unblocking blocked PIN")
		p.Kill(t)
	}
}

// A fresh production server is brought up by the README's lines and by nothing else, and a card goes
// through it. What was done from the shell is in the audit trail.
func TestReadmeBringsUpAProductionServer(t *testing.T) {
	t.Parallel()
	lines := readmeLines(t, "Run it in production")
	const theirs = "postgres://pinvault@db.example.com/pinvault"
	require.Equal(t, 1, strings.Count(lines, theirs))
	for engine, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			script := strings.NewReplacer(theirs, "'"+database(t)+"'", "8443", freePort(t)).Replace(lines)
			out := asPasted(t, script+`
echo
curl -sS --fail --cacert chain.pem -H "Authorization: Bearer $I" "$PINVAULT_PUBLIC_URL/issuer/v1/audit-events?limit=100" | jq -r '.items[] | .type + " by " + .clientId'
bin/pinvault audit verify
`)
			require.Contains(t, out, "\n204\n"+`{"result":"match","remainingTries":3}`+"\n")
			for event, times := range map[string]int{
				"program.created by pinvault programs create": 1, "client.created by pinvault clients create": 2,
				"key.imported by pinvault keys import": 1, "card.created by pinvault cards create": 1,
			} {
				require.Equal(t, times, strings.Count(out, event), "%s in %s", event, out)
			}
		})
	}
}

// asPasted runs lines in a shell that ends with the first one that fails, in a folder where bin/pinvault is
// this program. What they started ends with them. It returns what they print.
func asPasted(t *testing.T, lines string) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "bin"), 0o700))
	require.NoError(t, os.Symlink(apptest.Released(t), filepath.Join(folder, "bin", "pinvault")))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "lines"), []byte("trap 'kill $(jobs -p); wait' EXIT\n"+lines), 0o600))
	c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "lines")
	c.Dir, c.Env = folder, []string{"HOME=" + folder, "PATH=" + os.Getenv("PATH")}
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 10 * time.Second
	require.NoError(t, c.Run(), "%s\n%s", &out, &log)
	return out.String()
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return port
}
