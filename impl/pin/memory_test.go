package pin_test

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"pinvault/impl/pin"
)

// memory is a pin.Store in maps, one call at a time, for tests that ask for many worlds. What the stores
// of databases must do stands in impl/store/storetest; it does the same in as few words as possible.
type memory struct {
	mu sync.Mutex
	memoryState
}

type memoryState struct {
	cards   map[string]pin.CardRow
	rows    map[[3]string]pin.Row // by table, card and id
	lookups map[pin.Lookup]string // card by look-up without it
	events  map[string][]pin.EventRow
	last    map[[2]string]int64
}

func newMemory() *memory {
	return &memory{memoryState: memoryState{map[string]pin.CardRow{}, map[[3]string]pin.Row{}, map[pin.Lookup]string{}, map[string][]pin.EventRow{}, map[[2]string]int64{}}}
}

func (m *memory) row(id string) pin.CardRow {
	c := m.cards[id]
	c.ProgramVersion = m.rows[[3]string{string(pin.TablePrograms), "", c.ProgramID}].Version
	return c
}

func (m *memory) Find(_ context.Context, s pin.Search) (found []pin.CardRow, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := map[string]bool{}
	if _, ok := m.cards[s.CardID]; ok {
		ids[s.CardID] = true
	}
	for l, id := range m.lookups {
		if s.CardID == "" && (l.Kind == s.Kind && slices.Contains(s.Values, l.Value) || l.Kind == s.OrKind && slices.Contains(s.OrValues, l.Value)) && (s.ProgramID == "" || s.ProgramID == l.ProgramID) {
			ids[id] = true
		}
	}
	if s.Session != "" {
		for key, r := range m.rows {
			if _, there := m.cards[key[1]]; there && key[0] == string(pin.TableSessions) && key[2] == s.Session {
				card := m.row(key[1])
				card.Session = &r
				found = append(found, card)
			}
		}
		return found, nil
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if len(found) < s.Limit || s.CardID != "" {
			found = append(found, m.row(id))
		}
	}
	return found, nil
}

func (m *memory) Swap(_ context.Context, c pin.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swap(c)
}

func (m *memory) SwapAll(ctx context.Context, changes []pin.Change) ([]error, error) {
	errs := make([]error, len(changes))
	for i, c := range changes {
		errs[i] = m.Swap(ctx, c)
	}
	return errs, nil
}

func (m *memory) Holders(_ context.Context, wanted []pin.Lookup) (found []pin.Lookup, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l, id := range m.lookups {
		if slices.ContainsFunc(wanted, func(w pin.Lookup) bool {
			return w.Kind == l.Kind && w.Value == l.Value && w.ProgramID == l.ProgramID
		}) {
			l.CardID = id
			found = append(found, l)
		}
	}
	return found, nil
}

func (m *memory) swap(c pin.Change) error {
	before := memoryState{maps.Clone(m.cards), maps.Clone(m.rows), maps.Clone(m.lookups), maps.Clone(m.events), m.last}
	err := m.write(c)
	if err != nil {
		m.memoryState = before
	}
	return err
}

func conflict(what string) error  { return &pin.Error{Code: pin.Conflict, Field: what} }
func duplicate(what string) error { return &pin.Error{Code: pin.Duplicate, Field: what} }

func (m *memory) write(c pin.Change) error {
	if c.Card != nil {
		old, there := m.cards[c.Card.ID]
		switch {
		case c.Card.Revision == 1 && there:
			return duplicate("card")
		case old.Revision != c.Card.Revision-1:
			return conflict("card")
		}
		row := *c.Card
		if there && !c.DetailsToo {
			row.Details = old.Details
		}
		m.cards[row.ID] = row
	}
	for _, r := range c.Rows {
		if err := m.put(r, c); err != nil {
			return err
		}
	}
	for _, l := range c.Drop {
		l.CardID = ""
		delete(m.lookups, l)
	}
	for _, l := range c.Add {
		id := l.CardID
		l.CardID = ""
		if _, taken := m.lookups[l]; taken {
			return duplicate(string(l.Kind))
		}
		m.lookups[l] = id
	}
	for _, e := range c.Events {
		if e.Seq <= int64(len(m.events[e.Chain])) {
			return duplicate("audit_events")
		}
		m.events[e.Chain] = append(slices.Clone(m.events[e.Chain]), e)
	}
	return nil
}

func (m *memory) put(r pin.Row, c pin.Change) error {
	key := [3]string{string(r.Table), r.CardID, r.ID}
	old, there := m.rows[key]
	switch {
	case len(r.Was) > 0 && (old.Version != r.Version || !bytes.Equal(old.Seal, r.Was)):
		return conflict(string(r.Table))
	case len(r.Was) > 0:
		r.Was = nil
	case r.Table == pin.TableReplays && (r.Version > 1 && old.Version != r.Version-1 || r.Version == 1 && there && old.ExpiresAt > c.Now):
		return duplicate(string(r.Table))
	case r.Table == pin.TableReplays:
	case r.Table == pin.TableChains && old.Version != c.From:
		return conflict(string(r.Table))
	case r.Table == pin.TableChains:
	case r.Version == 1 && there && r.Table != pin.TableSessions:
		return duplicate(string(r.Table))
	case old.Version != r.Version-1:
		return conflict(string(r.Table))
	}
	m.rows[key] = r
	return nil
}

