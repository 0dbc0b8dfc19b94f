package store

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/models"
)

// columns are what a table's rows have for a [pin.Row].
var columns = map[pin.Table]string{
	pin.TablePrograms:  `id, '' AS program_id, '' AS card_id, version, 0 AS expires_at, body, seal`,
	pin.TableClients:   `id, program_id, '' AS card_id, version, 0 AS expires_at, body, seal`,
	pin.TableZoneKeys:  `id, program_id, '' AS card_id, version, 0 AS expires_at, body, seal`,
	pin.TableWebhooks:  `id, program_id, '' AS card_id, version, 0 AS expires_at, body, seal`,
	pin.TableChains:    `id, '' AS program_id, '' AS card_id, version, 0 AS expires_at, body, seal`,
	pin.TableReplays:   `id, '' AS program_id, '' AS card_id, version, expires_at, body, seal`,
	pin.TableSessions:  `id, program_id, card_id, version, expires_at, body, seal`,
	pin.TableApprovals: `id, program_id, card_id, version, expires_at, body, seal`,
	pin.TableRecords:   `id, program_id, card_id, version, 0 AS expires_at, body, seal`,
}

// found is a row of any table.
type found struct {
	ID        string
	ProgramID string
	CardID    string
	ExpiresAt int64
	models.Sealed
}

func (r found) row(t pin.Table) pin.Row {
	return pin.Row{Table: t, ID: r.ID, ProgramID: r.ProgramID, CardID: r.CardID, Version: r.Version, ExpiresAt: r.ExpiresAt, Body: []byte(r.Body), Seal: r.Seal}
}

// lookups find the card of a row that belongs to one.
var lookups = map[pin.Table]pin.Kind{pin.TableSessions: pin.KindSession, pin.TableApprovals: pin.KindApproval, pin.TableRecords: pin.KindRecord}

// Row is pin.Store's.
func (s *Store) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	if s.engine.function && !s.engine.sharded {
		return s.rowHot(ctx, t, programID, id)
	}
	statement, args := "SELECT "+columns[t]+s.settled(t)+" FROM "+string(t)+" WHERE id = ?", []any{id}
	if kind, ofCard := lookups[t]; ofCard {
		cards, err := s.cardsOf(ctx, kind, programID, id)
		if err != nil {
			return pin.Row{}, err
		}
		card, err := only(cards)
		if err != nil {
			return pin.Row{}, err
		}
		statement, args = statement+" AND card_id = ?", append(args, card)
	}
	var rows []found
	if err := s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement, args...).Find(&rows).Error }); err != nil {
		return pin.Row{}, err
	}
	f, err := only(rows)
	if err != nil {
		return pin.Row{}, err
	}
	return f.row(t), nil
}

// only is the one of all that there must be: NotFound, Ambiguous.
func only[T any](all []T) (one T, err error) {
	switch len(all) {
	case 0:
		return one, &pin.Error{Code: pin.NotFound}
	case 1:
		return all[0], nil
	}
	return one, &pin.Error{Code: pin.Ambiguous}
}

// settled has whoever finds a replay record wait until it stands wherever an acknowledged change has to. What was committed
// while no standby could take it is seen on the primary, even after that has stepped down, and may be lost with it: to repeat its
// answer would acknowledge it. Something is written for that, since it is commits that wait, and one waits for all before it; who
// cannot write is no primary.
func (s *Store) settled(t pin.Table) string {
	if t == pin.TableReplays && s.engine.function {
		return ", pg_logical_emit_message(true, 'pinvault', '') AS settled"
	}
	return ""
}

// cardsOf are the cards, two at the most, that a look-up leads to.
func (s *Store) cardsOf(ctx context.Context, kind pin.Kind, programID, value string) (ids []string, err error) {
	statement, args := "SELECT card_id FROM card_lookup WHERE kind = ? AND value = ?", []any{kind, value}
	if programID != "" {
		statement, args = statement+" AND program_id = ?", append(args, programID)
	}
	err = s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement+" LIMIT 2", args...).Find(&ids).Error })
	return ids, err
}

// List is pin.Store's.
func (s *Store) List(ctx context.Context, t pin.Table, programID string, page pin.Page) ([]pin.Row, error) {
	statement, args := "SELECT "+columns[t]+" FROM "+string(t)+" WHERE id > ?", []any{page.After}
	if programID != "" {
		statement, args = statement+" AND program_id = ?", append(args, programID)
	}
	return s.rows(ctx, t, statement+" ORDER BY id LIMIT ?", append(args, page.Limit)...)
}

// Rows is pin.Store's.
func (s *Store) Rows(ctx context.Context, t pin.Table, after pin.Row, limit int) ([]pin.Row, error) {
	statement := "SELECT " + columns[t] + " FROM " + string(t)
	if _, ofCard := lookups[t]; ofCard {
		return s.rows(ctx, t, statement+" WHERE (card_id, id) > (?, ?) ORDER BY card_id, id LIMIT ?", after.CardID, after.ID, limit)
	}
	return s.rows(ctx, t, statement+" WHERE id > ? ORDER BY id LIMIT ?", after.ID, limit)
}

