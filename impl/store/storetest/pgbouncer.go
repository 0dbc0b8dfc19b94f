package storetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Pooled is the URL of a PostgreSQL database through a PgBouncer of the test's own, in transaction mode
// with four connections to the server: a client has a session for as long as a transaction takes.
// settings are further lines of its configuration.
//
// The test is skipped where PgBouncer is not installed, or fails where
// PINVAULT_TEST_REQUIRE_POSTGRES is 1, unless the machine is taken as it is (AS_IS, `make check`).
func Pooled(t testing.TB, databaseURL string, settings ...string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // not on the PATH of Debian's users
	}
	if err != nil {
		const why = "PgBouncer is not installed: scripts/packages pgbouncer"
		if os.Getenv("PINVAULT_TEST_REQUIRE_POSTGRES") == "1" && os.Getenv("AS_IS") == "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	server, err := url.Parse(databaseURL)
	require.NoError(t, err)

	// PgBouncer cannot pick a port itself: another program may take the one that was free.
	for range 5 {
		port := freePort(t)
		if startPgBouncer(t, program, server, port, settings) {
			pooled := *server
			pooled.Host = net.JoinHostPort("127.0.0.1", port)
			return pooled.String()
		}
	}
	t.Fatal("PgBouncer did not start")
	return ""
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// startPgBouncer tells whether a PgBouncer serves on a port. It runs until the test ends, and its
// database is the server's for that long.
func startPgBouncer(t testing.TB, program string, server *url.URL, port string, settings []string) bool {
	t.Helper()
	folder, err := os.MkdirTemp("", "pinvault-pgbouncer.") //nolint:usetesting // the test's own lies in one that only the test's user may enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })

	password, _ := server.User.Password()
	users := fmt.Sprintf("%q %q\n", server.User.Username(), password)
	config := fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\n", server.Hostname(), server.Port()) +
		fmt.Sprintf("listen_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n", port) +
		fmt.Sprintf("auth_type = scram-sha-256\nauth_file = %s\n", filepath.Join(folder, "users")) +
		fmt.Sprintf("admin_users = %s\n", server.User.Username()) +
		"pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 300\n"
	config += strings.Join(append(slices.Clone(settings), ""), "\n")
	root, err := os.OpenRoot(folder)
	require.NoError(t, err)
	defer func() { require.NoError(t, root.Close()) }()
	require.NoError(t, root.WriteFile("users", []byte(users), 0o600))
	require.NoError(t, root.WriteFile("pgbouncer.ini", []byte(config), 0o600))

	command := []string{program, filepath.Join(folder, "pgbouncer.ini")}
	if os.Getuid() == 0 { // as which PgBouncer does not run
		command = append(unprivileged(t, root), command...)
	}
	// The end of the pipe ends PgBouncer, and a test that dies closes it as well.
	r, w, err := os.Pipe()
	require.NoError(t, err)
	var log bytes.Buffer
	const until = `(read -r _; kill -9 $$) <&3 >/dev/null 2>&1 & exec "$@" 3<&-`
	bouncer := exec.CommandContext(context.Background(), "sh", append([]string{"-c", until, "sh"}, command...)...) //nolint:gosec // the test's own command
	bouncer.Stdout, bouncer.Stderr, bouncer.ExtraFiles = &log, &log, []*os.File{r}
	require.NoError(t, bouncer.Start())
	require.NoError(t, r.Close())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = bouncer.Wait() }()
	t.Cleanup(func() {
		assert.NoError(t, w.Close())
		<-ended
		if t.Failed() {
			t.Log(log.String())
		}
	})

	console := *server // PgBouncer's own, which answers whether the server does or not
	console.Host, console.Path, console.RawQuery = net.JoinHostPort("127.0.0.1", port), "/pgbouncer", "sslmode=disable"
	return await(ended, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, console.String())
		if err != nil {
			return false
		}
		return conn.Close(ctx) == nil
	})
}

// await asks until the answer is yes, or what it depends on has ended.
func await(ended <-chan struct{}, ask func() bool) bool {
	for pause := time.NewTicker(20 * time.Millisecond); !ask(); {
		select {
		case <-ended:
			return false
		case <-pause.C:
		}
	}
	return true
}

// unprivileged is the beginning of a command that runs as Debian's user for PostgreSQL, or as nobody where
// there is none, to whom the files of a folder are given.
func unprivileged(t testing.TB, folder *os.Root) []string {
	t.Helper()
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	require.NoError(t, err)
	uid, err := strconv.Atoi(account.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(account.Gid)
	require.NoError(t, err)
	for _, name := range []string{".", "users", "pgbouncer.ini"} {
		require.NoError(t, folder.Chown(name, uid, gid))
	}
	return []string{"setpriv", "--reuid=" + account.Uid, "--regid=" + account.Gid, "--init-groups", "--"}
}
