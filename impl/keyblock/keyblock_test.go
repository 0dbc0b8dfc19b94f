package keyblock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyblock"
	"pinvault/impl/keymaterial"
)

const (
	tdes16 = "DD7515F2BFC17F85CE48F3CA25CB21F6"
	tdes24 = tdes16 + "0F1E2D3C4B5A6978"
	aes16  = "88E1AB2A2E3DD38C1FA039A536500CC8"
	aes24  = aes16 + "A87AB9D62DC92C01"
	aes32  = aes24 + "058FA79F44657DE6"
)

// kbpks are protection keys by the version that they write.
var kbpks = map[string][]string{"B": {tdes16, tdes24}, "D": {aes16, aes24, aes32}}

func TestWhatIsWrappedUnwraps(t *testing.T) {
	for version, all := range kbpks {
		for _, kbpk := range all {
			k := protection(t, version, kbpk)
			for algorithm, keys := range map[string][]string{"T": {tdes16, tdes24}, "A": {aes16, aes24, aes32}} {
				for _, key := range keys {
					h := header(version, "P0", algorithm, "B", "c1", "S", keyblock.Optional{ID: "LB", Data: "zone 7 ~"})
					h.Context = keyblock.ContextExchange
					block, err := k.Wrap(h, unhex(key), noise())
					if strength(algorithm, key) > strength(map[string]string{"B": "T", "D": "A"}[version], kbpk) {
						require.ErrorIs(t, err, keyblock.ErrStrength, "%s under %s", key, kbpk)
						require.Empty(t, block)
						continue
					}
					require.NoError(t, err)
					got, opened, err := k.Unwrap(block)
					require.NoError(t, err)
					require.Equal(t, h, got)
					require.Equal(t, key, upper(opened))
					require.Equal(t, strings.ToUpper(block[48:]), block[48:])
				}
			}
		}
	}
}

// strength is what NIST SP 800-57 says of the keys here.
func strength(algorithm, key string) int {
	if algorithm == "A" {
		return 4 * len(key)
	}
	return map[int]int{32: 80, 48: 112}[len(key)]
}

func TestAKeyOfThreePartsIsAsStrongAsItsParts(t *testing.T) {
	const k1, k2, k3 = "DD7515F2BFC17F85", "CE48F3CA25CB21F6", "0F1E2D3C4B5A6978"
	for _, v := range []struct {
		kbpk, key string
		want      error
	}{
		{k1 + k2 + k3, k1 + k3 + k2, nil},
		{k1 + k2 + k1, k1 + k2 + k3, keyblock.ErrStrength},
		{k1 + k2, k3 + k1 + k3, nil},
		{k1 + k1, k1 + k2, keyblock.ErrStrength},
		{k1 + k1, k2 + k2, nil},
	} {
		_, err := protection(t, "B", v.kbpk).Wrap(header("B", "P0", "T", "B", "00", "E"), unhex(v.key), noise())
		require.ErrorIs(t, err, v.want, "%s under %s", v.key, v.kbpk)
	}
}

func TestABlockHidesHowLongItsKeyIs(t *testing.T) {
	for _, v := range []struct {
		version, kbpk, algorithm string
		keys                     []string
		want                     int
	}{
		{"B", tdes24, "T", []string{tdes16, tdes24}, 16 + 2*(32+8)},
		{"D", aes32, "T", []string{tdes16, tdes24}, 16 + 2*(32+16)},
		{"D", aes32, "A", []string{aes16, aes24, aes32}, 16 + 2*(48+16)},
	} {
		for _, key := range v.keys {
			block, err := protection(t, v.version, v.kbpk).Wrap(header(v.version, "P0", v.algorithm, "B", "00", "E"), unhex(key), noise())
			require.NoError(t, err)
			require.Len(t, block, v.want)
			require.Equal(t, fmt.Sprintf("%s%04d", v.version, v.want), block[:5])
		}
	}
}

