package openbao_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/keyring/openbao"
	"pinvault/impl/pin"
)

// open opens a backend of OpenBao with what may differ.
func open(t *testing.T, backend, name string, change func(*openbao.Options)) (*openbao.Transit, error) {
	t.Helper()
	at, err := openbao.ParseURL(keyringtest.URL(t, backend, name))
	require.NoError(t, err)
	o := openbao.Options{Location: at, Token: func() ([]byte, error) { return keyringtest.Secret("test:token") }}
	if change != nil {
		change(&o)
	}
	transit, err := openbao.Open(o)
	if err == nil {
		t.Cleanup(func() { require.NoError(t, transit.Close()) })
	}
	return transit, err
}

func TestConforms(t *testing.T) {
	for _, name := range []string{keyringtest.OpenBao, keyringtest.Transit} {
		t.Run(name, func(t *testing.T) {
			transit, err := open(t, name, name, nil)
			require.NoError(t, err)
			require.NoError(t, transit.Init())
			require.NoError(t, transit.Init(), "what is there is left as it is")
			e, err := transit.Engine(keyring.Sandbox())
			require.NoError(t, err)
			b := keyringtest.Backend{Engine: e, Again: func(t *testing.T) keyring.Engine {
				other, err := open(t, name, name, nil)
				require.NoError(t, err)
				again, err := other.Engine(keyring.Sandbox())
				require.NoError(t, err)
				return again
			}}
			if name == keyringtest.Transit {
				b.Rotate = func(t *testing.T, use pin.Use) { require.NoError(t, transit.Rotate(use)) }
			}
			keyringtest.Run(t, b)
		})
	}
}

// An OpenBao that cannot be asked is Unavailable, and works again by itself.
func TestAnOpenBaoThatWasLostComesBackByItself(t *testing.T) {
	p := keyringtest.NewProxy(t)
	transit, err := open(t, keyringtest.Transit, t.Name(), func(o *openbao.Options) { o.Location.Address = p.URL })
	require.NoError(t, err)
	require.NoError(t, transit.Init())
	e, err := transit.Engine(keyring.Sandbox())
	require.NoError(t, err)
	a := e.Primitive(pin.UsePIN).(tink.AEAD)
	sealed, err := a.Encrypt([]byte("plaintext"), nil)
	require.NoError(t, err)
	index, err := keyring.New(e, nil, nil).Index(pin.UsePANIndex, []byte("pan"))
	require.NoError(t, err)
	wrapped, err := e.WrapKey(keyring.AES, make([]byte, 16), nil)
	require.NoError(t, err)
	gone := func(what string) {
		t.Helper()
		_, err := a.Decrypt(sealed, nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%s: %v", what, err)
		require.NotContains(t, err.Error(), os.Getenv("PINVAULT_TEST_OPENBAO_TOKEN"))
		_, err = a.Encrypt(nil, nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), what)
		_, err = keyring.New(e, nil, nil).Index(pin.UsePANIndex, []byte("pan"))
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), what)
		_, err = e.UnwrapBlock(keyring.AES, wrapped, nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), what)
	}
	works := func() {
		t.Helper()
		plain, err := a.Decrypt(sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "plaintext", string(plain))
		same, err := keyring.New(e, nil, nil).Index(pin.UsePANIndex, []byte("pan"))
		require.NoError(t, err)
		require.Equal(t, index, same)
	}
	for name, fail := range map[string]func(on bool){
		"the network is down": func(on bool) { p.Down.Store(on) },
		"it is sealed":        status(p, http.StatusServiceUnavailable),
		"it is overloaded":    status(p, http.StatusTooManyRequests),
		"it is broken":        status(p, http.StatusInternalServerError),
		"the token is over":   status(p, http.StatusForbidden),
		"it is another":       status(p, http.StatusNotFound),
		"it says nothing":     status(p, http.StatusNoContent),
	} {
		fail(true)
		gone(name)
		fail(false)
		works()
	}
}

func status(p *keyringtest.Proxy, code int64) func(on bool) {
	return func(on bool) {
		if !on {
			code = 0
		}
		p.Status.Store(code)
	}
}

