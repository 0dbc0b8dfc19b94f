package store

import (
	"context"

	"gorm.io/gorm"

	"pinvault/impl/pin"
)

// one reads a row by its key and makes the domain's value of it: NotFound.
func one[R, D any](ctx context.Context, s *Store, domain func(R) D, key string, values ...any) (D, error) {
	var row R
	err := s.read(ctx, func(db *gorm.DB) error { return db.Where(key, values...).Take(&row).Error })
	if err != nil {
		var none D
		return none, err
	}
	return domain(row), nil
}

// list reads a page of rows, narrowed by where, in the order of a column that page.After stands in.
func list[R, D any](ctx context.Context, s *Store, domain func(R) D, page pin.Page, where func(db *gorm.DB) *gorm.DB) ([]D, error) {
	var rows []R
	err := s.read(ctx, func(db *gorm.DB) error { return where(db).Limit(page.Limit).Find(&rows).Error })
	if err != nil {
		return nil, err
	}
	out := make([]D, len(rows))
	for i, row := range rows {
		out[i] = domain(row)
	}
	return out, nil
}

// byID narrows to what follows the row of page.After.
func byID(db *gorm.DB, page pin.Page) *gorm.DB { return db.Where("id > ?", page.After).Order("id") }

// Program is pin.Store's.
func (s *Store) Program(ctx context.Context, id string) (pin.Program, error) {
	return one(ctx, s, program, "id = ?", id)
}

// Programs is pin.Store's.
func (s *Store) Programs(ctx context.Context, page pin.Page) ([]pin.Program, error) {
	return list(ctx, s, program, page, func(db *gorm.DB) *gorm.DB { return byID(db, page) })
}

// Client is pin.Store's. It finds revoked clients too.
func (s *Store) Client(ctx context.Context, id string) (pin.Client, error) {
	return one(ctx, s, client, "id = ?", id)
}

// Clients is pin.Store's.
func (s *Store) Clients(ctx context.Context, programID string, page pin.Page) ([]pin.Client, error) {
	return list(ctx, s, client, page, func(db *gorm.DB) *gorm.DB {
		if programID != "" {
			db = db.Where("program_id = ?", programID)
		}
		return byID(db.Where("revoked_at IS NULL"), page)
	})
}

// ZoneKey is pin.Store's. It finds retired keys too.
func (s *Store) ZoneKey(ctx context.Context, id string) (pin.ZoneKey, error) {
	return one(ctx, s, zoneKey, "id = ?", id)
}

// Audit is pin.Store's.
func (s *Store) Audit(ctx context.Context, q pin.AuditQuery) ([]pin.AuditEvent, error) {
	return list(ctx, s, auditEvent, q.Page, func(db *gorm.DB) *gorm.DB {
		if q.ProgramID != "" {
			db = db.Where("program_id = ?", q.ProgramID)
		}
		if q.Chain == "" {
			return byID(db, q.Page)
		}
		if db = db.Where("chain = ?", q.Chain); q.After != "" {
			db = db.Where("seq > (SELECT seq FROM audit_events WHERE id = ?)", q.After)
		}
		return db.Order("seq")
	})
}

// Replay is pin.Store's: the record as it is stored, expired or not.
func (s *Store) Replay(ctx context.Context, scope, key string) (pin.Replay, error) {
	return one(ctx, s, replay, "scope = ? AND key = ?", scope, key)
}