func TestPaddingIsRandomAndAllOfIt(t *testing.T) {
	for version, want := range map[string]int{"B": 32 - 2 - 16, "D": 48 - 2 - 16} {
		k, algorithm, key := protection(t, version, kbpks[version][0]), "T", tdes16
		if version == "D" {
			algorithm, key = "A", aes16
		}
		h := header(version, "P0", algorithm, "B", "00", "E")
		drawn := &counting{}
		first, err := k.Wrap(h, unhex(key), drawn)
		require.NoError(t, err)
		require.Equal(t, want, drawn.n)
		second, err := k.Wrap(h, unhex(key), drawn)
		require.NoError(t, err)
		require.NotEqual(t, first[16:], second[16:])

		for name, rand := range map[string]io.Reader{"none": nil, "too little": io.LimitReader(noise(), int64(want)-1)} {
			_, err = k.Wrap(h, unhex(key), rand)
			require.ErrorIs(t, err, keyblock.ErrRandom, name)
		}
		broken := errors.New("no entropy")
		_, err = k.Wrap(h, unhex(key), iotest.ErrReader(broken))
		require.ErrorIs(t, err, keyblock.ErrRandom)
		require.ErrorIs(t, err, broken)
	}
}

func TestTheCallersBytesStayAsTheyAre(t *testing.T) {
	kbpk, key := unhex(tdes24), unhex(tdes16)
	k, err := keyblock.NewTDES(kbpk)
	require.NoError(t, err)
	require.Equal(t, tdes24, upper(kbpk))
	block, err := k.Wrap(header("B", "P0", "T", "B", "00", "E"), key, noise())
	require.NoError(t, err)
	require.Equal(t, tdes16, upper(key))
	clear(kbpk)
	_, again, err := k.Unwrap(block)
	require.NoError(t, err, "the key outlives the bytes that it was made of")
	require.Equal(t, tdes16, upper(again))
}

// A character of a block cannot be another: each of those that could stand there is tried in each place.
func TestAChangedBlockNeverOpens(t *testing.T) {
	const others = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz ~"
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			k := protection(t, v.block[:1], v.kbpk)
			for i := range len(v.block) {
				for _, c := range others {
					if byte(c) == v.block[i] {
						continue
					}
					h, key, err := k.Unwrap(v.block[:i] + string(c) + v.block[i+1:])
					requireRefused(t, h, key, err)
				}
			}
		})
	}
}

func requireRefused(t *testing.T, h keyblock.Header, key []byte, err error) {
	t.Helper()
	if !slices.Contains([]error{keyblock.ErrHeader, keyblock.ErrVersion, keyblock.ErrAlgorithm, keyblock.ErrUnwrap}, err) {
		require.Fail(t, "refused for another reason", "%v", err)
	}
	require.Nil(t, key)
	require.Equal(t, keyblock.Header{}, h)
}

