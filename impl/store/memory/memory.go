package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"pinvault/impl/pin"
)

// Store keeps rows in memory. It is safe for concurrent use.
type Store struct {
	mu     sync.Mutex
	closed bool
	locks  map[string]chan struct{} // of cards, see Locked

	settings map[string]string
	contents
}

// contents are what Wipe empties.
type contents struct {
	cards      map[string]pin.CardRow
	rows       map[pin.Table]map[string]map[string]pin.Row // by id and the card that they belong to, "" for none
	lookups    map[lookupKey][]pin.Lookup                  // of one value
	events     map[string][]pin.EventRow                   // of a chain, by their places
	last       map[[2]string]int64                         // numbers reserved, by sequence and program
	deliveries map[deliveryKey]pin.Delivery
	leases     map[string]leased
	verified   map[counted]counts
}

type lookupKey struct {
	kind  pin.Kind
	value string
}

type deliveryKey struct {
	chain, webhook string
	seq            int64
}

// New is an empty store.
func New() *Store {
	return &Store{locks: map[string]chan struct{}{}, settings: map[string]string{}, contents: empty()}
}

func empty() contents {
	rows := map[pin.Table]map[string]map[string]pin.Row{}
	for t := range known {
		rows[t] = map[string]map[string]pin.Row{}
	}
	return contents{map[string]pin.CardRow{}, rows, map[lookupKey][]pin.Lookup{}, map[string][]pin.EventRow{},
		map[[2]string]int64{}, map[deliveryKey]pin.Delivery{}, map[string]leased{}, map[counted]counts{}}
}

var (
	errClosed  = errors.New("the store is closed")
	errUnknown = errors.New("no such table")
	errPlace   = errors.New("a place before the first")
)

func conflict(what string) error  { return &pin.Error{Code: pin.Conflict, Field: what} }
func duplicate(what string) error { return &pin.Error{Code: pin.Duplicate, Field: what} }
func notFound() error             { return &pin.Error{Code: pin.NotFound} }

// enter begins a call: Unavailable where the store is closed, or nobody waits.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &pin.Error{Code: pin.Unavailable, Err: err}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return &pin.Error{Code: pin.Unavailable, Err: errClosed}
	}
	return nil
}

// reading is a call that only reads.
func reading[T any](ctx context.Context, s *Store, read func() (T, error)) (T, error) {
	if err := s.enter(ctx); err != nil {
		var none T
		return none, err
	}
	defer s.mu.Unlock()
	return read()
}

// Close ends the store: every later call is Unavailable.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Ping asks the store.
func (s *Store) Ping(ctx context.Context) error {
	_, err := reading(ctx, s, func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// row is a card with its program's version now.
func (s *Store) row(id string) (pin.CardRow, bool) {
	c, there := s.cards[id]
	c.ProgramVersion = s.rows[pin.TablePrograms][c.ProgramID][""].Version
	return c, there
}

// Find is that of pin.Store.
func (s *Store) Find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	return reading(ctx, s, func() ([]pin.CardRow, error) {
		for _, id := range q.Unless {
			if r, there := s.rows[pin.TableReplays][id][""]; there && r.ExpiresAt > q.Now {
				return nil, &pin.Error{Code: pin.Duplicate, Field: string(pin.TableReplays)}
			}
		}
		return s.find(q), nil
	})
}

func (s *Store) find(q pin.Search) []pin.CardRow {
	if q.CardID != "" {
		if row, there := s.row(q.CardID); there && (q.ProgramID == "" || q.ProgramID == row.ProgramID) {
			return []pin.CardRow{row}
		}
		return nil
	}
	if q.Session != "" {
		return s.withSession(q.Session)
	}
	var ids []string
	for _, wanted := range []struct {
		kind   pin.Kind
		values []string
	}{{q.Kind, q.Values}, {q.OrKind, q.OrValues}} {
		for _, value := range wanted.values {
			for _, l := range s.lookups[lookupKey{wanted.kind, value}] {
				if q.ProgramID == "" || q.ProgramID == l.ProgramID {
					ids = append(ids, l.CardID)
				}
			}
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var found []pin.CardRow
	for _, id := range ids[:min(len(ids), q.Limit)] {
		if row, there := s.row(id); there {
			found = append(found, row)
		}
	}
	return found
}

// withSession is a session's card, and the session.
func (s *Store) withSession(id string) (found []pin.CardRow) {
	for cardID, session := range s.rows[pin.TableSessions][id] {
		if row, there := s.row(cardID); there {
			row.Session = &session
			found = append(found, row)
		}
	}
	return found
}

// Swap is that of pin.Store.
func (s *Store) Swap(ctx context.Context, c pin.Change) error {
	if c.Card != nil {
		unlock, err := s.lock(ctx, c.Card.ID)
		if err != nil {
			return err
		}
		defer unlock()
	}
	return s.swap(ctx, c)
}

func (s *Store) swap(ctx context.Context, c pin.Change) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	w := &writing{Store: s}
	err := w.change(c)
	if err != nil {
		w.undo()
	}
	return err
}

// SwapAll is that of pin.Store: here each by itself.
func (s *Store) SwapAll(ctx context.Context, changes []pin.Change) ([]error, error) {
	errs := make([]error, len(changes))
	for i, c := range changes {
		if errs[i] = s.Swap(ctx, c); pin.CodeOf(errs[i]) == pin.Unavailable {
			return nil, errs[i]
		}
	}
	return errs, nil
}

// Locked is that of pin.Store. decide runs once.
func (s *Store) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	unlock, err := s.lock(ctx, cardID)
	if err != nil {
		return err
	}
	defer unlock()
	row, err := reading(ctx, s, func() (pin.CardRow, error) {
		row, there := s.row(cardID)
		if !there {
			return row, notFound()
		}
		return row, nil
	})
	if err != nil {
		return err
	}
	c, err := decide(row)
	if err != nil {
		return err
	}
	return s.swap(ctx, c)
}

// lock waits for a card's lock. Callers get it in turn, as a channel serves them.
func (s *Store) lock(ctx context.Context, cardID string) (unlock func(), err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	lock := s.locks[cardID]
	if lock == nil {
		lock = make(chan struct{}, 1)
		s.locks[cardID] = lock
	}
	s.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, &pin.Error{Code: pin.Unavailable, Err: ctx.Err()}
	}
}

