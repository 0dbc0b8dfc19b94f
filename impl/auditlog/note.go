package auditlog

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/transparency-dev/formats/log"
	cosigned "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// Note is a signed note of a log (C2SP tlog-checkpoint): how many entries it has, and the root over them.
type Note struct {
	log.Checkpoint
	Text []byte // as it was signed and is kept
}

// What is wrong with a note. The texts hold nothing of it.
var (
	ErrNoNote    = errors.New("this is not a signed note of a log, or it is damaged")
	ErrForeign   = errors.New("the note was not signed by this key")
	ErrUnwitness = errors.New("the note is not cosigned by the witness")
)

// Keyring is who a note must be signed by: the log, and witnesses.
type Keyring struct {
	log       note.Verifier
	witnesses []note.Verifier
}

// NewKeyring reads verifiers' names (vkey) as [Verifiers] prints them, and as witnesses do.
func NewKeyring(key string, witnesses []string) (*Keyring, error) {
	own, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("the key is not that of a log, such as 'pinvault audit log-key' prints: %w", err)
	}
	k := &Keyring{log: own}
	for _, w := range witnesses {
		v, err := cosigned.NewVerifierForCosignatureV1(w)
		if err != nil {
			return nil, fmt.Errorf("the key is not that of a witness: %w", err)
		}
		k.witnesses = append(k.witnesses, v)
	}
	return k, nil
}

// Note verifies a note: ErrNoNote, ErrForeign, ErrUnwitness.
func (k *Keyring) Note(text []byte) (Note, error) {
	if _, err := note.Open(text, note.VerifierList()); err != nil {
		if _, unsigned := errors.AsType[*note.UnverifiedNoteError](err); !unsigned {
			return Note{}, ErrNoNote
		}
	}
	opened, err := note.Open(text, note.VerifierList(append([]note.Verifier{k.log}, k.witnesses...)...))
	if err != nil {
		return Note{}, ErrForeign
	}
	by := map[uint32]bool{}
	for _, s := range opened.Sigs {
		by[s.Hash] = true
	}
	if !by[k.log.KeyHash()] {
		return Note{}, ErrForeign
	}
	for _, w := range k.witnesses {
		if !by[w.KeyHash()] {
			return Note{}, fmt.Errorf("%w %s", ErrUnwitness, w.Name())
		}
	}
	n := Note{Text: text}
	if rest, err := n.Unmarshal([]byte(opened.Text)); err != nil || len(rest) > 0 || n.Origin != k.log.Name() {
		return Note{}, ErrNoNote
	}
	return n, nil
}

// unverified reads a note whoever has signed it.
func unverified(text []byte) (Note, error) {
	n := Note{Text: text}
	_, err := n.Unmarshal(text)
	if err != nil {
		return Note{}, ErrNoNote
	}
	return n, nil
}

// signedOnce tells whether a note has one signature, which is written as it is always written.
func signedOnce(text []byte) bool {
	n, err := note.Open(text, note.VerifierList())
	if unsigned, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		n = unsigned.Note
	}
	if n == nil || len(n.UnverifiedSigs) != 1 {
		return false
	}
	_, err = base64.StdEncoding.Strict().DecodeString(n.UnverifiedSigs[0].Base64)
	return err == nil
}

// only is the note with the signature of one key alone, nil where it has none.
func only(text []byte, key note.Verifier) []byte {
	n, err := note.Open(text, note.VerifierList(key))
	if err != nil {
		return nil
	}
	n.UnverifiedSigs = nil
	out, err := note.Sign(n)
	if err != nil {
		return nil
	}
	return out
}
