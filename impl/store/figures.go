package store

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"pinvault/impl/pin"
	"pinvault/models"
)

// What operators look at. None of it is under a seal: it decides nothing.

// Retries is how often a statement was sent again because the failure was one that passes.
func (s *Store) Retries() int64 { return s.retries.Load() }

// mostLive bounds how many sessions are counted.
const mostLive = 100000

// LiveSessions counts the PIN-entry sessions whose time is not over, by state.
func (s *Store) LiveSessions(ctx context.Context, now time.Time) (map[pin.SessionState]int64, error) {
	var rows []struct {
		State pin.SessionState
		Count int64
	}
	err := s.read(ctx, func(db *gorm.DB) error {
		return db.Raw(`SELECT state, count(*) AS count FROM (SELECT CASE WHEN body LIKE '%"state":"open"%' THEN 'open'
			WHEN body LIKE '%"state":"exchanged"%' THEN 'exchanged' WHEN body LIKE '%"state":"verified"%' THEN 'verified' ELSE '' END AS state
			FROM pin_sessions WHERE expires_at > ? LIMIT ?) live WHERE state <> '' GROUP BY state`, now.UnixMicro(), mostLive).Find(&rows).Error
	})
	live := map[pin.SessionState]int64{}
	for _, r := range rows {
		live[r.State] = r.Count
	}
	return live, err
}

// marks are the settings that say when something was last done.
const marks = "last "

// Mark notes when something was last done that is done now and then.
func (s *Store) Mark(ctx context.Context, what string, at time.Time) error {
	row := models.Setting{Key: marks + what, Value: at.UTC().Format(time.RFC3339)}
	return s.inTx(ctx, func(t *tx) error {
		return t.fail(t.db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error, "")
	})
}

// Marked is when something was last done: zero for never.
func (s *Store) Marked(ctx context.Context, what string) (time.Time, error) {
	text, err := s.Setting(ctx, marks+what)
	if pin.CodeOf(err) == pin.NotFound {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil { // somebody has written something else there
		return time.Time{}, nil //nolint:nilerr // which is as good as never
	}
	return at, nil
}
