// Package psec holds what impl computes of keys and PINs against psec, which knows the same standards and nothing of us. Of
// each kind there are as many random cases as PINVAULT_TEST_CASES says, in both directions: what one makes the other opens.
// The tests need the Python that has psec, PINVAULT_TEST_PSEC, and are skipped without: scripts/psec/run gives it.
package psec

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyblock"
	"pinvault/impl/keymaterial"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
)

func TestPsecAndKeyBlocksOfVersionB(t *testing.T) { keyBlocks(t, keymaterial.TDES) }

func TestPsecAndKeyBlocksOfVersionD(t *testing.T) { keyBlocks(t, keymaterial.AES) }

// keyBlocks wraps and unwraps under KBPKs of a cipher.
func keyBlocks(t *testing.T, under keymaterial.Cipher) {
	p := newPsec(t)
	for range p.cases {
		kbpk := p.key(under)
		k := protection(t, under, kbpk)
		h, key := p.header(under, kbpk)
		ours, err := k.Wrap(h, key, p.noise)
		require.NoError(t, err)
		require.Equal(t, described(h, key), p.ask(question{Ask: "unwrap", KBPK: kbpk, Block: ours}).keyBlock, "what psec reads in ours")

		if p.IntN(4) == 0 { // psec takes the count before a long block for one of bytes and not of digits, so only its own are tried
			h.Blocks = append(h.Blocks, keyblock.Optional{ID: "ZZ", Data: p.text(printable, 252+p.IntN(400))})
		}
		theirs := p.ask(question{Ask: "wrap", KBPK: kbpk, keyBlock: described(h, key)}).Block
		got, opened, err := k.Unwrap(theirs)
		require.NoError(t, err)
		require.Equal(t, described(h, key), described(got, opened), "what we read in psec's")
		if len(h.Blocks) == 0 { // psec may pad optional blocks by a cipher block more
			require.Len(t, theirs, len(ours), "the length of the key is hidden alike")
		}

		at := p.IntN(len(ours))
		if changed := ours[:at] + p.text("0123456789ABCDEF", 1) + ours[at+1:]; changed != ours {
			_, _, err = k.Unwrap(changed)
			require.Error(t, err, "character %d", at)
			require.NotEmpty(t, p.ask(question{Ask: "unwrap", KBPK: kbpk, Block: changed}).Error, "character %d", at)
		}
	}
}

func TestPsecAndPINBlocks(t *testing.T) {
	p := newPsec(t)
	for _, format := range []pinblock.Format{pinblock.ISO0, pinblock.ISO3, pinblock.ISO4} {
		for range p.cases {
			zone, key := p.zone(t, format)
			pin, pan := p.pin(), p.pan()
			ours, err := zone.Key.Encrypt(format, []byte(pin), pan, p.noise)
			require.NoError(t, err)
			require.Equal(t, pin, p.opened(zone, key, ours, pan))
			got, err := zone.Key.Decrypt(format, p.packed(zone, key, pin, pan), pan)
			require.NoError(t, err)
			require.Equal(t, pin, string(got))
		}
	}
}

// A block of psec's is translated here and opened by psec; one of ours is opened by psec, packed for the other zone, and
// opened here.
func TestPsecAndTranslations(t *testing.T) {
	p := newPsec(t)
	formats := []pinblock.Format{pinblock.ISO0, pinblock.ISO3, pinblock.ISO4}
	for range p.cases {
		from, fromKey := p.zone(t, formats[p.IntN(len(formats))])
		to, toKey := p.zone(t, formats[p.IntN(len(formats))])
		pin, pan := p.pin(), p.pan()
		translated, err := pinblock.Translate(from, to, p.packed(from, fromKey, pin, pan), pan, p.noise)
		require.NoError(t, err, "%s to %s", from.Format, to.Format)
		require.Equal(t, pin, p.opened(to, toKey, translated, pan), "%s to %s", from.Format, to.Format)

		ours, err := from.Key.Encrypt(from.Format, []byte(pin), pan, p.noise)
		require.NoError(t, err)
		got, err := to.Key.Decrypt(to.Format, p.packed(to, toKey, p.opened(from, fromKey, ours, pan), pan), pan)
		require.NoError(t, err)
		require.Equal(t, pin, string(got))
	}
}

func TestPsecAndPVVs(t *testing.T) {
	p := newPsec(t)
	for range p.cases {
		k, key := p.pvk(t)
		pin, pan, index := p.pin(), p.digits(12+p.IntN(8)), p.IntN(10)
		theirs := p.ask(question{Ask: "pvv", Key: key, PIN: pin, PAN: pan, Index: index}).PVV
		ours, err := k.PVV(pan, index, []byte(pin))
		require.NoError(t, err)
		require.Equal(t, theirs, ours)
		ok, err := k.VerifyPVV(pan, index, []byte(pin), theirs)
		require.NoError(t, err)
		require.True(t, ok)
	}
}

