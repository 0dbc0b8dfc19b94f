package apptest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// folder is where Released puts the program. Main makes and removes it.
var folder string

// Main is the TestMain of a package whose tests start processes: it cleans up behind all of them.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	var err error
	if folder, err = os.MkdirTemp("", "pinvault-test"); err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err = os.Chmod(folder, 0o711); err != nil { //nolint:gosec // tests run the program as another user, too
		panic(err)
	}
	return m.Run()
}

// built makes pinvault as it is released, when the first test of a package asks for it: processes are what users
// get. Under the race detector each of the hundreds that tests start would take ten times as long.
var built = sync.OnceValues(func() (path string, err error) {
	if folder == "" {
		return "", errors.New("tests that start processes need apptest.Main in TestMain")
	}
	path = filepath.Join(folder, "pinvault")
	return path, build(path)
})

// build makes pinvault, with what else the go command is told.
func build(path string, more ...string) error {
	build := exec.CommandContext(context.Background(), "go", append(append([]string{"build", "-trimpath", "-o", path}, more...), "pinvault/impl/cmd/pinvault")...) //nolint:gosec // nothing of it comes from outside
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// Changed is the path of pinvault built with other texts in some of its files, by their paths in the tree: another release.
func Changed(t testing.TB, name string, files map[string]string) string {
	t.Helper()
	mod, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	require.NoError(t, err)
	root := filepath.Dir(string(mod))
	replace := map[string]string{}
	for file, text := range files {
		at := filepath.Join(t.TempDir(), filepath.Base(file))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
		replace[filepath.Join(root, file)] = at
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	at := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(at, overlay, 0o600))
	path := filepath.Join(folder, name)
	require.NoError(t, build(path, "-overlay", at))
	return path
}

// Released is the path of pinvault as it is released.
func Released(t testing.TB) string {
	t.Helper()
	path, err := built()
	require.NoError(t, err)
	return path
}

// Command is pinvault with its arguments, in a surrounding without settings of the developer's.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return CommandOf(t, Released(t), args...)
}

// CommandOf is Command of another release.
func CommandOf(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // the test's own
	c.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	c.Dir = t.TempDir()
	return c
}

// Process is a running pinvault serve.
type Process struct {
	*exec.Cmd
	URL   string
	Admin string // the URL for operators, where they have a listener
	Log   *Buffer
	Out   *Buffer

	said chan struct{} // closed when all that it had to say was read
}

// Serve starts a server on a free port and returns when it serves, which it logs at level INFO. All of a
// test's servers share a public URL, as processes behind a load balancer do, and give a request as much time as [Start] does, unless
// the arguments say otherwise. It is killed when the test ends.
func Serve(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	return ServeAs(t, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--public-url", "http://pinvault.localhost", "--request-timeout", patience.String()}, args...)...)
}

// ServeAs is Serve with nothing but the arguments given.
func ServeAs(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	c := Command(t, args...)
	c.Env = append(c.Env, env...)
	return ServeBy(t, c)
}

// ServeBy is Serve by any command.
func ServeBy(t testing.TB, c *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: c, Log: &Buffer{}, Out: &Buffer{}, said: make(chan struct{})}
	p.Stdout = p.Out
	stderr, err := p.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	lines := bufio.NewReader(stderr)
	for p.URL == "" {
		line, err := lines.ReadString('\n')
		_, _ = p.Log.Write([]byte(line))
		require.NoError(t, err, "the server ended before it served: %s", p.Log)
		var entry struct{ Msg, Listen, Admin string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "serving" {
			p.URL, p.Admin = "http://"+entry.Listen, "http://"+entry.Admin
		}
	}
	go func() {
		defer close(p.said)
		_, _ = io.Copy(p.Log, lines)
	}()
	return p
}

// Kill ends the process as kill -9 does.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	require.NoError(t, p.Process.Kill())
	_ = p.Wait()
}

// Crash has the process end as one does that has found something it cannot go on with (abort(3)), and hears it out.
func (p *Process) Crash(t testing.TB) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGABRT))
	<-p.said
	_ = p.Wait()
}
