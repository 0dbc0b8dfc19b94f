package pin

import (
	"time"
)

// PINState says where a card's PIN came from.
type PINState string

// The states.
const (
	PINNone     PINState = "none"
	PINAssigned PINState = "assigned" // drawn at random when the card was made
	PINChosen   PINState = "chosen"   // set or changed since
)

// Value is all that a card's PIN is: what to compare with, what may be read back, how many tries remain,
// which PINs came before, and how far the card's audit trail has come. It is replaced whole, by a value
// that a transition made of it (see transition.go), and rests under the card's seal.
type Value struct {
	State      PINState  `json:"state"`
	Verifier   []byte    `json:"verifier,omitempty"`   // what PINs are compared with, see digest.go
	Ciphertext []byte    `json:"ciphertext,omitempty"` // AEAD over the PIN, only where the program allows retrieval
	KeptUnder  int64     `json:"keptUnder,omitempty"`  // Program.RetrievalEpoch when Ciphertext was made
	Former     [][]byte  `json:"former,omitempty"`     // verifiers of the last HistoryDepth PINs, newest first
	Brought    *Brought  `json:"brought,omitempty"`    // in place of Verifier, until the PIN is first shown
	Version    int64     `json:"version"`              // counts changes of the PIN
	TriesLeft  int       `json:"triesLeft"`            // 0..limit
	Refused    int64     `json:"refused,omitempty"`    // tries refused since the last one was used up
	ChangedAt  time.Time `json:"changedAt,omitzero"`
	Pledges    []Pledge  `json:"pledges,omitempty"`   // the approvals that are open, see approvals.go
	Unblocked  []int64   `json:"unblocked,omitempty"` // when it was unblocked, microseconds since 1970: the last MaxUnblocks times of the day before the newest one
	Head       Head      `json:"head"`
}

// Head is how far a chain of audit events has come: the newest event's place and MAC, and a digest of all rows up to it.
type Head struct {
	Seq    int64  `json:"seq"`
	MAC    []byte `json:"mac,omitempty"`
	Digest []byte `json:"digest,omitempty"` // see EventRow.digest; nil where it is not known
	Drawn  int64  `json:"drawn,omitempty"`  // the tick at which the newest event's id was, 0 where it is not known; see eventid.go
}

// Remaining is what the cardholder has left, 0..limit. A limit lowered since counts at once.
func (v Value) Remaining(p Program) int { return max(0, min(v.TriesLeft, p.TryLimit)) }

// Readable tells whether the PIN may be read back: it was kept for that, and retrieval was not switched
// off since.
func (v Value) Readable(p Program) bool {
	return p.RetrievalAllowed && len(v.Ciphertext) > 0 && v.KeptUnder == p.RetrievalEpoch
}
