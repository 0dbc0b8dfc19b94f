package keyring_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// masterKey is the one that testdata/keyset.json was written with.
func masterKey() []byte {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

// under is the key-encryption key of a master key.
func under(tb testing.TB, master []byte) tink.AEAD {
	tb.Helper()
	kek, err := keyring.MasterKey(master)
	require.NoError(tb, err)
	return kek
}

func write(t *testing.T, ks *keyring.Keyset) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, ks.Write(&b, under(t, masterKey())))
	return b.Bytes()
}

func TestFileIsReadBackWithAllItsKeys(t *testing.T) {
	ks, err := keyring.Generate(rand.Reader, noon)
	require.NoError(t, err)
	text := write(t, ks)
	again, err := keyring.Read(bytes.NewReader(text), under(t, masterKey()))
	require.NoError(t, err)

	ring, other := keyring.New(ks, nil, atNoon), keyring.New(again, nil, atNoon)
	for _, use := range macUses {
		mac, err := ring.MAC(use, []byte("data"))
		require.NoError(t, err)
		require.True(t, other.VerifyMAC(use, []byte("data"), mac), use)
	}
	for _, use := range aeadUses {
		sealed, err := ring.Seal(use, []byte("plaintext"), []byte("associated"))
		require.NoError(t, err)
		opened, err := other.Open(use, sealed, []byte("associated"))
		require.NoError(t, err, use)
		require.Equal(t, "plaintext", string(opened))
	}
	for _, use := range []pin.Use{pin.UsePANIndex, pin.UseReplayKey} {
		want, err := ring.Index(use, []byte("data"))
		require.NoError(t, err)
		got, err := other.Index(use, []byte("data"))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Equal(t, ks.SigningKeys()[0].KID, again.SigningKeys()[0].KID)
	require.True(t, ks.SigningKeys()[0].Key.(*ecdsa.PrivateKey).Equal(again.SigningKeys()[0].Key))
	require.Equal(t, ks.CheckpointKeys()[0].KID, again.CheckpointKeys()[0].KID)
	require.True(t, ks.CheckpointKeys()[0].Key.(*ecdsa.PrivateKey).Equal(again.CheckpointKeys()[0].Key))

	require.Equal(t, ks.Keys(noon), again.Keys(noon), "and all that is known of them")
	require.NoError(t, again.Follows(ks))
	require.NoError(t, ks.Follows(again), "it is the same one")
}

func TestFileOfThisFormatStaysReadable(t *testing.T) {
	text, err := os.ReadFile("testdata/keyset.json")
	require.NoError(t, err)
	ks, err := keyring.Read(bytes.NewReader(text), under(t, masterKey()))
	require.NoError(t, err)
	requireSandbox(t, ks)

	require.Empty(t, ks.LogKeys(), "it is older than this use")
	later, made, err := ks.Rotated([]pin.Use{keyring.UseAuditLog}, noon, true, rand.Reader, noon)
	require.NoError(t, err)
	require.Equal(t, "audit-log/1", made[0].Name())
	require.Equal(t, made[0].ID, later.LogKeys()[0].KID)
	require.NoError(t, later.Follows(ks))
}

func TestFileHoldsNoKeyInClear(t *testing.T) {
	random := make([]byte, 10*36+3*32)
	_, err := rand.Read(random)
	require.NoError(t, err)
	ks, err := keyring.Generate(bytes.NewReader(random), noon)
	require.NoError(t, err)
	text := write(t, ks)

	var held []string // every string of the file, and what it may stand for
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, w := range v {
				walk(w)
			}
		case []any:
			for _, w := range v {
				walk(w)
			}
		case string:
			held = append(held, v)
			if b, err := base64.StdEncoding.DecodeString(v); err == nil {
				held = append(held, string(b))
			}
		}
	}
	var whole any
	require.NoError(t, json.Unmarshal(text, &whole))
	walk(whole)
	require.Greater(t, len(held), 13*6, "what is told of thirteen keys, and two encrypted parts")
	secrets := [][]byte{masterKey()}
	for i := range 10 {
		secrets = append(secrets, random[i*36:i*36+32])
	}
	for i := range 3 {
		secrets = append(secrets, random[10*36+i*32:][:32])
	}
	for _, secret := range secrets {
		for _, s := range held {
			for _, form := range []string{string(secret), hex.EncodeToString(secret),
				base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)} {
				require.NotContains(t, s, form)
			}
		}
	}
}

