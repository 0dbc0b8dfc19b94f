package keylife

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"pinvault/impl/keyring"
)

// LookEvery is how often a process looks at the file: several times before a key that it shall know makes outputs
// ([keyring.Settle]).
const LookEvery = 5 * time.Second

// Watcher takes what the file has become, for the vault of this process.
type Watcher struct {
	file File
	live *keyring.Live
	log  *slog.Logger

	mu       sync.Mutex
	seen     fs.FileInfo // the file that is at work, nil: none was seen yet
	says     string      // why the file is not taken, "" where it is
	failures int
}

// NewWatcher watches for the vault whose keyset is live.
func NewWatcher(file File, live *keyring.Live, log *slog.Logger) *Watcher {
	return &Watcher{file: file, live: live, log: log}
}

// Watch looks at every tick, and when it is told to, until ctx ends.
func (w *Watcher) Watch(ctx context.Context, tick <-chan time.Time, told <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		case <-told:
		}
		_ = w.Look(ctx) // which has logged it
	}
}

// Look takes the keyset of the file where that has changed. A file that cannot be taken changes nothing and is looked at
// again next time; what is wrong with it is logged once.
func (w *Watcher) Look(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	is, err := os.Stat(w.file.Path)
	if err == nil && w.seen != nil && same(w.seen, is) {
		w.well(ctx)
		return nil
	}
	before := w.live.Keyset().Revision()
	ks, is, err := w.file.read()
	if err == nil {
		err = w.live.Replace(ks)
	}
	if err != nil {
		w.failures++
		if says := err.Error(); says != w.says {
			w.says = says
			w.log.ErrorContext(ctx, "the keyset file is not taken; the keys in use stay", "error", says)
		}
		return err
	}
	if ks.Revision() != before {
		w.log.InfoContext(ctx, "took a new keyset", "revision", ks.Revision())
	}
	w.seen = is
	w.well(ctx)
	return nil
}

// well notes that the file is the one at work.
func (w *Watcher) well(ctx context.Context) {
	if w.says != "" {
		w.says = ""
		w.log.InfoContext(ctx, "the keyset file is well again")
	}
}

// same tells whether a file is the one that was seen, by all that a change of it shows in.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// health says whether the file is not the one at work, and how often it could not be taken.
func (w *Watcher) health() (stale bool, failures int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.says != "", w.failures
}
