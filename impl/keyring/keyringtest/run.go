package keyringtest

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// The uses of the vault's own keys, by what an engine has for them.
var (
	uses = []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UsePANIndex, pin.UseAudit, pin.UseFingerprint, pin.UseSecret,
		pin.UseKeyWrap, pin.UseSeal, pin.UseReplayKey}
	sealing = []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UseSecret, pin.UseKeyWrap}
)

// Backend is an engine to be tried.
type Backend struct {
	Engine keyring.Engine
	// Again opens the same keys as another process would. That may end what Engine has open.
	Again func(t *testing.T) keyring.Engine
	// Rotate makes a new current key of a use; nil where the backend's owner does that.
	Rotate func(t *testing.T, use pin.Use)
}

// Run tries a backend.
func Run(t *testing.T, b Backend) {
	t.Run("what was sealed opens, for the same use and associated data only", func(t *testing.T) { seals(t, b.Engine) })
	t.Run("indexes and MACs are the same for the same data", func(t *testing.T) { sums(t, b.Engine) })
	t.Run("signing keys sign by ES256", func(t *testing.T) { signs(t, b.Engine) })
	t.Run("partners' keys do what they do everywhere", func(t *testing.T) { partners(t, b.Engine) })
	t.Run("an RSA key of a partner tells nothing of padding", func(t *testing.T) { privateKeys(t, b.Engine) })
	t.Run("many callers at once", func(t *testing.T) { many(t, b.Engine) })
	t.Run("prints as ****", func(t *testing.T) { hides(t, b.Engine) })
	t.Run("another process has the same keys", func(t *testing.T) { again(t, b) })
	if b.Rotate != nil {
		t.Run("a new key seals, the old one opens still", func(t *testing.T) { rotates(t, b) })
	}
}

func aeadOf(t testing.TB, e keyring.Engine, use pin.Use) tink.AEAD {
	t.Helper()
	a, ok := e.Primitive(use).(tink.AEAD)
	require.True(t, ok, use)
	return a
}

func seals(t *testing.T, e keyring.Engine) {
	for _, use := range sealing {
		a := aeadOf(t, e, use)
		for _, n := range []int{0, 1, 16, 48, 5000} {
			plain, associated := make([]byte, n), []byte("card "+use)
			_, _ = rand.Read(plain) // never fails
			one, err := a.Encrypt(plain, associated)
			require.NoError(t, err)
			other, err := a.Encrypt(plain, associated)
			require.NoError(t, err)
			require.NotEqual(t, one, other, "a nonce is used once")
			require.Equal(t, one[:5], other[:5], "what names the key")
			require.EqualValues(t, 1, one[0])
			require.Len(t, one, 5+12+n+16)
			for _, sealed := range [][]byte{one, other} {
				back, err := a.Decrypt(sealed, associated)
				require.NoError(t, err)
				require.True(t, bytes.Equal(plain, back))
			}
		}
		refuses(t, e, use)
	}
}

// refuses tries everything that must not open. None of it is the engine's being away.
func refuses(t *testing.T, e keyring.Engine, use pin.Use) {
	t.Helper()
	a := aeadOf(t, e, use)
	good, err := a.Encrypt([]byte("plaintext"), []byte("associated"))
	require.NoError(t, err)
	refused := func(what string, a tink.AEAD, ciphertext, associated []byte) {
		_, err := a.Decrypt(ciphertext, associated)
		require.Error(t, err, what)
		require.NotEqual(t, pin.Unavailable, pin.CodeOf(err), "%s, %s: %v", use, what, err)
	}
	refused("other associated data", a, good, []byte("Associated"))
	refused("no associated data", a, good, nil)
	refused("nothing", a, nil, []byte("associated"))
	for _, n := range []int{1, 5, 17, 32, len(good) - 1} {
		refused(fmt.Sprintf("cut to %d bytes", n), a, good[:n], []byte("associated"))
	}
	for i := 0; i < len(good); i += 3 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		refused(fmt.Sprintf("byte %d changed", i), a, bad, []byte("associated"))
	}
	for _, other := range sealing {
		if other != use {
			refused("sealed for "+string(use), aeadOf(t, e, other), good, []byte("associated"))
		}
	}
	back, err := a.Decrypt(good, []byte("associated"))
	require.NoError(t, err, "nothing of it has broken anything")
	require.Equal(t, "plaintext", string(back))
}

