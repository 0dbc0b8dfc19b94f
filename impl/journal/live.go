package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// Watch says what a stream is to tell.
type Watch struct {
	Filter Filter // of Before and Limit nothing is said
	Seen   *int64 // the number of the last entry that was seen; nil: of those that there are already, none is told
	Count  *int   // ends after so many entries; nil: lasts
}

// watcher is a stream's place in the journal. The ring holds what it has yet to tell, so that nobody waits for it.
type watcher struct {
	wake chan struct{}
	seen int64
}

func (w *watcher) notify() {
	select {
	case w.wake <- struct{}{}:
	default: // it knows already
	}
}

// How a stream ends by itself.
var (
	errSlow   = errors.New("the reader is too slow: the journal has forgotten what it has not read")
	errClosed = errors.New("the journal was closed")
)

// How long a reader may take for an entry, and how often a stream says that it is still there.
const (
	patience  = 10 * time.Second
	keepAlive = 15 * time.Second
)

func everyFifteenSeconds() (<-chan time.Time, func()) {
	t := time.NewTicker(keepAlive)
	return t.C, t.Stop
}

// Live writes the journal as it grows as server-sent events (HTML, 9.2), until ctx ends, the journal is closed, or the
// reader does not keep up. The stream is not bound by the time that other replies have.
func (j *Journal) Live(ctx context.Context, out http.ResponseWriter, w Watch) error {
	ctl := http.NewResponseController(out)
	out.Header().Set("Content-Type", "text/event-stream")
	out.Header().Set("Cache-Control", "no-store")
	out.Header().Set("X-Accel-Buffering", "no") // proxies hand it on at once
	out.WriteHeader(http.StatusOK)
	at := j.watch(w.Seen)
	defer j.unwatch(at)
	_ = ctl.SetReadDeadline(time.Time{}) // nothing is read any more; a writer without deadlines has none to lift
	say := func(text string) error {
		_ = ctl.SetWriteDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
		return ctl.Flush()
	}
	err := say(": journal\n\n")
	ticks, stop := j.ticks()
	defer stop()
	for told := 0; err == nil && (w.Count == nil || told < *w.Count); {
		var news []*Entry
		if news, err = j.news(at); err != nil {
			break
		}
		for _, e := range news {
			if err == nil && j.reader.fits(e, w.Filter) && (w.Count == nil || told < *w.Count) {
				told++
				err = say(j.event(e))
			}
		}
		if len(news) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-at.wake:
			case <-ticks:
				err = say(": \n\n")
			}
		}
	}
	if errors.Is(err, errClosed) {
		err = nil
	}
	return err
}

// event is an entry as an event.
func (j *Journal) event(e *Entry) string {
	data, err := json.Marshal(j.reader.Entry(e))
	if err != nil { // of texts and numbers
		return ": \n\n"
	}
	return fmt.Sprintf("id: %d\nevent: entry\ndata: %s\n\n", e.number, data)
}

func (j *Journal) watch(seen *int64) *watcher {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := &watcher{wake: make(chan struct{}, 1), seen: j.last}
	if seen != nil {
		w.seen = *seen
		if w.seen > j.last { // of a journal before this one
			w.seen = 0
		}
		w.seen = max(w.seen, j.pushed) // as far as it is kept
	}
	j.watchers[w] = struct{}{}
	return w
}

func (j *Journal) unwatch(w *watcher) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.watchers, w)
}

// news are the entries that a watcher has not seen, oldest first.
func (j *Journal) news(w *watcher) ([]*Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return nil, errClosed
	case w.seen < j.pushed:
		return nil, errSlow
	}
	var all []*Entry
	for n := max(w.seen+1, j.first); n <= j.last; n++ {
		all = append(all, j.ring[n%maxEntries])
	}
	w.seen = j.last
	return slices.Clip(all), nil
}