// writing is a change under way. It notes how to undo what it has done.
type writing struct {
	*Store
	back []func()
}

func (w *writing) undo() {
	for _, step := range slices.Backward(w.back) {
		step()
	}
}

// put sets what a map has for a key; keep false takes it away.
func put[K comparable, V any](w *writing, m map[K]V, key K, value V, keep bool) {
	old, there := m[key]
	w.back = append(w.back, func() {
		if there {
			m[key] = old
		} else {
			delete(m, key)
		}
	})
	if keep {
		m[key] = value
	} else {
		delete(m, key)
	}
}

// Now is that of pin.Store: the machine's.
func (s *Store) Now() time.Time { return time.Now() }

func (w *writing) change(c pin.Change) error {
	for _, e := range c.Events {
		if drawn, says := pin.EventDrawn(e.ID); says && time.Since(drawn) > pin.EventLate {
			return conflict("audit_events")
		}
	}
	if err := w.card(c); err != nil {
		return err
	}
	for _, r := range c.Rows {
		if err := w.row(r, c); err != nil {
			return err
		}
	}
	for _, l := range c.Drop {
		key := lookupKey{l.Kind, l.Value}
		if i := slices.Index(w.lookups[key], l); i >= 0 {
			put(w, w.lookups, key, slices.Delete(slices.Clone(w.lookups[key]), i, i+1), true)
		}
	}
	for _, l := range c.Add {
		key := lookupKey{l.Kind, l.Value}
		if slices.ContainsFunc(w.lookups[key], func(o pin.Lookup) bool { return o.ProgramID == l.ProgramID && o.Slot == l.Slot }) {
			return duplicate(string(l.Kind))
		}
		put(w, w.lookups, key, append(slices.Clip(w.lookups[key]), l), true)
	}
	for _, e := range c.Events {
		if err := w.event(e, c.Now); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) card(c pin.Change) error {
	if c.Card == nil {
		return nil
	}
	next := *c.Card
	old, there := w.cards[next.ID]
	switch {
	case next.Revision == 1 && there:
		return duplicate("card")
	case old.Revision != next.Revision-1 || next.Revision < 1:
		return conflict("card")
	case there:
		next.ProgramID = old.ProgramID
		if !c.DetailsToo {
			next.Details = old.Details
		}
	}
	next.ProgramVersion = 0
	put(w, w.cards, next.ID, next, true)
	return nil
}

// known are the tables that hold a [pin.Row], and what a row of version 1 is that is there already.
var known = map[pin.Table]func(string) error{pin.TablePrograms: duplicate, pin.TableClients: duplicate, pin.TableZoneKeys: duplicate,
	pin.TableWebhooks: duplicate, pin.TableChains: conflict, pin.TableReplays: duplicate, pin.TableSessions: conflict,
	pin.TableApprovals: duplicate, pin.TableRecords: duplicate}

func (w *writing) row(r pin.Row, c pin.Change) error {
	taken, ok := known[r.Table]
	if !ok {
		return &pin.Error{Code: pin.Internal, Err: errUnknown}
	}
	table := w.rows[r.Table]
	old, there := table[r.ID][r.CardID]
	switch was := r.Was; {
	case len(was) > 0:
		if r.Was = nil; old.Version != r.Version || !bytes.Equal(old.Seal, was) {
			return conflict(string(r.Table))
		}
	case r.Table == pin.TableReplays:
		if r.Version > 1 && old.Version != r.Version-1 || r.Version == 1 && there && old.ExpiresAt > c.Now {
			return duplicate(string(r.Table))
		}
	case r.Table == pin.TableChains:
		if old.Version != c.From {
			return conflict(string(r.Table))
		}
	case r.Version == 1 && there:
		return taken(string(r.Table))
	case old.Version != r.Version-1 || r.Version < 1:
		return conflict(string(r.Table))
	}
	if there {
		r.ProgramID = old.ProgramID
	}
	if table[r.ID] == nil {
		table[r.ID] = map[string]pin.Row{}
	}
	put(w, table[r.ID], r.CardID, r, true)
	return nil
}

func (w *writing) event(e pin.EventRow, now int64) error {
	if e.Seq < 1 {
		return &pin.Error{Code: pin.Internal, Err: errPlace}
	}
	chain := w.events[e.Chain]
	at, there := slices.BinarySearchFunc(chain, e.Seq, func(o pin.EventRow, seq int64) int { return cmp.Compare(o.Seq, seq) })
	if there {
		return duplicate("audit_events")
	}
	topic := e.Topic
	e.Topic = ""
	if at == len(chain) { // what is appended beyond the end of a former slice shows in no other
		w.back = append(w.back, func() { w.events[e.Chain] = chain })
		w.events[e.Chain] = append(chain, e)
	} else {
		put(w, w.events, e.Chain, slices.Insert(slices.Clone(chain), at, e), true)
	}
	if topic != "" {
		w.announce(e, topic, now)
	}
	return nil
}

// announce queues an event for the webhooks that want it.
func (w *writing) announce(e pin.EventRow, topic string, now int64) {
	for id, rows := range w.rows[pin.TableWebhooks] {
		hook := rows[""]
		wants := bytes.Contains(hook.Body, []byte(`"`+topic+`"`)) || bytes.Contains(hook.Body, []byte(`"on *"`))
		if hook.ProgramID != "" && hook.ProgramID != e.ProgramID || !wants {
			continue
		}
		d := deliveryKey{e.Chain, id, e.Seq}
		if _, there := w.deliveries[d]; !there {
			put(w, w.deliveries, d, pin.Delivery{Chain: e.Chain, WebhookID: id, Seq: e.Seq, EventID: e.ID, State: pin.DeliveryPending, DueAt: now, CreatedAt: now}, true)
		}
	}
}

// Row is that of pin.Store.
func (s *Store) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	return reading(ctx, s, func() (pin.Row, error) {
		var found []pin.Row
		for _, r := range s.rows[t][id] {
			if programID == "" || r.ProgramID == programID {
				found = append(found, r)
			}
		}
		switch len(found) {
		case 0:
			return pin.Row{}, notFound()
		case 1:
			return found[0], nil
		}
		return pin.Row{}, &pin.Error{Code: pin.Ambiguous}
	})
}

