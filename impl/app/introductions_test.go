package app_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pinblock"
	"pinvault/openapi"
)

// The sections of every introduction, in this order. Encryption is one more where something is encrypted.
var introductionSections = []string{"Quick start", "Authorization", "Encryption", "Errors", "Idempotency", "Sandbox"}

func TestIntroductionsHaveTheirSections(t *testing.T) {
	t.Parallel()
	for name, doc := range apptest.Documents(t) {
		text := doc.Info.Description
		require.NotRegexp(t, `^[*#]`, text, "%s: first comes what it is for", name)
		require.NotRegexp(t, `(?m)^\*\*`, text, "%s: sections have headings, which navigation and search find", name)
		raw, err := openapi.Documents.ReadFile(name + ".yaml")
		require.NoError(t, err)
		encrypted := regexp.MustCompile(`x-decrypted-schema|x-codeSamples|compact JWE`).Match(raw[strings.Index(string(raw), "\npaths:"):])
		last := 0
		for _, section := range introductionSections {
			if section == "Encryption" && !encrypted {
				continue
			}
			at := strings.Index(text, "\n\n## "+section+"\n\n")
			require.Greater(t, at, last, "%s: %s", name, section)
			last = at
		}
		require.NotEmpty(t, doc.Servers, name)
		require.NotEmpty(t, doc.Tags, name)
	}
}

// section is one of an introduction.
func section(doc *openapi3.T, name string) (text string, found bool) {
	_, text, found = strings.Cut(doc.Info.Description, "\n\n## "+name+"\n\n")
	text, _, _ = strings.Cut(text, "\n\n## ")
	return text, found
}

// labelled are the lines of an introduction that give a value a name, by block of such lines.
var (
	codeBlock    = regexp.MustCompile(`(?m)(?:^ {4}.*\n)+`)
	labelledLine = regexp.MustCompile(`(?m)^ {4}([A-Za-z][A-Za-z0-9_ -]*?) {2,}(.+?)(?: {2,}.*)?$`)
)

func labelled(text string) (blocks [][][2]string) {
	for _, block := range codeBlock.FindAllString(text+"\n", -1) {
		var lines [][2]string
		for _, line := range labelledLine.FindAllStringSubmatch(block, -1) {
			lines = append(lines, [2]string{line[1], line[2]})
		}
		if lines != nil {
			blocks = append(blocks, lines)
		}
	}
	return blocks
}

// What a partner is to paste stands in the fixtures under the same name.
func TestIntroductionsNameWhatTheSandboxHas(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	reply := h.Client.Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK)
	var fixtures struct{ Clients, Cards map[string]map[string]any }
	require.NoError(t, json.Unmarshal(reply.Body, &fixtures))
	known := map[[2]string]bool{}
	for _, thing := range slices.Concat(slices.Collect(maps.Values(fixtures.Clients)), slices.Collect(maps.Values(fixtures.Cards))) {
		for name, value := range thing {
			known[[2]string{name, fmt.Sprint(value)}] = true
		}
	}
	for name, doc := range apptest.Documents(t) {
		text, _ := section(doc, "Sandbox")
		blocks := labelled(text)
		require.NotEmpty(t, blocks, name)
		for _, line := range slices.Concat(blocks...) {
			assert.True(t, known[line], "%s: no %s of the fixtures is %s", name, line[0], line[1])
		}
	}
}

// The values of each worked example follow from each other, and the server opens what comes of them.
func TestWorkedExamplesAreRight(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	for name, doc := range apptest.Documents(t) {
		encryption, found := section(doc, "Encryption")
		if !found {
			continue
		}
		examples := labelled(encryption)
		require.NotEmpty(t, examples, "%s has a worked example", name)
		for _, lines := range examples {
			example := worked{h: h, values: map[string]string{}}
			for _, line := range lines {
				example.values[line[0]] = line[1]
			}
			t.Run(fmt.Sprintf("%s %s", name, lines[len(lines)-1][0]), example.check)
		}
	}
}

// worked is a worked example: its values by name.
type worked struct {
	h      *apptest.Server
	values map[string]string
}

