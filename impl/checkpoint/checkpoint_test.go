package checkpoint_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"pinvault/impl/checkpoint"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

var keys = keyring.Sandbox().CheckpointKeys()

func head(chain string, seq int64) pin.ChainHead {
	mac := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(chain), uint64(seq)))
	digest := sha256.Sum256(mac[:])
	return pin.ChainHead{Chain: chain, Head: pin.Head{Seq: seq, MAC: mac[:], Digest: digest[:]}}
}

// some are the heads of the tests' checkpoint, ids that must be escaped among them.
var some = []pin.ChainHead{head("a b\n", 1), head("card-1", 2), head("card-2", 300), head("server", 4), head("é", 5)}

func all(heads []pin.ChainHead) iter.Seq2[pin.ChainHead, error] {
	return func(yield func(pin.ChainHead, error) bool) {
		for _, h := range heads {
			if !yield(h, nil) {
				return
			}
		}
	}
}

func write(t *testing.T, heads []pin.ChainHead) string {
	t.Helper()
	var lines bytes.Buffer
	signed, _, err := checkpoint.Write(&lines, all(heads), keys[0], noon)
	require.NoError(t, err)
	return signed + "\n" + lines.String()
}

func TestCheckpointIsReadBack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 4, 5} {
		f, err := checkpoint.Open(strings.NewReader(write(t, some[:n])), keys)
		require.NoError(t, err)
		require.EqualValues(t, n, f.Chains)
		require.True(t, f.Time.Equal(noon()))
		var got []pin.ChainHead
		for range 2 { // as often as one likes
			got = nil
			for h, err := range f.Heads() {
				require.NoError(t, err)
				got = append(got, h)
			}
		}
		require.Equal(t, slices.Clone(some[:n]), append([]pin.ChainHead{}, got...))
	}
}

