package simulation

import (
	"context"
	"errors"

	"pinvault/impl/pin"
)

// link is the store as one server sees it: every call is a message to the database and one back, and either may be late, or lost.
type link struct {
	pin.Store // the database; what is not below is asked at the end only
	life      *life
}

// ask is a call of the store on its way.
type ask struct {
	from   *attempt
	ctx    context.Context
	name   string
	card   string      // whose lock it needs, or "" for none
	tx     *tx         // that it belongs to, or nil
	change *pin.Change // of a write
	do     func() error
	err    error
	orphan bool // nobody waits for it any more
}

// tx is a transaction that has, or wants, a card's lock.
type tx struct {
	card string
	held bool
}

// lock is a card's: who has it, and who waits.
type lock struct {
	holder *tx
	line   []event
}

// gone is what a call panics with whose server has crashed.
type gone struct{}

var (
	errBefore = errors.New("the connection broke before anything was asked")
	errDoubt  = &pin.Error{Code: pin.Unavailable, Err: pin.ErrInDoubt}
)

// call sends an ask and waits for its reply. Where no server is at work, before and after a life, it is answered at once.
func (l *link) call(k *ask) error {
	a := l.life.running
	if a == nil {
		return l.life.effect(k)
	}
	if err := k.ctx.Err(); err != nil {
		a.doubted = true
		if k.tx != nil {
			l.life.release(k.tx)
		}
		return &pin.Error{Code: pin.Unavailable, Err: err}
	}
	k.from = a
	l.life.send(event{kind: asked, ask: k})
	if !a.yield(struct{}{}) {
		panic(gone{})
	}
	return k.err
}

func called[T any](ctx context.Context, l *link, name string, do func() (T, error)) (out T, err error) {
	err = l.call(&ask{ctx: ctx, name: name, do: func() (err error) { out, err = do(); return err }})
	return out, err
}

// Find is that of pin.Store.
func (l *link) Find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	return called(ctx, l, "finds", func() ([]pin.CardRow, error) { return l.Store.Find(context.Background(), q) })
}

// Swap is that of pin.Store.
func (l *link) Swap(ctx context.Context, c pin.Change) error {
	k := &ask{ctx: ctx, name: "swaps", change: &c, do: func() error { return l.Store.Swap(context.Background(), c) }}
	if c.Card != nil {
		k.card = c.Card.ID
	}
	return l.call(k)
}

// Locked is that of pin.Store.
func (l *link) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	for {
		again, err := l.locked(ctx, &tx{card: cardID}, decide)
		if !again {
			return err
		}
	}
}

func (l *link) locked(ctx context.Context, t *tx, decide func(pin.CardRow) (pin.Change, error)) (again bool, err error) {
	over := false
	defer func() {
		if !over { // the server has crashed, and the database will notice
			l.life.later(event{kind: broken, tx: t})
		}
	}()
	var row pin.CardRow
	err = l.call(&ask{ctx: ctx, name: "locks", card: t.card, tx: t, do: func() error {
		l.life.take(t)
		found, err := l.Store.Find(context.Background(), pin.Search{CardID: t.card, Limit: 1})
		if err == nil && len(found) == 0 {
			err = &pin.Error{Code: pin.NotFound}
		}
		if err == nil {
			row = found[0]
		}
		return err
	}})
	if err != nil { // it may have the lock
		over = true
		l.life.later(event{kind: broken, tx: t})
		return false, err
	}
	c, err := decide(row)
	if err != nil || c.Card == nil {
		over = true
		l.life.release(t)
		return false, err
	}
	if l.life.chance(0.01) { // a database may ask for the transaction once more
		over = true
		l.life.release(t)
		return true, nil
	}
	err = l.call(&ask{ctx: ctx, name: "writes", card: t.card, tx: t, change: &c, do: func() error { return l.Store.Swap(context.Background(), c) }})
	over = true
	return false, err
}

// Row is that of pin.Store.
func (l *link) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	return called(ctx, l, "reads a row", func() (pin.Row, error) { return l.Store.Row(context.Background(), t, programID, id) })
}

// RowsOf is that of pin.Store.
func (l *link) RowsOf(ctx context.Context, t pin.Table, cardIDs, ids []string) ([]pin.Row, error) {
	return called(ctx, l, "reads rows of a card", func() ([]pin.Row, error) {
		return l.Store.RowsOf(context.Background(), t, cardIDs, ids)
	})
}

// Cards is that of pin.Store.
func (l *link) Cards(ctx context.Context, programID string, p pin.Page) ([]pin.CardRow, error) {
	return called(ctx, l, "lists cards", func() ([]pin.CardRow, error) { return l.Store.Cards(context.Background(), programID, p) })
}