func TestWhatIsInTheWayOfOpenBaoIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*openbao.Options)
		says   string
	}{
		"nobody listens": {func(o *openbao.Options) { o.Location.Address = "http://127.0.0.1:1" }, "OpenBao does not answer at http://127.0.0.1:1"},
		"another token":  {func(o *openbao.Options) { o.Token = func() ([]byte, error) { return []byte("s.secret"), nil } }, "OpenBao does not take the token"},
		"no CA":          {func(o *openbao.Options) { o.Location.CACert = "/none" }, "ca in the URL of --keys"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, keyringtest.OpenBao, "none", test.change)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "s.secret")
		})
	}
	t.Run("no transit engine", func(t *testing.T) {
		transit, err := open(t, keyringtest.OpenBao, "none", func(o *openbao.Options) { o.Location.Mount = "elsewhere" })
		require.NoError(t, err)
		require.ErrorContains(t, transit.Init(), "OpenBao has no transit engine at elsewhere: enable one with 'bao secrets enable -path=elsewhere transit'")
	})
	t.Run("no keys", func(t *testing.T) {
		transit, err := open(t, keyringtest.Transit, "none", nil)
		require.NoError(t, err)
		_, err = transit.Engine(keyring.Sandbox())
		require.ErrorContains(t, err, "make the vault's keys with 'pinvault keys init'")
	})
}

// bao asks the server what tests need to be there.
func bao(t *testing.T, path, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, os.Getenv("PINVAULT_TEST_OPENBAO")+"/v1/"+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Vault-Token", os.Getenv("PINVAULT_TEST_OPENBAO_TOKEN"))
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, reply.Body.Close()) }()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return string(text)
}

// A token that is short-lived is renewed; one that was revoked is read again from where it came from.
func TestTheTokenIsRenewedAndReadAgain(t *testing.T) {
	t.Parallel()
	keyringtest.URL(t, keyringtest.OpenBao, "none")
	token := func() string {
		_, rest, _ := strings.Cut(bao(t, "auth/token/create", `{"ttl":"2s","renewable":true}`), `"client_token":"`)
		text, _, _ := strings.Cut(rest, `"`)
		return text
	}
	var at atomic.Value
	at.Store(token())
	transit, err := open(t, keyringtest.OpenBao, t.Name(), func(o *openbao.Options) {
		o.Token = func() ([]byte, error) { return []byte(at.Load().(string)), nil }
	})
	require.NoError(t, err)
	require.NoError(t, transit.Init())
	a := transit.KEK()
	for end := time.Now().Add(3500 * time.Millisecond); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		_, err := a.Encrypt(nil, nil)
		require.NoError(t, err)
	}
	bao(t, "auth/token/revoke", `{"token":"`+at.Load().(string)+`"}`)
	_, err = a.Encrypt(nil, nil)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	at.Store(token())
	require.Eventually(t, func() bool { _, err := a.Encrypt(nil, nil); return err == nil }, 5*time.Second, 100*time.Millisecond)
}

func TestURLs(t *testing.T) {
	const rest = "?address=https://bao:8200&token=env:T&keyset=k.json"
	at, err := openbao.ParseURL("openbao:my/transit/key" + rest + "&mode=transit&uses=pin,pan-index&namespace=n&ca=c.pem")
	require.NoError(t, err)
	require.Equal(t, openbao.Location{Mount: "my/transit", Key: "key", Address: "https://bao:8200", TokenSource: "env:T", Keyset: "k.json",
		Namespace: "n", CACert: "c.pem", Uses: []pin.Use{pin.UsePIN, pin.UsePANIndex}}, at)
	at, err = openbao.ParseURL("openbao:transit/key" + rest + "&mode=transit")
	require.NoError(t, err)
	require.Equal(t, openbao.Remote, at.Uses)
	for text, says := range map[string]string{
		"openbao:transit" + rest:                                          "names no transit engine and key",
		"openbao:transit/" + rest:                                         "names no transit engine and key",
		"openbao:transit/key?address=https://b&token=env:T":               "where keyset and token are",
		"openbao:transit/key?address=https://b&keyset=k":                  "where keyset and token are",
		"openbao:transit/key?address=bao&token=env:T&keyset=k":            "address in the URL",
		"openbao:transit/key?address=https://u:s3@b&token=env:T&keyset=k": "address in the URL",
		"openbao:transit/key" + rest + "&colour=red":                      "means nothing here",
		"openbao:transit/key" + rest + "&token=env:U":                     "twice",
		"openbao:transit/key" + rest + "&mode=magic":                      "can only be transit",
		"openbao:transit/key" + rest + "&uses=pin":                        "can only be transit",
		"openbao:transit/key" + rest + "&mode=transit&uses=audit":         "each of these once at most",
		"openbao:transit/key" + rest + "&mode=transit&uses=pin,pin":       "each of these once at most",
	} {
		_, err := openbao.ParseURL(text)
		require.ErrorContains(t, err, says, text)
		require.NotContains(t, err.Error(), "s3")
	}
}
