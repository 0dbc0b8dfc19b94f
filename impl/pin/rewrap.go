package pin

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// RewrapOptions say how Rewrap goes about it; the zero value is good.
type RewrapOptions struct {
	// Wait, if any, is asked before each row that is written, and holds it up so that the rows of one second are not
	// too many. Its error ends the run.
	Wait func(ctx context.Context) error
	// Progress, if any, hears now and then how many rows of a table have been looked at.
	Progress func(table string, n int64)
	// Done, if any, hears what was done in a table once that is over.
	Done func(Rewrapped)
}

// Rewrapped is what was done in a table.
type Rewrapped struct {
	Table  string
	Rows   int64     // looked at
	Fresh  int64     // of these, put under the current keys
	Left   int64     // of these, left as they are, since something is wrong with them
	Faulty []LeftRow // the first leftRows of them
}

// LeftRow is a row that could not be rewrapped, and why.
type LeftRow struct {
	ID  string
	Err error
}

// leftRows bounds how many rows are named that were left.
const leftRows = 20

// rewrapWorkers is how many rows are written at once: a database answers many as soon as one.
const rewrapWorkers = 4

// Rewrap puts everything that rests under a former key under the current one of its use: what rows hold, their seals, the
// hashes by which cards are found. A chain of events goes on under the current key with an audit.rekeyed; the events
// before it stay as they are. What nobody can make anew, the records of idempotency keys, ends when it expires.
//
// It writes only what it has to, a row at a time and as any operation does, so it may run beside servers, be stopped
// anywhere and begin anew. A row that does not hold, or does not open, is left and told of. The error is what kept it
// from going on.
func (v *Vault) Rewrap(ctx context.Context, o RewrapOptions) error {
	if o.Wait == nil {
		o.Wait = func(context.Context) error { return nil }
	}
	if o.Done == nil {
		o.Done = func(Rewrapped) {}
	}
	w := &walk{vault: v, progress: o.Progress}
	for _, t := range restingTables {
		done := Rewrapped{Table: string(t)}
		err := w.rows(ctx, t, func(page []Row) error {
			return rewrapPage(ctx, o, &done, page, func(r Row) string { return r.ID }, v.rewrapRow)
		})
		if err != nil {
			return err
		}
		o.Done(done)
	}
	done := Rewrapped{Table: tableCards}
	err := w.cards(ctx, func(page []CardRow) error {
		return rewrapPage(ctx, o, &done, page, func(r CardRow) string { return r.ID }, v.rewrapCard)
	})
	if err == nil {
		o.Done(done)
	}
	return err
}