// What everybody sees of a block is refused for what it is; whatever needs the key has one reason.
func TestEveryWayOfNotOpeningIsTheSame(t *testing.T) {
	const block = "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34"
	k := protection(t, "D", aes32)
	resized := func(body string) string { return fmt.Sprintf("D%04d%s%s", 16+len(body), block[5:16], body) }
	for name, bad := range map[string]string{
		"another mode of use":           block[:8] + "B" + block[9:],
		"another usage":                 block[:5] + "K0" + block[7:],
		"another algorithm":             block[:7] + "T" + block[8:],
		"another exportability":         block[:11] + "N" + block[12:],
		"another key version":           block[:9] + "01" + block[11:],
		"another context":               block[:14] + "1" + block[15:],
		"an optional block more":        "D0128P0AE00E0100LB10AAAAAAAAAAAA" + block[16:],
		"first byte of the key":         block[:16] + "C" + block[17:],
		"last byte of the padding":      block[:79] + "3" + block[80:],
		"first byte of the MAC":         block[:80] + "0" + block[81:],
		"last byte of the MAC":          block[:111] + "5",
		"no hexadecimal in the key":     block[:20] + "G" + block[21:],
		"no hexadecimal in the MAC":     block[:100] + "-" + block[101:],
		"lower case in the key":         block[:16] + "b" + block[17:],
		"half a byte less":              resized(block[16:111]),
		"a byte less":                   resized(block[16:110]),
		"a cipher block less":           resized(block[16:80]),
		"a cipher block more":           resized(block[16:] + block[16:48]),
		"the MAC alone":                 resized(block[80:]),
		"less than a MAC":               resized(block[90:]),
		"nothing":                       resized(""),
		"cipher blocks the other way":   block[:16] + block[48:80] + block[16:48] + block[80:],
		"a block under another KBPK":    "D0144P0AE00E00002C77FA3F4A553BED6E88AE5C172A4166E3D4ACA8E2AC71C158A476FAC12C13C3829DE55D3AB54C48F4C4FEF7AC75E90FC47F1B77E7B19A73ED46E64410082558",
		"a character of another script": block[:16] + "é" + block[18:],
	} {
		h, key, err := k.Unwrap(bad)
		require.Equal(t, keyblock.ErrUnwrap, err, name)
		require.Nil(t, key, name)
		require.Equal(t, keyblock.Header{}, h, name)
	}
	_, _, err := protection(t, "D", aes16).Unwrap(block)
	require.Equal(t, keyblock.ErrUnwrap, err, "under another KBPK")
}

func TestWhatEverybodySeesIsRefusedBeforeTheKeyIsUsed(t *testing.T) {
	const body = "94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E"
	k := protection(t, "B", tdes16)
	for name, bad := range map[string]string{
		"nothing":                        "",
		"less than a header":             "B0080P0TE00E000",
		"no number of characters":        "B00A0P0TE00E0000" + body,
		"a sign before the number":       "B+080P0TE00E0000" + body,
		"a character too many":           "B0080P0TE00E0000" + body + "0",
		"a character too few":            "B0080P0TE00E0000" + body[1:],
		"an unknown version":             "E0080P0TE00E0000" + body,
		"a proprietary version":          "10080P0TE00E0000" + body,
		"a version in lower case":        "b0080P0TE00E0000" + body,
		"a usage in lower case":          "B0080p0TE00E0000" + body,
		"a usage with a blank":           "B0080P TE00E0000" + body,
		"an unknown algorithm":           "B0080P0XE00E0000" + body,
		"an unknown mode":                "B0080P0TA00E0000" + body,
		"a key version of other signs":   "B0080P0TE0-E0000" + body,
		"an unknown exportability":       "B0080P0TE00X0000" + body,
		"an unknown context":             "B0080P0TE00E0030" + body,
		"a letter as context":            "B0080P0TE00E00A0" + body,
		"something in the reserved byte": "B0080P0TE00E0001" + body,
		"a count that is no number":      "B0080P0TE00E0A00" + body,
		"a count of blocks not there":    "B0080P0TE00E0100" + body,
		"an optional block cut off":      "B0018P0TE00E0100LB",
		"an optional length cut off":     "B0019P0TE00E0100LB0",
		"an optional block too long":     "B0088P0TE00E0100LB60AAAA" + body,
		"an optional length of three":    "B0088P0TE00E0100LB03AAAA" + body,
		"an optional length of no hex":   "B0088P0TE00E0100LB0GAAAA" + body,
		"a long block cut off":           "B0022P0TE00E0100LB0004",
		"a long length of one digit":     "B0096P0TE00E0100LB00010010AAAAAA" + body,
		"a long length of three digits":  "B0096P0TE00E0100LB00030010AAAAAA" + body,
		"a long length below its head":   "B0096P0TE00E0100LB00040009AAAAAA" + body,
		"a long length of no hex":        "B0096P0TE00E0100LB000400G0AAAAAA" + body,
		"an ID in lower case":            "B0088P0TE00E0100lb08AAAA" + body,
		"an ID with a blank":             "B0088P0TE00E0100L 08AAAA" + body,
		"data that is not printable":     "B0088P0TE00E0100LB08AA\x1FA" + body,
		"data that is no ASCII":          "B0088P0TE00E0100LB08AA\x7FA" + body,
		"data in UTF-8":                  "B0088P0TE00E0100LB08AAé" + body,
		"data in Latin-1":                "B0088P0TE00E0100LB08AAA\xE9" + body,
		"a header of no whole blocks":    "B0086P0TE00E0100LB06AA" + body,
		"a pad that is not the last":     "B0096P0TE00E0200PB08AAAALB08AAAA" + body,
	} {
		_, _, err := k.Unwrap(bad)
		require.Equal(t, keyblock.ErrHeader, err, name)
		h, err := keyblock.Parse(bad)
		require.Equal(t, keyblock.ErrHeader, err, name)
		require.Equal(t, keyblock.Header{}, h, name)
	}
	for name, v := range map[string]struct {
		block string
		want  error
	}{
		"a block for the other kind of KBPK":        {"D0112P0AE00E0000" + body + body[:32], keyblock.ErrVersion},
		"single DES":                                {"B0080P0DE00E0000" + body, keyblock.ErrAlgorithm},
		"HMAC":                                      {"B0080M7HC00E0000" + body, keyblock.ErrAlgorithm},
		"a proprietary algorithm":                   {"B0080P01E00E0000" + body, keyblock.ErrAlgorithm},
		"an RSA key":                                {"B0080S0RS00E0000" + body, keyblock.ErrAlgorithm},
		"proprietary values that others give":       {"B008010110010000" + body, keyblock.ErrAlgorithm},
		"a long block, two digits counted in pairs": {"B0096P0TE00E0100LB00020010AAAAAA" + body, keyblock.ErrUnwrap},
	} {
		_, _, err := k.Unwrap(v.block)
		require.Equal(t, v.want, err, name)
	}
	_, _, err := protection(t, "D", aes32).Unwrap("B0080P0TE00E0000" + body)
	require.Equal(t, keyblock.ErrVersion, err)
}