func TestPsecAndOffsets(t *testing.T) {
	p := newPsec(t)
	for range p.cases {
		k, key := p.pvk(t)
		pin, pan := p.pin(), p.digits(12+p.IntN(8))
		m := pinverification.IBM3624{Table: p.table(), Digits: min(4+p.IntN(13), len(pan)), Pad: p.text("0123456789ABCDEF", 1)[0]}
		m.Start = p.IntN(len(pan) - m.Digits + 1)
		theirs := p.ask(question{Ask: "ibm3624", Key: key, PIN: pin, PAN: pan, Table: m.Table, Start: m.Start, Digits: m.Digits, Pad: string(rune(m.Pad))})
		natural, err := k.NaturalPIN(m, pan, len(pin))
		require.NoError(t, err)
		require.Equal(t, theirs.Natural, string(natural))
		offset, err := k.Offset(m, pan, []byte(pin))
		require.NoError(t, err)
		require.Equal(t, theirs.Offset, offset)
		ok, err := k.VerifyOffset(m, pan, []byte(pin), theirs.Offset)
		require.NoError(t, err)
		require.True(t, ok)
		got, err := k.PIN(m, pan, theirs.Offset)
		require.NoError(t, err)
		require.Equal(t, pin, string(got))
	}
}

func TestPsecAndCheckValues(t *testing.T) {
	p := newPsec(t)
	for range p.cases {
		key := p.key(keymaterial.TDES)
		block, err := keymaterial.TDES.New(key)
		require.NoError(t, err)
		require.Equal(t, p.ask(question{Ask: "check_value", Key: key}).CheckValue, hexBytes(unhex(keymaterial.CheckValue(block))))
	}
}

// hexBytes are hexadecimal in JSON.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// keyBlock is a header and a key.
type keyBlock struct {
	Version       keyblock.Version       `json:"version,omitempty"`
	Usage         keyblock.Usage         `json:"usage,omitempty"`
	Algorithm     keyblock.Algorithm     `json:"algorithm,omitempty"`
	Mode          keyblock.Mode          `json:"mode,omitempty"`
	KeyVersion    keyblock.KeyVersion    `json:"keyVersion,omitempty"`
	Exportability keyblock.Exportability `json:"exportability,omitempty"`
	Blocks        [][2]string            `json:"blocks,omitempty"`
	Wrapped       hexBytes               `json:"wrapped,omitempty"`
}

func described(h keyblock.Header, key []byte) keyBlock {
	blocks := [][2]string{}
	for _, o := range h.Blocks {
		blocks = append(blocks, [2]string{o.ID, o.Data})
	}
	return keyBlock{h.Version, h.Usage, h.Algorithm, h.Mode, h.KeyVersion, h.Exportability, blocks, key}
}

// question is one of answer.py's, and answer what it says.
type (
	question struct {
		Ask string `json:"ask"`
		keyBlock
		KBPK   hexBytes `json:"kbpk,omitempty"`
		Block  string   `json:"block,omitempty"`
		Key    hexBytes `json:"key,omitempty"`
		Format string   `json:"format,omitempty"`
		PIN    string   `json:"pin,omitempty"`
		PAN    string   `json:"pan,omitempty"`
		Index  int      `json:"index"`
		Table  string   `json:"table,omitempty"`
		Start  int      `json:"start"`
		Digits int      `json:"digits"`
		Pad    string   `json:"pad,omitempty"`
	}
	answer struct {
		keyBlock
		Error      string   `json:"error"`
		Block      string   `json:"block"`
		PIN        string   `json:"pin"`
		PVV        string   `json:"pvv"`
		Natural    string   `json:"natural"`
		Offset     string   `json:"offset"`
		CheckValue hexBytes `json:"checkValue"`
	}
)

// psec is a running answer.py, and the source of the cases.
type psec struct {
	*rand.Rand
	t       *testing.T
	noise   io.Reader
	cases   int
	in      *json.Encoder
	answers *bufio.Reader
}

func newPsec(t *testing.T) *psec {
	t.Helper()
	python := os.Getenv("PINVAULT_TEST_PSEC")
	if python == "" {
		t.Skip("PINVAULT_TEST_PSEC is not set: scripts/psec/run sets it")
	}
	cases, err := strconv.Atoi(os.Getenv("PINVAULT_TEST_CASES"))
	require.NoError(t, err)
	seed := rand.Uint64()
	if text := os.Getenv("PINVAULT_TEST_SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%d cases of each kind, SEED=%d", cases, seed)

	program := exec.CommandContext(t.Context(), python, "-B", "answer.py")
	program.Stderr = os.Stderr
	in, err := program.StdinPipe()
	require.NoError(t, err)
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = program.Wait()
	})
	source := rand.NewChaCha8([32]byte([]byte(strings.Repeat(strconv.FormatUint(seed, 10), 32))[:32]))
	return &psec{rand.New(source), t, source, cases, json.NewEncoder(in), bufio.NewReader(out)}
}