func (w worked) check(t *testing.T) {
	switch {
	case w.has("key", "IV", "text", "token"):
		w.token(t)
	case w.has("key", "header", "IV", "text", "ciphertext", "tag", "JWE"):
		w.directJWE(t)
	case w.has("session key", "public", "ephemeral key", "header", "Z", "derived key", "IV", "text", "JWE"):
		w.agreedJWE(t)
	case w.has("key", "PAN", "PIN", "PIN field", "PAN field", "clear", "block"):
		w.block(t, pinblock.ISO0, "ISO-0")
	case w.has("key", "PAN", "PIN", "PIN field", "sealed", "PAN field", "joined", "block"):
		w.block(t, pinblock.ISO4, "ISO-4")
	default:
		t.Fatalf("nothing is known about an example with %v", slices.Sorted(maps.Keys(w.values)))
	}
}

func (w worked) has(names ...string) bool {
	return slices.Equal(slices.Sorted(maps.Keys(w.values)), slices.Sorted(slices.Values(names)))
}

// bytes is a value in hexadecimal digits.
func (w worked) bytes(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(w.values[name])
	require.NoError(t, err, name)
	return raw
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// token is that of Accosa; the tests of impl/accosa send it.
func (w worked) token(t *testing.T) {
	key, err := keyring.NewTokenKey(w.bytes(t, "key"), nil)
	require.NoError(t, err)
	token, err := key.Seal(bytes.NewReader(w.bytes(t, "IV")), []byte(w.values["text"]))
	require.NoError(t, err)
	require.Equal(t, token, w.values["token"])
}

// sealed is the compact JWE of a text under a content encryption key (RFC 7516, 5.1).
func (w worked) sealed(t *testing.T, key []byte, text string) (ciphertext, tag []byte, compact string) {
	t.Helper()
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	header, iv := encode([]byte(w.values["header"])), w.bytes(t, "IV")
	sealed := gcm.Seal(nil, iv, []byte(text), []byte(header))
	ciphertext, tag = sealed[:len(text)], sealed[len(text):]
	return ciphertext, tag, strings.Join([]string{header, "", encode(iv), encode(ciphertext), encode(tag)}, ".")
}

// directJWE is that of Credit+.
func (w worked) directJWE(t *testing.T) {
	ciphertext, tag, compact := w.sealed(t, w.bytes(t, "key"), w.values["text"])
	require.Equal(t, upperHex(ciphertext), w.values["ciphertext"])
	require.Equal(t, upperHex(tag), w.values["tag"])
	require.Equal(t, compact, w.values["JWE"])
	w.h.Client.For(t).Do(http.MethodPost, "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter",
		contracttest.Bearer(w.h.Mint(t, "creditplus-sandbox", time.Hour)), contracttest.Raw("application/jose", w.values["JWE"])).ExpectStatus(http.StatusOK)
}

// agreedJWE is that of the hosted page. No session has its key, so that it is opened here.
func (w worked) agreedJWE(t *testing.T) {
	session, err := ecdh.P256().NewPrivateKey(w.bytes(t, "session key"))
	require.NoError(t, err)
	ephemeral, err := ecdh.P256().NewPrivateKey(w.bytes(t, "ephemeral key"))
	require.NoError(t, err)
	jwk := func(k *ecdh.PrivateKey) string {
		point := k.PublicKey().Bytes()[1:]
		return fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}`,
			base64.RawURLEncoding.EncodeToString(point[:32]), base64.RawURLEncoding.EncodeToString(point[32:]))
	}
	require.Equal(t, jwk(session), w.values["public"])
	require.Equal(t, `{"alg":"ECDH-ES","enc":"A256GCM","epk":`+jwk(ephemeral)+`}`, w.values["header"])
	z, err := ephemeral.ECDH(session.PublicKey())
	require.NoError(t, err)
	require.Equal(t, upperHex(z), w.values["Z"])

	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	derived := sha256.Sum256(slices.Concat(number(1), z, number(7), []byte("A256GCM"), number(0), number(0), number(256)))
	require.Equal(t, upperHex(derived[:]), w.values["derived key"])
	text := fmt.Sprintf("%-64s", w.values["text"])
	require.Len(t, strings.TrimPrefix(text, w.values["text"]), 38, "as the introduction says")
	_, _, compact := w.sealed(t, derived[:], text)
	require.Equal(t, compact, w.values["JWE"])
	opened, err := jwe.Decrypt([]byte(compact), jwe.WithKey(jwa.ECDH_ES(), session))
	require.NoError(t, err)
	require.Equal(t, text, string(opened))
}

// block is a PIN block. The keys are those of the fixtures, and so an authorization host's call matches.
func (w worked) block(t *testing.T, format pinblock.Format, name string) {
	xor := func(a, b string) string {
		x := w.bytes(t, a)
		subtle.XORBytes(x, x, w.bytes(t, b))
		return upperHex(x)
	}
	key, field := w.bytes(t, "key"), w.bytes(t, "PIN field")
	var sealing *pinblock.Key
	var err error
	if format == pinblock.ISO0 {
		sealing, err = pinblock.NewTDES(key)
		require.NoError(t, err)
		require.Equal(t, xor("PIN field", "PAN field"), w.values["clear"])
		clearBlock, err := pinblock.Encode(format, []byte(w.values["PIN"]), w.values["PAN"], nil)
		require.NoError(t, err)
		require.Equal(t, upperHex(clearBlock), w.values["clear"])
	} else {
		sealing, err = pinblock.NewAES(key)
		require.NoError(t, err)
		plain, err := aes.NewCipher(key)
		require.NoError(t, err)
		sealed := make([]byte, len(field))
		plain.Encrypt(sealed, field)
		require.Equal(t, upperHex(sealed), w.values["sealed"])
		require.Equal(t, xor("sealed", "PAN field"), w.values["joined"])
	}
	block, err := sealing.Encrypt(format, []byte(w.values["PIN"]), w.values["PAN"], bytes.NewReader(field[len(field)/2:]))
	require.NoError(t, err)
	require.Equal(t, upperHex(block), w.values["block"])

	var fixtures struct{ Clients map[string]map[string]any }
	require.NoError(t, json.Unmarshal(w.h.Client.For(t).Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK).Body, &fixtures))
	var keyID any
	for _, client := range fixtures.Clients {
		for label, value := range client {
			if value == w.values["key"] {
				keyID = client[strings.TrimSuffix(label, "_hex")+"_id"]
			}
		}
	}
	reply := w.h.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin/verifications",
		contracttest.Bearer(w.h.Mint(t, "issuer-sandbox", time.Hour)),
		contracttest.JSON(map[string]any{"pinBlock": w.values["block"], "format": name, "keyId": keyID})).ExpectStatus(http.StatusOK)
	require.Equal(t, "match", reply.Text("/result"))
}

// Whoever has to encrypt is shown how, in each language; scripts/sdk/samples runs what is shown.
func TestEncryptedCallsHaveSamplesInEveryLanguage(t *testing.T) {
	t.Parallel()
	encrypted := 0
	for name, doc := range apptest.Documents(t) {
		for path, item := range doc.Paths.Map() {
			for method, operation := range item.Operations() {
				var samples []struct{ Lang, Label, Source string }
				written, shown := operation.Extensions["x-codeSamples"]
				raw, err := json.Marshal(written)
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(raw, &samples), "%s: %s %s", name, method, path)
				seals := false
				if operation.RequestBody != nil {
					for _, media := range operation.RequestBody.Value.Content {
						_, sealed := media.Extensions["x-decrypted-schema"]
						seals = seals || sealed || holdsPINBlock(media.Schema.Value)
					}
				}
				if passedOn[operation.OperationID] != "" {
					require.True(t, seals, "%s: %s %s: it passes nothing on", name, method, path)
					continue
				}
				if !seals {
					require.False(t, shown, "%s: %s %s: what does it encrypt?", name, method, path)
					continue
				}
				encrypted++
				var labels []string
				for _, s := range samples {
					labels = append(labels, s.Label+" in "+s.Lang)
					require.NotEmpty(t, s.Source, "%s: %s %s: %s", name, method, path, s.Label)
				}
				require.ElementsMatch(t, []string{"curl in Shell", "Go in Go", "TypeScript in TypeScript", "Python in Python", "Java in Java"}, labels, "%s: %s %s", name, method, path)
			}
		}
	}
	require.NotZero(t, encrypted, "documents that say what they encrypt")
}

// passedOn are operations that take PIN blocks which their callers do not make, or not of themselves.
var passedOn = map[string]string{
	"translatePinBlock":     "a host passes on what it was sent",
	"makeVerificationValue": "a PIN is in it at will, in the block of a verification",
}

var pinBlock = regexp.MustCompile(`^(pinBlock|encrypted_.*pin)$`)

// holdsPINBlock tells of a request in which a PIN is encrypted by itself.
func holdsPINBlock(schema *openapi3.Schema) bool {
	for name, property := range schema.Properties {
		if pinBlock.MatchString(name) || holdsPINBlock(property.Value) {
			return true
		}
	}
	return false
}