func TestWhatIsNotWritten(t *testing.T) {
	good := header("D", "P0", "A", "B", "00", "E")
	k := protection(t, "D", aes32)
	for name, v := range map[string]struct {
		change func(*keyblock.Header)
		key    string
		want   error
	}{
		"nothing wrong":               {func(*keyblock.Header) {}, aes16, nil},
		"any mode of the usage":       {func(h *keyblock.Header) { h.Mode = "N" }, aes16, nil},
		"a version for TDES":          {func(h *keyblock.Header) { h.Version = "B" }, aes16, keyblock.ErrVersion},
		"no version":                  {func(h *keyblock.Header) { h.Version = "" }, aes16, keyblock.ErrVersion},
		"an unknown version":          {func(h *keyblock.Header) { h.Version = "E" }, aes16, keyblock.ErrVersion},
		"no usage":                    {func(h *keyblock.Header) { h.Usage = "" }, aes16, keyblock.ErrHeader},
		"a long usage":                {func(h *keyblock.Header) { h.Usage = "P00" }, aes16, keyblock.ErrHeader},
		"no mode":                     {func(h *keyblock.Header) { h.Mode = "" }, aes16, keyblock.ErrHeader},
		"no key version":              {func(h *keyblock.Header) { h.KeyVersion = "" }, aes16, keyblock.ErrHeader},
		"no exportability":            {func(h *keyblock.Header) { h.Exportability = "" }, aes16, keyblock.ErrHeader},
		"no context":                  {func(h *keyblock.Header) { h.Context = "" }, aes16, keyblock.ErrHeader},
		"an optional pad":             {func(h *keyblock.Header) { h.Blocks = []keyblock.Optional{{ID: "PB"}} }, aes16, keyblock.ErrHeader},
		"an ID of one character":      {func(h *keyblock.Header) { h.Blocks = []keyblock.Optional{{ID: "L"}} }, aes16, keyblock.ErrHeader},
		"an ID in lower case":         {func(h *keyblock.Header) { h.Blocks = []keyblock.Optional{{ID: "lb"}} }, aes16, keyblock.ErrHeader},
		"a newline in a block":        {func(h *keyblock.Header) { h.Blocks = []keyblock.Optional{{ID: "LB", Data: "a\n"}} }, aes16, keyblock.ErrHeader},
		"a letter after ASCII":        {func(h *keyblock.Header) { h.Blocks = []keyblock.Optional{{ID: "LB", Data: "é"}} }, aes16, keyblock.ErrHeader},
		"no algorithm":                {func(h *keyblock.Header) { h.Algorithm = "" }, aes16, keyblock.ErrHeader},
		"HMAC":                        {func(h *keyblock.Header) { h.Algorithm, h.Usage, h.Mode = "H", "M7", "C" }, aes16, keyblock.ErrAlgorithm},
		"a mode of another usage":     {func(h *keyblock.Header) { h.Mode = "V" }, aes16, keyblock.ErrUsage},
		"a usage of asymmetric keys":  {func(h *keyblock.Header) { h.Usage, h.Mode = "S0", "N" }, aes16, keyblock.ErrUsage},
		"a proprietary usage":         {func(h *keyblock.Header) { h.Usage, h.Mode = "10", "N" }, aes16, keyblock.ErrUsage},
		"an initialization vector":    {func(h *keyblock.Header) { h.Usage, h.Mode = "I0", "N" }, aes16, nil},
		"a usage that has one mode":   {func(h *keyblock.Header) { h.Usage, h.Mode = "I0", "B" }, aes16, keyblock.ErrUsage},
		"a key of no length":          {func(*keyblock.Header) {}, "", keymaterial.ErrLength},
		"a TDES key of 32 bytes":      {func(h *keyblock.Header) { h.Algorithm = "T" }, aes32, keymaterial.ErrLength},
		"a key of a byte too many":    {func(*keyblock.Header) {}, aes16 + "00", keymaterial.ErrLength},
		"a TDES key under an AES key": {func(h *keyblock.Header) { h.Algorithm = "T" }, tdes24, nil},
	} {
		h := good
		v.change(&h)
		block, err := k.Wrap(h, unhex(v.key), noise())
		require.ErrorIs(t, err, v.want, name)
		require.Equal(t, v.want != nil, block == "", name)
	}
	for _, version := range []string{"A", "C", "D"} {
		_, err := protection(t, "B", tdes24).Wrap(header(version, "P0", "T", "B", "00", "E"), unhex(tdes16), noise())
		require.Equal(t, keyblock.ErrVersion, err)
	}
	_, err := protection(t, "B", tdes24).Wrap(header("B", "P0", "A", "B", "00", "E"), unhex(aes16), noise())
	require.Equal(t, keyblock.ErrStrength, err, "no TDES key is as strong as an AES key")
}

