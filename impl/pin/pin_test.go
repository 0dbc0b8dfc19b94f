package pin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

func TestPINTakesFourToTwelveDigits(t *testing.T) {
	t.Parallel()
	for digits, good := range map[string]bool{
		"": false, "123": false, "1234": true, "123456789012": true, "1234567890123": false,
		"12a4": false, "12 4": false, "-123": false, "١٢٣٤": false, "1234\x00": false,
	} {
		p, err := pin.New([]byte(digits))
		if !good {
			require.Equal(t, pin.InvalidPIN, pin.CodeOf(err), "%q", digits)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, digits, string(p.Digits()))
	}
}

// timeless logs no time, whose digits may be anything.
var timeless = &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}}

func TestPINPrintsNothing(t *testing.T) {
	t.Parallel()
	p, err := pin.New([]byte("918273645546"))
	require.NoError(t, err)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		_, _ = fmt.Fprintf(&out, verb+" ", p)
		_, _ = fmt.Fprintf(&out, verb+" ", &p)
		_, _ = fmt.Fprintf(&out, verb+" ", struct{ P pin.PIN }{p})
		_, _ = fmt.Fprintf(&out, verb+" ", []pin.PIN{p})
	}
	require.NoError(t, json.NewEncoder(&out).Encode(map[string]any{"pin": p, "list": []pin.PIN{p}}))
	slog.New(slog.NewJSONHandler(&out, timeless)).Info("x", "pin", p, "in", struct{ P pin.PIN }{p})
	slog.New(slog.NewTextHandler(&out, timeless)).Info("x", "pin", p)
	_, _ = fmt.Fprint(&out, errors.Join(fmt.Errorf("about %v", p)), p.String(), p.GoString())
	text, err := p.MarshalText()
	require.NoError(t, err)
	out.Write(text)
	require.NotContains(t, out.String(), "9182")
	require.NotContains(t, out.String(), "39313832", "hexadecimal")
	require.NotContains(t, out.String(), "OTE4M", "base64")
	require.NotContains(t, out.String(), "57 49", "bytes in decimal")
}

func TestClearForgetsTheDigitsOfAllCopies(t *testing.T) {
	t.Parallel()
	source := []byte("4826")
	p, err := pin.New(source)
	require.NoError(t, err)
	other := p
	p.Clear()
	require.Equal(t, []byte{0, 0, 0, 0}, other.Digits())
	require.Equal(t, "4826", string(source), "a PIN holds digits of its own")
}

func TestEqualComparesDigitsAndLength(t *testing.T) {
	t.Parallel()
	of := func(s string) pin.PIN { p, err := pin.New([]byte(s)); require.NoError(t, err); return p }
	require.True(t, of("4826").Equal(of("4826")))
	require.False(t, of("4826").Equal(of("4827")))
	require.False(t, of("4826").Equal(of("48260")))
	require.False(t, pin.PIN{}.Equal(of("4826")))
}

func TestRandomDigitsAreUnbiased(t *testing.T) {
	t.Parallel()
	p, err := pin.Random(bytes.NewReader(append(bytes.Repeat([]byte{250, 255}, 16), make([]byte, 32)...)), 12)
	require.NoError(t, err)
	require.Equal(t, "000000000000", string(p.Digits()), "250 and above would make 0 to 5 likelier")
	source := rand.NewChaCha8([32]byte{1})
	count := map[byte]int{}
	for range 10_000 {
		p, err := pin.Random(source, 12)
		require.NoError(t, err)
		for _, d := range p.Digits() {
			count[d]++
		}
	}
	require.Len(t, count, 10)
	for d, n := range count {
		require.InDelta(t, 12_000, n, 520, "digit %c: five standard deviations", d)
	}
	_, err = pin.Random(strings.NewReader(""), 4)
	require.Equal(t, pin.Internal, pin.CodeOf(err), "no randomness, no PIN")
	for n, want := range map[int]pin.Code{-1: pin.InvalidPIN, 3: pin.InvalidPIN, 4: "", 12: "", 13: pin.InvalidPIN} {
		p, err := pin.Random(nil, n)
		require.Equal(t, want, pin.CodeOf(err))
		require.Equal(t, err == nil, p.Len() == n)
	}
	exactly := func(b ...byte) string {
		p, err := pin.Random(bytes.NewReader(append(b, make([]byte, 32-len(b))...)), 4)
		require.NoError(t, err)
		return string(p.Digits())
	}
	require.Equal(t, "9012", exactly(249, 250, 0, 255, 11, 22), "249 is the last that counts")
}

func TestMaskPANKeepsSixAndFour(t *testing.T) {
	t.Parallel()
	for pan, masked := range map[string]string{
		"": "", "9999990000000014": "999999******0014", "999999000014": "999999**0014", "9999990000000000014": "999999*********0014",
		"12345678901": "*******8901", "123": "123",
	} {
		require.Equal(t, masked, pin.MaskPAN(pan))
	}
	rapid.Check(t, func(t *rapid.T) {
		pan := rapid.StringMatching(`[0-9]{12,19}`).Draw(t, "pan")
		masked := pin.MaskPAN(pan)
		require.Len(t, masked, len(pan))
		require.LessOrEqual(t, len(pan)-strings.Count(masked, "*"), 10)
	})
}

func TestErrorsTellTheirCodeThroughWrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", &pin.Error{Code: pin.Duplicate, Field: "urn", Err: errors.New("cause")})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, "urn", pin.FieldOf(err))
	require.ErrorIs(t, err, &pin.Error{Code: pin.Duplicate})
	require.NotErrorIs(t, err, &pin.Error{Code: pin.NotFound})
	require.Equal(t, "outer: duplicate (urn): cause", err.Error())
	require.Equal(t, pin.Internal, pin.CodeOf(errors.New("any other")))
	require.Empty(t, pin.CodeOf(nil))
	require.Empty(t, pin.FieldOf(errors.New("any other")))
}