// ChainEvents is that of pin.Store.
func (l *link) ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error) {
	return called(ctx, l, "looks into a chain", func() ([]pin.EventRow, error) {
		return l.Store.ChainEvents(context.Background(), chain, seq, limit)
	})
}

// Numbers is that of pin.Store. A vault asks for them under a lock of its process, so nothing comes between.
func (l *link) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	if l.life.running != nil && l.life.chance(l.life.odds.before) {
		return 0, &pin.Error{Code: pin.Unavailable, Err: errBefore}
	}
	return l.Store.Numbers(ctx, sequence, programID, n)
}

// take gives a transaction its card's lock.
func (l *life) take(t *tx) {
	t.held = true
	l.locks[t.card].holder = t
}

// release gives a lock back, and lets those who wait try.
func (l *life) release(t *tx) {
	if !t.held {
		return
	}
	t.held = false
	k := l.locks[t.card]
	l.ready = append(l.ready, k.line...)
	k.holder, k.line = nil, nil
}

// waits tells whether a call has to wait for a lock, and puts it into the line.
func (l *life) waits(e event) bool {
	k := e.ask
	if k.card == "" {
		return false
	}
	at := l.locks[k.card]
	if at == nil {
		at = &lock{}
		l.locks[k.card] = at
	}
	if at.holder == nil || at.holder == k.tx {
		return false
	}
	at.line = append(at.line, e)
	return true
}

// effect lets the database do what it is asked, and holds what changes against the rules.
func (l *life) effect(k *ask) error {
	err := k.do()
	if k.from != nil {
		k.from.asked = l.step
	}
	if err == nil && k.change != nil {
		l.committed(k)
	}
	return err
}

// arrives is a call that the database has got.
func (l *life) arrives(e event) {
	k := e.ask
	if k.from.done { // its server has crashed
		if k.change == nil {
			return
		}
		k.orphan = true
	}
	if l.waits(e) {
		return
	}
	if k.tx != nil && k.change != nil && !k.tx.held { // the database was down meanwhile
		l.reply(k, errDoubt)
		return
	}
	write := k.change != nil
	expired := k.ctx.Err() != nil
	switch {
	case k.orphan:
		if l.chance(0.6) {
			l.note("makes what nobody waits for", k, l.effect(k))
		}
		l.end(k)
	case !write && (expired || l.chance(l.odds.before)), l.chance(l.odds.before):
		l.reply(k, &pin.Error{Code: pin.Unavailable, Err: errBefore})
	case write && l.chance(l.odds.doubt):
		l.reply(k, errDoubt)
	case write && (expired || l.chance(l.odds.late)):
		l.later(event{kind: asked, ask: &ask{from: k.from, ctx: k.ctx, name: k.name, card: k.card, tx: k.tx, change: k.change, do: k.do, orphan: true}})
		k.tx = nil // which is the orphan's now
		l.reply(k, errDoubt)
	case write && l.chance(l.odds.after):
		err := l.effect(k)
		l.note("and its reply is lost", k, err)
		l.reply(k, errDoubt)
	default:
		l.reply(k, l.effect(k))
	}
}

// reply sends a reply on its way.
func (l *life) reply(k *ask, err error) {
	k.err = err
	l.note("", k, err)
	l.end(k)
	if k.from != nil && !k.orphan {
		l.send(event{kind: replied, ask: k})
	}
}

// end gives back the lock of a transaction that has written, or never will.
func (l *life) end(k *ask) {
	if k.tx != nil && k.change != nil {
		l.release(k.tx)
	}
}

// outage breaks every connection to the database. What was asked has happened or has not; what was committed stays.
func (l *life) outage() {
	l.note("the database breaks off", nil, nil)
	all := append(l.ready, l.sleeping()...)
	for _, k := range l.locks {
		all = append(all, k.line...)
		if k.holder != nil {
			k.holder.held = false
		}
		k.holder, k.line = nil, nil
	}
	l.ready = nil
	for _, e := range all {
		switch {
		case e.kind == broken:
		case e.kind == asked && e.ask.orphan:
		case e.kind == asked && e.ask.change != nil, e.kind == replied && e.ask.change != nil && l.chance(0.5):
			e.ask.err = errDoubt
			l.send(event{kind: replied, ask: e.ask})
		case e.kind == asked:
			e.ask.err = &pin.Error{Code: pin.Unavailable, Err: errBefore}
			l.send(event{kind: replied, ask: e.ask})
		default:
			l.again(e)
		}
	}
}
