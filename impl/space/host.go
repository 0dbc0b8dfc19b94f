package space

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pinvault/impl/journal"
	"pinvault/impl/ondemand"
	"pinvault/impl/pin"
	"pinvault/impl/problem"
	"pinvault/impl/scratch"
	"pinvault/impl/store"
)

// How many there may be at once.
const (
	maxSpaces    = 256
	maxSnapshots = 64
)

// ErrTooMany is the refusal of a space or snapshot more than there may be.
var ErrTooMany = errors.New("there are too many")

// NotFound is how it is answered that there is no such space, or anything else of the sandbox.
var NotFound = problem.Row{Status: http.StatusNotFound, Code: "not_found", Title: "There is no such thing."}

// ErrNoSuch is the refusal of a space or snapshot that there is not.
var ErrNoSuch = errors.New("there is no such thing")

// ErrTaken is the refusal of an id that another has.
var ErrTaken = errors.New("the id is taken")

// Snapshot is a database that was kept.
type Snapshot struct {
	ID      string
	Space   string // "" for the first
	Created time.Time
	file    string
}

// Options are what a host is made of.
type Options struct {
	URL    string // the server's
	Now    func() time.Time
	Rows   *ondemand.Catalogue
	Fates  []ondemand.Rule // what cards make come out by themselves
	Reader *journal.Reader
	Build  Build
	Sleep  Sleep // nil: by the machine's clock
}

// Host has all spaces of a sandbox, and hands each request to the one that it is for.
type Host struct {
	Options
	first *Space

	running context.Context //nolint:containedctx // of the server, not of a call: what is waited for ends with it
	quiet   context.CancelFunc

	keeping sync.RWMutex // held while a snapshot is read, and alone while one is removed
	seeding sync.Mutex
	seeded  string // file of the database that spaces begin with, "" until one is needed

	mu        sync.RWMutex
	folder    *scratch.Folder // of all files, nil until one is needed
	spaces    map[string]*Space
	snapshots map[string]*Snapshot
	closed    bool
}

// NewHost makes a host whose first space has the server's database, and the store that is the same or stands before it.
func NewHost(ctx context.Context, o Options, db Database, rows pin.Store) (*Host, error) {
	h := &Host{Options: o, spaces: map[string]*Space{}, snapshots: map[string]*Snapshot{}}
	h.running, h.quiet = context.WithCancel(context.WithoutCancel(ctx))
	if h.Sleep == nil {
		h.Sleep = wait
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	h.first = h.space("", o.URL)
	return h, h.first.build(ctx, db, rows, false)
}

// build makes the space's server.
func (s *Space) build(ctx context.Context, db Database, rows pin.Store, seeded bool) (err error) {
	s.db, s.rows = db, watch(rows)
	s.made, err = s.host.Build(ctx, s, db, s.rows, seeded)
	return err
}

func (h *Host) space(id, url string) *Space {
	clock := NewClock(h.Now)
	s := &Space{ID: id, URL: url, Created: h.Now(), Clock: clock, Rules: ondemand.NewRules(h.Rows, h.Fates, ondemand.Chance()), host: h,
		Journal: journal.New(journal.Options{Now: clock.Now, Reader: h.Reader})}
	s.running, s.quiet = context.WithCancel(h.running)
	s.journaled = s.Journal.Handler(http.HandlerFunc(s.inner))
	return s
}

// ServeHTTP answers a request in the space that it is for: that of its header, of its path, or of its credentials, else
// the first.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, r := byPath(r)
	var client, of string
	if h.choosy() {
		client, of = caller(r)
	}
	id = cmp.Or(r.Header.Get(header), id, of)
	s := h.first
	if id != "" && id != first {
		if found, err := h.Space(id); err == nil && found.enter() {
			defer found.leave()
			found.serve(w, r, client, false)
			return
		}
	}
	s.serve(w, r, client, id != "" && id != first)
}

// choosy tells whether it matters who calls: there are other spaces, or rules.
func (h *Host) choosy() bool {
	if h.first.Rules.Any() {
		return true
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.spaces) > 0
}

// byPath takes /spaces/<id> from the front of a path.
func byPath(r *http.Request) (id string, inside *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok {
		return "", r
	}
	id, _, slash := strings.Cut(rest, "/")
	if id == "" || !slash {
		return id, within(r, "/", "")
	}
	raw := r.URL.RawPath
	if raw != "" {
		raw = strings.TrimPrefix(raw, prefix+id)
	}
	return id, within(r, strings.TrimPrefix(r.URL.Path, prefix+id), raw)
}

