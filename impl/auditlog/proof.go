package auditlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"pinvault/impl/checkpoint"
	"pinvault/impl/pin"
)

// Format names what a proof's file says it is.
const Format = "pinvault-audit-proof/1"

// Proof is that an event is in the log. Everything in it is needed, and nothing can be changed: see [Proof.Check]. Bytes are in
// base64 (RFC 4648, 4).
type Proof struct {
	Format string `json:"format"`
	Event  Event  `json:"event"`
	// Before is the digest of the event's chain before it, none of the first event.
	Before []byte `json:"before,omitempty"`
	// After are the hashes of the events that follow in the chain, up to the newest one at the entry.
	After [][]byte `json:"after,omitempty"`
	// MAC is that of this newest event.
	MAC   []byte `json:"mac"`
	Head  Leaf   `json:"head"`  // that line of the chain's, in the tree of the chains that had moved
	Entry string `json:"entry"` // of the log: a checkpoint's first line
	Log   Leaf   `json:"log"`   // the entry, in the log
	Note  string `json:"note"`  // of the log, with its signature alone
	// Held is a note's size that this note was linked to, 0: to none but itself; and Link the consistency proof (RFC 6962, 2.1.2).
	Held uint64   `json:"held,omitempty"`
	Link [][]byte `json:"link,omitempty"`
}

// Event is an event as it stands in its row.
type Event struct {
	Chain     string `json:"chain"`
	Sequence  int64  `json:"sequence"`
	ID        string `json:"id"`
	ProgramID string `json:"programId,omitempty"`
	Body      string `json:"body"` // JSON
	MAC       []byte `json:"mac"`  // takes the vault's key to check, and need not be: it is hashed with the others
}

func (e Event) row() pin.EventRow {
	return pin.EventRow{Chain: e.Chain, Seq: e.Sequence, ID: e.ID, ProgramID: e.ProgramID, Body: []byte(e.Body), MAC: e.MAC}
}

// Leaf is where a leaf is in a tree, and the audit path from there (RFC 6962, 2.1.1).
type Leaf struct {
	Index uint64   `json:"index"`
	Path  [][]byte `json:"path,omitempty"`
}

// Marshal is the proof as its file.
func (p Proof) Marshal() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(p)
	return out.Bytes(), err
}

// ErrNoProof says that the file is not one, or was written in another way than proofs are.
var ErrNoProof = errors.New("this is not a proof of an event, or it was changed")

// Unmarshal reads a file that [Proof.Marshal] has written, to the byte.
func Unmarshal(text []byte) (Proof, error) {
	var p Proof
	if json.Unmarshal(text, &p) != nil || p.Format != Format {
		return Proof{}, ErrNoProof
	}
	if again, err := p.Marshal(); err != nil || !bytes.Equal(again, text) {
		return Proof{}, ErrNoProof
	}
	return p, nil
}

// Proven is what a proof has shown.
type Proven struct {
	Event pin.AuditEvent
	Entry uint64    // of the log
	At    time.Time // of the entry, when the event was there already
	Size  uint64    // of the note that is held
}

// What a proof may lack.
var (
	ErrEvent = errors.New("the proof does not lead from this event to the log's entry: one or the other was changed")
	ErrEntry = errors.New("the proof does not lead from its entry to its note: one or the other was changed")
	ErrFork  = errors.New("the log of the proof is not the one of the checkpoint that you hold: one of the two does not go on from the other")
)

// UnlinkedError is a proof whose note is of another size than the note that is held, and not linked to it.
type UnlinkedError struct{ Size, Held uint64 }

func (e *UnlinkedError) Error() string {
	return fmt.Sprintf("the proof is for a log of %d entries, and the checkpoint is of %d: name the log by --log, or have the proof made with --checkpoint", e.Size, e.Held)
}

// Link is a consistency proof between two sizes of a log, the smaller one first.
type Link func(smaller, larger uint64) ([][]byte, error)

// Check verifies that the event is in the log whose note is held, which was verified. link, unless it is nil, finds what connects the
// proof's note with that one where the proof does not. It is ErrNoNote, ErrForeign, [ErrEvent], [ErrEntry], [ErrFork] or an
// [UnlinkedError].
func (p Proof) Check(k *Keyring, held Note, link Link) (Proven, error) {
	own, err := (&Keyring{log: k.log}).Note([]byte(p.Note))
	if err == nil && !signedOnce([]byte(p.Note)) {
		err = ErrNoNote
	}
	if err != nil {
		return Proven{}, err
	}
	said, err := p.lead(own)
	if err != nil {
		return Proven{}, err
	}
	if err := p.linked(own, held, link); err != nil {
		return Proven{}, err
	}
	event, err := p.Event.row().Event()
	if err != nil {
		return Proven{}, ErrEvent
	}
	return Proven{Event: event, Entry: p.Log.Index, At: said.Time, Size: held.Size}, nil
}

// lead leads from the event to a note.
func (p Proof) lead(to Note) (checkpoint.Claims, error) {
	said, err := checkpoint.Peek(p.Entry)
	switch {
	case err != nil || said.Moved == nil:
		return checkpoint.Claims{}, ErrEntry
	case p.Event.Sequence < 1 || (p.Event.Sequence == 1) != (len(p.Before) == 0):
		return checkpoint.Claims{}, ErrEvent
	}
	digest := pin.Extended(p.Before, p.Event.row().Hash())
	for _, hash := range p.After {
		digest = pin.Extended(digest, hash)
	}
	if len(p.After) == 0 && !bytes.Equal(p.MAC, p.Event.MAC) {
		return checkpoint.Claims{}, ErrEvent
	}
	line := checkpoint.Line(pin.ChainHead{Chain: p.Event.Chain, Head: pin.Head{Seq: p.Event.Sequence + int64(len(p.After)), MAC: p.MAC, Digest: digest}})
	if !p.Head.leads(line, said.Moved.Chains, said.Moved.Root) {
		return checkpoint.Claims{}, ErrEvent
	}
	if !p.Log.leads([]byte(p.Entry), to.Size, to.Hash) {
		return checkpoint.Claims{}, ErrEntry
	}
	return said, nil
}

// leads tells whether a leaf leads to the root of a tree.
func (l Leaf) leads(leaf []byte, size uint64, root []byte) bool {
	return proof.VerifyInclusion(rfc6962.DefaultHasher, l.Index, size, rfc6962.DefaultHasher.HashLeaf(leaf), l.Path, root) == nil
}

// linked holds the proof's note against the one that is held. Of a link that the proof has, every hash is needed.
func (p Proof) linked(own, held Note, link Link) (err error) {
	between := p.Link
	switch {
	case p.Held == 0 && len(p.Link) > 0 || p.Held == own.Size:
		return ErrNoProof
	case p.Held == held.Size || p.Held == 0 && own.Size == held.Size:
	case p.Held != 0 || link == nil:
		return &UnlinkedError{own.Size, held.Size}
	default:
		if between, err = link(min(own.Size, held.Size), max(own.Size, held.Size)); err != nil {
			return err
		}
	}
	return consistent(own, held, between)
}

// consistent is ErrFork unless the one note's log goes on from the other's.
func consistent(a, b Note, between [][]byte) error {
	if a.Size > b.Size {
		a, b = b, a
	}
	if proof.VerifyConsistency(rfc6962.DefaultHasher, a.Size, b.Size, between, a.Hash, b.Hash) != nil {
		return ErrFork
	}
	return nil
}