func sums(t *testing.T, e keyring.Engine) {
	for _, use := range uses {
		switch p := e.Primitive(use).(type) {
		case tink.MAC:
			mac, err := p.ComputeMAC([]byte("data"))
			require.NoError(t, err)
			require.Len(t, mac, 37)
			require.NoError(t, p.VerifyMAC(mac, []byte("data")))
			require.Error(t, p.VerifyMAC(mac, []byte("date")))
		case tink.AEAD:
			require.NotContains(t, []pin.Use{pin.UsePANIndex, pin.UseReplayKey}, use)
		default:
			require.Contains(t, []pin.Use{pin.UsePANIndex, pin.UseReplayKey}, use)
		}
	}
	ring := keyring.New(e, nil, nil)
	for _, use := range []pin.Use{pin.UsePANIndex, pin.UseReplayKey} {
		first, err := ring.Index(use, []byte("data"))
		require.NoError(t, err)
		same, err := ring.Index(use, []byte("data"))
		require.NoError(t, err)
		require.Equal(t, first, same)
		other, err := ring.Index(use, []byte("date"))
		require.NoError(t, err)
		require.NotEqual(t, first[0], other[0])
	}
}

func signs(t *testing.T, e keyring.Engine) {
	require.NotEqual(t, e.SigningKeys()[0].KID, e.CheckpointKeys()[0].KID)
	for _, k := range append(e.SigningKeys(), e.CheckpointKeys()...) {
		digest := sha256.Sum256([]byte("payload"))
		signature, err := k.Key.Sign(rand.Reader, digest[:], nil)
		require.NoError(t, err)
		public, ok := k.Key.Public().(*ecdsa.PublicKey)
		require.True(t, ok)
		require.True(t, ecdsa.VerifyASN1(public, digest[:], signature))
		digest[0] ^= 1
		require.False(t, ecdsa.VerifyASN1(public, digest[:], signature))
	}
}

func partners(t *testing.T, e keyring.Engine) {
	for algorithm, sizes := range map[string][]int{keyring.TDES: {16, 24}, keyring.AES: {16, 24, 32}} {
		for _, size := range sizes {
			key := make([]byte, size)
			_, _ = rand.Read(key) // never fails
			want := reference(t, algorithm, key)
			wrapped, err := e.WrapKey(algorithm, key, []byte("row"))
			require.NoError(t, err)
			require.False(t, bytes.Contains(wrapped, key))
			k, err := e.UnwrapBlock(algorithm, wrapped, []byte("row"))
			require.NoError(t, err)
			for range 3 {
				require.NoError(t, k.Use(func(b cipher.Block) error {
					require.Equal(t, want.BlockSize(), b.BlockSize())
					sameBlocks(t, want, b)
					return nil
				}))
			}
			_, err = e.UnwrapBlock(algorithm, wrapped, []byte("another row"))
			require.Equal(t, pin.Internal, pin.CodeOf(err))
			wrapped[len(wrapped)-1] ^= 1
			_, err = e.UnwrapBlock(algorithm, wrapped, []byte("row"))
			require.Equal(t, pin.Internal, pin.CodeOf(err))
		}
	}
}

// reference is the key in Go.
func reference(t *testing.T, algorithm string, key []byte) (b cipher.Block) {
	t.Helper()
	var err error
	if algorithm == keyring.AES {
		b, err = aes.NewCipher(key)
	} else {
		b, err = des.NewTripleDESCipher(append(bytes.Clone(key), key[:24-len(key)]...))
	}
	require.NoError(t, err)
	return b
}

func sameBlocks(t *testing.T, want, got cipher.Block) {
	t.Helper()
	in, out, expected := make([]byte, want.BlockSize()), make([]byte, want.BlockSize()), make([]byte, want.BlockSize())
	_, _ = rand.Read(in) // never fails
	want.Encrypt(expected, in)
	got.Encrypt(out, in)
	require.Equal(t, expected, out)
	got.Decrypt(out, out)
	require.Equal(t, in, out)
}

// privateKeys holds RSA against what partners do with the public half.
func privateKeys(t *testing.T, e keyring.Engine) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(own)
	require.NoError(t, err)
	wrapped, err := e.WrapKey(keyring.RSA, der, []byte("row"))
	require.NoError(t, err)
	_, err = e.UnwrapRSA(wrapped, []byte("another row"))
	require.Equal(t, pin.Internal, pin.CodeOf(err))
	k, err := e.UnwrapRSA(wrapped, []byte("row"))
	require.NoError(t, err)
	require.True(t, own.PublicKey.Equal(k.Public()))

	digest := sha256.Sum256([]byte("certificate"))
	signature, err := k.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPKCS1v15(&own.PublicKey, crypto.SHA256, digest[:], signature))

	open := func(padded []byte) []byte { // as a partner's client would send it
		sent := new(big.Int).Exp(new(big.Int).SetBytes(padded), big.NewInt(int64(own.E)), own.N).FillBytes(make([]byte, 256))
		out, err := k.Decrypt(rand.Reader, sent, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 8})
		require.NoError(t, err)
		require.Len(t, out, 8)
		return out
	}
	padded := append(append([]byte{0, 2}, bytes.Repeat([]byte{7}, 245)...), append([]byte{0}, "12345678"...)...)
	require.Equal(t, "12345678", string(open(padded)))
	for what, change := range map[string]func(p []byte){
		"another first byte":    func(p []byte) { p[0] = 1 },
		"another type":          func(p []byte) { p[1] = 1 },
		"an early end":          func(p []byte) { p[100] = 0 },
		"an end in the first":   func(p []byte) { p[2] = 0 },
		"no end":                func(p []byte) { p[247] = 7 },
		"a message too long":    func(p []byte) { p[246] = 0 },
		"nothing that was done": func(p []byte) { clear(p[:250]) },
	} {
		bad := bytes.Clone(padded)
		change(bad)
		require.NotEqual(t, "12345678", string(open(bad)), what)
	}
	_, err = k.Decrypt(rand.Reader, own.N.Bytes(), &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 8})
	require.Error(t, err, "beyond the modulus")
	require.NotEqual(t, pin.Unavailable, pin.CodeOf(err))
}