// rewrapPage rewraps the rows of a page, several at once.
func rewrapPage[R any](ctx context.Context, o RewrapOptions, done *Rewrapped, page []R, id func(R) string,
	rewrap func(ctx context.Context, row R, wait func(context.Context) error) (bool, error)) error {
	var mu sync.Mutex
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(rewrapWorkers)
	for _, row := range page {
		workers.Go(func() error {
			fresh, err := rewrap(ctx, row, o.Wait)
			if CodeOf(err) == Unavailable || ctx.Err() != nil {
				return firstOf(ctx.Err(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			done.Rows++
			switch {
			case err != nil:
				if done.Left++; len(done.Faulty) < leftRows {
					done.Faulty = append(done.Faulty, LeftRow{id(row), err})
				}
			case fresh:
				done.Fresh++
			}
			return nil
		})
	}
	return workers.Wait()
}

// rewrapCard rewraps a card, and tells whether there was anything to do.
func (v *Vault) rewrapCard(ctx context.Context, row CardRow, wait func(context.Context) error) (bool, error) {
	for {
		c, err := v.rewrappedCard(ctx, row)
		if err != nil || c.Card == nil {
			return false, err
		}
		if err := wait(ctx); err != nil {
			return false, err
		}
		own, cancel := ownTime(ctx)
		err = v.store.Swap(own, c)
		if overtaken(err) { // as queue does
			err = v.store.Locked(own, row.ID, func(row CardRow) (Change, error) { return v.rewrappedCard(ctx, row) })
		}
		cancel()
		if !overtaken(err) && !isInDoubt(err) {
			return err == nil, err
		}
		rows, err := v.store.CardsOf(ctx, []string{row.ID})
		if err != nil || len(rows) == 0 {
			return false, err
		}
		row = rows[0]
	}
}

// rewrappedCard is the change that puts a card under the current keys, none where it is.
func (v *Vault) rewrappedCard(ctx context.Context, row CardRow) (Change, error) {
	rec, err := v.record(ctx, row)
	if err != nil || !v.renewable(rec.outputs(row)) {
		return Change{}, err
	}
	d, card := deed{Step: rec.PIN.Noted()}, rec.Card
	if _, err := v.renew(d.Next.outputs(card)); err != nil {
		return Change{}, err
	}
	renewed, err := v.renew(card.outputs())
	if err != nil {
		return Change{}, err
	}
	if v.keys.Stale(UsePANIndex, []byte(card.PANIndex)) {
		pan, err := v.pan(card)
		if err != nil {
			return Change{}, err
		}
		index, err := v.panIndex(pan)
		if err != nil {
			return Change{}, err
		}
		card.PANIndex, renewed = index[0], true
	}
	if renewed {
		old, fresh := rec.Card.Lookups(), card.Lookups()
		d.card, d.add, d.drop = &card, without(fresh, old), without(old, fresh)
	}
	return v.change(ctx, rec, d, Memo{})
}

// rewrapRow rewraps a row of another table, and tells whether there was anything to do.
func (v *Vault) rewrapRow(ctx context.Context, row Row, wait func(context.Context) error) (bool, error) {
	for {
		holds, err := v.contents(ctx, row)
		if err != nil || !v.renewable(holds.outputs) {
			return false, err
		}
		if err := wait(ctx); err != nil {
			return false, err
		}
		if holds.rekeys {
			return true, v.rekey(ctx, row.ID)
		}
		next, err := v.rewrappedRow(row, holds)
		if err != nil {
			return false, err
		}
		own, cancel := ownTime(ctx)
		err = v.store.Swap(own, Change{Rows: []Row{next}})
		cancel()
		if CodeOf(err) != Conflict && !isInDoubt(err) {
			return err == nil, err
		}
		var there bool
		if row, there, err = v.again(ctx, row); err != nil || !there {
			return false, err
		}
	}
}

// rewrappedRow is a row that says the same under the current keys.
func (v *Vault) rewrappedRow(row Row, holds contents) (next Row, err error) {
	if _, err := v.renew(holds.outputs); err != nil {
		return Row{}, err
	}
	row.Was = row.Seal
	if holds.body != nil {
		return Sealed(v.keys, row, holds.body())
	}
	row.Seal, err = v.keys.MAC(UseSeal, row.sealInput())
	return row, err
}

// again reads a row once more.
func (v *Vault) again(ctx context.Context, row Row) (_ Row, there bool, err error) {
	if row.CardID == "" {
		row, err = v.store.Row(ctx, row.Table, "", row.ID)
		if CodeOf(err) == NotFound {
			return row, false, nil
		}
		return row, err == nil, err
	}
	rows, err := v.store.RowsOf(ctx, row.Table, []string{row.CardID}, []string{row.ID})
	if err != nil || len(rows) == 0 {
		return Row{}, false, err
	}
	return rows[0], true, nil
}

// contents are what a row holds.
type contents struct {
	outputs []output
	body    func() any // what it says when its outputs were renewed; nil: the same
	rekeys  bool       // it is a chain that must go on under another key
}

// contents opens a row under its seal.
func (v *Vault) contents(ctx context.Context, row Row) (contents, error) {
	var h contents
	switch row.Table {
	case TableClients:
		c, err := v.openClient(ctx, row)
		if err != nil {
			return contents{}, err
		}
		h = contents{outputs: c.outputs(), body: func() any { return c }}
	case TableZoneKeys:
		var k ZoneKey
		if err := v.unseal(ctx, row, &k); err != nil {
			return contents{}, err
		}
		h = contents{outputs: k.outputs(), body: func() any { return k }}
	case TableWebhooks:
		w, err := v.openWebhook(ctx, row)
		if err != nil {
			return contents{}, err
		}
		h = contents{outputs: w.outputs(), body: func() any { return w }}
	case TableSessions:
		s, err := v.openSession(ctx, row)
		if err != nil {
			return contents{}, err
		}
		h = contents{outputs: s.outputs(), body: func() any { return s.resting() }}
	case TableApprovals:
		if _, err := v.openApproval(ctx, row); err != nil {
			return contents{}, err
		}
	case TableChains:
		head, err := openHead(v.keys, row)
		if err != nil {
			return contents{}, v.broken(ctx, string(row.Table), row.ID)
		}
		h = contents{outputs: head.outputs(), rekeys: v.keys.Stale(UseAudit, head.MAC)}
	default:
		if !v.keys.VerifyMAC(UseSeal, row.sealInput(), row.Seal) {
			return contents{}, v.broken(ctx, string(row.Table), row.ID)
		}
	}
	h.outputs = append(h.outputs, output{use: UseSeal, made: row.Seal})
	return h, nil
}

// restingTables are those whose rows are under a seal, besides cards.
var restingTables = []Table{TablePrograms, TableClients, TableZoneKeys, TableWebhooks, TableChains, TableSessions, TableApprovals, TableRecords, TableReplays}

// walk goes over everything that is under a seal, a page at a time.
type walk struct {
	vault    *Vault
	progress func(table string, n int64)
}

func (w *walk) told(table string, n int) {
	if w.progress != nil {
		w.progress(table, int64(n))
	}
}

func (w *walk) rows(ctx context.Context, t Table, look func([]Row) error) error {
	for after, n := (Row{}), 0; ; {
		page, err := w.vault.store.Rows(ctx, t, after, headPage)
		if err == nil {
			err = look(page)
		}
		if err != nil || len(page) < headPage {
			return err
		}
		after, n = page[len(page)-1], n+len(page)
		w.told(string(t), n)
	}
}

func (w *walk) cards(ctx context.Context, look func([]CardRow) error) error {
	for after, n := "", 0; ; {
		page, err := w.vault.store.Cards(ctx, "", Page{After: after, Limit: headPage})
		if err == nil {
			err = look(page)
		}
		if err != nil || len(page) < headPage {
			return err
		}
		after, n = page[len(page)-1].ID, n+len(page)
		w.told(tableCards, n)
	}
}