func TestUsagesAndTheirModes(t *testing.T) {
	for mode, usages := range map[string]string{
		"B": "D0 D2 D3 K0 K1 K4 P0",
		"D": "D0 D2 D3 K0 K1 K4 P0",
		"E": "D0 D2 D3 K0 K1 K4 P0",
		"C": "C0 M0 M1 M2 M3 M4 M5 M6 M8 V0 V1 V2 V3 V4 V5",
		"G": "C0 M0 M1 M2 M3 M4 M5 M6 M8 V0 V1 V2 V3 V4 V5",
		"V": "C0 M0 M1 M2 M3 M4 M5 M6 M8 V0 V1 V2 V3 V4 V5",
		"X": "B0 B1 B2 B3 E0 E1 E2 E3 E4 E5 E6",
		"N": "B0 B1 B2 B3 C0 D0 D2 D3 E0 E1 E2 E3 E4 E5 E6 I0 K0 K1 K4 M0 M1 M2 M3 M4 M5 M6 M8 P0 V0 V1 V2 V3 V4 V5",
		"S": "", "T": "", "Y": "", "0": "",
	} {
		var taken []string
		for first := 'A'; first <= 'Z'; first++ {
			for second := '0'; second <= '9'; second++ {
				usage := string(first) + string(second)
				_, err := protection(t, "D", aes16).Wrap(header("D", usage, "A", mode, "00", "E"), unhex(aes16), noise())
				if err == nil {
					taken = append(taken, usage)
					continue
				}
				require.Equal(t, keyblock.ErrUsage, err)
			}
		}
		require.Equal(t, usages, strings.Join(taken, " "), mode)
	}
}

