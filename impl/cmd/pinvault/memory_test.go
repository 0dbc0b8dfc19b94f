package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// serveBuilt starts a sandbox with the surroundings of the test.
func serveBuilt(t *testing.T, args ...string) *apptest.Process {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("a process's memory is read from /proc")
	}
	return apptest.ServeBy(t, exec.CommandContext(t.Context(), apptest.Released(t), append([]string{"serve", "--listen", "127.0.0.1:0", "--sandbox", "--database-url", storetest.SQLite(t)}, args...)...))
}

// memory is a figure of a process's memory, such as VmRSS or VmHWM, the highest so far, in MB.
func memory(t *testing.T, p *apptest.Process, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			require.NoError(t, err)
			return kilobytes >> 10
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// held opens connections that send a request and end with the test.
func held(t *testing.T, p *apptest.Process, n int, send func(i int, c net.Conn)) {
	t.Helper()
	var sending sync.WaitGroup
	for i := range n {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(5*time.Second)))
		sending.Go(func() { send(i, c) })
	}
	sending.Wait()
}

// Bodies that are announced, sent and held open take no memory that matters, whether they are too long,
// told to be or not, or as long as may be.
func TestBodiesThatAreHeldOpenTakeLittleMemory(t *testing.T) {
	t.Parallel()
	p := serveBuilt(t)
	before := memory(t, p, "VmRSS")
	body := bytes.Repeat([]byte("a"), 1_000_000)
	const head = "POST /oauth2/token HTTP/1.1\r\nHost: pinvault\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	held(t, p, 400, func(i int, c net.Conn) {
		// A write fails where the server has refused the request already.
		switch i % 3 {
		case 0:
			_, _ = fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n", head, len(body))
			_, _ = c.Write(body[1:])
		case 1:
			_, _ = fmt.Fprintf(c, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n", head, len(body))
			_, _ = c.Write(body[1:])
		case 2:
			_, _ = fmt.Fprintf(c, "%sContent-Length: 8192\r\n\r\n", head)
			_, _ = c.Write(body[:8191])
		}
	})
	highest := memory(t, p, "VmHWM")
	t.Logf("400 held bodies: %d MB before, %d MB at most", before, highest)
	require.Less(t, highest, 200)
	requireServes(t, p)
}

// Downloads that nobody reads are not kept for a check that no document asks for.
func TestDownloadsThatAreNotReadTakeLittleMemory(t *testing.T) {
	t.Parallel()
	p := serveBuilt(t)
	reply, err := http.Get(p.URL + "/docs")
	require.NoError(t, err)
	page, err := io.ReadAll(reply.Body)
	require.NoError(t, errors.Join(err, reply.Body.Close()))
	script := regexp.MustCompile(`docs/scalar\.[0-9a-f]+\.js`).Find(page)
	require.NotNil(t, script)
	before := memory(t, p, "VmRSS")
	held(t, p, 300, func(_ int, c net.Conn) {
		_, err := io.WriteString(c, "GET /"+string(script)+" HTTP/1.1\r\nHost: pinvault\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 1000)) // it has begun
		require.NoError(t, err)
	})
	highest := memory(t, p, "VmHWM")
	t.Logf("300 unread downloads: %d MB before, %d MB at most", before, highest)
	require.Less(t, highest, 200)
	requireServes(t, p)
}

func requireServes(t *testing.T, p *apptest.Process) {
	t.Helper()
	r, err := (&http.Client{Timeout: 10 * time.Second}).Get(p.URL + "/readyz")
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, http.StatusOK, r.StatusCode)
}
