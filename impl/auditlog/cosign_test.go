package auditlog_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	cosigned "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// cosigner is a witness's signer, and its verifier's name, of a key for notes.
func cosigner(t *testing.T, secret, public string) (note.Signer, string) {
	t.Helper()
	s, err := cosigned.NewSignerForCosignatureV1(secret)
	require.NoError(t, err)
	name, err := cosigned.VKeyToCosignatureV1(public)
	require.NoError(t, err)
	return s, name
}

// Whatever a file holds, it is a proof only if it is the one.
func FuzzProof(f *testing.F) {
	w, file, held := aProof(f)
	k := w.ring(f)
	f.Add(file)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := check(k, text, held, nil)
		if (err == nil) != bytes.Equal(text, file) {
			t.Fatalf("%v: %q", err, text)
		}
	})
}
