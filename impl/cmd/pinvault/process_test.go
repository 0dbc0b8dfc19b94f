package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
)

// built is the folder of pinvault as it is released, made when the first test asks for it: processes are what
// users get. Under the race detector each of the hundreds that tests start would take ten times as long.
var built = sync.OnceValues(func() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "pinvault-test"); err != nil {
		return "", err
	}
	afterAll = func() { _ = os.RemoveAll(folder) }
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(folder, "pinvault"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("%w\n%s", err, out)
	}
	return folder, nil
})

// afterAll cleans up behind all tests.
var afterAll = func() {}

// released is pinvault as it is released.
func released(t testing.TB) string {
	t.Helper()
	folder, err := built()
	require.NoError(t, err)
	return filepath.Join(folder, "pinvault")
}

func TestMain(m *testing.M) {
	code := m.Run()
	afterAll()
	os.Exit(code)
}

// pinvault is the command with its arguments, in a surrounding without settings of the developer's.
func pinvault(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), released(t), args...)
	c.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	c.Dir = t.TempDir()
	return c
}

// process is a running pinvault serve.
type process struct {
	*exec.Cmd
	url   string
	admin string
	log   *buffer
	out   *buffer
}

// serveProcess starts a server on a free port and returns when it serves, which it logs at level INFO. All
// of a test's servers share a public URL, as processes behind a load balancer do. It is killed when the
// test ends.
func serveProcess(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	return serveAs(t, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--public-url", "http://pinvault.localhost"}, args...)...)
}

// serveAs is serveProcess with nothing but the arguments given.
func serveAs(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	c := pinvault(t, args...)
	c.Env = append(c.Env, env...)
	return serveCommandOf(t, c)
}

// serveCommandOf starts a server by any command.
func serveCommandOf(t testing.TB, c *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: c, log: &buffer{}, out: &buffer{}}
	p.Stdout = p.out
	stderr, err := p.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	lines := bufio.NewReader(stderr)
	for p.url == "" {
		line, err := lines.ReadString('\n')
		_, _ = p.log.Write([]byte(line))
		require.NoError(t, err, "the server ended before it served: %s", p.log)
		var entry struct{ Msg, Listen, Admin string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
			p.url, p.admin = "http://"+entry.Listen, "http://"+entry.Admin
		}
	}
	go func() { _, _ = io.Copy(p.log, lines) }()
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, p.Process.Kill())
	_ = p.Wait()
}

// clientOf is a client of a running server that checks every reply against its document.
func clientOf(t testing.TB, base string) *contracttest.Client {
	t.Helper()
	return contracttest.New(t, base, slices.Collect(maps.Values(specs(t)))...)
}