// changed is a keyset file in which each text is replaced once by the one after it.
func changed(t *testing.T, text []byte, replace ...string) []byte {
	t.Helper()
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, string(text), replace[i])
		text = bytes.Replace(text, []byte(replace[i]), []byte(replace[i+1]), 1)
	}
	return text
}

// part is a member of the file.
func part(t *testing.T, text []byte, name string) json.RawMessage {
	t.Helper()
	var out map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &out))
	require.NotEmpty(t, out[name])
	return out[name]
}

func TestFileThatCannotBeUsedSaysWhatToDo(t *testing.T) {
	const (
		wrongKey = "keyring: the keyset file does not open under this master key: give the master key that the file was written with"
		notAFile = "keyring: this is not a keyset file, or it is damaged: check the path, or restore the file from a backup"
		format   = "keyring: the keyset file is not in the format pinvault-keyset/2: run the version of pinvault that wrote it"
		damaged  = "keyring: the keyset file was damaged or changed: restore it from a backup"
	)
	ks, err := keyring.Generate(rand.Reader, noon)
	require.NoError(t, err)
	other, err := keyring.Generate(rand.Reader, noon)
	require.NoError(t, err)
	whole, others := write(t, ks), write(t, other)
	pan, err := ks.Key(pin.UsePAN, 1, noon)
	require.NoError(t, err)
	audit, err := ks.Key(pin.UseAudit, 1, noon)
	require.NoError(t, err)
	const active = `"activeFrom": "2026-03-01T12:00:00Z"`

	for name, tc := range map[string]struct {
		text   []byte
		master []byte
		want   string
	}{
		"another master key":         {whole, bytes.Repeat([]byte{7}, 32), wrongKey},
		"empty file":                 {nil, masterKey(), notAFile},
		"file that is no JSON":       {[]byte("c2VjcmV0IG1hc3RlciBrZXk="), masterKey(), notAFile},
		"file cut short":             {whole[:len(whole)/2], masterKey(), notAFile},
		"file with something after":  {append(bytes.Clone(whole), "{}"...), masterKey(), notAFile},
		"file beyond all measure":    {append(bytes.Repeat([]byte(" "), 1<<20), whole...), masterKey(), notAFile},
		"JSON that is no keyset":     {[]byte(`{"keys":[]}`), masterKey(), format},
		"another format":             {[]byte(`{"format":"pinvault-keyset/1","keysets":[]}`), masterKey(), format},
		"right format, wrong shapes": {[]byte(`{"format":"pinvault-keyset/2","material":{}}`), masterKey(), notAFile},
		"nothing but the format":     {[]byte(`{"format":"pinvault-keyset/2"}`), masterKey(), wrongKey},

		"an earlier revision":      {changed(t, whole, `"revision": 1`, `"revision": 0`), masterKey(), damaged},
		"a use in another's place": {changed(t, whole, `"use": "pan"`, `"use": "pin"`), masterKey(), damaged},
		"another version":          {changed(t, whole, `"version": 1`, `"version": 2`), masterKey(), damaged},
		"another id":               {changed(t, whole, pan.ID, "00000000"), masterKey(), damaged},
		"another check value":      {changed(t, whole, audit.CheckValue, "0000000000"), masterKey(), damaged},
		"active earlier":           {changed(t, whole, active, `"activeFrom": "2025-03-01T12:00:00Z"`), masterKey(), damaged},
		"not active":               {changed(t, whole, active+"\n", `"retiredAt": "2026-03-01T12:00:00Z"`+"\n"), masterKey(), damaged},
		"retired":                  {changed(t, whole, active, active+`, "retiredAt": "2026-03-01T12:00:00Z"`), masterKey(), damaged},
		"a member more":            {changed(t, whole, active, active+`, "note": ""`), masterKey(), damaged},
		"another keyset's keys":    {changed(t, whole, string(part(t, whole, "keyset")), string(part(t, others, "keyset"))), masterKey(), damaged},
		"another keyset's material": {changed(t, whole, string(part(t, whole, "material")), string(part(t, others, "material"))),
			masterKey(), damaged},
		"no material":                  {changed(t, whole, string(part(t, whole, "material")), `""`), masterKey(), damaged},
		"the check in another's place": {changed(t, whole, string(part(t, whole, "material")), string(part(t, whole, "check"))), masterKey(), damaged},
		"material for a check":         {changed(t, whole, string(part(t, whole, "check")), string(part(t, whole, "material"))), masterKey(), wrongKey},
	} {
		t.Run(name, func(t *testing.T) {
			ks, err := keyring.Read(bytes.NewReader(tc.text), under(t, tc.master))
			require.EqualError(t, err, tc.want)
			require.Nil(t, ks)
		})
	}
}

