package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/issuer"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// Components of the key E8DD93B8AF13999C7644C0FE11F5D2A7, and check values.
const (
	wholeKey    = "E8DD93B8AF13999C7644C0FE11F5D2A7"
	oneOfTwo    = "0123456789ABCDEFFEDCBA9876543210"
	otherOfTwo  = "E9FED6DF26B85473 88987A6667A1E0B7" // written in groups
	wholeValue  = "F1652F"
	oneOfTwoCV  = "08D7B4"
	aesOfTwo    = "00112233445566778899AABBCCDDEEFF"
	aesOther    = "2B7E151628AED2A6ABF7158809CF4F3C"
	threeParts  = oneOfTwo + "\n" + otherOfTwo + "\n5B3E19C8A6F04D7281DC35E79A40B6F1\n"
	singleDES   = "0123456789ABCDEF0123456789ABCDEF"
	parityTwice = "FEFEFEFEFEFEFEFE0101010101010101"

	weakHalf     = "1F1F1F1F0E0E0E0E"
	semiWeakHalf = "011F011F010E010E"
	longRest     = "884C14E9D8" // of wholeValue
	aesValue     = "BC848A"
)

// imported runs keys import over a database and returns what it said and whether it succeeded.
func imported(t *testing.T, env []string, database, stdin string, args ...string) (string, bool) {
	t.Helper()
	c := apptest.Command(t, append([]string{"keys", "import", "--database-url", database}, args...)...)
	c.Env = append(c.Env, env...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

// vaultOf opens a database with the keys that env names, or a sandbox's.
func vaultOf(t *testing.T, env []string, database string) (*keyring.Ring, *pin.Vault) {
	t.Helper()
	ks := keyring.Sandbox()
	if env != nil {
		file, _ := strings.CutPrefix(env[0], "PINVAULT_KEYSET=")
		master, _ := strings.CutPrefix(env[1], "PINVAULT_MASTER_KEY=")
		key, err := keyring.ParseMasterKey([]byte(master))
		require.NoError(t, err)
		kek, err := keyring.MasterKey(key)
		require.NoError(t, err)
		f, err := os.Open(file)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		ks, err = keyring.Read(f, kek)
		require.NoError(t, err)
	}
	db, err := store.Open(t.Context(), database, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	ring := keyring.Open(ks, db, nil)
	vault := pin.NewVault(db, ring, nil, nil)
	vault.GrantBy(issuer.Granted)
	return ring, vault
}

func TestImportedKeyOpensBlocksAndIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	database, env := storetest.SQLite(t), keysFor(t)
	out, ok := imported(t, env, database, oneOfTwo+"\n"+otherOfTwo+"\ny\n", "--id", "zpk-1", "--usage", "zone-pin", "--algorithm", "TDES", "--all-programs")
	require.True(t, ok, out)
	for _, says := range []string{"check value of component 1: " + oneOfTwoCV, "check value of component 2: ", "check value of the key: " + wholeValue,
		"import it as zpk-1, TDES, for zone-pin of all programs? [y/N]", "imported zpk-1 with check value " + wholeValue} {
		require.Contains(t, out, says)
	}
	for _, secret := range []string{oneOfTwo, otherOfTwo, wholeKey} {
		require.NotContains(t, out, secret)
	}
	ring, vault := vaultOf(t, env, database)
	opener, err := ring.ZoneKey(t.Context(), "any", "zpk-1")
	require.NoError(t, err)
	block, err := hex.DecodeString("ABC5E23474210DAC")
	require.NoError(t, err)
	p, err := opener.OpenBlock(pinblock.ISO0, block, "4451234567890129")
	require.NoError(t, err)
	require.Equal(t, "123456", string(p.Digits()))

	events, err := vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Page: pin.Page{Limit: 10}})
	require.NoError(t, err)
	require.NotEmpty(t, events)
	events = events[len(events)-1:]
	require.Equal(t, []string{"key.imported", "zpk-1", "pinvault keys import"}, []string{string(events[0].Type), events[0].Subject, events[0].ClientID})

	out, ok = imported(t, env, database, oneOfTwo+"\n"+otherOfTwo+"\ny\n", "--id", "zpk-1", "--usage", "zone-pin", "--algorithm", "TDES", "--all-programs")
	require.False(t, ok, out)
	require.Contains(t, out, "a key zpk-1 already exists")
}

