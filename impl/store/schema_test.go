package store

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
	"pinvault/models"
)

// column is a column as the database or a model has it.
type column struct {
	Name    string
	Type    string
	NotNull bool
	Key     bool
}

// inspect reads the tables that a database has.
var inspect = map[string]struct{ tables, columns string }{
	"sqlite": {
		tables:  `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`,
		columns: `SELECT name, type, "notnull" AS not_null, pk > 0 AS key FROM pragma_table_info(?)`,
	},
	"postgres": {
		tables: `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'goose_db_version'`,
		columns: `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
			EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS key
			FROM pg_attribute a WHERE a.attrelid = CAST(? AS regclass) AND a.attnum > 0 AND NOT a.attisdropped`,
	},
}

// columnTypes are the databases' types for a field's.
var columnTypes = map[string]map[reflect.Type]string{
	"sqlite":   {reflect.TypeFor[string](): "TEXT", reflect.TypeFor[int64](): "INTEGER", reflect.TypeFor[[]byte](): "BLOB"},
	"postgres": {reflect.TypeFor[string](): "text", reflect.TypeFor[int64](): "bigint", reflect.TypeFor[[]byte](): "bytea"},
}

func TestModelsMatchTheMigratedSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		dialect := s.engine.migrations
		var tables []string
		for _, model := range models.All() {
			m, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
			require.NoError(t, err)
			tables = append(tables, m.Table)
			var want []column
			for _, f := range m.Fields {
				columnType, ok := columnTypes[dialect][f.IndirectFieldType]
				require.True(t, ok, "%s.%s", m.Name, f.Name)
				want = append(want, column{Name: f.DBName, Type: columnType, NotNull: f.NotNull || f.PrimaryKey, Key: f.PrimaryKey})
			}
			require.ElementsMatch(t, want, query[column](t, s, inspect[dialect].columns, m.Table), m.Table)
		}
		require.ElementsMatch(t, tables, query[string](t, s, inspect[dialect].tables))
	})
}

// No column may be null: null would read as empty.
func TestNoFieldIsNullable(t *testing.T) {
	for _, model := range models.All() {
		m, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
		require.NoError(t, err)
		for _, f := range m.Fields {
			require.True(t, f.NotNull || f.PrimaryKey, "%s.%s", m.Name, f.Name)
			require.NotEqual(t, reflect.Pointer, f.FieldType.Kind(), "%s.%s", m.Name, f.Name)
		}
	}
}

func TestAuditEventsCannotBeChangedOrDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		statements := []string{"UPDATE audit_events SET body = 'another'", "UPDATE audit_events SET body = body WHERE seq = 1", "DELETE FROM audit_events", "DELETE FROM audit_events WHERE id = 'card-0-1'"}
		if s.engine.migrations == "postgres" {
			statements = append(statements, "TRUNCATE audit_events")
		}
		requireGuarded := func() {
			for _, statement := range statements {
				require.ErrorContains(t, s.db.Exec(statement).Error, "append-only", statement)
			}
			events, err := s.ChainEvents(context.Background(), "", 0, 9)
			require.NoError(t, err)
			require.Equal(t, eventsOf("card-0", 1, 1), events)
		}
		seed(t, s, 1)
		requireGuarded()
		require.NoError(t, s.Wipe(context.Background()))
		seed(t, s, 1)
		requireGuarded()
	})
}

func TestSQLiteSearchesUseIndexes(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	seed(t, s, 100)
	for _, c := range []struct{ name, statement string }{
		{"a card", findByID}, {"a value in a program", foundByLookup + byLookup + inProgram + inOrder}, {"a value in any program", foundByLookup + byLookup + inOrder},
		{"a value of either of two kinds", foundByLookup + byEither + inProgram + inOrder},
		{"cards of a program", cardsAfter + cardsOfProgram + cardsInOrder}, {"cards", cardsAfter + cardsInOrder},
	} {
		t.Run(c.name, func(t *testing.T) {
			statement := strings.ReplaceAll(strings.ReplaceAll(c.statement, "IN ?", "IN (?, ?)"), "?", "'1'")
			found := fmt.Sprint(query[map[string]any](t, s, "EXPLAIN QUERY PLAN "+statement))
			require.NotContains(t, found, "SCAN")
			require.Contains(t, found, "SEARCH c USING INDEX")
		})
	}
}

func TestMigrate(t *testing.T) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			url := database.url(t)
			stores := make([]*Store, 6)
			for i := range stores {
				s, err := Open(context.Background(), url, Options{})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				stores[i] = s
			}
			first := stores[0]
			fresh, err := first.Schema(context.Background())
			require.NoError(t, err)
			require.Zero(t, fresh.Have)
			require.Positive(t, fresh.Want)
			require.False(t, fresh.Serves())
			require.False(t, fresh.Breaks(), "there is no server yet")
			want := fresh.Want

			t.Run("many processes may do it at once", func(t *testing.T) {
				errs := make([]error, len(stores))
				var group sync.WaitGroup
				for i, s := range stores {
					group.Go(func() { errs[i] = s.Migrate(context.Background()) })
				}
				group.Wait()
				require.Equal(t, make([]error, len(stores)), errs)
				files, err := models.Migrations(first.engine.migrations)
				require.NoError(t, err)
				all, err := fs.Glob(files, "*.sql")
				require.NoError(t, err)
				require.Len(t, query[int](t, first, "SELECT version_id FROM goose_db_version WHERE version_id > 0"), len(all))
				at, err := first.Schema(context.Background())
				require.NoError(t, err)
				require.Equal(t, Schema{Have: want, Want: want, Oldest: models.Oldest, Keeps: models.Oldest}, at)
			})
			t.Run("a version is recorded once", func(t *testing.T) {
				require.Error(t, first.db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", want, true).Error)
			})
			t.Run("a schema newer than the program is left alone, and serves it until it says otherwise", func(t *testing.T) {
				exec(t, first, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", want+1, true)
				require.NoError(t, first.Migrate(context.Background()))
				at, err := first.Schema(context.Background())
				require.NoError(t, err)
				require.Equal(t, Schema{Have: want + 1, Want: want, Oldest: models.Oldest, Keeps: models.Oldest}, at)
				require.True(t, at.Serves())
				for _, says := range []string{"UPDATE settings SET value = '1000' WHERE key = 'oldest-program'", "DELETE FROM settings WHERE key = 'oldest-program'"} {
					exec(t, first, says)
					require.ErrorContains(t, first.Migrate(context.Background()), "newer")
					at, err := first.Schema(context.Background())
					require.NoError(t, err)
					require.False(t, at.Serves(), says)
				}
			})
		})
	}
}