// RowsOf is pin.Store's.
func (s *Store) RowsOf(ctx context.Context, t pin.Table, cardIDs, ids []string) ([]pin.Row, error) {
	if len(cardIDs) == 0 || len(ids) == 0 {
		return nil, nil
	}
	return s.rows(ctx, t, "SELECT "+columns[t]+" FROM "+string(t)+" WHERE card_id IN ? AND id IN ?", cardIDs, ids)
}

func (s *Store) rows(ctx context.Context, t pin.Table, statement string, args ...any) ([]pin.Row, error) {
	var rows []found
	err := s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement, args...).Find(&rows).Error })
	out := make([]pin.Row, len(rows))
	for i, r := range rows {
		out[i] = r.row(t)
	}
	return out, err
}

// Events is pin.Store's.
func (s *Store) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	if q.Settled {
		return s.settledEvents(ctx, q)
	}
	return s.events(ctx, selected(q))
}

// selected narrows a query of events.
func selected(q pin.AuditQuery) func(db *gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB {
		if q.ProgramID != "" {
			db = db.Where("program_id = ?", q.ProgramID)
		}
		if q.ID != "" {
			db = db.Where("id = ?", q.ID)
		}
		if q.Chain == "" {
			return db.Where("id > ?", q.After).Order("id").Limit(q.Limit)
		}
		if db = db.Where("chain = ?", q.Chain); q.After != "" {
			db = db.Where("seq > (SELECT seq FROM audit_events WHERE chain = ? AND id = ?)", q.Chain, q.After)
		}
		return db.Order("seq").Limit(q.Limit)
	}
}

// ChainEvents is pin.Store's.
func (s *Store) ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error) {
	return s.events(ctx, func(db *gorm.DB) *gorm.DB {
		return db.Where("(chain, seq) > (?, ?)", chain, seq).Order("chain, seq").Limit(limit)
	})
}

func (s *Store) events(ctx context.Context, where func(db *gorm.DB) *gorm.DB) ([]pin.EventRow, error) {
	var rows []models.AuditEvent
	err := s.read(ctx, func(db *gorm.DB) error { return where(db).Find(&rows).Error })
	return eventRows(rows), err
}

func eventRows(rows []models.AuditEvent) []pin.EventRow {
	out := make([]pin.EventRow, len(rows))
	for i, r := range rows {
		out[i] = pin.EventRow{Chain: r.Chain, Seq: r.Seq, ID: r.ID, ProgramID: r.ProgramID, Body: []byte(r.Body), MAC: r.MAC}
	}
	return out
}

// Lookups is pin.Store's.
func (s *Store) Lookups(ctx context.Context, after pin.Lookup, limit int) ([]pin.Lookup, error) {
	return s.lookups(ctx, func(db *gorm.DB) *gorm.DB {
		return db.Where("(kind, value, program_id, slot) > (?, ?, ?, ?)", after.Kind, after.Value, after.ProgramID, after.Slot).
			Order("kind, value, program_id, slot").Limit(limit)
	})
}

// LookupsOf is pin.Store's.
func (s *Store) LookupsOf(ctx context.Context, wanted []pin.Lookup) ([]pin.Lookup, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 4*len(wanted))
	for _, l := range wanted {
		args = append(args, l.Kind, l.Value, l.ProgramID, l.Slot)
	}
	const one = "(kind = ? AND value = ? AND program_id = ? AND slot = ?)"
	return s.lookups(ctx, func(db *gorm.DB) *gorm.DB {
		return db.Where(one+strings.Repeat(" OR "+one, len(wanted)-1), args...)
	})
}

func (s *Store) lookups(ctx context.Context, where func(db *gorm.DB) *gorm.DB) ([]pin.Lookup, error) {
	var rows []models.CardLookup
	err := s.read(ctx, func(db *gorm.DB) error { return where(db).Find(&rows).Error })
	out := make([]pin.Lookup, len(rows))
	for i, r := range rows {
		out[i] = pin.Lookup{Kind: pin.Kind(r.Kind), Value: r.Value, ProgramID: r.ProgramID, Slot: r.Slot, CardID: r.CardID}
	}
	return out, err
}

// Numbers is pin.Store's.
func (s *Store) Numbers(ctx context.Context, sequence, programID string, n int64) (first int64, err error) {
	err = s.inTx(ctx, func(t *tx) error {
		var last []int64
		err := t.db.Raw(`INSERT INTO sequences (name, program_id, last) VALUES (?, ?, ?)
			ON CONFLICT (name, program_id) DO UPDATE SET last = sequences.last + excluded.last RETURNING last`, sequence, programID, n).Find(&last).Error
		if err := t.fail(err, ""); err != nil {
			return err
		}
		first = last[0] - n + 1
		return nil
	})
	return first, err
}
