package keyringtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/backend"
)

// The backends, by the names that they have here.
const (
	PKCS11  = "pkcs11"  // SoftHSM2
	OpenBao = "openbao" // the keyset file under a key of OpenBao
	Transit = "transit" // and the keys of uses there as well
)

// All are the backends.
var All = []string{PKCS11, OpenBao, Transit}

// Shared is the engine that tests of the vault work with, one for the whole process: a sandbox's keyset, or the backend that
// PINVAULT_TEST_KEYS names with the keys of a sandbox for what it has none of its own.
func Shared(t testing.TB) keyring.Engine {
	t.Helper()
	name := os.Getenv("PINVAULT_TEST_KEYS")
	if name == "" {
		return keyring.Sandbox()
	}
	return Engine(t, name)
}

// InToken tells whether partners' keys are in a token with [Shared], which they never leave.
func InToken() bool { return os.Getenv("PINVAULT_TEST_KEYS") == PKCS11 }

// WithoutNetwork skips a test whose time is not the world's where [Shared] is across a network.
func WithoutNetwork(t testing.TB) {
	t.Helper()
	if name := os.Getenv("PINVAULT_TEST_KEYS"); name == OpenBao || name == Transit {
		t.Skip("a bubble of time has no network")
	}
}

// Engine is a backend's, one for the whole process.
func Engine(t testing.TB, name string) keyring.Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	e, ok := shared.engines[name]
	if !ok {
		var err error
		e, err = Open(URL(t, name, name))
		require.NoError(t, err)
		shared.engines[name] = e
	}
	return e
}

// shared are engines of this process. They end with it.
var shared = struct {
	sync.Mutex
	engines map[string]keyring.Engine
	tokens  string // the folder of SoftHSM2's tokens
}{engines: map[string]keyring.Engine{}}

// Open opens the backend of a URL, makes its keys, and has the sandbox's keyset go through a file.
func Open(url string) (keyring.Engine, error) {
	b, _, err := backend.Open(url, backend.Surroundings{Secret: Secret})
	if err != nil {
		return nil, err
	}
	if err := b.Init(); err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := keyring.Sandbox().Write(&file, b.KEK()); err != nil {
		return nil, err
	}
	ks, err := keyring.Read(&file, b.KEK())
	if err != nil {
		return nil, err
	}
	return b.Engine(ks)
}

// Secret is what URLs of tests name: PIN and token.
func Secret(source string) ([]byte, error) {
	switch source {
	case "test:pin":
		return []byte(PIN), nil
	case "test:token":
		return []byte(os.Getenv("PINVAULT_TEST_OPENBAO_TOKEN")), nil
	}
	return nil, errors.New("no secret of tests")
}

// PIN is that of tokens of tests.
const PIN = "748159"

// URL is that of a backend, whose keys have the name and are this process's own.
func URL(t testing.TB, backend, name string) string {
	t.Helper()
	name = URLName(name)
	if backend == PKCS11 {
		return "pkcs11:token=pinvault;object=" + name + "?module-path=" + SoftHSM(t) + "&pin-source=test:pin&keyset=none"
	}
	address := os.Getenv("PINVAULT_TEST_OPENBAO")
	if address == "" {
		missing(t, "OpenBao (scripts/with-openbao)")
	}
	return At(address, backend, name)
}

// URLName is the name of keys that are this process's own.
func URLName(name string) string {
	return fmt.Sprintf("%s-%d", strings.ReplaceAll(name, "/", "-"), os.Getpid())
}

// At is the URL of a backend of OpenBao at an address.
func At(address, backend, name string) string {
	url := "openbao:transit/" + name + "?address=" + address + "&token=test:token&keyset=none"
	if backend == Transit {
		url += "&mode=transit"
	}
	return url
}

// missing skips a test, or fails it where nothing may be skipped.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("PINVAULT_TEST_REQUIRE_KEYS") == "1" {
		t.Fatalf("there is no %s", what)
	}
	t.Skipf("there is no %s", what)
}

// SoftHSM is the path of SoftHSM2's module, for which this process has tokens of its own, "pinvault" and [Strict].
func SoftHSM(t testing.TB) string {
	t.Helper()
	module := os.Getenv("PINVAULT_TEST_SOFTHSM")
	if module == "" {
		missing(t, "SoftHSM2 (scripts/with-softhsm)")
	}
	if shared.tokens == "" {
		folder, err := os.MkdirTemp("", "pinvault-tokens-") //nolint:usetesting // it is the process's, not the test's
		require.NoError(t, err)
		shared.tokens = filepath.Join(folder, "tokens")
		require.NoError(t, os.Mkdir(shared.tokens, 0o700))
		conf := filepath.Join(folder, "softhsm2.conf")
		require.NoError(t, os.WriteFile(conf, []byte("directories.tokendir = "+shared.tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600))
		require.NoError(t, os.Setenv("SOFTHSM2_CONF", conf)) //nolint:usetesting // read when the module starts
		newToken(t, module, "pinvault")
		newToken(t, module, Strict)
	}
	return module
}

// Strict is the label of a token to which wrong PINs may be offered.
const Strict = "strict"

func newToken(t testing.TB, module, label string) {
	t.Helper()
	out, err := exec.Command("softhsm2-util", "--module", module, "--init-token", "--free", //nolint:gosec,noctx // a test's own
		"--label", label, "--pin", PIN, "--so-pin", PIN).CombinedOutput()
	require.NoError(t, err, string(out))
}

// Tokens is the folder that SoftHSM2's tokens of this process are in. Without it there are none.
func Tokens() string { return shared.tokens }
