// Package space holds the spaces of a sandbox: whole servers side by side in one process, each with a database, a clock,
// rules and a journal of its own, the first of which has the server's database. Package app says how one is made.
//
// It knows HTTP, the vault's store and the rows that documents promise (impl/ondemand), and no contract.
package space

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"pinvault/impl/journal"
	"pinvault/impl/limits"
	"pinvault/impl/metrics"
	"pinvault/impl/ondemand"
	"pinvault/impl/outbox"
	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
	"pinvault/impl/store"
)

// Name is the sandbox's own contract.
const Name = "sandbox"

// prefix is where a space is by path.
const prefix = "/spaces/"

// first is what a call may name the first space by. No other has this id.
const first = "first"

// lifetime is how long a space is there, unless it is removed before.
const lifetime = 24 * time.Hour

// Made is a space's server, as package app makes it.
type Made struct {
	Handler  http.Handler
	Forget   func() // has it read everything anew
	Reread   func() // has it read programs and clients anew
	Fixtures func(ctx context.Context) (clients, cards map[string]map[string]any, err error)
	Seed     func(ctx context.Context) error // wipes the database and seeds it anew
	Stop     func()                          // ends what it does by itself
}

// Build makes the server of a space over a database, and the store that is the same or stands before it. A seeded one
// has the fixtures already.
type Build func(ctx context.Context, s *Space, db Database, rows pin.Store, seeded bool) (*Made, error)

// Database is a space's database besides what the vault needs of it.
type Database interface {
	sandbox.Store
	outbox.Queue
	Mark(ctx context.Context, what string, at time.Time) error
	Expired(ctx context.Context, t pin.Table, after, until time.Time, limit int) ([]pin.Row, error)
	metrics.Database
	limits.Store
	Snapshot(ctx context.Context, file string) error
	Restore(ctx context.Context, file string) error
}

// Space is one space.
type Space struct {
	ID      string // "" of the first
	URL     string
	Created time.Time
	Expires time.Time // zero of the first

	Clock   *Clock
	Rules   *ondemand.Rules
	Journal *journal.Journal

	host      *Host
	running   context.Context //nolint:containedctx // of the space, not of a call: what is waited for ends with it
	quiet     context.CancelFunc
	journaled http.Handler
	db        Database
	rows      pin.Store // its store, as the vault has it
	file      string    // of its database, "" of the first
	closes    func() error
	made      *Made

	opening sync.RWMutex // held while it is made
	state   sync.RWMutex // held by calls, and alone while the database is put back: what they have read must not change under them

	mu    sync.Mutex
	calls int
	idle  func()        // called when the last call has ended, once it is being removed
	spare int           // as many calls as are not waited for then: the one that removes it
	alone chan struct{} // closed when there are no others
}

// Host has it and all others.
func (s *Space) Host() *Host { return s.host }

// Fixtures are the clients and cards that the space was seeded with, with the space's own credentials.
func (s *Space) Fixtures(ctx context.Context) (clients, cards map[string]map[string]any, err error) {
	clients, cards, err = s.made.Fixtures(ctx)
	if err == nil && s.ID != "" {
		clients = own(clients, s.ID)
	}
	return clients, cards, err
}

// Reset makes the space what it was at first.
func (s *Space) Reset(ctx context.Context) error {
	if err := s.rows.Ping(ctx); err != nil {
		return err
	}
	s.state.Lock()
	defer s.state.Unlock()
	template, err := s.host.template(ctx)
	if err == nil {
		err = s.db.Restore(ctx, template)
	}
	if errors.Is(err, store.ErrNoSnapshots) {
		err = s.made.Seed(ctx)
	}
	if err != nil {
		return err
	}
	s.Clock.Move(Shift{Reset: true})
	s.Rules.Clear()
	s.made.Forget()
	s.Journal.Reset()
	return nil
}

// Steady does something during which the database is not put back.
func (s *Space) Steady(f func()) {
	s.state.RLock()
	defer s.state.RUnlock()
	f()
}

// enter begins a call, unless the space is being removed.
func (s *Space) enter() bool {
	s.opening.RLock()
	ready := s.made != nil
	s.opening.RUnlock()
	if !ready {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != nil {
		return false
	}
	s.calls++
	return true
}

func (s *Space) leave() {
	s.mu.Lock()
	s.calls--
	calls, idle, spare := s.calls, s.idle, s.spare
	s.mu.Unlock()
	if idle != nil {
		s.left(calls, idle, spare)
	}
}

// left does what is to be done when so many calls are left of a space that is being removed.
func (s *Space) left(calls int, idle func(), spare int) {
	if calls == 0 {
		idle()
	}
	if calls == spare {
		close(s.alone)
	}
}

// end has no further call begin, ends delays and streams, and calls idle when there is no call any more. All but so many are
// waited for by those who wait for alone.
func (s *Space) end(spare int, idle func()) {
	s.mu.Lock()
	s.idle, s.spare, s.alone = idle, spare, make(chan struct{})
	calls := s.calls
	s.mu.Unlock()
	s.quiet()
	s.Journal.Close()
	if calls <= spare {
		s.left(calls, idle, calls)
	}
}

// ServeHTTP answers a request in the space, whatever space it names.
func (s *Space) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, _ := caller(r)
	s.serve(w, r, client, false)
}

// serve answers a request in the space.
func (s *Space) serve(w http.ResponseWriter, r *http.Request, client string, nowhere bool) {
	release := func() {}
	if !strings.HasPrefix(r.URL.Path, "/sandbox/") { // whose own operations put it back
		s.state.RLock()
		release = sync.OnceFunc(s.state.RUnlock)
	}
	defer release()
	end := &ending{}
	r = r.WithContext(context.WithValue(r.Context(), arrivalKey{}, arrival{client: client, nowhere: nowhere, ending: end}))
	s.journaled.ServeHTTP(&writer{ResponseWriter: w, ending: end, r: r, sleep: s.pause, release: release}, r)
}

// pause waits, unless ctx ends, or the space or the server does.
func (s *Space) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.running, cancel)()
	s.host.Sleep(ctx, d)
}

// inner is the space's server, which knows its clients by the fixtures' credentials.
func (s *Space) inner(w http.ResponseWriter, r *http.Request) {
	if s.ID != "" {
		r = known(r, s.ID)
	}
	s.made.Handler.ServeHTTP(w, r)
}
