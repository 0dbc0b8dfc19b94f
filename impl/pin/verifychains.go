package pin

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
)

// Of the trail's chains: what [Vault.VerifyTrail] walks, and holds against the rows that carry their heads.

// trail walks all chains, in the order of their ids: the events, the rows that carry their heads, and the
// heads that are expected.
func (w *verifier) trail(ctx context.Context) error {
	events := &cursor[EventRow]{size: eventPage, read: func(after EventRow) ([]EventRow, error) {
		w.progress("events", w.Events)
		return w.vault.store.ChainEvents(ctx, after.Chain, after.Seq, eventPage)
	}}
	cards, chains := w.vault.cardTips(ctx, func(rows []CardRow, records []Record, tips []tip) error {
		return w.cards(ctx, rows, records, tips)
	}), w.vault.chainTips(ctx)
	line, stop := iter.Pull2(w.expected)
	defer stop()
	expected := &cursor[ChainHead]{size: 1, read: func(ChainHead) ([]ChainHead, error) {
		head, err, more := line()
		if !more || err != nil {
			return nil, err
		}
		return []ChainHead{head}, nil
	}}
	for {
		event, err1 := events.peek()
		card, err2 := cards.peek()
		chain, err3 := chains.peek()
		head, err4 := expected.peek()
		if err := firstOf(err1, err2, err3, err4); err != nil {
			return err
		}
		var ids []string
		if event != nil {
			ids = append(ids, event.Chain)
		}
		if card != nil {
			ids = append(ids, card.Chain)
		}
		if chain != nil {
			ids = append(ids, chain.Chain)
		}
		if head != nil {
			ids = append(ids, head.Chain)
		}
		if len(ids) == 0 {
			return w.flush(ctx)
		}
		id := slices.Min(ids)
		var tips []tip
		if card != nil && card.Chain == id {
			tips = append(tips, *card)
			cards.skip()
		}
		if chain != nil && chain.Chain == id {
			tips = append(tips, *chain)
			chains.skip()
		}
		var wanted Head
		if head != nil && head.Chain == id {
			wanted = head.Head
			w.Heads++
			expected.skip()
		}
		if err := w.chain(ctx, events, id, tips, wanted); err != nil {
			return err
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// chain walks one chain to its end, and holds that against the rows that carry its head. wanted is what a
// checkpoint says of it, if anything.
func (w *verifier) chain(ctx context.Context, events *cursor[EventRow], id string, tips []tip, wanted Head) error {
	var end walked
	kept := wanted.Seq == 0
	for {
		e, err := events.peek()
		if err != nil {
			return err
		}
		if e == nil || e.Chain != id {
			break
		}
		broken := w.step(&end, *e)
		for _, b := range broken {
			w.found(b)
		}
		if len(broken) == 0 {
			if err := w.note(ctx, *e); err != nil {
				return err
			}
		}
		kept = kept || same(end.Head, wanted)
		events.skip()
	}
	if end.Seq > 0 || len(tips) > 0 {
		w.Chains++
	}
	if !kept {
		w.found(Break{Fault: FaultRolledBack, Table: tableEvents, ID: id, Seq: wanted.Seq})
	}
	if len(tips) == 0 && end.Seq > 0 { // as when it was begun after its row was looked for
		return w.settle(ctx, func() (Break, error) { return w.headOf(ctx, "", id, &end) })
	}
	for _, t := range tips {
		if t.table == string(TableChains) {
			w.reached[id] = end
			if t.broken {
				w.found(Break{Fault: FaultSeal, Table: t.table, ID: id})
			}
		}
		if t.broken || same(t.Head, end.Head) && end.unheld == 0 {
			continue
		}
		if err := w.settle(ctx, func() (Break, error) { return w.headOf(ctx, t.table, id, &end) }); err != nil {
			return err
		}
		end.unheld = 0
	}
	w.found(end.vouched(id)) // of a chain whose head nobody knows
	return nil
}

// same tells whether two heads are one, as far as both are known.
func same(a, b Head) bool {
	return a.Seq == b.Seq && bytes.Equal(a.MAC, b.MAC) && (len(a.Digest) == 0 || len(b.Digest) == 0 || bytes.Equal(a.Digest, b.Digest))
}

// walked is how far a chain was read.
type walked struct {
	Head         // its digest is not known after a break
	unheld int64 // the first of the last events whose key is there no more and that no audit.rekeyed covers yet, 0: none
}

// vouched is no break where nothing is unheld.
func (end walked) vouched(chain string) Break {
	if end.unheld == 0 {
		return Break{}
	}
	return Break{Fault: FaultEventChanged, Table: tableEvents, ID: chain, Seq: end.unheld}
}

// step moves end to the next event, and tells what is wrong with it. One whose key is there no more is held by the
// audit.rekeyed with which the chain goes on under another key, or that one's by the next.
func (w *verifier) step(end *walked, e EventRow) (broken []Break) {
	before := *end
	*end = walked{Head: Head{Seq: e.Seq, MAC: e.MAC, Digest: e.digest(before.Head)}}
	fault := Fault("")
	switch {
	case e.Seq != before.Seq+1:
		fault = FaultEventMissing
	case w.vault.keys.VerifyMAC(UseAudit, e.macInput(before.MAC), e.MAC):
		if covers, is := e.covers(); is && (len(before.Digest) == 0 || bytes.Equal(covers, before.Digest)) {
			before.unheld = 0
		} else if is && before.unheld == 0 {
			fault = FaultEventChanged
		}
	default:
		if _, there := w.vault.keys.KeyID(UseAudit, e.MAC); !there {
			end.unheld = cmp.Or(before.unheld, e.Seq)
			before.unheld = 0
			break
		}
		fault = FaultEventChanged
	}
	w.Events++
	if b := before.vouched(e.Chain); b.Fault != "" {
		broken = append(broken, b)
	}
	if fault != "" {
		broken = append(broken, Break{Fault: fault, Table: tableEvents, ID: e.Chain, Seq: before.Seq + 1})
	}
	if len(broken) > 0 {
		end.Digest = nil
	}
	return broken
}

// subjectTables are those of the rows that events are about, by what their types begin with.
var subjectTables = map[string]Table{"program": TablePrograms, "client": TableClients, "key": TableZoneKeys, "webhook": TableWebhooks}

// note keeps in mind what an event tells of rows.
func (w *verifier) note(ctx context.Context, row EventRow) error {
	if !bytes.Contains(row.Body, []byte(`"subject"`)) {
		return nil
	}
	e, err := row.event()
	if err != nil {
		w.found(Break{Fault: FaultEventChanged, Table: tableEvents, ID: row.Chain, Seq: row.Seq})
		return nil //nolint:nilerr // it was found
	}
	thing, _, _ := strings.Cut(string(e.Type), ".")
	if table, ok := subjectTables[thing]; ok {
		t := w.subject(table, e.Subject)
		if e.Version > 0 && e.Version <= t.version { // the row was put back, and changed after that
			w.found(Break{Fault: FaultRowOld, Table: string(table), ID: e.Subject, Seq: row.Seq})
		}
		t.version, t.chain = max(t.version, e.Version), row.Chain
	}
	if e.Recorded {
		w.records = append(w.records, recorded{row.Chain, recordID(e.Contract, e.Subject)})
		if len(w.records) >= headPage {
			return w.flush(ctx)
		}
	}
	return nil
}

func (w *verifier) subject(t Table, id string) *told {
	s := w.subjects[subject{t, id}]
	if s == nil {
		s = &told{}
		w.subjects[subject{t, id}] = s
	}
	return s
}

// flush looks for the records that events have told of.
func (w *verifier) flush(ctx context.Context) error {
	var cards, ids []string
	for _, r := range w.records {
		cards, ids = append(cards, r.cardID), append(ids, r.id)
	}
	rows, err := w.vault.store.RowsOf(ctx, TableRecords, cards, ids)
	if err != nil {
		return err
	}
	there := map[recorded]bool{}
	for _, r := range rows {
		there[recorded{r.CardID, r.ID}] = true
	}
	for _, r := range w.records {
		if !there[r] {
			w.found(Break{Fault: FaultRowMissing, Table: string(TableRecords), ID: r.id})
		}
	}
	w.records = w.records[:0]
	return nil
}

// headOf reads the row that carries a chain's head, which was read up to end, and goes on from there: what
// was written since must lead to that row's head. A table of "" is either that may carry one. end comes to
// where it has read.
func (w *verifier) headOf(ctx context.Context, table, id string, end *walked) (Break, error) {
	t, err := w.tip(ctx, table, id)
	switch {
	case CodeOf(err) == NotFound:
		return Break{Fault: FaultHeadless, Table: tableEvents, ID: id, Seq: end.Seq}, nil
	case err != nil:
		return Break{}, err
	case t.broken:
		return Break{Fault: FaultSeal, Table: t.table, ID: id}, nil
	case t.Seq < end.Seq:
		return Break{Fault: FaultHeadBehind, Table: t.table, ID: id, Seq: t.Seq}, nil
	}
	if b, err := w.readOn(ctx, id, end, t.Seq); err != nil || b.Fault != "" {
		return b, err
	}
	if t.table == string(TableChains) {
		w.reached[id] = *end
	}
	switch {
	case end.Seq < t.Seq:
		return Break{Fault: FaultTailMissing, Table: tableEvents, ID: id, Seq: end.Seq + 1}, nil
	case !same(end.Head, t.Head):
		return Break{Fault: FaultHeadOther, Table: t.table, ID: id, Seq: t.Seq}, nil
	}
	return end.vouched(id), nil
}

// tip reads the row that carries a chain's head: NotFound.
func (w *verifier) tip(ctx context.Context, table, id string) (tip, error) {
	if table != string(TableChains) {
		rows, err := w.vault.store.CardsOf(ctx, []string{id})
		if err != nil {
			return tip{}, err
		}
		if len(rows) > 0 {
			rec, err := openCard(w.vault.keys, rows[0])
			return tip{ChainHead{id, rec.PIN.Head}, tableCards, err != nil}, nil
		}
	}
	if table == tableCards {
		return tip{}, &Error{Code: NotFound}
	}
	row, err := w.vault.store.Row(ctx, TableChains, "", id)
	if err != nil {
		return tip{}, err
	}
	head, err := openHead(w.vault.keys, row)
	return tip{ChainHead{id, head}, string(TableChains), err != nil}, nil
}

// readOn reads the events of a chain that follow end, as far as upTo (0: all), and moves end to the last
// one that holds.
func (w *verifier) readOn(ctx context.Context, id string, end *walked, upTo int64) (Break, error) {
	for upTo == 0 || end.Seq < upTo {
		page, err := w.vault.store.ChainEvents(ctx, id, end.Seq, eventPage)
		if err != nil {
			return Break{}, err
		}
		for _, e := range page {
			if e.Chain != id || end.Seq == upTo && upTo > 0 {
				return Break{}, nil
			}
			next := *end
			if broken := w.step(&next, e); len(broken) > 0 {
				return broken[0], nil
			}
			if err := w.note(ctx, e); err != nil {
				return Break{}, err
			}
			*end = next
		}
		if len(page) < eventPage {
			return Break{}, nil
		}
	}
	return Break{}, nil
}