func TestOptionalBlocksComeBackAsTheyWent(t *testing.T) {
	for version, size := range map[string]int{"B": 8, "D": 16} {
		k, key, algorithm := protection(t, version, kbpks[version][0]), tdes16, "T"
		for n := range 600 {
			if n > 40 && (n < 240 || n > 270) && n != 599 {
				continue
			}
			h := header(version, "K1", algorithm, "B", "00", "E",
				keyblock.Optional{ID: "LB", Data: strings.Repeat("x", n)}, keyblock.Optional{ID: "KP", Data: "~ !"})
			block, err := k.Wrap(h, unhex(key), noise())
			require.NoError(t, err)
			head := fmt.Sprintf("LB%02X", n+4)
			if n > 251 {
				head = fmt.Sprintf("LB0004%04X", n+10)
			}
			require.True(t, strings.HasPrefix(block[16:], head), block[:40])
			sizeOfHeader := len(block) - 2*(32+map[string]int{"B": 8, "D": 16}[version])
			require.Zero(t, sizeOfHeader%size)
			plain := 16 + len(head) + n + len("KP07~ !")
			if plain%size == 0 {
				require.Equal(t, "02", block[12:14])
				require.Equal(t, plain, sizeOfHeader)
			} else {
				require.Equal(t, "03", block[12:14])
				pad := sizeOfHeader - plain
				require.Equal(t, fmt.Sprintf("PB%02X%s", pad, strings.Repeat("0", pad-4)), block[plain:sizeOfHeader])
				require.Less(t, pad, size+4, "no longer than it must be")
			}
			got, _, err := k.Unwrap(block)
			require.NoError(t, err)
			require.Equal(t, h, got)
		}
	}
}

func TestHowMuchAHeaderHolds(t *testing.T) {
	k := protection(t, "B", tdes16)
	wrap := func(blocks ...keyblock.Optional) (string, error) {
		return k.Wrap(header("B", "K1", "T", "B", "00", "E", blocks...), unhex(tdes16), noise())
	}
	fits := 9992 - 16 - 2*(32+8) - 10 // the longest block that is a multiple of eight
	block, err := wrap(keyblock.Optional{ID: "LB", Data: strings.Repeat("x", fits)})
	require.NoError(t, err)
	require.Len(t, block, 9992)
	_, _, err = k.Unwrap(block)
	require.NoError(t, err)
	_, err = wrap(keyblock.Optional{ID: "LB", Data: strings.Repeat("x", fits+1)})
	require.Equal(t, keyblock.ErrHeader, err)

	eight := slices.Repeat([]keyblock.Optional{{ID: "LB", Data: "1234"}}, 99)
	block, err = wrap(eight...)
	require.NoError(t, err)
	require.Equal(t, "99", block[12:14])
	h, _, err := k.Unwrap(block)
	require.NoError(t, err)
	require.Equal(t, eight, h.Blocks)
	_, err = wrap(append(eight, eight[0])...)
	require.Equal(t, keyblock.ErrHeader, err)
	eight[0].Data = "123"
	_, err = wrap(eight...)
	require.Equal(t, keyblock.ErrHeader, err, "and a pad, which makes a hundred")
}

