package store

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// Clock is the time that all processes on one database share, which is the database's: what one of them says is due, over or
// valid is so for the others, whatever their machines take for the time. Between two looks at it time passes by the machine's
// monotonic clock, which nobody sets. Where the database is in this process's own machine, as SQLite is, it is the machine's clock.
// It is safe for concurrent use.
type Clock struct {
	read func(ctx context.Context) (time.Time, error) // nil: the machine's clock
	seen atomic.Pointer[reading]
}

// reading is what the database's clock said, and when.
type reading struct {
	said time.Time
	at   time.Time // with its monotonic reading
}

// Clock is the database's, as it was looked at when the store was opened, and is again wherever it is followed.
func (s *Store) Clock() *Clock { return s.clock }

// Now is pin.Store's.
func (s *Store) Now() time.Time { return s.clock.Now() }

// time is the database's.
func (s *Store) time(ctx context.Context) (time.Time, error) {
	var micros int64
	err := s.read(ctx, func(db *gorm.DB) error {
		return db.Raw(`SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&micros).Error
	})
	return time.UnixMicro(micros), err
}

// Now is the time, in the machine's zone.
func (c *Clock) Now() time.Time {
	seen := c.seen.Load()
	if seen == nil {
		return time.Now()
	}
	return seen.said.Add(time.Since(seen.at))
}

// look reads the database's clock, and says by how much the machine's differs from it. What it said was so in the middle of
// the question.
func (c *Clock) look(ctx context.Context) (off time.Duration, err error) {
	if c.read == nil {
		return 0, nil
	}
	asked := time.Now()
	said, err := c.read(ctx)
	if err != nil {
		return 0, err
	}
	at := asked.Add(time.Since(asked) / 2)
	c.seen.Store(&reading{said, at})
	return time.Until(said.Add(time.Since(at))), nil
}

// How often the clock is looked at, and by how much the machine's may differ without a word.
const (
	lookEvery = 10 * time.Second
	quietly   = 2 * time.Second
)

// Follow looks again and again until ctx ends, and says so where the machine's clock is wrong.
func (c *Clock) Follow(ctx context.Context, log *slog.Logger) {
	if c.read == nil {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if off, err := c.look(ctx); err == nil && off.Abs() > quietly { // without the database nobody is told anything
			log.WarnContext(ctx, "the machine's clock is not the database's, which is used", "ahead_seconds", -off.Seconds())
		}
	}
}
