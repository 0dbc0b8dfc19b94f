package pin

import (
	"context"
	"encoding/json"
)

// Of rows that are no cards: their seals, what events tell of them, and what finds them.

// rows goes through a table: every seal, and what else there is to look at in a page.
func (w *verifier) rows(ctx context.Context, t Table, look func(sound []Row) error) error {
	for after := (Row{}); ; {
		w.progress("rows", w.Rows)
		page, err := w.vault.store.Rows(ctx, t, after, headPage)
		if err != nil {
			return err
		}
		sound := make([]Row, 0, len(page))
		for _, r := range page {
			w.Rows++
			if !w.vault.keys.VerifyMAC(UseSeal, r.sealInput(), r.Seal) || !json.Valid(r.Body) {
				w.found(Break{Fault: FaultSeal, Table: string(t), ID: r.ID})
				if s := w.subjects[subject{t, r.ID}]; s != nil {
					s.seen = true
				}
				continue
			}
			sound = append(sound, r)
		}
		if err := look(sound); err != nil {
			return err
		}
		if len(page) < headPage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// controls holds programs, clients, zone keys and webhooks against the events about them: the row's version must be
// that of the newest one.
func (w *verifier) controls(ctx context.Context) error {
	for _, t := range []Table{TablePrograms, TableClients, TableZoneKeys, TableWebhooks} {
		if err := w.rows(ctx, t, func(sound []Row) error {
			for _, r := range sound {
				chain := chainOf(r.ProgramID)
				if t == TablePrograms {
					chain = r.ID
				}
				s := w.subject(t, r.ID)
				s.seen = true
				if s.version == r.Version {
					continue
				}
				if err := w.settle(ctx, func() (Break, error) { return w.rowHolds(ctx, t, r.ID, chain) }); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for about, s := range w.subjects {
		if s.seen {
			continue
		}
		if err := w.settle(ctx, func() (Break, error) { return w.rowHolds(ctx, about.table, about.id, s.chain) }); err != nil {
			return err
		}
	}
	return nil
}

// rowHolds compares a row with the events about it, on its own: the version that it had before they were
// read must be told of, and what they tell must be there afterwards.
func (w *verifier) rowHolds(ctx context.Context, t Table, id, chain string) (Break, error) {
	before, err := w.version(ctx, t, id)
	if err != nil {
		return Break{}, err
	}
	end := w.reached[chain]
	if b, err := w.readOn(ctx, chain, &end, 0); err != nil || b.Fault != "" {
		return b, err
	}
	w.reached[chain] = end
	after, err := w.version(ctx, t, id)
	if err != nil {
		return Break{}, err
	}
	b := Break{Table: string(t), ID: id}
	switch said := w.subject(t, id).version; {
	case before > said:
		b.Fault = FaultRowUntold
	case after == 0 && said > 0:
		b.Fault = FaultRowMissing
	case after < said:
		b.Fault = FaultRowOld
	}
	return b, nil
}

// version is a row's, 0 where it is not there.
func (w *verifier) version(ctx context.Context, t Table, id string) (int64, error) {
	row, err := w.vault.store.Row(ctx, t, "", id)
	if CodeOf(err) == NotFound {
		return 0, nil
	}
	return row.Version, err
}

// belongingKinds are the kinds of look-ups by which rows are found that belong to a card.
var belongingKinds = map[Kind]Table{KindSession: TableSessions, KindApproval: TableApprovals, KindRecord: TableRecords}

// belongings looks at what belongs to cards: seals, and whether it is found.
func (w *verifier) belongings(ctx context.Context) error {
	for _, kind := range []Kind{KindSession, KindApproval, KindRecord} {
		if err := w.rows(ctx, belongingKinds[kind], func(sound []Row) error {
			expected := make([]Lookup, len(sound))
			for i, r := range sound {
				expected[i] = belongs(kind, r)
			}
			missing, err := w.missing(ctx, expected)
			if err != nil {
				return err
			}
			for _, l := range missing {
				// Unless it was purged meanwhile, and its look-up with it.
				if there, err := w.belonging(ctx, l); err != nil {
					return err
				} else if there {
					w.found(Break{Fault: FaultLookupMissing, Table: tableLookups, ID: l.Value, Kind: kind})
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// belongs is the look-up that finds a row which belongs to a card.
func belongs(kind Kind, r Row) Lookup {
	return Lookup{Kind: kind, Value: r.ID, ProgramID: r.ProgramID, CardID: r.CardID}
}

// belonging tells whether the row is there that a look-up leads to.
func (w *verifier) belonging(ctx context.Context, l Lookup) (bool, error) {
	rows, err := w.vault.store.RowsOf(ctx, belongingKinds[l.Kind], []string{l.CardID}, []string{l.Value})
	return len(rows) == 1 && belongs(l.Kind, rows[0]) == l, err
}

// replays looks at the seals of idempotency records. That one is missing does not show: they are deleted when their time is over, and
// what is then done twice is in the trail twice (SECURITY.md).
func (w *verifier) replays(ctx context.Context) error {
	return w.rows(ctx, TableReplays, func([]Row) error { return nil })
}
