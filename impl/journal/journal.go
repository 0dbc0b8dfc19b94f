package journal

import (
	"sync"
	"time"
)

// What is kept at most: entries, and bytes of them together, of which the oldest go first.
const (
	maxEntries = 1000
	maxBytes   = 4 << 20
)

// Options are what a journal is made of.
type Options struct {
	Reader *Reader
	Now    func() time.Time // the space's clock; nil: the system's
	// Ticks are when a stream says that it is still there, and how to end them; nil: every fifteen seconds.
	Ticks func() (ticks <-chan time.Time, stop func())
}

// Journal is the latest calls of one space. It may be used by many goroutines at once.
type Journal struct {
	reader *Reader
	now    func() time.Time
	ticks  func() (<-chan time.Time, func())

	mu       sync.Mutex
	ring     [maxEntries]*Entry // by number
	first    int64              // number of the oldest entry that is kept
	last     int64              // and of the newest; first-1 where none is kept
	bytes    int
	pushed   int64 // number of the newest entry that had to make room
	watchers map[*watcher]struct{}
	closed   bool
}

// New makes an empty journal.
func New(o Options) *Journal {
	j := &Journal{reader: o.Reader, now: o.Now, ticks: o.Ticks, first: 1, watchers: map[*watcher]struct{}{}}
	if j.now == nil {
		j.now = time.Now
	}
	if j.ticks == nil {
		j.ticks = everyFifteenSeconds
	}
	return j
}

// keep numbers an entry and puts it into the ring.
func (j *Journal) keep(e *Entry) {
	size := e.finish()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last-j.first+1 == maxEntries {
		j.push()
	}
	j.last++
	e.number = j.last
	j.ring[j.last%maxEntries] = e
	for j.bytes += size; j.bytes > maxBytes && j.first < j.last; {
		j.push()
	}
	for w := range j.watchers {
		w.notify()
	}
}

// push removes the oldest entry.
func (j *Journal) push() {
	at := j.first % maxEntries
	j.bytes -= j.ring[at].size
	j.ring[at] = nil
	j.pushed = j.first
	j.first++
}

// Clear forgets the calls that were kept. Numbers go on.
func (j *Journal) Clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clear()
}

func (j *Journal) clear() {
	clear(j.ring[:])
	j.first, j.bytes = j.last+1, 0
}

// Reset makes the journal as it was at first: the next call is number 1 again. Streams go on.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.clear()
	j.first, j.last, j.pushed = 1, 0, 0
	for w := range j.watchers {
		w.seen = 0
	}
}

// Close ends all streams, and those that are asked for later. Calls are kept all the same.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	for w := range j.watchers {
		w.notify()
	}
}

// Filter chooses entries. What is "" or 0 chooses all.
type Filter struct {
	Client    string
	Card      string // id of a card that the call found
	Operation string
	Row       string // operation and name, or the name alone
	Before    int64  // number
	Limit     int
}

// entries are those before a number, 0 for all, newest first.
func (j *Journal) entries(before int64) []*Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	newest := j.last
	if before > 0 {
		newest = min(newest, before-1)
	}
	var all []*Entry
	for n := newest; n >= j.first; n-- {
		all = append(all, j.ring[n%maxEntries])
	}
	return all
}

// entry is the entry of a number, nil where it is not kept.
func (j *Journal) entry(number int64) *Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if number < j.first || number > j.last {
		return nil
	}
	return j.ring[number%maxEntries]
}