// Somebody who has the public key and the documentation alone comes to the same.
func TestCheckpointIsVerifiedByThePublicKeyAlone(t *testing.T) {
	t.Parallel()
	first, rest, _ := strings.Cut(write(t, some), "\n")
	public, err := checkpoint.PublicKeys(keys)
	require.NoError(t, err)
	require.NotContains(t, string(public), `"d"`)
	set, err := jwk.Parse(public)
	require.NoError(t, err)
	payload, err := jws.Verify([]byte(first), jws.WithKeySet(set))
	require.NoError(t, err)

	var leaves [][]byte
	for line := range strings.Lines(rest) {
		sum := sha256.Sum256(append([]byte{0}, strings.TrimSuffix(line, "\n")...))
		leaves = append(leaves, sum[:])
	}
	want, err := json.Marshal(map[string]any{"time": "2026-03-01T12:00:00Z", "chains": 5, "events": 312, "root": root(leaves)})
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(payload))

	header, err := base64.RawURLEncoding.DecodeString(strings.Split(first, ".")[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"alg":"ES256","typ":"pinvault-checkpoint+jws","kid":"`+keys[0].KID+`"}`, string(header))
	require.True(t, strings.HasPrefix(rest, "a%20b%0A 1 "))
	_, empty, _ := strings.Cut(write(t, nil), "\n")
	require.Empty(t, empty)
}

// root is MTH of RFC 6962, 2.1, word for word.
func root(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	sum := sha256.Sum256(slices.Concat([]byte{1}, root(leaves[:k]), root(leaves[k:])))
	return sum[:]
}

// signed is a checkpoint's first line with another header or payload, under a key.
func signed(t *testing.T, key keyring.SigningKey, typ, kid, payload string) string {
	t.Helper()
	header := jws.NewHeaders()
	require.NoError(t, errors.Join(header.Set(jws.TypeKey, typ), header.Set(jws.KeyIDKey, kid)))
	out, err := jws.Sign([]byte(payload), jws.WithKey(jwa.ES256(), key.Key, jws.WithProtectedHeaders(header)))
	require.NoError(t, err)
	return string(out) + "\n"
}

func TestFileThatIsNoWholeCheckpointIsRefused(t *testing.T) {
	t.Parallel()
	whole := write(t, some)
	first, rest, _ := strings.Cut(whole, "\n")
	lines := slices.Collect(strings.Lines(rest))
	parts := strings.Split(first, ".")
	stranger, err := keyring.Generate(constant(9), noon())
	require.NoError(t, err)
	var others bytes.Buffer
	foreign, _, err := checkpoint.Write(&others, all(some), stranger.CheckpointKeys()[0], noon)
	require.NoError(t, err)
	token := keyring.Sandbox().SigningKeys()[0]
	join := func(lines ...string) string { return first + "\n" + strings.Join(lines, "") }
	const cut = "the checkpoint was cut: it was signed with 5 chains and has "
	for name, test := range map[string]struct{ text, want string }{
		"an empty file":                          {"", checkpoint.ErrNotOurs.Error()},
		"some other file":                        {"{}\n", checkpoint.ErrNotOurs.Error()},
		"a file beyond all measure":              {strings.Repeat("x", 1<<17), checkpoint.ErrNotOurs.Error()},
		"the lines alone":                        {rest, checkpoint.ErrNotOurs.Error()},
		"a first line cut short":                 {first[:len(first)-40], checkpoint.ErrSignature.Error()},
		"another vault's checkpoint":             {foreign + "\n" + others.String(), checkpoint.ErrKey.Error()},
		"another payload":                        {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"chains":0}`)) + "." + parts[2] + "\n", checkpoint.ErrSignature.Error()},
		"another signature":                      {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86) + "\n" + rest, checkpoint.ErrSignature.Error()},
		"a key of access tokens":                 {signed(t, token, checkpoint.Type, token.KID, `{}`), checkpoint.ErrKey.Error()},
		"a key of access tokens by another's id": {signed(t, token, checkpoint.Type, keys[0].KID, `{}`), checkpoint.ErrSignature.Error()},
		"an access token":                        {signed(t, keys[0], "at+jwt", keys[0].KID, `{}`), checkpoint.ErrNotOurs.Error()},
		"a payload that is none":                 {signed(t, keys[0], checkpoint.Type, keys[0].KID, `[]`), checkpoint.ErrNotOurs.Error()},
		"no signature":                           {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"`+checkpoint.Type+`"}`)) + "." + parts[1] + ".\n" + rest, checkpoint.ErrNotOurs.Error()},
		"no lines":                               {join(), cut + "0"},
		"the last line gone":                     {join(lines[:4]...), cut + "4"},
		"a line gone from the middle":            {join(slices.Concat(lines[:2], lines[3:])...), cut + "4"},
		"the last line cut short":                {whole[:len(whole)-7], "line 6 of the checkpoint is damaged, or was cut off"},
		"a line that is none":                    {join(lines[0], "x\n", lines[2], lines[3], lines[4]), "line 3 of the checkpoint is damaged, or was cut off"},
		"two lines in each other's place":        {join(lines[0], lines[2], lines[1], lines[3], lines[4]), "line 4 of the checkpoint is damaged, or was cut off"},
		"a line twice":                           {join(append(slices.Clone(lines), lines[4])...), checkpoint.ErrLines.Error()},
		"a line more":                            {join(append(slices.Clone(lines), "ü 5 AAAA\n")...), checkpoint.ErrLines.Error()},
		"a blank line at the end":                {whole + "\n", checkpoint.ErrLines.Error()},
		"another chain":                          {strings.Replace(whole, "card-2", "card-3", 1), checkpoint.ErrLines.Error()},
		"another place":                          {strings.Replace(whole, " 300 ", " 299 ", 1), checkpoint.ErrLines.Error()},
		"another MAC":                            {strings.Replace(whole, "card-1 2 ", "card-1 2 AAAA", 1), checkpoint.ErrLines.Error()},
		"a place below one":                      {strings.Replace(whole, " 300 ", " 0 ", 1), "line 4 of the checkpoint is damaged, or was cut off"},
		"a place that is written in another way": {strings.Replace(whole, " 300 ", " +300 ", 1), "line 4 of the checkpoint is damaged, or was cut off"},
		"a chain that is written in another way": {strings.Replace(whole, "card-2", "card%2D2", 1), "line 4 of the checkpoint is damaged, or was cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := checkpoint.Open(strings.NewReader(test.text), keys)
			require.EqualError(t, err, test.want)
			require.Nil(t, f)
		})
	}
}

// constant is a source of one byte.
type constant byte

func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

func TestFileChangedSinceItWasOpenedIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(string) string{
		"cut":              func(s string) string { return s[:strings.LastIndex(s[:len(s)-1], "\n")+1] },
		"damaged":          func(s string) string { return strings.Replace(s, "card-2 300", "card-2 x", 1) },
		"of another place": func(s string) string { return strings.Replace(s, "card-2 300", "card-2 299", 1) },
		"empty":            func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := write(t, some)
			r := strings.NewReader(whole)
			f, err := checkpoint.Open(r, keys)
			require.NoError(t, err)
			r.Reset(change(whole))
			var last error
			for _, err := range f.Heads() {
				last = err
			}
			require.Error(t, last)
		})
	}
}

func TestNoCheckpointIsMadeOfHeadsThatFailOrAreOutOfOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, _, err := checkpoint.Write(io.Discard, func(yield func(pin.ChainHead, error) bool) { yield(pin.ChainHead{}, broken) }, keys[0], noon)
	require.ErrorIs(t, err, broken)
	_, _, err = checkpoint.Write(io.Discard, all([]pin.ChainHead{some[1], some[0]}), keys[0], noon)
	require.ErrorContains(t, err, "out of order")
	_, w := io.Pipe()
	require.NoError(t, w.CloseWithError(nil))
	_, _, err = checkpoint.Write(w, all(some), keys[0], noon)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	_, err = checkpoint.Open(struct {
		io.Reader
		io.Seeker
	}{io.MultiReader(strings.NewReader(write(t, some)), iotest.ErrReader(broken)), strings.NewReader("")}, keys)
	require.ErrorIs(t, err, broken)
}

// A checkpoint that follows another says which chains have come further, in a tree of their own.
func TestCheckpointTellsWhichChainsHaveMoved(t *testing.T) {
	t.Parallel()
	var lines, further bytes.Buffer
	signed, claims, err := checkpoint.WriteSince(&lines, &further, all(some), func(h pin.ChainHead) (bool, error) {
		return h.Seq > 2 && h.Seq < 5, nil
	}, keys[0], noon)
	require.NoError(t, err)
	require.Equal(t, string(checkpoint.Line(some[3]))+"\n", further.String())
	leaf := sha256.Sum256(append([]byte{0}, checkpoint.Line(some[3])...))
	require.Equal(t, &checkpoint.Tree{Chains: 1, Root: leaf[:]}, claims.Moved)
	said, err := checkpoint.Peek(signed)
	require.NoError(t, err)
	require.Equal(t, claims, said)
	f, err := checkpoint.Open(strings.NewReader(signed+"\n"+lines.String()), keys)
	require.NoError(t, err, "otherwise it is like any")
	require.Equal(t, claims, f.Claims)

	broken := errors.New("broken")
	_, _, err = checkpoint.WriteSince(&lines, &further, all(some), func(pin.ChainHead) (bool, error) { return false, broken }, keys[0], noon)
	require.ErrorIs(t, err, broken)
	for _, text := range []string{"", "x", "a.b.c", strings.Replace(signed, ".", "x", 1)} {
		_, err = checkpoint.Peek(text)
		require.ErrorIs(t, err, checkpoint.ErrNotOurs)
	}
	bare := some[0]
	bare.Digest = nil
	_, _, err = checkpoint.Write(io.Discard, all([]pin.ChainHead{bare}), keys[0], noon)
	require.ErrorContains(t, err, "has no digest")
}