// A header may be read before the rest of the block is there.
func TestAHeaderStandsByItself(t *testing.T) {
	for block, want := range map[string][]keyblock.Optional{
		"B0016P0TE00E0000":                         nil,
		"B0024P0TE00E0200LB04PB04":                 {{ID: "LB"}},
		"B0024P0TE00E0100LB08~ ~ ":                 {{ID: "LB", Data: "~ ~ "}},
		"D0032P0TE00E0100LB0004001012 456":         {{ID: "LB", Data: "12 456"}},
		"D0032P0TE00E0300LB04LB04PB08AAAA":         {{ID: "LB"}, {ID: "LB"}},
		"B0032P0TE00E0200LB0002000aPB06~~":         {{ID: "LB"}},
		"B0032P0TE00E0300CT04KP08xyz1LB04":         {{ID: "CT"}, {ID: "KP", Data: "xyz1"}, {ID: "LB"}},
		"D0032P0TE00E0200LB0CLB04LB04PB04":         {{ID: "LB", Data: "LB04LB04"}},
		"B0024P0TE00E0100PB080000":                 nil,
		"B0040P0TE00E0200KS1000604B12FFFFLB080001": {{ID: "KS", Data: "00604B12FFFF"}, {ID: "LB", Data: "0001"}},
	} {
		h, err := keyblock.Parse(block)
		require.NoError(t, err, block)
		require.Equal(t, want, h.Blocks, block)
	}
}

func TestComponents(t *testing.T) {
	for version, want := range map[string]bool{"00": false, "01": false, "C1": false, "c1": true, "cA": true, "1c": false} {
		require.Equal(t, want, header("D", "P0", "A", "B", version, "E").Component(), version)
	}
}

func TestProtectionKeysHaveTheLengthsOfTheirCipher(t *testing.T) {
	for n := range 41 {
		for name, v := range map[string]struct {
			of    func([]byte) (*keyblock.Key, error)
			taken []int
		}{"TDES": {keyblock.NewTDES, []int{16, 24}}, "AES": {keyblock.NewAES, []int{16, 24, 32}}} {
			k, err := v.of(make([]byte, n))
			if slices.Contains(v.taken, n) {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, keymaterial.ErrLength, "%s of %d", name, n)
			require.Nil(t, k)
		}
	}
}

func TestTheZeroKeyDoesNothing(t *testing.T) {
	var k keyblock.Key
	for _, version := range []string{"", "A", "B", "D"} {
		_, err := k.Wrap(header(version, "P0", "T", "B", "00", "E"), unhex(tdes16), noise())
		require.Equal(t, keyblock.ErrVersion, err)
	}
	_, _, err := k.Unwrap(vectors[1].block)
	require.Equal(t, keyblock.ErrVersion, err)
}

func TestAKeyPrintsStarsOnly(t *testing.T) {
	for version, all := range kbpks {
		k := protection(t, version, all[0])
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			require.Equal(t, "****", fmt.Sprintf(verb, k))
			require.Equal(t, "****", fmt.Sprintf(verb, *k))
			require.NotContains(t, strings.ToUpper(fmt.Sprintf(verb, struct{ k keyblock.Key }{*k})), all[0][:8])
		}
		text, err := json.Marshal(k)
		require.NoError(t, err)
		require.Equal(t, `"****"`, string(text))
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", k)
		require.Contains(t, log.String(), "key=****")
	}
}

func TestNoErrorTextHoldsPartOfABlock(t *testing.T) {
	for _, err := range []error{
		keyblock.ErrHeader, keyblock.ErrVersion, keyblock.ErrAlgorithm, keyblock.ErrUsage, keyblock.ErrStrength,
		keyblock.ErrRandom, keyblock.ErrUnwrap,
	} {
		require.Regexp(t, `^keyblock: [a-zA-Z, ]+$`, err.Error())
	}
}

// counting gives bytes that count, and tells how many.
type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = byte(c.n)
	}
	return len(p), nil
}

func noise() io.Reader { return &counting{} }
