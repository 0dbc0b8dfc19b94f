package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/pin"
)

// Events are a trail at rest: a store.
type Events interface {
	Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error)
	ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error)
}

// Why there is no proof.
var (
	ErrNoEvent  = errors.New("there is no such event")
	ErrNotYet   = errors.New("no entry of the log covers the event yet: the next one will")
	ErrTampered = errors.New("the event's chain is not what the log says of it: run 'pinvault audit verify'")
)

// slack is by how much the clocks of servers may differ.
const slack = time.Hour

// Prove makes a proof that an event is in a log, whose key's signature it takes along. It is linked to a note that somebody holds, if
// there is one: to its size. It takes no secret: ErrNoEvent, ErrNotYet, ErrTampered, ErrFork.
func Prove(ctx context.Context, in Folder, trail Events, eventID string, key note.Verifier, held *Note) (Proof, error) {
	rows, err := trail.Events(ctx, pin.AuditQuery{ID: eventID, Page: pin.Page{Limit: 1}})
	if err != nil {
		return Proof{}, err
	}
	if len(rows) == 0 {
		return Proof{}, ErrNoEvent
	}
	text, err := os.ReadFile(in.path("tiles/checkpoint"))
	if err != nil {
		return Proof{}, err
	}
	own, err := (&Keyring{log: key}).Note(text)
	if err != nil {
		return Proof{}, err
	}
	n, head, err := in.covering(rows[0], own.Size)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Format: Format, MAC: head.MAC, Log: Leaf{Index: n}, Note: string(only(text, key))}
	if err := p.follow(ctx, trail, rows[0], head); err != nil {
		return Proof{}, err
	}
	if err := p.climb(in, n, head); err != nil {
		return Proof{}, err
	}
	tiles := client.FileFetcher{Root: in.tiles()}
	b, err := client.NewProofBuilder(ctx, own.Size, tiles.ReadTile)
	if err != nil {
		return Proof{}, err
	}
	if p.Log.Path, err = b.InclusionProof(ctx, n); err != nil {
		return Proof{}, err
	}
	if held != nil && held.Size != own.Size {
		if held.Size > own.Size || held.Size == 0 {
			return Proof{}, ErrFork
		}
		p.Held = held.Size
		if p.Link, err = b.ConsistencyProof(ctx, held.Size, own.Size); err != nil {
			return Proof{}, err
		}
	}
	if held == nil {
		held = &own
	}
	_, err = p.Check(&Keyring{log: key}, *held, nil) // what nobody could check is not handed out
	return p, err
}

// covering finds the first entry after an event, of a log of that size, and how far the event's chain had come then.
func (f Folder) covering(row pin.EventRow, size uint64) (n uint64, head pin.ChainHead, err error) {
	event, err := row.Event()
	if err != nil {
		return 0, head, err
	}
	for ; n < size; n++ {
		e, err := f.entry(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the process ended before it was kept; the next entry has all of it
		}
		if err != nil {
			return 0, head, err
		}
		found := false
		if !e.Time.Add(slack).Before(event.At) {
			err = e.heads(func(_ []byte, h pin.ChainHead) error {
				if h.Chain == row.Chain && h.Seq >= row.Seq {
					head, found = h, true
				}
				return nil
			})
		}
		if err = errors.Join(err, e.close()); err != nil || found {
			return n, head, err
		}
	}
	return 0, head, ErrNotYet
}

// follow follows the event's chain to its head.
func (p *Proof) follow(ctx context.Context, trail Events, row pin.EventRow, head pin.ChainHead) error {
	var digest []byte
	seq := int64(0)
	for r, err := range pin.ChainRows(ctx, trail, row.Chain, 0, head.Seq) {
		if err != nil {
			return err
		}
		if seq++; r.Seq != seq {
			return ErrTampered
		}
		hash := r.Hash()
		switch {
		case r.Seq == row.Seq:
			p.Before = digest
			p.Event = Event{Chain: r.Chain, Sequence: r.Seq, ID: r.ID, ProgramID: r.ProgramID, Body: string(r.Body), MAC: r.MAC}
		case r.Seq > row.Seq:
			p.After = append(p.After, hash)
		}
		digest = pin.Extended(digest, hash)
	}
	if seq != head.Seq || string(digest) != string(head.Digest) {
		return ErrTampered
	}
	return nil
}

// climb takes along the entry, and the path from the chain's line to its root.
func (p *Proof) climb(in Folder, n uint64, head pin.ChainHead) (err error) {
	e, err := in.entry(n)
	if err != nil {
		return err
	}
	p.Entry = e.line
	index := uint64(0)
	err = e.heads(func(_ []byte, h pin.ChainHead) error {
		if h.Chain < head.Chain {
			index++
		}
		return nil
	})
	if err = errors.Join(err, e.close()); err != nil {
		return err
	}
	nodes, err := proof.Inclusion(index, e.Moved.Chains)
	if err != nil {
		return fmt.Errorf("%s is damaged", e.from.Name())
	}
	hashes := make([][]byte, len(nodes.IDs))
	keep := func(id compact.NodeID, hash []byte) {
		for i, wanted := range nodes.IDs {
			if id == wanted {
				hashes[i] = hash
			}
		}
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	if e, err = in.entry(n); err != nil {
		return err
	}
	err = e.heads(func(line []byte, _ pin.ChainHead) error {
		hash := rfc6962.DefaultHasher.HashLeaf(line)
		return tree.Append(hash, keep)
	})
	if err = errors.Join(err, e.close()); err == nil {
		p.Head.Index = index
		p.Head.Path, err = nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	}
	return err
}
