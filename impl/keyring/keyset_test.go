package keyring_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// The uses by what they may do.
var (
	macUses  = []pin.Use{pin.UseAudit, pin.UseFingerprint, pin.UseSeal}
	aeadUses = []pin.Use{pin.UseVerifier, pin.UsePIN, pin.UsePAN, pin.UseSecret, pin.UseKeyWrap}
)

// golden is what sandboxes have made ever since. Their databases hold such outputs, so this file does not change.
type golden struct {
	MAC   map[pin.Use]string `json:"mac"`   // of "data"
	Seal  map[pin.Use]string `json:"seal"`  // of "plaintext" with "associated"
	Index []string           `json:"index"` // of "data"
	KID   string             `json:"kid"`   // of the key of access tokens

	ReplayIndex   []string `json:"replayIndex"` // of "data"
	CheckpointKID string   `json:"checkpointKid"`
}

func readGolden(t *testing.T) golden {
	t.Helper()
	text, err := os.ReadFile("testdata/sandbox.json")
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(text, &g))
	require.Len(t, g.MAC, len(macUses))
	require.Len(t, g.Seal, len(aeadUses))
	require.Len(t, g.Index, 1)
	return g
}

// requireSandbox holds a keyset against the golden outputs.
func requireSandbox(t *testing.T, ks *keyring.Keyset) {
	t.Helper()
	g, ring := readGolden(t), keyring.New(ks, nil, atNoon)
	for use, want := range g.MAC {
		got, err := ring.MAC(use, []byte("data"))
		require.NoError(t, err, use)
		require.Equal(t, want, hex.EncodeToString(got), use)
	}
	for use, sealed := range g.Seal {
		got, err := ring.Open(use, unhex(t, sealed), []byte("associated"))
		require.NoError(t, err, use)
		require.Equal(t, "plaintext", string(got), use)
	}
	got, err := ring.Index(pin.UsePANIndex, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, g.Index, got)
	require.Len(t, ks.SigningKeys(), 1)
	require.Equal(t, g.KID, ks.SigningKeys()[0].KID)
	require.Len(t, ks.CheckpointKeys(), 1)
	require.Equal(t, g.CheckpointKID, ks.CheckpointKeys()[0].KID)
	got, err = ring.Index(pin.UseReplayKey, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, g.ReplayIndex, got)
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(tb, err)
	return b
}

func TestSandboxKeysNeverChange(t *testing.T) {
	requireSandbox(t, keyring.Sandbox())
	require.Len(t, keyring.Sandbox().LogKeys(), 1)
	require.Equal(t, "JUsYKyEBG0unAk0BTPowXhcwM1_qWEf5iH4e8dRoXQ8", keyring.Sandbox().LogKeys()[0].KID)
}

// The standard library makes the same of the same keys, so that another engine can take over what this one made.
func TestOutputsAreThoseOfTheStandardAlgorithms(t *testing.T) {
	g := readGolden(t)
	derive := func(name string, n int) []byte {
		b, err := hkdf.Key(sha256.New, []byte("pinvault sandbox"), nil, name, n)
		require.NoError(t, err)
		return b
	}
	sum := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	for use, want := range g.MAC {
		b := derive(string(use), 36)
		require.Equal(t, want, fmt.Sprintf("01%x%x", b[32:], sum(b[:32], "data")), use)
	}
	for use, sealed := range g.Seal {
		b, ciphertext := derive(string(use), 36), unhex(t, sealed)
		block, err := aes.NewCipher(b[:32])
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		require.Equal(t, append([]byte{1}, b[32:]...), ciphertext[:5], use)
		plain, err := gcm.Open(nil, ciphertext[5:17], ciphertext[17:], []byte("associated"))
		require.NoError(t, err, use)
		require.Equal(t, "plaintext", string(plain), use)
	}
	index := func(name string) string {
		key := derive(name, 36)[:32]
		return hex.EncodeToString(sum(key, "pinvault: id of an index key")[:4]) + hex.EncodeToString(sum(key, "data"))
	}
	require.Equal(t, g.Index[0], index("pan-index"))
	require.Equal(t, g.ReplayIndex[0], index("replay-key"))

	checkpoint, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), derive("checkpoint", 32))
	require.NoError(t, err)
	require.True(t, checkpoint.Equal(keyring.Sandbox().CheckpointKeys()[0].Key))
	require.Equal(t, ed25519.NewKeyFromSeed(derive("audit-log", 32)), keyring.Sandbox().LogKeys()[0].Key)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), derive("signing", 32))
	require.NoError(t, err)
	require.True(t, key.Equal(keyring.Sandbox().SigningKeys()[0].Key))
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	thumbprint := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:])))
	require.Equal(t, g.KID, b64(thumbprint[:]))
}

