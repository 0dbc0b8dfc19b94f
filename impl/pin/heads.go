package pin

import (
	"context"
	"iter"
)

// cursor reads a table page by page, in the order of its keys, and holds one page in memory.
type cursor[T any] struct {
	read func(after T) ([]T, error)
	size int // of a full page; one with less is the last
	page []T
	last T
	over bool
}

// peek is the next row, nil after the last one.
func (c *cursor[T]) peek() (*T, error) {
	if len(c.page) == 0 && !c.over {
		var err error
		if c.page, err = c.read(c.last); err != nil {
			return nil, err
		}
		c.over = len(c.page) < c.size
	}
	if len(c.page) == 0 {
		return nil, nil
	}
	return &c.page[0], nil
}

// skip leaves the row behind that peek has returned.
func (c *cursor[T]) skip() { c.last, c.page = c.page[0], c.page[1:] }

// ChainHead is how far a chain has come, by what its card or its own row says under its seal.
type ChainHead struct {
	Chain string
	Head
}

// tip is the row that carries a chain's head.
type tip struct {
	ChainHead
	table  string
	broken bool // its seal is, so that nobody knows how far the chain has come
}

// headPage bounds how many rows are read at once where all of them are.
const headPage = 500

// cardTips are the heads that cards carry. watch, if any, sees each page as it was read.
func (v *Vault) cardTips(ctx context.Context, watch func([]CardRow, []Record, []tip) error) *cursor[tip] {
	return &cursor[tip]{size: headPage, read: func(after tip) ([]tip, error) {
		rows, err := v.store.Cards(ctx, "", Page{After: after.Chain, Limit: headPage})
		if err != nil {
			return nil, err
		}
		tips, records := make([]tip, len(rows)), make([]Record, len(rows))
		for i, row := range rows {
			rec, err := openCard(v.keys, row)
			records[i], tips[i] = rec, tip{ChainHead{row.ID, rec.PIN.Head}, tableCards, err != nil}
		}
		if watch != nil {
			err = watch(rows, records, tips)
		}
		return tips, err
	}}
}

// chainTips are the heads of chains that no card carries.
func (v *Vault) chainTips(ctx context.Context) *cursor[tip] {
	return &cursor[tip]{size: headPage, read: func(after tip) ([]tip, error) {
		rows, err := v.store.Rows(ctx, TableChains, Row{ID: after.Chain}, headPage)
		tips := make([]tip, len(rows))
		for i, row := range rows {
			head, err := openHead(v.keys, row)
			tips[i] = tip{ChainHead{row.ID, head}, string(TableChains), err != nil}
		}
		return tips, err
	}}
}

// ChainRows are the events of a chain after a place, up to another, in their order. Where one is missing there is a gap.
func (v *Vault) ChainRows(ctx context.Context, chain string, after, upTo int64) iter.Seq2[EventRow, error] {
	return ChainRows(ctx, v.store, chain, after, upTo)
}

// ChainRows is [Vault.ChainRows] of a store, which takes no key: whether they are true their chain tells.
func ChainRows(ctx context.Context, from interface {
	ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]EventRow, error)
}, chain string, after, upTo int64) iter.Seq2[EventRow, error] {
	return func(yield func(EventRow, error) bool) {
		for after < upTo {
			limit := int(min(upTo-after, eventPage))
			page, err := from.ChainEvents(ctx, chain, after, limit)
			if err != nil {
				yield(EventRow{}, err)
				return
			}
			for _, row := range page {
				if row.Chain != chain || row.Seq > upTo || !yield(row, nil) {
					return
				}
				after = row.Seq
			}
			if len(page) < limit {
				return
			}
		}
	}
}

// Heads are the heads of all chains, cards' and others', in the order of their ids. Where a seal is broken
// they end with an Internal, see [Tampered]: what somebody else wrote must not be vouched for.
func (v *Vault) Heads(ctx context.Context) iter.Seq2[ChainHead, error] {
	return func(yield func(ChainHead, error) bool) {
		cards, chains := v.cardTips(ctx, nil), v.chainTips(ctx)
		for {
			card, err := cards.peek()
			if err != nil {
				yield(ChainHead{}, err)
				return
			}
			chain, err := chains.peek()
			if err != nil {
				yield(ChainHead{}, err)
				return
			}
			next, from := card, cards
			if card == nil || chain != nil && chain.Chain < card.Chain {
				next, from = chain, chains
			}
			switch {
			case next == nil:
				return
			case next.broken:
				yield(ChainHead{}, v.broken(ctx, next.table, next.Chain))
				return
			case !yield(next.ChainHead, nil):
				return
			}
			from.skip()
		}
	}
}
