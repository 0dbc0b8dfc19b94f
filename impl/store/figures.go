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

// Facts are what a database says of itself.
type Facts struct {
	Engine string    // PostgreSQL or SQLite, and its version
	Size   int64     // bytes
	Now    time.Time // by its own clock, zero of one that is in this process

	// How PostgreSQL keeps what it has committed, "" of another.
	Fsync, SynchronousCommit, FullPageWrites string
	ReadOnly                                 bool // it takes no changes: a replica

	// Guarded tells whether triggers keep audit events from being changed; Spread that the engine takes none, see
	// scripts/cluster.
	Guarded, Spread bool
	// Superuser and Owner tell that the role may switch these triggers off.
	Superuser, Owner bool
	// Barred are the tables that the role may not change as a server must, in one line; "" for none.
	Barred string
}

// Facts asks the database about itself. Its schema must be there.
func (s *Store) Facts(ctx context.Context) (f Facts, err error) {
	statement := `SELECT 'SQLite ' || sqlite_version() AS engine, (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()) AS size,
		(SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit_events') AS guarded`
	if s.engine.function {
		statement = `SELECT 'PostgreSQL ' || current_setting('server_version') AS engine, pg_database_size(current_database()) AS size, clock_timestamp() AS now,
			current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit, current_setting('full_page_writes') AS full_page_writes,
			pg_is_in_recovery() AS read_only, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
			(SELECT count(*) = 2 FROM pg_trigger WHERE tgrelid = CAST('audit_events' AS regclass) AND NOT tgisinternal AND tgenabled = 'O') AS guarded,
			(SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = CAST('audit_events' AS regclass)) AS owner,
			(SELECT coalesce(string_agg(t.relname, ', ' ORDER BY t.relname), '') FROM pg_class t JOIN pg_class a ON (a.relnamespace, a.relowner) = (t.relnamespace, t.relowner)
				WHERE a.oid = CAST('audit_events' AS regclass) AND t.relkind IN ('r', 'p') AND t.relname <> 'goose_db_version'
				AND NOT (has_table_privilege(t.oid, 'SELECT') AND has_table_privilege(t.oid, 'INSERT')
					AND (t.oid = a.oid OR has_table_privilege(t.oid, 'UPDATE') AND has_table_privilege(t.oid, 'DELETE')))) AS barred`
	}
	err = s.read(ctx, func(db *gorm.DB) error { return db.Raw(statement).Scan(&f).Error })
	f.Spread = s.engine.sharded
	return f, err
}

// MostCounted is how many rows of a table are counted.
const MostCounted = 1000000

// Counts are how many programs, clients, cards and partners' keys there are, at most [MostCounted] of each.
func (s *Store) Counts(ctx context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	for name, table := range map[string]string{"programs": "programs", "clients": "clients", "cards": "cards", "partnerKeys": "zone_keys"} {
		var n int64
		err := s.read(ctx, func(db *gorm.DB) error {
			return db.Raw(`SELECT count(*) FROM (SELECT 1 AS one FROM `+table+` LIMIT ?) AS counted`, MostCounted).Scan(&n).Error
		})
		if err != nil {
			return nil, err
		}
		counts[name] = n
	}
	return counts, nil
}
