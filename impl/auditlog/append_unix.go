//go:build unix

package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"

	"pinvault/impl/checkpoint"
)

// How the log is at work: it is opened for one entry, so there is nothing to wait for.
const (
	soon  = 10 * time.Millisecond
	notes = 100 * time.Millisecond // the least that there is
	tidy  = 50 * time.Millisecond
)

// writing runs work with the log open for writing.
func (l *Log) writing(ctx context.Context, work func(*tessera.Appender, tessera.LogReader) error) error {
	signers, err := signers(l.Origin, l.keys.LogKeys())
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: l.Folder.tiles(), HTTPClient: l.Client})
	if err != nil {
		return err
	}
	o := tessera.NewAppendOptions().WithCheckpointSigner(signers[0], signers[1:]...).WithBatching(1, soon).
		WithCheckpointInterval(notes).WithGarbageCollectionInterval(tidy)
	if l.witnesses != nil {
		o.WithWitnesses(*l.witnesses, &tessera.WitnessOptions{Timeout: l.Patience})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	appender, _, reader, err := tessera.NewAppender(ctx, driver, o)
	if err != nil {
		return err
	}
	return work(appender, reader)
}

// add appends an entry, tells the place that it got, and publishes it: ErrUnpublished.
func (l *Log) add(ctx context.Context, data []byte, added func(n uint64) error) error {
	return l.writing(ctx, func(a *tessera.Appender, r tessera.LogReader) error {
		at, err := a.Add(ctx, tessera.NewEntry(data))()
		if err == nil {
			err = added(at.Index)
		}
		if err != nil {
			return err
		}
		return l.published(ctx, r, at.Index+1)
	})
}

// published waits until a note covers so many entries: ErrUnpublished.
func (l *Log) published(ctx context.Context, r tessera.LogReader, size uint64) error {
	again := time.NewTicker(soon)
	defer again.Stop()
	for until := time.Now().Add(l.Patience + time.Second); time.Now().Before(until) && ctx.Err() == nil; <-again.C {
		text, err := r.ReadCheckpoint(ctx)
		if err != nil {
			continue
		}
		if n, err := unverified(text); err == nil && n.Size >= size {
			return nil
		}
	}
	return errors.Join(ErrUnpublished, ctx.Err())
}

// publish publishes what is in the log and not published yet.
func (l *Log) publish(ctx context.Context) error {
	text, err := os.ReadFile(l.Folder.path("tiles/" + layout.CheckpointPath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if n, err := unverified(text); err == nil && n.Size > 0 {
		if _, err := os.Stat(l.Folder.moved(n.Size)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return l.writing(ctx, func(_ *tessera.Appender, r tessera.LogReader) error {
		size, err := r.IntegratedSize(ctx)
		if err != nil {
			return err
		}
		return l.published(ctx, r, size)
	})
}

// last is what the last entry says that was published, nil where there is none.
func (l *Log) last(ctx context.Context) (*checkpoint.Claims, error) {
	text, err := os.ReadFile(l.Folder.path("tiles/" + layout.CheckpointPath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n, err := unverified(text)
	if err != nil || n.Size == 0 {
		return nil, err
	}
	from := client.FileFetcher{Root: l.Folder.tiles()}
	bundle, err := client.GetEntryBundle(ctx, from.ReadEntryBundle, (n.Size-1)/layout.EntryBundleWidth, n.Size)
	if err != nil {
		return nil, err
	}
	at := int((n.Size - 1) % layout.EntryBundleWidth)
	if at >= len(bundle.Entries) {
		return nil, fmt.Errorf("the log in %s is damaged", l.Folder)
	}
	said, err := checkpoint.Peek(string(bundle.Entries[at]))
	return &said, err
}
