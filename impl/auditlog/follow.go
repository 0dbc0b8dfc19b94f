package auditlog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"pinvault/impl/checkpoint"
)

// Tiles are a log as it is served.
type Tiles interface {
	ReadCheckpoint(ctx context.Context) ([]byte, error)
	ReadTile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// At is the log at a URL such as https://pin.example.com/audit/tiles, or in a copy's folder.
func At(place string, c *http.Client) (Tiles, error) {
	if !strings.Contains(place, "://") {
		return client.FileFetcher{Root: place}, nil
	}
	u, err := url.Parse(place)
	if err != nil || u.Host == "" {
		return nil, errors.New("the log must be at a URL such as https://pin.example.com/audit/tiles, or in a folder")
	}
	return client.NewHTTPFetcher(u, c)
}

// ErrShrunk says that an entry of the log says of less than the one before it, which no trail does that only grows.
var ErrShrunk = errors.New("an entry of the log tells of fewer events, or of an earlier time, than the one before it")

// Follow fetches the log's newest note and verifies that the log goes on from the one that is held, entry by entry: ErrFork,
// ErrShrunk, and what [Keyring.Note] says of the note.
func Follow(ctx context.Context, k *Keyring, held Note, from Tiles) (Note, error) {
	text, err := from.ReadCheckpoint(ctx)
	if err != nil {
		return Note{}, err
	}
	newest, err := k.Note(text)
	if err != nil {
		return Note{}, err
	}
	if newest.Size < held.Size {
		return Note{}, fmt.Errorf("%w (yours has %d entries, and it has %d)", ErrFork, held.Size, newest.Size)
	}
	b, err := client.NewProofBuilder(ctx, newest.Size, from.ReadTile)
	if err != nil {
		return Note{}, err
	}
	if held.Size > 0 {
		between, err := b.ConsistencyProof(ctx, held.Size, newest.Size)
		if err != nil {
			return Note{}, err
		}
		if err := consistent(held, newest, between); err != nil {
			return Note{}, err
		}
	}
	return newest, walk(ctx, b, newest, max(held.Size, 1)-1, from)
}

// walk reads the entries of a log from one on.
func walk(ctx context.Context, b *client.ProofBuilder, of Note, n uint64, from Tiles) error {
	var before checkpoint.Claims
	for n < of.Size {
		bundle, err := client.GetEntryBundle(ctx, from.ReadEntryBundle, n/layout.EntryBundleWidth, of.Size)
		if err != nil {
			return err
		}
		for at := n % layout.EntryBundleWidth; at < uint64(len(bundle.Entries)) && n < of.Size; at, n = at+1, n+1 {
			entry := bundle.Entries[at]
			path, err := b.InclusionProof(ctx, n)
			if err != nil {
				return err
			}
			if !(Leaf{n, path}).leads(entry, of.Size, of.Hash) {
				return ErrEntry
			}
			said, err := checkpoint.Peek(string(entry))
			if err != nil {
				return fmt.Errorf("entry %d: %w", n, err)
			}
			if said.Events < before.Events || said.Chains < before.Chains || said.Time.Before(before.Time) {
				return fmt.Errorf("%w (entry %d)", ErrShrunk, n)
			}
			before = said
		}
		if n < of.Size && n%layout.EntryBundleWidth != 0 {
			return ErrEntry // there are fewer than there should be
		}
	}
	return nil
}

// LinkIn finds consistency proofs in a log.
func LinkIn(ctx context.Context, from Tiles) Link {
	return func(smaller, larger uint64) ([][]byte, error) {
		b, err := client.NewProofBuilder(ctx, larger, from.ReadTile)
		if err != nil {
			return nil, err
		}
		return b.ConsistencyProof(ctx, smaller, larger)
	}
}
