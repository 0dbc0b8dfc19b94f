package simulation

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// Faults that somebody could build in. Each is a store that differs in one thing from what it is over.

// over is a store with another Swap.
type over struct {
	pin.Store
	swap func(ctx context.Context, c pin.Change) error
}

// Swap is that of pin.Store.
func (o over) Swap(ctx context.Context, c pin.Change) error { return o.swap(ctx, c) }

// swapping is a fault of Swap.
func swapping(fault func(ctx context.Context, s pin.Store, c pin.Change) error) func(pin.Store) pin.Store {
	return func(s pin.Store) pin.Store {
		return over{s, func(ctx context.Context, c pin.Change) error { return fault(ctx, s, c) }}
	}
}

// eachOf is true once in n times.
func eachOf(n int) func() bool {
	i := 0
	return func() bool { i++; return i%n == 0 }
}

func conflict() error { return &pin.Error{Code: pin.Conflict, Field: "card"} }

// rebased is a change that takes the place of whatever the card is by now, as if it had been decided on that.
func rebased(ctx context.Context, s pin.Store, c pin.Change) (pin.Change, error) {
	found, err := s.Find(ctx, pin.Search{CardID: c.Card.ID, Limit: 1})
	if err != nil || len(found) == 0 {
		return c, err
	}
	var is, next pin.Value
	if err := errors.Join(json.Unmarshal(found[0].Value, &is), json.Unmarshal(c.Card.Value, &next)); err != nil {
		return c, err
	}
	row := *c.Card
	row.Revision, next.Head.Seq = found[0].Revision+1, is.Head.Seq+int64(len(c.Events))
	c.Events = slices.Clone(c.Events)
	for i := range c.Events {
		c.Events[i].Seq = is.Head.Seq + int64(i) + 1
	}
	c.Card, err = sealed(row, next)
	return c, err
}

// blindly swaps a card whatever its revision.
func blindly(ctx context.Context, s pin.Store, c pin.Change) error {
	if c.Card == nil || c.Card.Revision == 1 {
		return s.Swap(ctx, c)
	}
	for {
		fresh, err := rebased(ctx, s, c)
		if err == nil {
			err = s.Swap(ctx, fresh)
		}
		if pin.CodeOf(err) != pin.Conflict || pin.FieldOf(err) != "card" {
			return err
		}
	}
}

// lockless decides without a lock, and writes what it has decided.
type lockless struct{ pin.Store }

// Locked is that of pin.Store.
func (l lockless) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	found, err := l.Find(ctx, pin.Search{CardID: cardID, Limit: 1})
	if err != nil {
		return err
	}
	c, err := decide(found[0])
	if err != nil || c.Card == nil {
		return err
	}
	return blindly(ctx, l.Store, c)
}

// stale answers from what it has read some time ago.
type stale struct {
	pin.Store
	kept map[string][]pin.CardRow
	anew func() bool
}

// Find is that of pin.Store.
func (s stale) Find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	if found, ok := s.kept[q.CardID]; ok && !s.anew() {
		return found, nil
	}
	found, err := s.Store.Find(ctx, q)
	if err == nil {
		s.kept[q.CardID] = found
	}
	return found, err
}

// astray finds another card now and then.
type astray struct {
	pin.Store
	now func() bool
}

// Find is that of pin.Store.
func (s astray) Find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	if s.now() {
		q.CardID = "card 000"
	}
	return s.Store.Find(ctx, q)
}

// twice reserves numbers that were reserved.
type twice struct {
	pin.Store
	again func() bool
	last  *int64
}

// Numbers is that of pin.Store.
func (s twice) Numbers(ctx context.Context, sequence, programID string, n int64) (first int64, err error) {
	if *s.last > 0 && s.again() {
		return *s.last, nil
	}
	*s.last, err = s.Store.Numbers(ctx, sequence, programID, n)
	return *s.last, err
}

// deaf never finds an event in a chain.
type deaf struct{ pin.Store }

// ChainEvents is that of pin.Store.
func (deaf) ChainEvents(context.Context, string, int64, int) ([]pin.EventRow, error) { return nil, nil }