func within(r *http.Request, path, raw string) *http.Request {
	inside := new(http.Request)
	*inside = *r
	inside.URL = new(url.URL)
	*inside.URL = *r.URL
	inside.URL.Path, inside.URL.RawPath = path, raw
	return inside
}

// First is the space of the server's database.
func (h *Host) First() *Space { return h.first }

// Space finds a space.
func (h *Host) Space(id string) (*Space, error) {
	h.mu.RLock()
	s := h.spaces[id]
	h.mu.RUnlock()
	if s == nil {
		return nil, ErrNoSuch
	}
	if !h.Now().Before(s.Expires) {
		_, _ = h.remove(id, s, 0)
		return nil, ErrNoSuch
	}
	return s, nil
}

// Spaces are all but the first, oldest first.
func (h *Host) Spaces() (all []*Space) {
	h.mu.RLock()
	ids := make([]string, 0, len(h.spaces))
	for id := range h.spaces {
		ids = append(ids, id)
	}
	h.mu.RUnlock()
	for _, id := range ids {
		if s, err := h.Space(id); err == nil {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Space) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return all
}

// Make makes a space with the id, or one that is drawn, from a snapshot, or from the fixtures where that is "".
func (h *Host) Make(ctx context.Context, id, snapshot string) (*Space, error) {
	h.keeping.RLock()
	defer h.keeping.RUnlock()
	from, err := h.source(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = strings.ToLower(rand.Text())
	}
	s := h.space(id, h.URL+prefix+id)
	s.Expires = s.Created.Add(lifetime)
	if err := h.reserve(s); err != nil {
		return nil, err
	}
	if err := h.open(ctx, s, from); err != nil {
		s.quiet()
		h.mu.Lock()
		delete(h.spaces, id)
		h.mu.Unlock()
		return nil, err
	}
	return s, nil
}

// reserve takes a space's id. It cannot be entered before it is opened.
func (h *Host) reserve(s *Space) error {
	s.opening.Lock()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return ErrNoSuch
	case s.ID == first, h.spaces[s.ID] != nil:
		return ErrTaken
	case len(h.spaces) >= maxSpaces:
		return ErrTooMany
	}
	h.spaces[s.ID] = s
	return nil
}

// open gives a space its database, a copy, and its server.
func (h *Host) open(ctx context.Context, s *Space, from string) error {
	defer s.opening.Unlock()
	s.file = filepath.Join(h.folder.Path, s.ID+"."+strings.ToLower(rand.Text())+".db")
	data, err := os.ReadFile(from) //nolint:gosec // a file of our own
	if err != nil {
		return failed(err)
	}
	if err := os.WriteFile(s.file, data, 0o600); err != nil { //nolint:gosec // an id has no slash
		return failed(err)
	}
	db, err := store.Open(ctx, "sqlite://"+s.file, store.Options{Passing: true, MaxConns: 4})
	if err != nil {
		return err
	}
	s.closes = db.Close
	if err := s.build(ctx, db, db, true); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// source is the file of a snapshot, or of the fixtures.
func (h *Host) source(ctx context.Context, snapshot string) (string, error) {
	if snapshot == "" {
		return h.template(ctx)
	}
	if _, err := h.files(); err != nil {
		return "", err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	kept := h.snapshots[snapshot]
	if kept == nil {
		return "", ErrNoSuch
	}
	return kept.file, nil
}

// template is the file of a database that was just seeded. It is made when one is needed.
func (h *Host) template(ctx context.Context) (string, error) {
	h.seeding.Lock()
	defer h.seeding.Unlock()
	if h.seeded != "" {
		return h.seeded, nil
	}
	folder, err := h.files()
	if err != nil {
		return "", err
	}
	db, err := store.Open(ctx, "sqlite://"+filepath.Join(folder, "seeding.db"), store.Options{Passing: true})
	if err != nil {
		return "", err
	}
	seeded := filepath.Join(folder, "seeded.db")
	if err = db.Migrate(ctx); err == nil {
		s := h.space("", h.URL)
		if err = s.build(ctx, db, db, false); err == nil {
			s.made.Stop()
			err = db.Snapshot(ctx, seeded)
		}
	}
	if err = errors.Join(err, db.Close(), remove(filepath.Join(folder, "seeding.db"))); err != nil {
		return "", err
	}
	h.seeded = seeded
	return seeded, nil
}

// files is the folder of all files, which others than this server's user cannot read.
func (h *Host) files() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return "", failed(errors.New("the server ends"))
	case h.folder != nil:
		return h.folder.Path, nil
	}
	folder, err := scratch.New()
	if err != nil {
		return "", failed(err)
	}
	h.folder = folder
	return folder.Path, nil
}