func many(t *testing.T, e keyring.Engine) {
	key := make([]byte, 16)
	wrapped, err := e.WrapKey(keyring.AES, key, nil)
	require.NoError(t, err)
	want := reference(t, keyring.AES, key)
	var all sync.WaitGroup
	problems := make([]string, 16)
	for i := range problems {
		all.Go(func() {
			for range 10 {
				if problems[i] = once(e, want, wrapped); problems[i] != "" {
					return
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, make([]string, 16), problems)
}

// once seals, opens and uses a key, and says what went wrong.
func once(e keyring.Engine, want cipher.Block, wrapped []byte) string {
	a := e.Primitive(pin.UsePIN).(tink.AEAD)
	sealed, err := a.Encrypt([]byte("plaintext"), nil)
	if err != nil {
		return err.Error()
	}
	plain, err := a.Decrypt(sealed, nil)
	if err != nil || string(plain) != "plaintext" {
		return fmt.Sprint("opened: ", err)
	}
	k, err := e.UnwrapBlock(keyring.AES, wrapped, nil)
	if err != nil {
		return err.Error()
	}
	var out, expected [16]byte
	err = k.Use(func(b cipher.Block) error {
		b.Encrypt(out[:], out[:])
		return nil
	})
	want.Encrypt(expected[:], expected[:])
	if err != nil || out != expected {
		return fmt.Sprint("encrypted: ", err)
	}
	return ""
}

func hides(t *testing.T, e keyring.Engine) {
	for _, value := range []any{e, e.SigningKeys()[0], e.Primitive(pin.UsePIN)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if _, own := value.(tink.AEAD); own && value != e {
				if _, formats := value.(fmt.Formatter); !formats {
					continue // Tink's
				}
			}
			require.Equal(t, "****", fmt.Sprintf(verb, value))
		}
	}
	text, err := json.Marshal(e)
	require.NoError(t, err)
	require.JSONEq(t, `"****"`, string(text))
}

func again(t *testing.T, b Backend) {
	sealed, err := aeadOf(t, b.Engine, pin.UsePIN).Encrypt([]byte("plaintext"), nil)
	require.NoError(t, err)
	key := make([]byte, 16)
	wrapped, err := b.Engine.WrapKey(keyring.AES, key, nil)
	require.NoError(t, err)
	index, err := keyring.New(b.Engine, nil, nil).Index(pin.UsePANIndex, []byte("data"))
	require.NoError(t, err)

	other := b.Again(t)
	plain, err := aeadOf(t, other, pin.UsePIN).Decrypt(sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "plaintext", string(plain))
	require.Empty(t, once(other, reference(t, keyring.AES, key), wrapped))
	same, err := keyring.New(other, nil, nil).Index(pin.UsePANIndex, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, index, same)
	require.Equal(t, b.Engine.SigningKeys()[0].KID, other.SigningKeys()[0].KID)
	require.Equal(t, b.Engine.CheckpointKeys()[0].KID, other.CheckpointKeys()[0].KID)
	require.Empty(t, once(b.Engine, reference(t, keyring.AES, key), wrapped), "the first one works on")
}

func rotates(t *testing.T, b Backend) {
	for _, use := range sealing {
		a := aeadOf(t, b.Engine, use)
		old, err := a.Encrypt([]byte("plaintext"), nil)
		require.NoError(t, err)
		ring := keyring.New(b.Engine, nil, nil)
		require.False(t, ring.Stale(use, old))
		b.Rotate(t, use)
		fresh, err := aeadOf(t, b.Engine, use).Encrypt([]byte("plaintext"), nil)
		require.NoError(t, err)
		require.NotEqual(t, old[:5], fresh[:5], "another key")
		require.Eventually(t, func() bool { return ring.Stale(use, old) && !ring.Stale(use, fresh) }, 15*time.Second, 10*time.Millisecond)
		id, there := ring.KeyID(use, old)
		require.True(t, there)
		require.NotEmpty(t, id)
		for _, sealed := range [][]byte{old, fresh} {
			plain, err := aeadOf(t, b.Engine, use).Decrypt(sealed, nil)
			require.NoError(t, err)
			require.Equal(t, "plaintext", string(plain))
		}
	}
}
