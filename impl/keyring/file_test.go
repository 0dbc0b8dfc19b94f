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

	require.JSONEq(t, `"2026-03-01T12:00:00Z"`, string(parts(t, write(t, again))["createdAt"]), "the time of its making stays")
}

func TestFileOfTheFirstVersionStaysReadable(t *testing.T) {
	text, err := os.ReadFile("testdata/keyset.json")
	require.NoError(t, err)
	ks, err := keyring.Read(bytes.NewReader(text), under(t, masterKey()))
	require.NoError(t, err)
	requireSandbox(t, ks)
}

func TestFileHoldsNoKeyInClear(t *testing.T) {
	random := make([]byte, 10*36+2*32)
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
	require.Greater(t, len(held), 2*12, "twelve encrypted parts")
	secrets := [][]byte{masterKey()}
	for i := range 10 {
		secrets = append(secrets, random[i*36:i*36+32])
	}
	secrets = append(secrets, random[10*36:10*36+32], random[10*36+32:])
	for _, secret := range secrets {
		for _, s := range held {
			for _, form := range []string{string(secret), hex.EncodeToString(secret),
				base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)} {
				require.NotContains(t, s, form)
			}
		}
	}
}

// parts takes a JSON object apart.
func parts(t *testing.T, text []byte) map[string]json.RawMessage {
	t.Helper()
	var out map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// changed is a keyset file after f has changed its parts and its key sets.
func changed(t *testing.T, text []byte, f func(parts, keysets map[string]json.RawMessage)) []byte {
	t.Helper()
	whole := parts(t, text)
	keysets := parts(t, whole["keysets"])
	f(whole, keysets)
	var err error
	if whole["keysets"] != nil {
		whole["keysets"], err = json.Marshal(keysets)
		require.NoError(t, err)
	}
	out, err := json.Marshal(whole)
	require.NoError(t, err)
	return out
}

func TestFileThatCannotBeUsedSaysWhatToDo(t *testing.T) {
	const (
		wrongKey = "keyring: nothing in the keyset file opens under this master key: give the master key that the file was written with"
		notAFile = "keyring: this is not a keyset file, or it is damaged: check the path, or restore the file from a backup"
		format   = "keyring: the keyset file is not in the format pinvault-keyset/1: run the version of pinvault that wrote it"
		newerUse = "keyring: the keyset file has keys for a use that is unknown here: run the version of pinvault that wrote it"
	)
	missing := func(name string) string {
		return "keyring: the keyset file has no keys for " + name + ": restore it from a backup"
	}
	damaged := func(names string) string {
		return "keyring: the keys for " + names + " do not open although others in the keyset file do: it was damaged or changed, restore it from a backup"
	}
	whole := write(t, keyring.Sandbox())
	otherKeys, err := keyring.Generate(rand.Reader, noon)
	require.NoError(t, err)
	var underOther bytes.Buffer
	require.NoError(t, otherKeys.Write(&underOther, under(t, bytes.Repeat([]byte{7}, 32))))
	type m = map[string]json.RawMessage

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
		"later format":               {[]byte(`{"format":"pinvault-keyset/2","keysets":[]}`), masterKey(), format},
		"right format, wrong shapes": {[]byte(`{"format":"pinvault-keyset/1","keysets":[]}`), masterKey(), notAFile},
		"no key sets": {changed(t, whole, func(parts, _ m) { delete(parts, "keysets") }), masterKey(),
			missing("pin-verifier")},
		"a use is missing": {changed(t, whole, func(_, k m) { delete(k, "audit") }), masterKey(), missing("audit")},
		"signing keys are missing": {changed(t, whole, func(parts, _ m) { delete(parts, "signing") }), masterKey(),
			missing("signing")},
		"checkpoint keys are missing": {changed(t, whole, func(parts, _ m) { delete(parts, "checkpoint") }), masterKey(),
			missing("checkpoint")},
		"the lists of signing keys have changed places": {changed(t, whole, func(parts, _ m) {
			parts["signing"], parts["checkpoint"] = parts["checkpoint"], parts["signing"]
		}), masterKey(), damaged("signing, checkpoint")},
		"a use that nobody knows": {changed(t, whole, func(_, k m) { k["later"] = k["pin"] }), masterKey(), newerUse},
		"two uses have changed places": {changed(t, whole, func(_, k m) { k["pin"], k["pan"] = k["pan"], k["pin"] }),
			masterKey(), damaged("pin, pan")},
		"one use in the place of another": {changed(t, whole, func(_, k m) { k["secret"] = k["audit"] }), masterKey(),
			damaged("secret")},
		"a key set is null":      {changed(t, whole, func(_, k m) { k["audit"] = m{}["none"] }), masterKey(), damaged("audit")},
		"a key set is empty":     {changed(t, whole, func(_, k m) { k["audit"] = json.RawMessage(`{}`) }), masterKey(), damaged("audit")},
		"a key set is no object": {changed(t, whole, func(_, k m) { k["audit"] = json.RawMessage(`"x"`) }), masterKey(), damaged("audit")},
		"a key set under another master key": {changed(t, whole, func(_, k m) {
			k["fingerprint"] = parts(t, parts(t, underOther.Bytes())["keysets"])["fingerprint"]
		}), masterKey(), damaged("fingerprint")},
		"signing keys are damaged": {changed(t, whole, func(parts, _ m) { parts["signing"] = json.RawMessage(`"AAAA"`) }),
			masterKey(), damaged("signing")},
		"signing keys are a key set's ciphertext": {changed(t, whole, func(parts, k m) {
			var encrypted struct{ EncryptedKeyset json.RawMessage }
			require.NoError(t, json.Unmarshal(k["pin"], &encrypted))
			parts["signing"] = encrypted.EncryptedKeyset
		}), masterKey(), damaged("signing")},
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
	var ciphertext []byte
	require.NoError(t, json.Unmarshal(parts(t, whole)["signing"], &ciphertext))
	for i := range ciphertext {
		bad := bytes.Clone(ciphertext)
		bad[i] ^= 1 << (i % 8)
		_, err := keyring.Read(bytes.NewReader(changed(t, whole, func(parts, _ map[string]json.RawMessage) {
			var err error
			parts["signing"], err = json.Marshal(bad)
			require.NoError(t, err)
		})), under(t, masterKey()))
		require.ErrorContains(t, err, "the keys for signing do not open", "byte %d", i)
	}
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