func TestKeysImport(t *testing.T) {
	t.Parallel()
	env := keysFor(t)
	files := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(files, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	one, other := file("one", oneOfTwo+"\n"), file("other", otherOfTwo)
	zpk := []string{"--id", "k", "--usage", "zone-pin", "--algorithm", "TDES", "--all-programs"}
	aes := []string{"--id", "k", "--usage", "zone-pin", "--algorithm", "AES", "--all-programs"}
	message := []string{"--id", "k", "--usage", "message", "--algorithm", "AES", "--all-programs"}
	const twoOf24, twoOf32 = aesOfTwo + "0011223344556677\n" + aesOther + "0123456789ABCDEF\n", aesOfTwo + aesOther + "\n" + aesOther + aesOther + "\n"
	for _, test := range []struct {
		name  string
		stdin string
		args  []string
		ok    bool
		says  string
	}{
		{"three components", threeParts + "yes\n", append(slices.Clone(zpk), "--components", "3"), true, "check value of component 3"},
		{"components from files, confirmed by the check value", "", append(slices.Clone(zpk), "--component-file", one, "--component-file", other, "--check-value", strings.ToLower(wholeValue)), true, "imported k"},
		{"AES for tokens", twoOf24 + "y", message, true, "imported k"},
		{"AES for JWE", twoOf32 + "y\n", message, true, "imported k"},
		{"AES for PIN blocks", aesOfTwo + "\n" + aesOther + "\ny\n", aes, true, "check value of the key (CMAC): " + aesValue},
		{"AES, confirmed by the CMAC check value", aesOfTwo + "\n" + aesOther + "\n", append(slices.Clone(aes), "--check-value", aesValue), true, "imported k"},
		{"a check value of sixteen digits in groups", oneOfTwo + "\n" + otherOfTwo + "\n", append(slices.Clone(zpk), "--check-value", " f165 2f"+longRest), true, "imported k"},
		{"a check value of seven digits", oneOfTwo + "\n" + otherOfTwo + "\n", append(slices.Clone(zpk), "--check-value", wholeValue+longRest[:2]), true, "imported k"},
		{"an RSA key drawn here", "y\n", []string{"--id", "k", "--usage", "zone-pin", "--algorithm", "RSA", "--generate", "--all-programs"}, true, "imported k"},

		{"neither a program nor all of them", "", zpk[:6], false, "--all-programs"},
		{"a program and all of them", "", append(slices.Clone(zpk), "--program", "p"), false, "--all-programs"},
		{"a check value of five digits", "", append(slices.Clone(zpk), "--check-value", "F1652"), false, "6 to 16 hex digits"},
		{"a check value of seventeen digits", "", append(slices.Clone(zpk), "--check-value", "F1652F00000000000"), false, "6 to 16 hex digits"},
		{"a check value that is no hexadecimal", "", append(slices.Clone(zpk), "--check-value", "F1652G"), false, "6 to 16 hex digits"},
		{"a check value of which a late digit is another", oneOfTwo + "\n" + otherOfTwo + "\n", append(slices.Clone(zpk), "--check-value", wholeValue+"0000000000"), false, "nothing was imported"},
		{"the older check value of AES", aesOfTwo + "\n" + aesOther + "\n", append(slices.Clone(aes), "--check-value", "000000"), false, "CMAC"},
		{"a message key that no contract can use", aesOfTwo + "\n" + aesOther + "\ny\n", message, false, "no contract has messages"},
		{"a component of zeros", oneOfTwo + "\n" + strings.Repeat("0", 32) + "\ny\n", zpk, false, "component 2 is all zeros"},
		{"a component of zeros except for parity", strings.Repeat("01", 16) + "\n" + oneOfTwo + "\ny\n", zpk, false, "component 1 is all zeros"},
		{"a component of zeros except for one parity bit", oneOfTwo + "\n" + strings.Repeat("0", 31) + "1\ny\n", zpk, false, "component 2 is all zeros"},
		{"a component of zeros for AES", twoOf32[:65] + strings.Repeat("0", 64) + "\ny\n", message, false, "component 2 is all zeros"},
		{"a weak half", weakHalf + oneOfTwo[:16] + "\n" + strings.Repeat("0", 16) + oneOfTwo[16:] + "\ny\n", zpk, false, "weak key of DES"},
		{"a semi-weak half", oneOfTwo[:16] + semiWeakHalf + "\n" + oneOfTwo[16:] + strings.Repeat("0", 16) + "\ny\n", zpk, false, "weak key of DES"},

		{"another check value than the one given", "", append(slices.Clone(zpk), "--component-file", one, "--component-file", other, "--check-value", "000000"), false, "nothing was imported"},
		{"an answer other than yes", oneOfTwo + "\n" + otherOfTwo + "\nn\n", zpk, false, "not confirmed"},
		{"no answer", oneOfTwo + "\n" + otherOfTwo + "\n", zpk, false, "not confirmed"},
		{"no second component", oneOfTwo + "\n", zpk, false, "component 2"},
		{"a component that is no hexadecimal", oneOfTwo + "\n" + otherOfTwo[:31] + "X\ny\n", zpk, false, "component 2 is not hexadecimal"},
		{"a component of a wrong length", oneOfTwo[:30] + "\n" + otherOfTwo + "\ny\n", zpk, false, "component 1 has 15 bytes, which no TDES key has"},
		{"components of two lengths", oneOfTwo + "\n" + oneOfTwo + "0123456789ABCDEF\ny\n", zpk, false, "component 2 is not as long"},
		{"a component twice", oneOfTwo + "\n" + oneOfTwo + "\ny\n", zpk, false, "cancel each other out"},
		{"a key that is single DES", oneOfTwo + "\n" + "1122334455667788EEDDCCBBAA998877" + "\ny\n", zpk, false, "no better than single DES"},
		{"a component that is single DES", singleDES + "\n" + oneOfTwo + "\ny\n", zpk, false, "component 1 is a weak key of DES, or has equal parts"},
		{"a component of even parity is warned of", "0023456789ABCDEFFEDCBA9876543210\n" + otherOfTwo + "\nn\n", zpk, false, "warning: component 1 has bytes of even parity"},
		{"a clear key", wholeKey + "\ny\n", append(slices.Clone(zpk), "--components", "1"), false, "for a sandbox only"},
		{"a clear key from a file", "", append(slices.Clone(zpk), "--component-file", one, "--check-value", oneOfTwoCV), false, "for a sandbox only"},
		{"a program that there is not", oneOfTwo + "\n" + otherOfTwo + "\ny\n", append(slices.Clone(zpk[:6]), "--program", "nobody"), false, "no such program"},
		{"an id that requests could not name", "", []string{"--id", "k 1", "--usage", "zone-pin", "--algorithm", "TDES", "--all-programs"}, false, "--id must be"},
		{"a usage that nobody knows", "", []string{"--id", "k", "--usage", "pin", "--algorithm", "TDES", "--all-programs"}, false, "--usage"},
		{"TDES for messages", "", []string{"--id", "k", "--usage", "message", "--algorithm", "TDES", "--all-programs"}, false, "AES"},
		{"RSA for messages", "", []string{"--id", "k", "--usage", "message", "--algorithm", "RSA", "--generate", "--all-programs"}, false, "zone-pin"},
		{"RSA from nowhere", "", []string{"--id", "k", "--usage", "zone-pin", "--algorithm", "RSA", "--all-programs"}, false, "--generate"},
		{"an RSA key in clear", "", []string{"--id", "k", "--usage", "zone-pin", "--algorithm", "RSA", "--key-file", one, "--all-programs"}, false, "for a sandbox only"},
		{"a sandbox's key in a database that is none", "y\n", append(slices.Clone(zpk), "--sandbox"), false, "does not belong to a sandbox"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			database := storetest.SQLite(t)
			out, ok := imported(t, env, database, test.stdin, test.args...)
			require.Equal(t, test.ok, ok, out)
			require.Contains(t, out, test.says)
			for _, secret := range []string{oneOfTwo, otherOfTwo, wholeKey, aesOfTwo, aesOther} {
				require.NotContains(t, out, secret)
			}
			if _, err := os.Stat(strings.TrimPrefix(database, "sqlite://")); err != nil {
				return // refused before the database was made
			}
			db, err := store.Open(t.Context(), database, store.Options{})
			require.NoError(t, err)
			_, err = db.Row(t.Context(), pin.TableZoneKeys, "", "k")
			require.Equal(t, test.ok, err == nil)
			require.NoError(t, db.Close())
		})
	}
}