func TestGeneratedKeysetsHaveNothingInCommon(t *testing.T) {
	one, err := keyring.Generate(rand.Reader, noon)
	require.NoError(t, err)
	two, err := keyring.Generate(rand.Reader, noon)
	require.NoError(t, err)
	require.NotEqual(t, one.SigningKeys()[0].KID, two.SigningKeys()[0].KID)
	require.NotEqual(t, one.CheckpointKeys()[0].KID, two.CheckpointKeys()[0].KID)
	require.NotEqual(t, one.SigningKeys()[0].KID, one.CheckpointKeys()[0].KID)
	require.NotEqual(t, one.LogKeys()[0].KID, two.LogKeys()[0].KID)
	ring, other := keyring.New(one, nil, atNoon), keyring.New(two, nil, atNoon)
	for _, use := range macUses {
		mac, err := ring.MAC(use, []byte("data"))
		require.NoError(t, err)
		require.True(t, ring.VerifyMAC(use, []byte("data"), mac), use)
		require.False(t, other.VerifyMAC(use, []byte("data"), mac), use)
	}
	for _, use := range aeadUses {
		sealed, err := ring.Seal(use, []byte("plaintext"), nil)
		require.NoError(t, err)
		_, err = other.Open(use, sealed, nil)
		require.Error(t, err, use)
	}
	index, err := ring.Index(pin.UsePANIndex, []byte("data"))
	require.NoError(t, err)
	otherIndex, err := other.Index(pin.UsePANIndex, []byte("data"))
	require.NoError(t, err)
	require.NotEqual(t, index, otherIndex)
}

func TestGenerateFailsWithItsRandomSource(t *testing.T) {
	const perUse, uses = 36, 10
	for name, tc := range map[string]struct {
		random []byte
		want   string
	}{
		"nothing at all":                 {nil, "keyring: generate the keys for pin-verifier: EOF"},
		"too little for the second use":  {make([]byte, perUse+1), "keyring: generate the keys for pin: unexpected EOF"},
		"too little for the signing key": {make([]byte, perUse*uses), "keyring: generate the keys for signing: EOF"},
		"bytes that are no P-256 key": {bytes.Repeat([]byte{0xFF}, perUse*uses+32),
			"keyring: generate the keys for signing: "},
		"too little for the checkpoint key":  {bytes.Repeat([]byte{1}, perUse*uses+32), "keyring: generate the keys for checkpoint: EOF"},
		"too little for the audit log's key": {bytes.Repeat([]byte{1}, perUse*uses+64), "keyring: generate the keys for audit-log: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keyring.Generate(bytes.NewReader(tc.random), noon)
			require.ErrorContains(t, err, tc.want)
		})
	}
	broken := errors.New("broken")
	_, err := keyring.Generate(iotest.ErrReader(broken), noon)
	require.ErrorIs(t, err, broken)
}

func TestCallersCannotReplaceSigningKeys(t *testing.T) {
	ks := keyring.Sandbox()
	ks.SigningKeys()[0], ks.CheckpointKeys()[0] = keyring.SigningKey{}, keyring.SigningKey{}
	require.NotEmpty(t, ks.SigningKeys()[0].KID)
	require.NotEmpty(t, ks.CheckpointKeys()[0].KID)
}

func TestKeysAreNeverPrinted(t *testing.T) {
	ks, store := keyring.Sandbox(), newStore()
	ring := keyring.New(ks, store, atNoon)
	store.add(t, ring, "zpk", "", pin.UsageZonePIN, "AES", aesKey)
	opener, err := ring.ZoneKey(t.Context(), "program", "zpk")
	require.NoError(t, err)
	for name, v := range map[string]any{
		"keyset": ks, "keyset's value": *ks, "live keyset": keyring.NewLive(ks, nil), "ring": ring, "ring's value": *ring,
		"signing key": ks.SigningKeys()[0], "pointer to a signing key": &ks.SigningKeys()[0], "zone key": opener,
	} {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				require.Equal(t, "****", fmt.Sprintf(verb, v), verb)
			}
			require.Equal(t, "****", v.(fmt.Stringer).String())
			require.Equal(t, "****", v.(fmt.GoStringer).GoString())
			text, err := json.Marshal(v)
			require.NoError(t, err)
			require.JSONEq(t, `"****"`, string(text))
			for _, handler := range []func(*bytes.Buffer) slog.Handler{
				func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
				func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
			} {
				var log bytes.Buffer
				slog.New(handler(&log)).Info("m", "v", v)
				require.Regexp(t, `v"?[=:]"?\*\*\*\*"?}?\n$`, log.String())
			}
		})
	}
	require.Equal(t, "{****}", fmt.Sprintf("%v", struct{ Key any }{ks}))
	require.Equal(t, "[****]", fmt.Sprintf("%+v", ks.SigningKeys()))
}