// failed is a failure of the disk.
func failed(err error) error { return &pin.Error{Code: pin.Unavailable, Err: err} }

// remove removes a database's files.
func remove(file string) (err error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if gone := os.Remove(file + suffix); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// Remove ends a space, whose calls end first. It is waited for them for a while, but not for one that comes by the space
// itself to remove it.
func (h *Host) Remove(ctx context.Context, id string, by *Space) error {
	spare := 0
	s, err := h.Space(id)
	if err != nil {
		return err
	}
	if s == by {
		spare = 1
	}
	alone, err := h.remove(id, s, spare)
	if err != nil || alone == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-alone:
	case <-ctx.Done():
	}
	return nil
}

// patience is how long it is waited for the calls of a space that is removed: less than a call may take.
const patience = 5 * time.Second

// remove ends a space that has the id. The channel is closed when all of its calls but so many have ended; nil where there
// never were any.
func (h *Host) remove(id string, s *Space, spare int) (<-chan struct{}, error) {
	h.mu.Lock()
	known := h.spaces[id] == s
	if known {
		delete(h.spaces, id)
	}
	h.mu.Unlock()
	if !known { // somebody else was faster
		return nil, ErrNoSuch
	}
	s.opening.RLock()
	defer s.opening.RUnlock()
	if s.made == nil {
		return nil, nil //nolint:nilnil // it could not be made
	}
	s.end(spare, func() { _ = s.close() })
	return s.alone, nil
}

// close ends a space's database.
func (s *Space) close() error {
	if s.made != nil {
		s.made.Stop()
	}
	return errors.Join(s.closes(), remove(s.file))
}

// Keep keeps a space's database as a snapshot.
func (h *Host) Keep(ctx context.Context, s *Space, id string) (*Snapshot, error) {
	if err := s.rows.Ping(ctx); err != nil {
		return nil, err
	}
	folder, err := h.files()
	if err != nil {
		return nil, err
	}
	kept := &Snapshot{ID: id, Space: s.ID, Created: h.Now(), file: filepath.Join(folder, "snapshot."+strings.ToLower(rand.Text())+".db")}
	h.mu.Lock()
	switch {
	case h.snapshots[id] != nil:
		err = ErrTaken
	case len(h.snapshots) >= maxSnapshots:
		err = ErrTooMany
	}
	h.mu.Unlock()
	if err == nil {
		err = s.db.Snapshot(ctx, kept.file)
	}
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snapshots[id] != nil { // another was faster
		return nil, errors.Join(ErrTaken, remove(kept.file))
	}
	h.snapshots[id] = kept
	return kept, nil
}

// Snapshots are all, oldest first.
func (h *Host) Snapshots() (all []*Snapshot) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, s := range h.snapshots {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Snapshot) int { return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID)) })
	return all
}

// Restore makes a space's database what a snapshot has.
func (h *Host) Restore(ctx context.Context, s *Space, id string) error {
	if err := s.rows.Ping(ctx); err != nil {
		return err
	}
	h.keeping.RLock()
	defer h.keeping.RUnlock()
	from, err := h.source(ctx, id)
	if err != nil {
		return err
	}
	s.state.Lock()
	defer s.state.Unlock()
	if err = s.db.Restore(ctx, from); err == nil {
		s.made.Forget()
	}
	return err
}

// Discard removes a snapshot.
func (h *Host) Discard(id string) error {
	h.keeping.Lock()
	defer h.keeping.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.snapshots[id]
	if kept == nil {
		return ErrNoSuch
	}
	delete(h.snapshots, id)
	return remove(kept.file)
}

// Sweep removes the spaces whose time is over.
func (h *Host) Sweep() { h.Spaces() }

// Quiet ends what would otherwise outlast the server: the streams of all journals, and delays.
func (h *Host) Quiet() {
	h.quiet()
	for _, s := range append(h.Spaces(), h.first) {
		s.Journal.Close()
	}
}

// Close ends all spaces but the first, whose database is its owner's, and removes all files.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	spaces, folder := h.spaces, h.folder
	h.spaces = map[string]*Space{}
	h.mu.Unlock()
	h.first.Journal.Close()
	h.first.made.Stop()
	var err error
	for _, s := range spaces {
		s.end(0, func() {})
		err = errors.Join(err, s.close())
	}
	if folder != nil {
		err = errors.Join(err, folder.Remove())
	}
	return err
}