// released are the migrations of a program as it is, and of a later one that has one more.
func released(t *testing.T, s *Store, more string) (now, later fs.FS) {
	t.Helper()
	now, err := models.Migrations(s.engine.migrations)
	require.NoError(t, err)
	files := fstest.MapFS{"90001_more.sql": {Data: []byte("-- +goose Up\n" + more)}}
	names, err := fs.Glob(now, "*.sql")
	require.NoError(t, err)
	for _, name := range names {
		text, err := fs.ReadFile(now, name)
		require.NoError(t, err)
		files[name] = &fstest.MapFile{Data: text}
	}
	return now, files
}

// What a program is told by the schema that a later one has made: it goes on where nothing was taken away, and nobody who is
// older can make it serve again what it does not.
func TestASchemaSaysWhichProgramsItServes(t *testing.T) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			ctx := context.Background()
			s := open(t, database.url(t))
			now, later := released(t, s, "CREATE TABLE later (id text PRIMARY KEY);")
			own, err := s.Schema(ctx)
			require.NoError(t, err)

			added, err := s.schema(ctx, later, models.Oldest)
			require.NoError(t, err)
			require.False(t, added.Breaks())
			require.NoError(t, s.migrate(ctx, later, models.Oldest))
			told, err := s.schema(ctx, now, models.Oldest)
			require.NoError(t, err)
			require.Equal(t, Schema{Have: 90001, Want: own.Want, Oldest: models.Oldest, Keeps: models.Oldest}, told)
			require.True(t, told.Serves())
			require.NoError(t, s.migrate(ctx, now, models.Oldest), "there is nothing to do for it")

			require.NoError(t, s.migrate(ctx, later, 90001), "of another release, which makes no use of what the first still needs")
			require.NoError(t, s.migrate(ctx, later, models.Oldest), "the first one's successor is there still")
			told, err = s.schema(ctx, now, models.Oldest)
			require.NoError(t, err)
			require.EqualValues(t, 90001, told.Oldest)
			require.False(t, told.Serves())
			require.ErrorContains(t, s.migrate(ctx, now, models.Oldest), "newer")
		})
	}
}

// A migration that takes away what servers need says so before it does.
func TestAMigrationThatBreaksServersIsKnownBefore(t *testing.T) {
	s := open(t, storetest.SQLite(t))
	_, later := released(t, s, "DROP TABLE replays;")
	at, err := s.schema(context.Background(), later, 90001)
	require.NoError(t, err)
	require.True(t, at.Breaks())
}

// Somebody reads a table, as a backup does for as long as it takes. A migration that changes the table waits for that, but
// keeps nobody waiting meanwhile.
func TestAMigrationThatWaitsKeepsNobodyWaiting(t *testing.T) {
	url := storetest.Postgres(t)
	s := open(t, url)
	seed(t, s, 1)
	_, later := released(t, s, "ALTER TABLE cards ADD COLUMN later text NOT NULL DEFAULT '';")
	backup := s.db.Begin()
	require.NoError(t, backup.Exec("LOCK TABLE cards IN ACCESS SHARE MODE").Error)
	done := make(chan error, 1)
	go func() { done <- s.migrate(context.Background(), later, models.Oldest) }()
	waiting := func() bool {
		return len(query[int](t, s, "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'cards'::regclass")) == 1
	}
	require.Eventually(t, waiting, 20*time.Second, time.Millisecond)
	began := time.Now()
	found, err := s.CardsOf(context.Background(), []string{"card-0"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Less(t, time.Since(began), 4*lockWait, "who reads waits no longer than the migration does")
	require.Empty(t, done)
	require.NoError(t, backup.Rollback().Error)
	require.NoError(t, <-done)
	require.Len(t, query[string](t, s, "SELECT column_name FROM information_schema.columns WHERE table_name = 'cards' AND column_name = 'later'"), 1)
}

func TestAMigrationThatFailsIsNamedAndUndone(t *testing.T) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			s, err := Open(context.Background(), database.url(t), Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			exec(t, s, "CREATE TABLE replays (stranger text)")

			err = s.Migrate(context.Background())
			require.Equal(t, pin.Internal, pin.CodeOf(err))
			require.ErrorContains(t, err, "00001_initial.sql")
			require.ErrorContains(t, err, "replays")
			require.Error(t, s.Ping(context.Background()), "no table may stay")

			exec(t, s, "DROP TABLE replays")
			require.NoError(t, s.Migrate(context.Background()))
			require.NoError(t, s.Ping(context.Background()))
		})
	}
}