// Every bit of what is encrypted counts.
func TestFileWithAFlippedBitIsRefused(t *testing.T) {
	whole := write(t, keyring.Sandbox())
	for _, name := range []string{"check", "material"} {
		var ciphertext []byte
		sealed := part(t, whole, name)
		require.NoError(t, json.Unmarshal(sealed, &ciphertext))
		for i := range ciphertext {
			bad := bytes.Clone(ciphertext)
			bad[i] ^= 1 << (i % 8)
			text, err := json.Marshal(bad)
			require.NoError(t, err)
			_, err = keyring.Read(bytes.NewReader(changed(t, whole, string(sealed), string(text))), under(t, masterKey()))
			require.Error(t, err, "byte %d of %s", i, name)
		}
	}
}

// unreachable is a key-encryption key that is somewhere else, where nobody answers.
type unreachable struct{}

func (unreachable) Encrypt([]byte, []byte) ([]byte, error) {
	return nil, &pin.Error{Code: pin.Unavailable}
}
func (unreachable) Decrypt([]byte, []byte) ([]byte, error) {
	return nil, &pin.Error{Code: pin.Unavailable}
}

func TestFileUnderAKeyThatIsOutOfReachIsNotSaidToBeDamaged(t *testing.T) {
	_, err := keyring.Read(bytes.NewReader(write(t, keyring.Sandbox())), unreachable{})
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	require.Equal(t, pin.Unavailable, pin.CodeOf(keyring.Sandbox().Write(io.Discard, unreachable{})))
}

func TestFileErrorsOfReaderAndWriterArePassedOn(t *testing.T) {
	broken := errors.New("broken")
	_, err := keyring.Read(iotest.ErrReader(broken), under(t, masterKey()))
	require.ErrorIs(t, err, broken)
	_, w := io.Pipe()
	require.NoError(t, w.CloseWithError(nil))
	require.ErrorIs(t, keyring.Sandbox().Write(w, under(t, masterKey())), io.ErrClosedPipe)
}

func TestAMasterKeyHas32Bytes(t *testing.T) {
	for _, n := range []int{0, 16, 24, 31, 33} {
		kek, err := keyring.MasterKey(make([]byte, n))
		require.EqualError(t, err, "keyring: the master key is not 32 bytes in base64: make one with `openssl rand -base64 32`", "%d bytes", n)
		require.Nil(t, kek)
	}
}

func TestMasterKeyIsTakenInEveryBase64(t *testing.T) {
	key := bytes.Repeat([]byte{0xFB, 0xEF, 0xFF}, 11)[:32] // +-+- and ///_ in base64
	std, url := base64.StdEncoding.EncodeToString(key), base64.URLEncoding.EncodeToString(key)
	require.NotEqual(t, std, url)
	for name, text := range map[string]string{
		"standard alphabet, padded":       std,
		"standard alphabet, not padded":   strings.TrimRight(std, "="),
		"URL alphabet, padded":            url,
		"URL alphabet, not padded":        strings.TrimRight(url, "="),
		"with a line's end, as in a file": std + "\r\n",
		"with blanks around it":           "  " + url + " \n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keyring.ParseMasterKey([]byte(text))
			require.NoError(t, err)
			require.Equal(t, key, got)
		})
	}
	for name, text := range map[string]string{
		"nothing":                    "",
		"padding alone":              "=",
		"31 bytes":                   base64.StdEncoding.EncodeToString(key[:31]),
		"33 bytes":                   base64.StdEncoding.EncodeToString(append(bytes.Clone(key), 0)),
		"hex":                        hex.EncodeToString(key),
		"both alphabets":             "-" + std[1:],
		"a character too few":        std[:42],
		"bits that count for none":   std[:42] + "9",
		"a character of no alphabet": "!" + std[1:],
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			got, err := keyring.ParseMasterKey([]byte(text))
			require.EqualError(t, err, "keyring: the master key is not 32 bytes in base64: make one with `openssl rand -base64 32`")
			require.Nil(t, got)
		})
	}
}
