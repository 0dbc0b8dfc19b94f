package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Setting reads a fact about the installation: NotFound.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	var row models.Setting
	err := s.read(ctx, func(db *gorm.DB) error { return db.Where("key = ?", key).Take(&row).Error })
	return row.Value, err
}

// PutSetting writes a fact about the installation, once: Duplicate with the field "setting" when it is
// there.
func (s *Store) PutSetting(ctx context.Context, key, value string) error {
	return s.inTx(ctx, func(t *tx) error {
		return t.fail(t.db.Create(&models.Setting{Key: key, Value: value}).Error, "setting")
	})
}

// Empty tells whether there is no program, and so no card, no client and no key. Settings and audit
// events do not count.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var n int64
	err := s.read(ctx, func(db *gorm.DB) error {
		return db.Raw(`SELECT count(*) FROM
			(SELECT id FROM programs UNION ALL SELECT id FROM clients UNION ALL SELECT id FROM zone_keys LIMIT 1) AS one`).Find(&n).Error
	})
	return n == 0, err
}

// Wipe deletes everything but settings, in one transaction; numbers start again. It is for sandboxes: the
// audit trail goes with the cards whose it is, which no database of a vault in production would let happen.
func (s *Store) Wipe(ctx context.Context) error {
	return s.inTx(ctx, func(t *tx) error {
		var triggers []string
		if t.engine.oneWriter {
			if err := t.fail(t.db.Raw(`SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_events'`).Find(&triggers).Error, ""); err != nil {
				return err
			}
		}
		statements := t.engine.unguard
		for _, row := range models.All() {
			if _, kept := row.(*models.Setting); !kept {
				statements = append(slices.Clip(statements), "DELETE FROM "+t.table(row))
			}
		}
		for _, statement := range append(append(statements, t.engine.guard...), triggers...) {
			if err := t.fail(t.db.Exec(statement).Error, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// table is the name of a model's table.
func (t *tx) table(row any) string {
	statement := &gorm.Statement{DB: t.db}
	_ = statement.Parse(row)
	return statement.Table
}

// purgeBatch bounds how many rows are deleted, and so locked, at once.
const purgeBatch = 1000

// PurgeReplays deletes the records that expired before a time, in batches, and returns how many.
func (s *Store) PurgeReplays(ctx context.Context, before time.Time) (int64, error) {
	// The outer condition counts when a record is taken over by a new request while this waits for its
	// lock; the inner SELECT is not looked at again.
	return s.purge(ctx, func(t *tx) (int64, error) {
		result := t.db.Exec(`DELETE FROM replays WHERE expires_at < ? AND id IN
			(SELECT id FROM replays WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, before.UnixMicro(), before.UnixMicro(), purgeBatch)
		return result.RowsAffected, result.Error
	})
}

// PurgeSessions deletes the sessions that expired before a time, and their look-ups, and returns how many.
func (s *Store) PurgeSessions(ctx context.Context, before time.Time) (int64, error) {
	return s.purgeOfCards(ctx, pin.TableSessions, before)
}

// PurgeApprovals is PurgeSessions for approvals.
func (s *Store) PurgeApprovals(ctx context.Context, before time.Time) (int64, error) {
	return s.purgeOfCards(ctx, pin.TableApprovals, before)
}

// purgeOfCards deletes rows that belong to cards and expired before a time, and their look-ups: with PostgreSQL one at a
// time, so that no transaction touches two cards.
func (s *Store) purgeOfCards(ctx context.Context, table pin.Table, before time.Time) (total int64, err error) {
	together := 1
	if s.engine.oneWriter {
		together = purgeBatch
	}
	for {
		var old []found
		err := s.read(ctx, func(db *gorm.DB) error {
			return db.Raw("SELECT card_id, id, program_id FROM "+string(table)+" WHERE expires_at < ? ORDER BY expires_at LIMIT ?", before.UnixMicro(), purgeBatch).Find(&old).Error
		})
		if err != nil {
			return total, err
		}
		for some := range slices.Chunk(old, together) {
			var n int64
			err := s.inTx(ctx, func(t *tx) (err error) {
				n, err = purgeOfCards(t.db, table, some)
				return t.fail(err, "")
			})
			if err != nil {
				return total, err
			}
			total += n
		}
		if len(old) < purgeBatch {
			return total, nil
		}
	}
}

func purgeOfCards(db *gorm.DB, table pin.Table, old []found) (total int64, err error) {
	for _, r := range old {
		l := models.CardLookup{Kind: string(lookups[table]), Value: r.ID, ProgramID: r.ProgramID}
		if err := db.Where("card_id = ?", r.CardID).Delete(&l).Error; err != nil {
			return 0, err
		}
		result := db.Exec("DELETE FROM "+string(table)+" WHERE card_id = ? AND id = ?", r.CardID, r.ID)
		if result.Error != nil {
			return 0, result.Error
		}
		total += result.RowsAffected
	}
	return total, nil
}

func (s *Store) purge(ctx context.Context, batch func(t *tx) (int64, error)) (total int64, err error) {
	for n := int64(purgeBatch); err == nil && n == purgeBatch; total += n {
		err = s.inTx(ctx, func(t *tx) (err error) {
			n, err = batch(t)
			return t.fail(err, "")
		})
	}
	return total, err
}