// repeating decides again where the outcome of what it has written under the lock is not known.
type repeating struct{ pin.Store }

// Locked is that of pin.Store.
func (r repeating) Locked(ctx context.Context, id string, decide func(pin.CardRow) (pin.Change, error)) error {
	err := r.Store.Locked(ctx, id, decide)
	if errors.Is(err, pin.ErrInDoubt) {
		err = conflict()
	}
	return err
}

// beside keeps idempotency records by themselves, after what they are of.
func beside(ctx context.Context, s pin.Store, c pin.Change) error {
	var records []pin.Row
	rows := slices.Clone(c.Rows)
	c.Rows = nil
	for _, r := range rows {
		if r.Table == pin.TableReplays && c.Card != nil {
			records = append(records, r)
		} else {
			c.Rows = append(c.Rows, r)
		}
	}
	if err := s.Swap(ctx, c); err != nil || len(records) == 0 {
		return err
	}
	return s.Swap(ctx, pin.Change{Rows: records, Now: c.Now})
}

// ofTheDatabase is a fault of what the database writes, once in n changes of a card that was there.
func ofTheDatabase(n int, spoil func(c *pin.Change)) func(pin.Store) pin.Store {
	return func(s pin.Store) pin.Store {
		now := eachOf(n)
		return over{s, func(ctx context.Context, c pin.Change) error {
			if c.Card != nil && c.Card.Revision > 1 && len(c.Events) > 0 && now() {
				c.Events, c.Rows = slices.Clone(c.Events), slices.Clone(c.Rows)
				spoil(&c)
			}
			return s.Swap(ctx, c)
		}}
	}
}

// usedTwice has an approval used by whom another one was faster than.
func usedTwice(ctx context.Context, s pin.Store, c pin.Change) error {
	err := s.Swap(ctx, c)
	used := func(r pin.Row) bool { return r.Table == pin.TableApprovals && r.Version == 3 }
	if pin.CodeOf(err) != pin.Conflict || !slices.ContainsFunc(c.Rows, used) {
		return err
	}
	c.Rows = slices.DeleteFunc(slices.Clone(c.Rows), used)
	return blindly(ctx, s, c)
}

// sealed is a card's row with another value.
func sealed(row pin.CardRow, v pin.Value) (*pin.CardRow, error) {
	var err error
	if row.Value, err = json.Marshal(v); err != nil {
		return nil, err
	}
	row.Seal, err = (&keys{1}).MAC(pin.UseSeal, pin.Frame(row.ID, row.ProgramID, strconv.FormatInt(row.Revision, 10), string(row.Details), string(row.Value)))
	return &row, err
}