// A key serves the usage that it was imported for and no other.
func TestImportedKeyIsBoundToItsUsage(t *testing.T) {
	t.Parallel()
	database, env := storetest.SQLite(t), keysFor(t)
	parts := aesOfTwo + aesOther + "\n" + aesOther + aesOther + "\ny\n"
	for _, usage := range []string{"zone-pin", "message"} {
		out, ok := imported(t, env, database, parts, "--id", usage, "--usage", usage, "--algorithm", "AES", "--all-programs")
		require.True(t, ok, out)
	}
	ring, _ := vaultOf(t, env, database)
	_, err := ring.ZoneKey(t.Context(), "any", "zone-pin")
	require.NoError(t, err)
	_, err = ring.ZoneKey(t.Context(), "any", "message")
	require.Equal(t, pin.UnknownKey, pin.CodeOf(err))
}

func TestSandboxTakesKeysInClear(t *testing.T) {
	t.Parallel()
	database := storetest.SQLite(t)
	apptest.Serve(t, nil, "--sandbox", "--database-url", database).Kill(t)
	out, ok := imported(t, nil, database, wholeKey+"\ny\n", "--sandbox", "--id", "clear", "--usage", "zone-pin", "--algorithm", "TDES", "--components", "1", "--all-programs")
	require.True(t, ok, out)
	require.Contains(t, out, wholeValue)
	out, ok = imported(t, nil, database, singleDES+"\ny\n", "--sandbox", "--id", "single", "--usage", "zone-pin", "--algorithm", "TDES", "--components", "1", "--all-programs")
	require.True(t, ok, out)
	require.Contains(t, out, "warning: two neighbouring parts")

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rsa.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	out, ok = imported(t, nil, database, "y\n", "--sandbox", "--id", "rsa", "--usage", "zone-pin", "--algorithm", "RSA", "--key-file", path, "--all-programs")
	require.True(t, ok, out)
	ring, _ := vaultOf(t, nil, database)
	certificate, err := ring.PINCertificate(t.Context(), "any", "rsa")
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(certificate)
	require.NoError(t, err)
	require.True(t, key.PublicKey.Equal(parsed.PublicKey))

	env := keysFor(t)
	out, ok = imported(t, env, database, oneOfTwo+"\n"+otherOfTwo+"\ny\n", "--id", "k", "--usage", "zone-pin", "--algorithm", "TDES", "--all-programs")
	require.False(t, ok, "a sandbox's database is refused in production")
	require.Contains(t, out, "made by a sandbox")
}