// Locked lets others read while it is decided, as every engine does, and is overtaken by whoever swaps meanwhile.
func (m *memory) Locked(_ context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	m.mu.Lock()
	row := m.row(cardID)
	_, ok := m.cards[cardID]
	m.mu.Unlock()
	if !ok {
		return &pin.Error{Code: pin.NotFound}
	}
	c, err := decide(row)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swap(c)
}

func (m *memory) Row(_ context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []pin.Row
	for key, r := range m.rows {
		if key[0] == string(t) && key[2] == id && (programID == "" || r.ProgramID == programID) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return pin.Row{}, &pin.Error{Code: pin.NotFound}
	case 1:
		return found[0], nil
	}
	return pin.Row{}, &pin.Error{Code: pin.Ambiguous}
}

// paged are those of all that come after the page's start, by their keys.
func paged[T any](all []T, key func(T) string, p pin.Page) []T {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	all = slices.DeleteFunc(all, func(x T) bool { return key(x) <= p.After })
	return all[:min(p.Limit, len(all))]
}

func (m *memory) List(_ context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pin.Row
	for key, r := range m.rows {
		if key[0] == string(t) && (programID == "" || r.ProgramID == programID) {
			all = append(all, r)
		}
	}
	return paged(all, func(r pin.Row) string { return r.ID }, p), nil
}

func (m *memory) Cards(_ context.Context, programID string, p pin.Page) ([]pin.CardRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pin.CardRow
	for id, c := range m.cards {
		if programID == "" || c.ProgramID == programID {
			all = append(all, m.row(id))
		}
	}
	return paged(all, func(r pin.CardRow) string { return r.ID }, p), nil
}

func (m *memory) CardsOf(_ context.Context, ids []string) (found []pin.CardRow, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if _, ok := m.cards[id]; ok {
			found = append(found, m.row(id))
		}
	}
	return found, nil
}

func rowKey(r pin.Row) string { return r.CardID + "\x00" + r.ID }

func (m *memory) Rows(_ context.Context, t pin.Table, after pin.Row, limit int) ([]pin.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pin.Row
	for key, r := range m.rows {
		if key[0] == string(t) {
			all = append(all, r)
		}
	}
	return paged(all, rowKey, pin.Page{After: rowKey(after), Limit: limit}), nil
}

func (m *memory) RowsOf(_ context.Context, t pin.Table, cardIDs, ids []string) (found []pin.Row, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.rows {
		if key[0] == string(t) && slices.Contains(cardIDs, r.CardID) && slices.Contains(ids, r.ID) {
			found = append(found, r)
		}
	}
	return found, nil
}

func lookupKey(l pin.Lookup) string {
	return string(l.Kind) + "\x00" + l.Value + "\x00" + l.ProgramID + "\x00" + l.Slot
}

func (m *memory) Lookups(_ context.Context, after pin.Lookup, limit int) ([]pin.Lookup, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pin.Lookup
	for l, id := range m.lookups {
		l.CardID = id
		all = append(all, l)
	}
	start := ""
	if after.Kind != "" {
		start = lookupKey(after)
	}
	return paged(all, lookupKey, pin.Page{After: start, Limit: limit}), nil
}

func (m *memory) LookupsOf(_ context.Context, wanted []pin.Lookup) (found []pin.Lookup, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range wanted {
		l.CardID = ""
		if id, ok := m.lookups[l]; ok {
			l.CardID = id
			found = append(found, l)
		}
	}
	return found, nil
}

func (m *memory) Events(_ context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pin.EventRow
	for chain, some := range m.events {
		for _, e := range some {
			if (q.Chain == "" || q.Chain == chain) && (q.ProgramID == "" || q.ProgramID == e.ProgramID) {
				all = append(all, e)
			}
		}
	}
	if q.Chain == "" {
		return paged(all, func(e pin.EventRow) string { return e.ID }, q.Page), nil
	}
	if at := slices.IndexFunc(all, func(e pin.EventRow) bool { return e.ID == q.After }); at >= 0 {
		all = all[at+1:]
	}
	return all[:min(q.Limit, len(all))], nil
}

func (m *memory) ChainEvents(_ context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []pin.EventRow
	for _, c := range slices.Sorted(maps.Keys(m.events)) {
		for _, e := range m.events[c] {
			if c > chain || c == chain && e.Seq > seq {
				all = append(all, e)
			}
		}
	}
	return all[:min(limit, len(all))], nil
}

func (m *memory) Numbers(_ context.Context, sequence, programID string, n int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{sequence, programID}
	m.last[key] += n
	return m.last[key] - n + 1, nil
}

func (m *memory) Ping(context.Context) error { return nil }

func (m *memory) Now() time.Time { return time.Now() }