// paged are those of all that come after the page's start, by their keys.
func paged[T any](all []T, key func(T) string, p pin.Page) []T {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	all = slices.DeleteFunc(all, func(x T) bool { return key(x) <= p.After })
	return all[:min(p.Limit, len(all))]
}

// all are the rows of a table that fit.
func (s *Store) all(t pin.Table, fits func(pin.Row) bool) (found []pin.Row) {
	for _, rows := range s.rows[t] {
		for _, r := range rows {
			if fits(r) {
				found = append(found, r)
			}
		}
	}
	return found
}

// List is that of pin.Store.
func (s *Store) List(ctx context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	return reading(ctx, s, func() ([]pin.Row, error) {
		return paged(s.all(t, func(r pin.Row) bool { return programID == "" || r.ProgramID == programID }), func(r pin.Row) string { return r.ID }, p), nil
	})
}

func placeOf(r pin.Row) string { return r.CardID + "\x00" + r.ID }

// Rows is that of pin.Store.
func (s *Store) Rows(ctx context.Context, t pin.Table, after pin.Row, limit int) ([]pin.Row, error) {
	return reading(ctx, s, func() ([]pin.Row, error) {
		return paged(s.all(t, func(pin.Row) bool { return true }), placeOf, pin.Page{After: placeOf(after), Limit: limit}), nil
	})
}

// RowsOf is that of pin.Store.
func (s *Store) RowsOf(ctx context.Context, t pin.Table, cardIDs, ids []string) ([]pin.Row, error) {
	return reading(ctx, s, func() (found []pin.Row, _ error) {
		for _, id := range ids {
			for cardID, r := range s.rows[t][id] {
				if slices.Contains(cardIDs, cardID) {
					found = append(found, r)
				}
			}
		}
		return found, nil
	})
}

