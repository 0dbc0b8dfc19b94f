//go:build cgo

package pkcs11

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

func open(t testing.TB) *Engine {
	u, err := ParseURI(os.Getenv("PINVAULT_TEST_PKCS11") + "&keyset=x")
	require.NoError(t, err)
	tok, err := Open(Options{URI: u, PIN: func() ([]byte, error) { return []byte(os.Getenv("PINVAULT_TEST_PKCS11_PIN")), nil }})
	require.NoError(t, err)
	require.NoError(t, tok.Init())
	e, err := tok.Engine(keyring.Sandbox())
	require.NoError(t, err)
	return e
}

func TestQuick(t *testing.T) {
	e := open(t)
	a := e.Primitive(pin.UsePIN).(tink.AEAD)
	c, err := a.Encrypt([]byte("hello"), []byte("x"))
	require.NoError(t, err)
	p, err := a.Decrypt(c, []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "hello", string(p))
	_, err = a.Decrypt(c, []byte("y"))
	t.Log(err)
	require.ErrorIs(t, err, errNotOpened)
	key := make([]byte, 32)
	w, err := e.WrapKey("AES", key, []byte("as"))
	require.NoError(t, err)
	b, err := e.UnwrapBlock("AES", w, []byte("as"))
	require.NoError(t, err)
	soft, _ := aes.NewCipher(key)
	require.NoError(t, b.Use(func(c cipher.Block) error {
		x, y := make([]byte, 16), make([]byte, 16)
		c.Encrypt(x, x)
		soft.Encrypt(y, y)
		require.Equal(t, y, x)
		return nil
	}))
	k := e.SigningKeys()[0]
	d := sha256.Sum256(nil)
	_, err = k.Key.Sign(rand.Reader, d[:], nil)
	require.NoError(t, err)
	for name, f := range map[string]func(){
		"enc": func() { a.Encrypt([]byte("hello"), nil) },
		"dec": func() { a.Decrypt(c, []byte("x")) },
		"block": func() { b.Use(func(c cipher.Block) error { x := make([]byte, 16); c.Decrypt(x, x); return nil }) },
		"sign": func() { k.Key.Sign(rand.Reader, d[:], nil) },
	} {
		began := time.Now()
		for range 2000 {
			f()
		}
		t.Log(name, time.Since(began)/2000)
	}
	// lose
	e.module.CloseAllSessions(func() uint { s, _, _ := e.find(); return s }())
	p, err = a.Decrypt(c, []byte("x"))
	require.NoError(t, err)
	tokens := os.Getenv("SOFTHSM_TOKENS")
	require.NoError(t, os.Rename(tokens, tokens+"x"))
	p, err = a.Decrypt(c, []byte("x"))
	t.Log("gone:", string(p), err)
	p, err = a.Encrypt([]byte("x"), []byte("x"))
	t.Log("gone:", err)
	time.Sleep(2*time.Second)
	p, err = a.Encrypt([]byte("x"), []byte("x"))
	t.Log("gone:", err)
	require.NoError(t, os.Rename(tokens+"x", tokens))
	time.Sleep(1100*time.Millisecond)
	p, err = a.Decrypt(c, []byte("x"))
	t.Log("back:", string(p), err)
}
