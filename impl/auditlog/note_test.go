package auditlog_test

import (
	"crypto/rand"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/auditlog"
)

func TestWhatIsNoNoteOfTheLogIsRefused(t *testing.T) {
	t.Parallel()
	private, public, err := note.GenerateKey(rand.Reader, origin)
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	ring, err := auditlog.NewKeyring(public, nil)
	require.NoError(t, err)
	_, another, err := note.GenerateKey(rand.Reader, origin)
	require.NoError(t, err)
	others, err := auditlog.NewKeyring(another, nil)
	require.NoError(t, err)
	signed := func(text string) []byte {
		out, err := note.Sign(&note.Note{Text: text}, signer)
		require.NoError(t, err)
		return out
	}
	const root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	for _, test := range []struct {
		name string
		text []byte
		ring *auditlog.Keyring
		want error
	}{
		{"a note of the log", signed(origin + "\n7\n" + root), ring, nil},
		{"a note by another key of that name", signed(origin + "\n7\n" + root), others, auditlog.ErrForeign},
		{"nothing", nil, ring, auditlog.ErrNoNote},
		{"a text that nobody has signed", []byte(origin + "\n7\n" + root), ring, auditlog.ErrNoNote},
		{"a text that is no checkpoint", signed(origin + "\nseven\n" + root), ring, auditlog.ErrNoNote},
		{"a checkpoint with more in it", signed(origin + "\n7\n" + root + "and more\n"), ring, auditlog.ErrNoNote},
		{"a checkpoint of another log, by the same key", signed("other.example.com/audit\n7\n" + root), ring, auditlog.ErrNoNote},
	} {
		got, err := test.ring.Note(test.text)
		require.ErrorIs(t, err, test.want, test.name)
		if test.want == nil {
			require.EqualValues(t, 7, got.Size, test.name)
			require.Equal(t, test.text, got.Text, test.name)
		}
	}
}

// A proof has nothing that it does not need: who changes it without changing what it proves has no proof either.
func TestProofWithMoreInItFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 2)
	w.happen(t, "card-2", 1)
	held := w.hour(t)
	file, err := w.prove(t, "card-1-0001", nil)
	require.NoError(t, err)
	private, _, err := note.GenerateKey(rand.Reader, "another.example.com")
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	for _, test := range []struct {
		name string
		more func(p *auditlog.Proof)
		want error
	}{
		{"nothing", func(*auditlog.Proof) {}, nil},
		{"another one's signature", func(p *auditlog.Proof) {
			v, err := note.NewVerifier(w.verifiers(t)[0])
			require.NoError(t, err)
			n, err := note.Open([]byte(p.Note), note.VerifierList(v))
			require.NoError(t, err)
			text, err := note.Sign(n, signer)
			require.NoError(t, err)
			p.Note = string(text)
		}, auditlog.ErrNoNote},
		{"a link to nothing", func(p *auditlog.Proof) { p.Link = [][]byte{make([]byte, 32)} }, auditlog.ErrNoProof},
		{"a link to itself", func(p *auditlog.Proof) { p.Held = held.Size }, auditlog.ErrNoProof},
	} {
		var p auditlog.Proof
		require.NoError(t, json.Unmarshal(file, &p))
		test.more(&p)
		_, err := p.Check(w.ring(t), held, nil)
		require.ErrorIs(t, err, test.want, test.name)
	}
}
