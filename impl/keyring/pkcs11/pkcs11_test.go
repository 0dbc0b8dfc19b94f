//go:build cgo

package pkcs11_test

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/keyring/pkcs11"
	"pinvault/impl/pin"
)

// open opens the token of this process with what may differ.
func open(t *testing.T, change func(*pkcs11.Options)) (*pkcs11.Token, error) {
	t.Helper()
	u, err := pkcs11.ParseURI(keyringtest.URL(t, keyringtest.PKCS11, t.Name()))
	require.NoError(t, err)
	o := pkcs11.Options{URI: u, PIN: func() ([]byte, error) { return []byte(keyringtest.PIN + "\n"), nil }}
	if change != nil {
		change(&o)
	}
	return pkcs11.Open(o)
}

func TestConforms(t *testing.T) {
	token, err := open(t, nil)
	require.NoError(t, err)
	require.NoError(t, token.Init())
	require.NoError(t, token.Init(), "what is there is left as it is")
	e, err := token.Engine(keyring.Sandbox())
	require.NoError(t, err)
	keyringtest.Run(t, keyringtest.Backend{Engine: e,
		Again: func(t *testing.T) keyring.Engine {
			other, err := open(t, func(o *pkcs11.Options) { o.URI.Object = object(t, "TestConforms") })
			require.NoError(t, err)
			again, err := other.Engine(keyring.Sandbox())
			require.NoError(t, err)
			return again
		},
		Rotate: func(t *testing.T, use pin.Use) { require.NoError(t, token.Rotate(use)) },
	})
}

// zeros encrypts a block of zeros under a key of zeros.
func zeros(t *testing.T) func(cipher.Block) error {
	return func(b cipher.Block) error {
		out := make([]byte, 16)
		b.Encrypt(out, out)
		if !bytes.Equal(out, make([]byte, 16)) { // which it is where the token is away
			require.Equal(t, "66e94bd4ef8a2c3b884cfa59ca342b2e", hex.EncodeToString(out))
		}
		return nil
	}
}

func object(t *testing.T, test string) string {
	t.Helper()
	u, err := pkcs11.ParseURI(keyringtest.URL(t, keyringtest.PKCS11, test))
	require.NoError(t, err)
	return u.Object
}

// A token that goes away is Unavailable, and works again by itself when it is back, whatever was lost with it.
func TestATokenThatWasLostComesBackByItself(t *testing.T) {
	token, err := open(t, nil)
	require.NoError(t, err)
	require.NoError(t, token.Init())
	e, err := token.Engine(keyring.Sandbox())
	require.NoError(t, err)
	a := e.Primitive(pin.UsePIN).(tink.AEAD)
	sealed, err := a.Encrypt([]byte("plaintext"), nil)
	require.NoError(t, err)
	wrapped, err := e.WrapKey(keyring.AES, make([]byte, 16), nil)
	require.NoError(t, err)
	k, err := e.UnwrapBlock(keyring.AES, wrapped, nil)
	require.NoError(t, err)
	works := func() {
		t.Helper()
		require.Eventually(t, func() bool { _, err := a.Decrypt(sealed, nil); return err == nil }, 10*time.Second, 50*time.Millisecond)
		plain, err := a.Decrypt(sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "plaintext", string(plain))
		require.NoError(t, k.Use(zeros(t)))
	}
	works()
	token.CloseAllSessions(t)
	works()

	require.NoError(t, os.Rename(keyringtest.Tokens(), keyringtest.Tokens()+"-away"))
	gone := func() {
		t.Helper()
		_, err := a.Decrypt(sealed, nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
		_, err = a.Encrypt(nil, nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
		require.Equal(t, pin.Unavailable, pin.CodeOf(k.Use(zeros(t))))
		_, err = e.SigningKeys()[0].Key.Sign(nil, make([]byte, 32), nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
	}
	gone()
	gone()
	require.NoError(t, os.Rename(keyringtest.Tokens()+"-away", keyringtest.Tokens()))
	works()
}

func TestWhatIsInTheWayOfATokenIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*pkcs11.Options)
		says   string
	}{
		"no module":     {func(o *pkcs11.Options) { o.URI.Module = "/none.so" }, "the PKCS#11 module /none.so cannot be loaded: check module-path in --keys"},
		"another token": {func(o *pkcs11.Options) { o.URI.Token = "other" }, `there is no token "other" in the slots of`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, test.change)
			require.ErrorContains(t, err, test.says)
		})
	}
	t.Run("no keys", func(t *testing.T) {
		token, err := open(t, nil)
		require.NoError(t, err)
		_, err = token.Engine(keyring.Sandbox())
		require.ErrorContains(t, err, "make the vault's keys with 'pinvault keys init'")
	})
}

// A wrong PIN is offered once, at the start and when the token comes back.
func TestAWrongPINIsTriedOnce(t *testing.T) {
	asked := 0
	strict := func(o *pkcs11.Options) {
		o.URI.Token = keyringtest.Strict
		o.PIN = func() ([]byte, error) { asked++; return []byte("000000"), nil }
	}
	_, err := open(t, strict)
	require.ErrorContains(t, err, `the token "strict" refuses the PIN`)
	require.NotContains(t, err.Error(), "000000")
	require.Equal(t, 1, asked)

	token, err := open(t, func(o *pkcs11.Options) {
		strict(o)
		o.PIN = func() ([]byte, error) {
			if asked++; asked > 2 {
				return []byte("000000"), nil
			}
			return []byte(keyringtest.PIN), nil
		}
	})
	require.NoError(t, err)
	require.NoError(t, token.Init())
	a := token.KEK()
	token.CloseAllSessions(t)
	for range 5 {
		_, err = a.Encrypt(nil, nil)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	}
	require.Equal(t, 3, asked, "once more, and never again")
}

func TestURIs(t *testing.T) {
	const rest = "?module-path=/m.so&pin-source=env:P&keyset=k.json"
	u, err := pkcs11.ParseURI("pkcs11:token=my%20token;object=vault" + rest + "&sessions=3")
	require.NoError(t, err)
	require.Equal(t, pkcs11.URI{Token: "my token", Object: "vault", Module: "/m.so", PINSource: "env:P", Keyset: "k.json", Sessions: 3}, u)
	for text, says := range map[string]string{
		"pkcs11:" + rest:                            "says not which token",
		"pkcs11:token=a":                            "has no module-path",
		"pkcs11:token=a?module-path=m&keyset=k":     "has no pin-source",
		"pkcs11:token=a?module-path=m&pin-source=s": "has no keyset",
		"pkcs11:token=a" + rest + "&pin-value=1234": "pin-value",
		"pkcs11:token=a;token=b" + rest:             "twice",
		"pkcs11:token=a;colour=b" + rest:            "means nothing here",
		"pkcs11:token=a" + rest + "&sessions=0":     "1 to 256",
		"pkcs11:token=a;slot-id=x" + rest:           "not a number",
		"pkcs11:token=%zz" + rest:                   "percent-encoded",
		"file:token=a" + rest:                       "begins with pkcs11:",
	} {
		_, err := pkcs11.ParseURI(text)
		require.ErrorContains(t, err, says, text)
		require.False(t, strings.Contains(err.Error(), "1234"))
	}
}