// Cards is that of pin.Store.
func (s *Store) Cards(ctx context.Context, programID string, p pin.Page) ([]pin.CardRow, error) {
	return reading(ctx, s, func() ([]pin.CardRow, error) {
		var all []pin.CardRow
		for id, c := range s.cards {
			if row, _ := s.row(id); programID == "" || c.ProgramID == programID {
				all = append(all, row)
			}
		}
		return paged(all, func(r pin.CardRow) string { return r.ID }, p), nil
	})
}

// CardsOf is that of pin.Store.
func (s *Store) CardsOf(ctx context.Context, ids []string) ([]pin.CardRow, error) {
	return reading(ctx, s, func() (found []pin.CardRow, _ error) {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
			if row, there := s.row(id); there {
				found = append(found, row)
			}
		}
		return found, nil
	})
}

func keyOf(l pin.Lookup) string {
	return strings.Join([]string{string(l.Kind), l.Value, l.ProgramID, l.Slot}, "\x00")
}

// Lookups is that of pin.Store.
func (s *Store) Lookups(ctx context.Context, after pin.Lookup, limit int) ([]pin.Lookup, error) {
	return reading(ctx, s, func() ([]pin.Lookup, error) {
		start := ""
		if after.Kind != "" {
			start = keyOf(after)
		}
		return paged(slices.Concat(slices.Collect(maps.Values(s.lookups))...), keyOf, pin.Page{After: start, Limit: limit}), nil
	})
}

// matching are the look-ups of the same value as one of the wanted that fit it.
func (s *Store) matching(ctx context.Context, wanted []pin.Lookup, fits func(wanted, is pin.Lookup) bool) ([]pin.Lookup, error) {
	return reading(ctx, s, func() (found []pin.Lookup, _ error) {
		seen := map[pin.Lookup]bool{}
		for _, w := range wanted {
			for _, l := range s.lookups[lookupKey{w.Kind, w.Value}] {
				if l.ProgramID == w.ProgramID && fits(w, l) && !seen[l] {
					seen[l] = true
					found = append(found, l)
				}
			}
		}
		return found, nil
	})
}

// LookupsOf is that of pin.Store.
func (s *Store) LookupsOf(ctx context.Context, wanted []pin.Lookup) ([]pin.Lookup, error) {
	return s.matching(ctx, wanted, func(w, is pin.Lookup) bool { return w.Slot == is.Slot })
}

// Holders is that of pin.Store.
func (s *Store) Holders(ctx context.Context, wanted []pin.Lookup) ([]pin.Lookup, error) {
	return s.matching(ctx, wanted, func(_, _ pin.Lookup) bool { return true })
}

// Events is that of pin.Store.
func (s *Store) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	return reading(ctx, s, func() ([]pin.EventRow, error) {
		var all []pin.EventRow
		for chain, some := range s.events {
			for _, e := range some {
				if (q.Chain == "" || q.Chain == chain) && (q.ID == "" || q.ID == e.ID) && (q.ProgramID == "" || q.ProgramID == e.ProgramID) {
					all = append(all, e)
				}
			}
		}
		if q.Settled { // nothing is half written, and what is late does not come in
			until := pin.EventsFrom(time.Now().Add(-pin.EventSettled))
			all = slices.DeleteFunc(all, func(e pin.EventRow) bool { return e.ID >= until })
		}
		if q.Chain == "" {
			return paged(all, func(e pin.EventRow) string { return e.ID }, q.Page), nil
		}
		if at := slices.IndexFunc(all, func(e pin.EventRow) bool { return e.ID == q.After }); at >= 0 {
			all = all[at+1:]
		}
		return all[:min(q.Limit, len(all))], nil
	})
}

// ChainEvents is that of pin.Store.
func (s *Store) ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error) {
	return reading(ctx, s, func() ([]pin.EventRow, error) {
		all := []pin.EventRow{}
		take := func(some []pin.EventRow) { all = append(all, some[:min(limit-len(all), len(some))]...) }
		at, there := slices.BinarySearchFunc(s.events[chain], seq, func(e pin.EventRow, seq int64) int { return cmp.Compare(e.Seq, seq) })
		if there {
			at++
		}
		if take(s.events[chain][at:]); len(all) == limit {
			return all, nil
		}
		for _, c := range slices.Sorted(maps.Keys(s.events)) {
			if c > chain {
				take(s.events[c])
			}
		}
		return all, nil
	})
}

// Numbers is that of pin.Store.
func (s *Store) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	return reading(ctx, s, func() (int64, error) {
		key := [2]string{sequence, programID}
		s.last[key] += n
		return s.last[key] - n + 1, nil
	})
}