func (p *psec) ask(q question) (a answer) {
	p.t.Helper()
	require.NoError(p.t, p.in.Encode(q))
	line, err := p.answers.ReadBytes('\n')
	require.NoError(p.t, err, "psec has no answer to %+v", q)
	require.NoError(p.t, json.Unmarshal(line, &a))
	return a
}

// opened is the PIN that psec finds in a block.
func (p *psec) opened(zone pinblock.Zone, key, block []byte, pan string) string {
	p.t.Helper()
	a := p.ask(question{Ask: "open_block", Format: zone.Format.String(), Key: key, Block: hex.EncodeToString(block), PAN: pan})
	require.Empty(p.t, a.Error)
	return a.PIN
}

// packed is the block that psec makes of a PIN.
func (p *psec) packed(zone pinblock.Zone, key []byte, pin, pan string) []byte {
	p.t.Helper()
	a := p.ask(question{Ask: "pack", Format: zone.Format.String(), Key: key, PIN: pin, PAN: pan})
	require.Empty(p.t, a.Error)
	return unhex(a.Block)
}

// printable are the characters that an optional block may have, except for those that JSON would have to escape.
const printable = ` !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~`

const capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (p *psec) text(of string, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = of[p.IntN(len(of))]
	}
	return string(out)
}

func (p *psec) digits(n int) string { return p.text("0123456789", n) }

func (p *psec) pin() string { return p.digits(4 + p.IntN(9)) }

// pan is one that each format binds: psec asks for 13 digits in formats 0 and 3.
func (p *psec) pan() string { return p.digits(13 + p.IntN(7)) }

// table is a decimalization table that is taken: every digit, and none more than four times.
func (p *psec) table() string {
	for {
		digits := []byte("0123456789" + p.digits(6))
		p.Shuffle(len(digits), func(i, j int) { digits[i], digits[j] = digits[j], digits[i] })
		if !slices.ContainsFunc(digits, func(d byte) bool { return bytes.Count(digits, []byte{d}) > 4 }) {
			return string(digits)
		}
	}
}

// key is a sound key of a cipher.
func (p *psec) key(c keymaterial.Cipher) []byte {
	for {
		size := map[keymaterial.Cipher][]int{keymaterial.TDES: {16, 24}, keymaterial.AES: {16, 24, 32}}[c]
		key := make([]byte, size[p.IntN(len(size))])
		_, err := io.ReadFull(p.noise, key)
		require.NoError(p.t, err)
		if c.Check(key) == nil {
			return key
		}
	}
}

func (p *psec) zone(t *testing.T, format pinblock.Format) (pinblock.Zone, []byte) {
	t.Helper()
	of, c := pinblock.NewTDES, keymaterial.TDES
	if format == pinblock.ISO4 {
		of, c = pinblock.NewAES, keymaterial.AES
	}
	key := p.key(c)
	k, err := of(key)
	require.NoError(t, err)
	return pinblock.Zone{Key: k, Format: format}, key
}

func (p *psec) pvk(t *testing.T) (*pinverification.Key, []byte) {
	t.Helper()
	key := p.key(keymaterial.TDES)
	k, err := pinverification.NewKey(key)
	require.NoError(t, err)
	return k, key
}

func protection(t *testing.T, under keymaterial.Cipher, kbpk []byte) *keyblock.Key {
	t.Helper()
	of := keyblock.NewTDES
	if under == keymaterial.AES {
		of = keyblock.NewAES
	}
	k, err := of(kbpk)
	require.NoError(t, err)
	return k
}

// header is a header, and a key that the KBPK may protect.
func (p *psec) header(under keymaterial.Cipher, kbpk []byte) (keyblock.Header, []byte) {
	h := keyblock.Header{
		Version: keyblock.VersionB, Algorithm: keyblock.AlgorithmTDES,
		KeyVersion:    keyblock.KeyVersion(p.text("0123456789"+capitals+"c", 2)),
		Exportability: keyblock.Exportability(p.text("ENS", 1)), Context: keyblock.ContextAny,
	}
	usages := []struct {
		usage keyblock.Usage
		modes string
	}{{"P0", "BDEN"}, {"K1", "BDEN"}, {"V1", "CGVN"}, {"B0", "XN"}, {"M6", "CGVN"}}
	drawn := usages[p.IntN(len(usages))]
	h.Usage, h.Mode = drawn.usage, keyblock.Mode(p.text(drawn.modes, 1))
	for i := range p.IntN(4) {
		h.Blocks = append(h.Blocks, keyblock.Optional{ID: string(capitals[i]) + p.text("0123456789"+capitals, 1), Data: p.text(printable, p.IntN(60))})
	}
	of := keymaterial.TDES
	if under == keymaterial.AES {
		h.Version = keyblock.VersionD
		if p.IntN(2) == 0 {
			of, h.Algorithm = keymaterial.AES, keyblock.AlgorithmAES
		}
	}
	for {
		if key := p.key(of); of.Strength(key) <= under.Strength(kbpk) {
			return h, key
		}
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
