package pin

import (
	"sync"
	"time"
)

// shortly is how long a program or client that was just read is taken as it was: a change made by
// another process counts within it, one of this process at once. With as much again that who keeps a
// client's tokens takes (impl/oauth) it is less than the second that is promised.
const shortly = 400 * time.Millisecond

// maxRecent bounds how many are kept.
const maxRecent = 4096

// recent keeps what was read a moment ago, so that a burst of requests of one client asks for it once.
type recent struct {
	now  func() time.Time
	mu   sync.Mutex
	kept map[[2]string]glimpse // by table and id
}

type glimpse struct {
	value any
	at    time.Time
}

func newRecent(now func() time.Time) *recent { return &recent{now: now, kept: map[[2]string]glimpse{}} }

func (r *recent) get(t Table, id string) (any, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.kept[[2]string{string(t), id}]
	if age := r.now().Sub(g.at); !ok || age < 0 || age >= shortly {
		return nil, false
	}
	return g.value, true
}

func (r *recent) put(t Table, id string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= maxRecent {
		clear(r.kept)
	}
	r.kept[[2]string{string(t), id}] = glimpse{value, r.now()}
}

func (r *recent) drop(t Table, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kept, [2]string{string(t), id})
}

func (r *recent) purge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.kept)
}
