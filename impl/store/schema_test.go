package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"pinvault/impl/pin"
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
		tables:  `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT IN ('goose_db_version', 'sequences')`,
		columns: `SELECT name, type, "notnull" AS not_null, pk > 0 AS key FROM pragma_table_info(?)`,
	},
	"postgres": {
		tables: `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'goose_db_version'`,
		columns: `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
			EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS key
			FROM pg_attribute a WHERE a.attrelid = CAST(? AS regclass) AND a.attnum > 0 AND NOT a.attisdropped`,
	},
}

// columnTypes are the databases' types for a field's. A list or map is JSON.
var columnTypes = map[string]map[reflect.Type]string{
	"sqlite": {
		reflect.TypeFor[string](): "TEXT", reflect.TypeFor[int](): "INTEGER", reflect.TypeFor[int64](): "INTEGER",
		reflect.TypeFor[bool](): "BOOLEAN", reflect.TypeFor[[]byte](): "BLOB", reflect.TypeFor[time.Time](): "DATETIME", nil: "TEXT",
	},
	"postgres": {
		reflect.TypeFor[string](): "text", reflect.TypeFor[int](): "integer", reflect.TypeFor[int64](): "bigint",
		reflect.TypeFor[bool](): "boolean", reflect.TypeFor[[]byte](): "bytea", reflect.TypeFor[time.Time](): "timestamp with time zone", nil: "jsonb",
	},
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
				fieldType := f.IndirectFieldType
				if f.Serializer != nil {
					fieldType = nil
				}
				columnType, ok := columnTypes[dialect][fieldType]
				require.True(t, ok, "%s.%s", m.Name, f.Name)
				want = append(want, column{Name: f.DBName, Type: columnType, NotNull: f.NotNull || f.PrimaryKey, Key: f.PrimaryKey})
			}
			require.ElementsMatch(t, want, query[column](t, s, inspect[dialect].columns, m.Table), m.Table)
		}
		require.ElementsMatch(t, tables, query[string](t, s, inspect[dialect].tables))
	})
}

// A pointer is how a model says that a column may be null: without one, null would read as zero.
func TestNullableFieldsCanHoldNull(t *testing.T) {
	for _, model := range models.All() {
		m, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
		require.NoError(t, err)
		for _, f := range m.Fields {
			kinds := []reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}
			if f.Serializer == nil && !f.PrimaryKey && f.FieldType != reflect.TypeFor[[]byte]() {
				require.NotEqual(t, f.NotNull, slices.Contains(kinds, f.FieldType.Kind()), "%s.%s", m.Name, f.Name)
			}
		}
	}
}

func TestAuditEventsCannotBeChangedOrDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		statements := []string{"UPDATE audit_events SET outcome = 'match'", "DELETE FROM audit_events", "DELETE FROM audit_events WHERE id = 'id'"}
		if s.engine.migrations == "postgres" {
			statements = append(statements, "TRUNCATE audit_events")
		}
		event := pin.AuditEvent{ID: "id", Chain: "chain", Seq: 1, Outcome: "mismatch", At: time.Unix(0, 0).UTC(), MAC: []byte("mac")}
		require.NoError(t, s.InTx(context.Background(), func(tx pin.Tx) error { return tx.InsertAudit(event) }))
		for _, statement := range statements {
			require.ErrorContains(t, s.db.Exec(statement).Error, "append-only", statement)
		}
		events, err := s.Audit(context.Background(), pin.AuditQuery{Page: pin.Page{Limit: 9}})
		require.NoError(t, err)
		require.Equal(t, []pin.AuditEvent{event}, events)
	})
}

// plan is how the database means to run a search whatever its values: PostgreSQL settles for such a
// plan when it has run a prepared statement a few times.
func plan(t *testing.T, s *Store, q pin.Search) string {
	t.Helper()
	statement, args := s.findStatement(q)
	if s.engine.migrations == "sqlite" {
		return fmt.Sprint(query[map[string]any](t, s, "EXPLAIN QUERY PLAN "+statement, args...))
	}
	prepared := s.db.Session(&gorm.Session{DryRun: true}).Raw(statement, args...).Find(&[]found{}).Statement
	var rows []map[string]any
	require.NoError(t, s.db.Connection(func(db *gorm.DB) error {
		return errors.Join(
			db.Exec("PREPARE search AS "+prepared.SQL.String()).Error,
			db.Raw("EXPLAIN EXECUTE search (NULL"+strings.Repeat(", NULL", len(prepared.Vars)-1)+")").Find(&rows).Error,
			db.Exec("DEALLOCATE search").Error)
	}))
	return fmt.Sprint(rows)
}

func TestSearchesUseIndexes(t *testing.T) {
	by := func(kind pin.Kind, values ...string) pin.Criterion { return pin.Criterion{Kind: kind, Values: values} }
	searches := []struct {
		name  string
		q     pin.Search
		index string
	}{
		{"a token in a program", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindPublicToken, "token-7")}}, "card_references_unique"},
		{"a token in any program", pin.Search{Criteria: []pin.Criterion{by(pin.KindPublicToken, "token-7")}}, "card_references_unique"},
		{"a PAN under two index keys", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindPAN, "hash-7", "other")}}, "card_references_unique"},
		{"an alias in a program", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindAlias, "alias-7")}}, "card_references_by_alias"},
		{"an alias in any program", pin.Search{Criteria: []pin.Criterion{by(pin.KindAlias, "alias-7")}}, "card_references_by_alias"},
		{"two references", pin.Search{ProgramID: "program", Criteria: []pin.Criterion{by(pin.KindAlias, "alias-7"), by(pin.KindURN, "urn-700")}}, "card_references_unique"},
		{"a card", pin.Search{ProgramID: "program", CardID: "card-7"}, ""},
	}
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) {
			url := database.url(t)
			if database.name == "postgres" {
				url = withParameter(t, withParameter(t, url, "plan_cache_mode", "force_generic_plan"),
					"enable_seqscan", "off") // quicker for tables as small as these
			}
			s := open(t, url)
			seed(t, s, 100)
			for _, c := range searches {
				t.Run(c.name, func(t *testing.T) {
					c.q.Limit = 2
					found := plan(t, s, c.q)
					require.Contains(t, found, c.index)
					for _, walk := range []string{"Seq Scan", "SCAN r", "SCAN c", "SCAN n", "SCAN p"} {
						require.NotContains(t, found, walk)
					}
				})
			}
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
			have, want, err := first.SchemaVersion(context.Background())
			require.NoError(t, err)
			require.Zero(t, have)
			require.Positive(t, want)

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
				have, _, err := first.SchemaVersion(context.Background())
				require.NoError(t, err)
				require.Equal(t, want, have)
			})
			t.Run("a version is recorded once", func(t *testing.T) {
				require.Error(t, first.db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", want, true).Error)
			})
			t.Run("a schema newer than the program is left alone", func(t *testing.T) {
				exec(t, first, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", want+1, true)
				have, _, err := first.SchemaVersion(context.Background())
				require.NoError(t, err)
				require.Equal(t, want+1, have)
				require.ErrorContains(t, first.Migrate(context.Background()), "newer")
			})
		})
	}
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
