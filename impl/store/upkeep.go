package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"pinvault/models"
)

// Setting reads a fact about the installation: NotFound.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	return one(ctx, s, func(r models.Setting) string { return r.Value }, "key = ?", key)
}

// PutSetting writes a fact about the installation, once: Duplicate with the field "setting" when it is
// there.
func (s *Store) PutSetting(ctx context.Context, key, value string) error {
	return s.inTx(ctx, func(t *tx) error { return t.create(&models.Setting{Key: key, Value: value}, "setting") })
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

// Wipe deletes everything but settings and audit events, in one transaction; numbers start again.
func (s *Store) Wipe(ctx context.Context) error {
	return s.inTx(ctx, func(t *tx) error {
		// Those that refer come before those that are referred to.
		for _, row := range []any{&models.Replay{}, &models.PINSession{}, &models.ServiceRequest{}, &models.PINHistory{}, &models.PIN{}, &models.CardReference{},
			&models.Card{}, &models.ZoneKey{}, &models.Client{}, &models.Program{}} {
			if err := t.fail(t.db.Where("TRUE").Delete(row).Error, ""); err != nil {
				return err
			}
		}
		return t.fail(t.db.Exec(t.numbers.restart).Error, "")
	})
}

// purgeBatch bounds how many replays are deleted, and so locked, at once.
const purgeBatch = 1000

// PurgeReplays deletes the records that expired before a time, in batches, and returns how many.
func (s *Store) PurgeReplays(ctx context.Context, before time.Time) (int64, error) {
	for total := int64(0); ; {
		var n int64
		err := s.inTx(ctx, func(t *tx) error {
			// The outer condition counts when a record is taken over by a new request while this waits for
			// its lock; the inner SELECT is not looked at again.
			result := t.db.Exec(`DELETE FROM replays WHERE expires_at < ? AND (scope, key) IN
				(SELECT scope, key FROM replays WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`, utc(before), utc(before), purgeBatch)
			n = result.RowsAffected
			return t.fail(result.Error, "")
		})
		if total += n; err != nil || n < purgeBatch {
			return total, err
		}
	}
}