var planted = []struct {
	Fault
	found []string // words of which one is in what is reported
}{
	{Fault{Name: "a counter that is read, and then written", Server: swapping(blindly)}, []string{"makes", "the seal"}},
	{Fault{Name: "a lock that does not lock", Server: func(s pin.Store) pin.Store { return lockless{s} }}, []string{"makes", "does not verify"}},
	{Fault{Name: "a swap that is decided again after an unknown outcome", Server: swapping(func(ctx context.Context, s pin.Store, c pin.Change) error {
		err := s.Swap(ctx, c)
		if errors.Is(err, pin.ErrInDoubt) && c.Card != nil {
			err = conflict()
		}
		return err
	})}, []string{"twice", "conflict"}},
	{Fault{Name: "a write under the lock that is decided again after an unknown outcome", Server: func(s pin.Store) pin.Store { return repeating{s} }}, []string{"twice"}},
	{Fault{Name: "a vault that does not look whether a change was its own", Server: func(s pin.Store) pin.Store { return deaf{s} }}, []string{"twice", "was committed", "conflict"}},
	{Fault{Name: "a lost reply that is taken for a good one", Server: swapping(func(ctx context.Context, s pin.Store, c pin.Change) error {
		err := s.Swap(ctx, c)
		if errors.Is(err, pin.ErrInDoubt) {
			err = nil
		}
		return err
	})}, []string{"at no time", "nothing tells"}},
	{Fault{Name: "a card that is read from a cache", Server: func(s pin.Store) pin.Store { return stale{s, map[string][]pin.CardRow{}, eachOf(20)} }}, []string{"at no time"}},
	{Fault{Name: "an idempotency record that is kept by itself", Server: swapping(beside)}, []string{"twice", "had its effect"}},
	{Fault{Name: "a search that finds another card", Server: func(s pin.Store) pin.Store { return astray{s, eachOf(200)} }}, []string{"at no time"}},
	{Fault{Name: "an event that the database loses", Database: ofTheDatabase(50, func(c *pin.Change) { c.Events = c.Events[:len(c.Events)-1] })}, []string{"does not verify", "twice"}},
	{Fault{Name: "an event that the database writes twice", Database: ofTheDatabase(50, func(c *pin.Change) {
		again := c.Events[len(c.Events)-1]
		again.Seq++
		c.Events = append(c.Events, again)
	})}, []string{"our own fault", "the seal"}},
	{Fault{Name: "an event that the database changes", Database: ofTheDatabase(50, func(c *pin.Change) {
		c.Events[0].Body = bytes.Replace(c.Events[0].Body, []byte("pin."), []byte("pen."), 1)
	})}, []string{"does not verify"}},
	{Fault{Name: "a change that the database acknowledges and forgets", Database: func(s pin.Store) pin.Store {
		now := eachOf(100)
		return over{s, func(ctx context.Context, c pin.Change) error {
			if c.Card != nil && c.Card.Revision > 1 && now() {
				return nil
			}
			return s.Swap(ctx, c)
		}}
	}}, []string{"follows revision", "at no time", "has come to event"}},
	{Fault{Name: "somebody who gives a card its tries back", Database: ofTheDatabase(50, func(c *pin.Change) {
		row := *c.Card
		row.Value = bytes.Replace(row.Value, []byte(`"triesLeft":`), []byte(`"triesLeft":1`), 1)
		c.Card = &row
	})}, []string{"the seal"}},
	{Fault{Name: "an idempotency record that the database loses", Database: ofTheDatabase(5, func(c *pin.Change) {
		c.Rows = slices.DeleteFunc(c.Rows, func(r pin.Row) bool { return r.Table == pin.TableReplays })
	})}, []string{"twice", "had its effect"}},
	{Fault{Name: "a server that unblocks once more than it may", More: 1}, []string{"makes"}},
	{Fault{Name: "an approval that is used twice", Server: swapping(usedTwice)}, []string{"makes"}},
	{Fault{Name: "numbers that are reserved twice", Database: func(s pin.Store) pin.Store { return twice{s, eachOf(2), new(int64)} }}, []string{"error duplicate"}},
}

// within is after how many steps, at the most, a fault is found that was planted.
const within = 300_000

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	if raced {
		t.Skip("it takes long with the race detector, which has nothing to find: scripts/test runs it without")
	}
	for _, p := range planted {
		t.Run(p.Name, func(t *testing.T) {
			steps := 0
			for seed := uint64(1); ; seed++ {
				var r Report
				synctest.Test(t, func(*testing.T) { r = Live(Options{Seed: seed, Steps: 10_000, Fault: p.Fault}) })
				if steps += r.Steps; r.Broken != "" {
					what, _, _ := strings.Cut(r.Broken, "\n")
					t.Logf("found after %d steps, of seed %d: %s", steps, seed, what)
					require.True(t, slices.ContainsFunc(p.found, func(word string) bool { return strings.Contains(what, word) }), what)
					return
				}
				require.Less(t, steps, within, "not found")
			}
		})
	}
}

// What stands between and does nothing is not found, so that whatever is found above is the fault.
func TestAStoreThatOnlyPassesOnIsNoFault(t *testing.T) {
	t.Parallel()
	pass := swapping(func(ctx context.Context, s pin.Store, c pin.Change) error { return s.Swap(ctx, c) })
	for seed := uint64(1); seed < 4; seed++ {
		synctest.Test(t, func(t *testing.T) {
			require.Empty(t, Live(Options{Seed: seed, Steps: 10_000, Fault: Fault{Server: pass, Database: pass}}).Broken)
		})
	}
}
