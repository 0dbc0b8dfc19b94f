package store

import (
	"context"
	"time"

	"gorm.io/gorm"

	"pinvault/impl/pin"
	"pinvault/models"
)

// Events are read in the order of their ids by who goes on after the last one, and none may come in behind. So a transaction is
// let in with events only whose ids were drawn a moment ago, and as long as it runs it says from when they are; a reader asks for that
// first and then for events before it. On PostgreSQL that is an advisory lock, which everybody can have at once and which the
// transaction holds until what it wrote can be seen, whatever becomes of the process that began it. SQLite has one writer: a reader
// takes the writer's place for as long as it reads, so that there is none.

// admitEvent lets a transaction in with an event and those that were drawn after it, or is a Conflict (audit_events).
const admitEvent = `SELECT admit_event($1)`

// settledUntil is the time from which on events may come yet that cannot be seen now, in milliseconds since 1970; asked of every
// machine where the tables are spread.
const (
	settledUntil           = `SELECT events_settled()`
	settledUntilEverywhere = `SELECT CASE WHEN bool_and(success) THEN min(CASE WHEN success THEN result::bigint END) END FROM run_command_on_all_nodes('SELECT events_settled()')`
)

// oldest is the id of all events of changes that was drawn first.
func oldest(changes []pin.Change) string {
	first := ""
	for _, c := range changes {
		for _, e := range c.Events {
			if first == "" || e.ID < first {
				first = e.ID
			}
		}
	}
	return first
}

// admit lets a transaction in with the events of changes, before any is written: what follows may take its time. Conflict (audit_events).
func (t *tx) admit(changes ...pin.Change) error {
	id := oldest(changes)
	switch {
	case id == "":
	case t.engine.function:
		return t.fail(t.db.Exec(`SELECT admit_event(?)`, id).Error, "")
	default:
		if drawn, says := pin.EventDrawn(id); says && time.Since(drawn) > pin.EventLate {
			t.failed = overtaken("audit_events")
			return t.failed
		}
	}
	return nil
}

// late looks at the database's clock where an event's id was of another time: it may have been put.
func (s *Store) late(ctx context.Context, err error) error {
	if pin.CodeOf(err) == pin.Conflict && pin.FieldOf(err) == "audit_events" {
		_, _ = s.clock.look(ctx) // without it the clock goes on as it was
	}
	return err
}

// settledEvents are events that q selects before which none can come any more.
func (s *Store) settledEvents(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	before := func(until time.Time) func(db *gorm.DB) *gorm.DB {
		return func(db *gorm.DB) *gorm.DB { return selected(q)(db.Where("id < ?", pin.EventsFrom(until))) }
	}
	if s.engine.oneWriter {
		var rows []models.AuditEvent
		err := s.inTx(ctx, func(t *tx) error {
			return t.fail(before(time.Now().Add(-pin.EventSettled))(t.db).Find(&rows).Error, "")
		})
		return eventRows(rows), err
	}
	statement := settledUntil
	if s.engine.sharded {
		statement = settledUntilEverywhere
	}
	var until *int64
	if err := s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement).Scan(&until).Error }); err != nil || until == nil { // a machine that did not answer
		return nil, err
	}
	return s.events(ctx, before(time.UnixMilli(*until))) // by a statement that begins after that one
}
