package app_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keymaterial"
)

// A server that crashes amid calls of every contract leaves nothing of what it was told behind: no core, though it may write one, and
// no secret in what it says as it ends, in its log, in the database or in temporary files.
func TestACrashLeavesNoSecretBehind(t *testing.T) {
	t.Parallel()
	onLinux(t)
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			for range repetitions(1, 20) {
				home := t.TempDir()
				limited := apptest.Command(t, "serve", "--listen", "127.0.0.1:0", "--public-url", "http://pinvault.localhost", "--sandbox", "--log-level", "debug", "--database-url", at)
				c := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -c unlimited && exec "$0" "$@"`}, limited.Args...)...) //nolint:gosec // the test's own
				c.Dir, c.Env = home, append(limited.Env, "TMPDIR="+home, "GOTRACEBACK=crash")
				p := apptest.ServeBy(t, c)
				w := newWitness(t, p.URL)
				w.callEverything()
				w.crash(p)
				waited := p.ProcessState.Sys().(syscall.WaitStatus)
				require.False(t, waited.CoreDump(), "a core was written")
				require.Contains(t, p.Log.String(), "SIGABRT: abort")
				w.nowhere("the log and the last words", p.Log.String())
				w.nowhere("standard output", p.Out.String())
				w.nowhere("the database", apptest.Dump(t, at))
				require.NoError(t, filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
					if err == nil && !d.IsDir() {
						content, err := os.ReadFile(path) //nolint:gosec // the test's own
						require.NoError(t, err)
						w.nowhere(path, string(content))
					}
					return err
				}))
			}
			t.Log("a process here that may write a core does:", writesCores(t))
		})
	}
}

// What the environment of a server holds, the master key among it, and its memory are for nobody to read: not even for other
// processes of the same user.
func TestNobodyReadsTheMemoryOfAServer(t *testing.T) {
	t.Parallel()
	onLinux(t)
	home, err := os.MkdirTemp("", "pinvault-nobody") //nolint:usetesting // that of the test is its user's alone
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // who reads everything
		const nobody = 65534
		require.NoError(t, os.Chown(home, nobody, nobody))
		as.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	const marker = "PINVAULT_MASTER_KEY=bm90aGluZyB0aGF0IGFueWJvZHkgbWF5IHJlYWQ="
	read := func(process int, what string) (string, error) {
		c := exec.CommandContext(t.Context(), "cat", fmt.Sprintf("/proc/%d/%s", process, what)) //nolint:gosec // the test's own
		c.SysProcAttr = as
		out, err := c.CombinedOutput()
		return string(out), err
	}

	other := exec.CommandContext(t.Context(), "sleep", "60")
	other.Env, other.SysProcAttr = []string{marker}, as
	require.NoError(t, other.Start())
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	require.Eventually(t, func() bool {
		said, err := read(other.Process.Pid, "environ")
		return err == nil && strings.Contains(said, marker)
	}, 10*time.Second, 10*time.Millisecond, "that of another program is read")

	c := apptest.Command(t, "serve", "--listen", "127.0.0.1:0", "--sandbox", "--database-url", "sqlite://"+filepath.Join(home, "pinvault.db"))
	c.Dir, c.Env, c.SysProcAttr = home, []string{"HOME=" + home, marker}, as
	p := apptest.ServeBy(t, c)
	for _, what := range []string{"environ", "mem", "maps", "auxv"} {
		said, err := read(p.Process.Pid, what)
		require.Error(t, err, "%s", what)
		require.Contains(t, said, "Permission denied", what)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.Process.Pid))
	require.NoError(t, err)
	require.Regexp(t, `Max core file size +0 +0 `, string(limits))
	newCrowd(t, p.URL)
	require.Contains(t, metricsOf(t, p.URL), "process_open_fds", "it reads of itself")
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("cores are forbidden on Linux alone")
	}
}

// writesCores tells whether a process that crashes leaves a core on this machine, where it may.
func writesCores(t *testing.T) bool {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", "-c", "ulimit -c unlimited && kill -ABRT $$")
	c.Dir = t.TempDir()
	_ = c.Run()
	return c.ProcessState.Sys().(syscall.WaitStatus).CoreDump()
}

// witness calls a sandbox, and knows the secrets that it has told it.
type witness struct {
	t       *testing.T
	crowd   *crowd
	server  string
	card    plastic
	pin     string
	secrets map[string]string // in every way in which they could be written; long enough that a hit means something
}

// newWitness plants secrets that nobody has used before.
func newWitness(t *testing.T, server string) *witness {
	t.Helper()
	w := &witness{t: t, crowd: newCrowd(t, server), server: server, secrets: map[string]string{}}
	const program = "00000000-0000-7000-8000-00000000a001"
	w.pin, w.card.pan = digits(12), "999999"+digits(10)
	w.secrets["PIN"], w.secrets["PAN"] = w.pin, w.card.pan
	w.bytes("PIN block in clear", clearBlock(w.pin, w.card.pan))
	w.card.id = w.issuer("/cards", map[string]any{"programId": program, "pan": w.card.pan}, http.StatusCreated)["cardId"].(string)
	raw, err := hex.DecodeString(w.crowd.blockOf(t, w.card, w.pin)["pinBlock"])
	require.NoError(t, err)
	w.bytes("PIN block", raw)

	component := make([]byte, 16)
	for i := range component {
		for component[i] = byte(rand.IntN(256)); !keymaterial.OddParity(component[i : i+1]); {
			component[i]++
		}
	}
	w.bytes("component", component)
	w.issuer("/keys", map[string]any{"keyId": "key-" + w.pin[:6], "usage": "zone-pin", "algorithm": "TDES", "components": 2}, http.StatusCreated)
	w.issuer("/keys/key-"+w.pin[:6]+"/components", map[string]any{"number": 1, "component": strings.ToUpper(hex.EncodeToString(component))}, http.StatusOK)

	client := w.issuer("/clients", map[string]any{"contract": "thredd", "name": "witness", "programId": program, "scopes": []string{"pins:read"}}, http.StatusCreated)
	w.secrets["client secret"] = client["clientSecret"].(string)
	w.secrets["token"] = w.token(client["clientId"].(string), client["clientSecret"].(string))
	for name, client := range w.clients() {
		for what, value := range client {
			if raw, err := hex.DecodeString(value); err == nil && (what == "key_hex" || what == "zpk_hex") {
				w.bytes(name+" "+what, raw)
			}
		}
	}
	return w
}

func digits(n int) string { return fmt.Sprintf("%0*d", n, rand.Int64N(int64(math.Pow10(n)))) }

// clearBlock is the PIN block of format 0 (ISO 9564-1) before it is encrypted.
func clearBlock(digits, pan string) []byte {
	block, err := hex.DecodeString(fmt.Sprintf("0%X%-14s", len(digits), digits+strings.Repeat("F", 14-len(digits))))
	if err != nil {
		panic(err)
	}
	account, err := hex.DecodeString("0000" + pan[len(pan)-13:len(pan)-1])
	if err != nil {
		panic(err)
	}
	for i := range block {
		block[i] ^= account[i]
	}
	return block
}

// bytes adds a secret as bytes, as digits, in base64, and as Go prints arguments of functions: an array byte by byte, of which ten
// are shown at most, and a number.
func (w *witness) bytes(name string, secret []byte) {
	var one []string
	for _, b := range secret[:6] {
		one = append(one, fmt.Sprintf("0x%x", b))
	}
	for how, text := range map[string]string{
		"": string(secret), "in digits": hex.EncodeToString(secret), "in upper case": fmt.Sprintf("%X", secret),
		"in base64": base64.RawStdEncoding.EncodeToString(secret[:len(secret)/3*3]), "as an array": strings.Join(one, ", "), "decimal": strings.Trim(fmt.Sprintf("%d", secret), "[]"),
		"as a number": fmt.Sprintf("0x%x", binary.BigEndian.Uint64(secret)), "as a word": fmt.Sprintf("0x%x", binary.LittleEndian.Uint64(secret)),
	} {
		w.secrets[name+" "+how] = text
	}
}

// nowhere demands that no secret is in a text.
func (w *witness) nowhere(where, text string) {
	w.t.Helper()
	for name, secret := range w.secrets {
		at := strings.Index(text, secret)
		require.Negative(w.t, at, "%s stands in %s, near %q", name, where, text[max(0, at-60):min(len(text), max(0, at)+60)])
	}
}

// clients are those of the fixtures, with what is text of them.
func (w *witness) clients() map[string]map[string]string {
	all := map[string]map[string]string{}
	for name, client := range w.crowd.fixtures.JSON("/clients").(map[string]any) {
		all[name] = map[string]string{}
		for what, value := range client.(map[string]any) {
			all[name][what], _ = value.(string)
		}
	}
	return all
}

// issuer posts to the issuer API.
func (w *witness) issuer(path string, body any, status int) map[string]any {
	w.t.Helper()
	reply := apptest.Client(w.t, w.server).Do(http.MethodPost, "/issuer/v1"+path, contracttest.Bearer(w.crowd.issuer), contracttest.JSON(body)).ExpectStatus(status)
	said, _ := reply.JSON("").(map[string]any)
	return said
}

// token is one of a client's.
func (w *witness) token(id, secret string) string {
	w.t.Helper()
	return apptest.Client(w.t, w.server).Do(http.MethodPost, "/oauth2/token", contracttest.Form(url.Values{"grant_type": {"client_credentials"},
		"client_id": {id}, "client_secret": {secret}})).ExpectStatus(http.StatusOK).Text("/access_token")
}

// callEverything sends what the documents' examples send, as the documentation's pages have it. Something is done in every contract.
func (w *witness) callEverything() {
	w.t.Helper()
	client, clients := apptest.Client(w.t, w.server), w.clients()
	for _, name := range []string{"thredd", "creditplus", "accosa", "networkintl", "hashdt", "issuer"} {
		var calls struct {
			Client string
			Rows   map[string]struct {
				Method, Path, Type, Key, Who, Session string
				Headers, Override                     map[string][]string
				Body                                  *string
				Bearer                                bool
				After                                 []string
			}
		}
		page, err := w.crowd.http.Get(w.server + "/docs/" + name + ".rows.json") //nolint:noctx // a test's
		require.NoError(w.t, err)
		require.NoError(w.t, errors.Join(json.NewDecoder(page.Body).Decode(&calls), page.Body.Close()))
		served, token := 0, ""
		if known := clients[calls.Client]; known["client_id"] != "" {
			token = w.token(known["client_id"], known["client_secret"])
		}
		for _, id := range slices.Sorted(maps.Keys(calls.Rows)) {
			call := calls.Rows[id]
			if call.Who != "" || call.Session != "" || len(call.After) > 0 || len(call.Override) > 0 || strings.Contains(call.Path, "deliveries") {
				continue
			}
			var body io.Reader
			if call.Body != nil {
				body = strings.NewReader(*call.Body)
			}
			r, err := http.NewRequestWithContext(w.t.Context(), call.Method, w.server+call.Path, body)
			if err != nil {
				continue // what Go does not send
			}
			maps.Copy(r.Header, call.Headers)
			r.Header.Set("Content-Type", call.Type)
			if call.Key != "" {
				r.Header.Set(call.Key, clients[calls.Client]["x-api-key"])
			}
			if call.Bearer {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			if reply, err := w.crowd.http.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, reply.Body)
				_ = reply.Body.Close()
				if reply.StatusCode < 300 {
					served++
				}
			}
		}
		require.NotZero(w.t, served, name)
	}
	session := apptest.NewLink(w.t, client, "resetpin", 1).Exchange(w.t, client)
	session.Submit(w.t, client, "new", w.pin)
}

// crash has the server crash while secrets are in its hands.
func (w *witness) crash(p *apptest.Process) {
	w.t.Helper()
	var all sync.WaitGroup
	var answered atomic.Int64
	send := func(request func() request) {
		for range 2 {
			all.Go(func() {
				for {
					answer, err := w.crowd.send(w.t.Context(), w.server, request())
					if err != nil {
						return
					}
					if answer.status < 300 {
						answered.Add(1)
					}
				}
			})
		}
	}
	named := plastic{publicToken: w.crowd.fixtures.Text("/cards/second/publicToken")}
	body := w.crowd.blockOf(w.t, w.card, w.pin)
	send(func() request { return newRequest("issuer", http.MethodPut, w.card.pinPath(), w.crowd.issuer, body) })
	send(func() request {
		return newRequest("issuer", http.MethodPost, w.card.pinPath()+"/verifications", w.crowd.issuer, body)
	})
	send(func() request { return w.crowd.setByThredd(named, w.pin) })
	send(func() request {
		return newRequest("thredd", http.MethodGet, "/api/v1/cards/"+named.publicToken+"/pin", w.crowd.thredd, nil)
	})
	require.Eventually(w.t, func() bool { return answered.Load() > 50 }, time.Minute, time.Millisecond)
	<-time.NewTimer(rand.N(50 * time.Millisecond)).C
	p.Crash(w.t)
	all.Wait()
}
