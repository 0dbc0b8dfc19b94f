package main

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring/keyringtest"
)

// withModules builds pinvault with cgo, as 'make build-pkcs11' does.
var withModules = sync.OnceValues(func() (folder string, err error) {
	folder, err = os.MkdirTemp("", "pinvault-cgo")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "pinvault"), ".") //nolint:noctx // as long as it takes
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := build.CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return folder, err
})

// lines are those that docs/keys.md says to type under a heading.
func lines(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/keys.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	require.True(t, ok, heading)
	found := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(section)
	require.NotNil(t, found, heading)
	return found[1]
}

// typed runs what is typed in a folder, and returns the environment after it.
func typed(t *testing.T, folder, what string, env ...string) []string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", what+"\nenv >environment") //nolint:gosec // the page's own
	c.Dir = folder
	c.Env = append([]string{"HOME=" + folder, "PATH=" + os.Getenv("PATH")}, env...)
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	text, err := os.ReadFile(filepath.Join(folder, "environment"))
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// What the page says makes a vault that serves, and whose client gets a token; a start that cannot be is refused in words,
// without a secret in them.
func TestKeysPage(t *testing.T) {
	for _, test := range []struct {
		heading, secret string
		need            func(t *testing.T)
		wrong           string // what the secret is replaced by
		says            string
		lists           string // a line of 'keys list'
	}{
		{"A file", "master-key", func(*testing.T) {}, "d3JvbmcgbWFzdGVyIGtleSBvZiB0aGlydHktdHdvIGI=", "does not open under this master key", "(?m)^pin/1 +active "},
		{"OpenBao", "bao-token", func(t *testing.T) { keyringtest.URL(t, keyringtest.OpenBao, "none") }, "s.wrong-token", "OpenBao does not take the token of --keys", "(?m)^pin/1 +active "},
		{"A token", "pin", func(t *testing.T) { keyringtest.SoftHSM(t) }, "wrong-pin", `the token "pinvault" refuses the PIN`, "(?m)^pin +[0-9a-f]{8} +active +pkcs11$"},
	} {
		t.Run(test.heading, func(t *testing.T) {
			test.need(t)
			binaries := filepath.Dir(apptest.Released(t))
			if test.heading == "A token" {
				var err error
				binaries, err = withModules()
				require.NoError(t, err)
			}
			folder := t.TempDir()
			env := typed(t, folder, lines(t, test.heading)+`pinvault migrate >out
pinvault clients create --contract issuer --name Desk --scope cards:read >client
`, "PATH="+binaries+":"+os.Getenv("PATH"), "BAO_ADDR="+os.Getenv("PINVAULT_TEST_OPENBAO"), "BAO_TOKEN="+os.Getenv("PINVAULT_TEST_OPENBAO_TOKEN"),
				"PINVAULT_DATABASE_URL=sqlite://"+folder+"/pinvault.db")
			client, err := os.ReadFile(filepath.Join(folder, "client"))
			require.NoError(t, err)
			secret := regexp.MustCompile(`"client_id":"([^"]+)","client_secret":"([^"]+)"`).FindSubmatch(client)
			require.NotNil(t, secret, string(client))

			listed := exec.CommandContext(t.Context(), filepath.Join(binaries, "pinvault"), "keys", "list") //nolint:gosec // the test's own
			listed.Dir, listed.Env = folder, env
			keys, err := listed.CombinedOutput()
			require.NoError(t, err, string(keys))
			require.Contains(t, string(keys), "seal/1 ")
			require.Regexp(t, test.lists, string(keys))

			serve := func() *exec.Cmd {
				c := exec.CommandContext(t.Context(), filepath.Join(binaries, "pinvault"), "serve", "--listen", "127.0.0.1:0") //nolint:gosec // the test's own
				c.Dir, c.Env = folder, env
				return c
			}
			p := apptest.ServeBy(t, serve())
			reply, err := http.PostForm(p.URL+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {string(secret[1])}, "client_secret": {string(secret[2])}}) //nolint:noctx // the test's own
			require.NoError(t, err)
			require.NoError(t, reply.Body.Close())
			require.Equal(t, http.StatusOK, reply.StatusCode)
			p.Kill(t)

			known, err := os.ReadFile(filepath.Join(folder, test.secret))
			require.NoError(t, err)
			require.NotContains(t, p.Log.String()+p.Out.String(), strings.TrimSpace(string(known)))
			require.NoError(t, os.WriteFile(filepath.Join(folder, test.secret), []byte(test.wrong), 0o600))
			out, err := serve().CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), test.says)
			require.False(t, bytes.Contains(out, []byte(test.wrong)), string(out))

			require.NoError(t, os.Chmod(filepath.Join(folder, test.secret), 0o644))
			out, err = serve().CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), "others on this machine can read or change")
		})
	}
}

func TestTheReleasedBinarySaysWhatATokenTakes(t *testing.T) {
	t.Parallel()
	c := apptest.Command(t, "keys", "init")
	c.Env = append(c.Env, "PINVAULT_KEYS=pkcs11:token=a?module-path=/m.so&pin-source=env:P&keyset=k.json")
	out, err := c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "this pinvault was built without cgo and cannot load a PKCS#11 module: build the one that can with 'make build-pkcs11'")
}
