package store

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
	"pinvault/models"
)

// statement runs SQL on a database by a connection of its own, and returns the first value of its row,
// as text, if it has any.
func statement(t *testing.T, databaseURL, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), databaseURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	results, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
	require.NoError(t, err)
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return ""
	}
	return string(results[0].Rows[0][0])
}

// foreign are defaults under which values do not look as drivers expect them.
var foreign = map[string]string{
	"DateStyle": "German", "bytea_output": "escape", "standard_conforming_strings": "off", "TimeZone": "Asia/Kolkata",
	"client_encoding": "LATIN1", "plan_cache_mode": "force_custom_plan", "intervalstyle": "iso_8601",
}

// withDefaults gives a database, or a role of the test's own in it, foreign defaults. The URL names
// whom they are for.
func withDefaults(t *testing.T, databaseURL, of string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	owner := fmt.Sprintf("DATABASE %q", path.Base(u.Path))
	if of == "role" {
		name := "pinvault_test_" + uuid.NewString()
		statement(t, databaseURL, fmt.Sprintf("CREATE ROLE %q LOGIN SUPERUSER PASSWORD 'password'", name))
		t.Cleanup(func() {
			statement(t, databaseURL, fmt.Sprintf("REASSIGN OWNED BY %q TO CURRENT_USER; DROP OWNED BY %q; DROP ROLE %q", name, name, name))
		})
		u.User = url.UserPassword(name, "password")
		owner = fmt.Sprintf("ROLE %q", name)
	}
	for name, value := range foreign {
		statement(t, databaseURL, fmt.Sprintf("ALTER %s SET %s = '%s'", owner, name, value))
	}
	return u.String()
}

func TestPooler(t *testing.T) {
	database := storetest.Pooled(t, withDefaults(t, storetest.Postgres(t), "database"))
	conform(t, database, nil)
}

func TestSessionsAreTheSameWhateverTheDefaults(t *testing.T) {
	for _, of := range []string{"database", "role", "URL"} {
		for _, mode := range []string{"", "cache_describe", "exec", "simple_protocol"} {
			t.Run(strings.TrimSpace(of+" "+mode), func(t *testing.T) {
				database := storetest.Postgres(t)
				switch of {
				case "URL":
					for name, value := range foreign {
						database = withParameter(t, database, strings.ToLower(name), value)
					}
				default:
					database = withDefaults(t, database, of)
				}
				if mode != "" {
					database = withParameter(t, database, "default_query_exec_mode", mode)
				}
				s := open(t, database)
				for name, want := range map[string]string{
					"DateStyle": "ISO, MDY", "bytea_output": "hex", "standard_conforming_strings": "on", "TimeZone": "UTC",
					"client_encoding": "UTF8", "plan_cache_mode": "force_generic_plan",
				} {
					require.Equal(t, []string{want}, query[string](t, s, "SHOW "+name), name)
				}
				requireKept(t, s)
			})
		}
	}
}

// requireKept fails unless values that a session's settings could spoil come back as they were.
func requireKept(t *testing.T, s *Store) {
	t.Helper()
	seed(t, s, 1)
	event := pin.EventRow{Chain: "chain", Seq: 1, ID: "event", Body: []byte(`l'été \ 'ಕ'`), MAC: []byte{0, '\\', 255, 'x', 200}}
	require.NoError(t, s.Swap(context.Background(), pin.Change{Events: []pin.EventRow{event}}))
	events, err := s.Events(context.Background(), pin.AuditQuery{Chain: "chain", Page: pin.Page{Limit: 9}})
	require.NoError(t, err)
	require.Equal(t, []pin.EventRow{event}, events)
	requireServed(t, s)
}

func TestAPoolerIsNoticedAndLeftAsItWas(t *testing.T) {
	direct := storetest.Postgres(t)
	pooled := storetest.Pooled(t, direct)
	s := open(t, pooled)
	require.True(t, s.engine.sessions.pooled.Load())
	seed(t, s, 32)

	// 32 callers on 4 connections, each of which meets most of the others' statements.
	const rounds = 25
	var group sync.WaitGroup
	errs := make([]error, 32)
	for i := range errs {
		group.Go(func() { errs[i] = verifyOften(s, i, rounds) })
	}
	group.Wait()
	require.Equal(t, make([]error, len(errs)), errs)

	// Each connection to the server, held for as long as it takes to meet them all.
	config, err := pgx.ParseConfig(pooled)
	require.NoError(t, err)
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	servers := map[int]bool{}
	for range 4 {
		conn, err := pgx.ConnectConfig(context.Background(), config)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(context.Background())) }()
		tx, err := conn.Begin(context.Background())
		require.NoError(t, err)
		var server, statements, locks int
		var set string
		require.NoError(t, tx.QueryRow(context.Background(), `SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements),
			(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
			(SELECT coalesce(string_agg(name, ' '), '') FROM pg_settings WHERE source = 'session'
				AND name NOT IN ('client_encoding', 'DateStyle', 'standard_conforming_strings', 'TimeZone', 'application_name'))`).Scan(&server, &statements, &locks, &set))
		servers[server] = true
		require.Zero(t, statements)
		require.Zero(t, locks)
		require.Empty(t, set)
	}
	require.Len(t, servers, 4)

	require.False(t, open(t, direct).engine.sessions.pooled.Load())
}

// verifyOften does what verifications do, each caller on a card of its own, and fails where what it
// finds is another's.
func verifyOften(s *Store, card, rounds int) error {
	ctx, id := context.Background(), fmt.Sprint("card-", card)
	for i := range rounds {
		found, err := s.Find(ctx, pin.Search{ProgramID: "program", Limit: 2, Kind: pin.KindPublicToken, Values: []string{fmt.Sprint("token-", card)}})
		if err != nil {
			return err
		}
		if len(found) != 1 || found[0].ID != id || found[0].Revision != int64(i+1) {
			return fmt.Errorf("%s: found another card", id)
		}
		next := revision(id, int64(i+2))
		if err := s.Swap(ctx, pin.Change{Card: next, Events: eventsOf(id, int64(i+2), 1)}); err != nil {
			return err
		}
	}
	return nil
}

func TestSessionsThroughAPoolerThatDiedAreReplaced(t *testing.T) {
	direct := storetest.Postgres(t)
	s := open(t, storetest.Pooled(t, direct))
	seed(t, s, 1)
	requireServed(t, s)
	statement(t, direct, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	for range 10 {
		requireServed(t, s)
	}
}

func TestAURLThatSaysHowToRunStatementsIsFollowed(t *testing.T) {
	pooled := storetest.Pooled(t, storetest.Postgres(t))
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, withParameter(t, pooled, "default_query_exec_mode", mode))
			require.NoError(t, s.Wipe(context.Background()))
			seed(t, s, 1)
			requireServed(t, s)
		})
	}
	t.Run("to its end", func(t *testing.T) {
		url := withParameter(t, pooled, "default_query_exec_mode", "cache_statement")
		var err error
		for range 3 { // the same statements, of several sessions on one connection
			var s *Store
			if s, err = Open(context.Background(), url, Options{MaxConns: 1}); err != nil {
				break
			}
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			if _, err = s.Row(context.Background(), pin.TablePrograms, "", "program"); err != nil {
				break
			}
		}
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "take default_query_exec_mode out of the database URL")
	})
}

func TestWhatCannotWorkThroughAPoolerIsRefusedWithTheCure(t *testing.T) {
	direct := storetest.Postgres(t)
	pooled := storetest.Pooled(t, direct)
	for _, c := range []struct {
		name, parameter, value, says string
		bytes                        string // of the database
	}{
		{"a parameter that the pooler does not follow", "search_path", "pinvault", "ALTER ROLE", "hex"},
		{"bytes as text of another form", "default_query_exec_mode", "exec", "bytea_output is escape behind the pooler", "escape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			statement(t, direct, fmt.Sprintf("ALTER DATABASE %q SET bytea_output = %s", databaseOf(t, direct), c.bytes))
			statement(t, direct, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			_, err := Open(context.Background(), withParameter(t, pooled, c.parameter, c.value), Options{})
			require.ErrorContains(t, err, c.says)
		})
	}
}

func databaseOf(t *testing.T, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	return path.Base(u.Path)
}

func TestAPoolersRefusalsAreNamed(t *testing.T) {
	direct := storetest.Postgres(t)
	u, err := url.Parse(direct)
	require.NoError(t, err)

	gone := *u
	gone.Host = "127.0.0.1:1"
	unknown := *u
	unknown.Path = "/" + uuid.NewString()
	stranger := *u
	stranger.User = url.UserPassword("stranger", "correcthorse")
	for _, c := range []struct {
		name     string
		database string
		settings []string
		login    *url.Userinfo // another than the database's
		says     string
	}{
		{name: "no server behind it", database: gone.String(), settings: []string{"query_wait_timeout = 1"}, says: "query_wait_timeout"},
		{name: "no such database", database: unknown.String(), says: "does not exist"},
		{name: "a user that it does not know", database: direct, login: stranger.User, says: "authentication failed"},
		{name: "too many clients", database: direct, settings: []string{"max_client_conn = 1"}, says: "no more connections allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pooled, err := url.Parse(storetest.Pooled(t, c.database, c.settings...))
			require.NoError(t, err)
			if c.login != nil {
				pooled.User = c.login
			}
			s, err := Open(context.Background(), pooled.String(), Options{MaxConns: 1})
			if err == nil { // there is room for one
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				_, err = Open(context.Background(), pooled.String(), Options{})
			}
			require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "correcthorse")
		})
	}
}

func TestManyProcessesMigrateThroughAPooler(t *testing.T) {
	direct := storetest.Postgres(t)
	pooled := storetest.Pooled(t, direct)
	stores := make([]*Store, 12) // more than connections
	for i := range stores {
		s, err := Open(context.Background(), pooled, Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		stores[i] = s
	}
	errs := make([]error, len(stores))
	var group sync.WaitGroup
	for i, s := range stores {
		group.Go(func() { errs[i] = s.Migrate(context.Background()) })
	}
	group.Wait()
	require.Equal(t, make([]error, len(stores)), errs)

	files, err := models.Migrations("postgres")
	require.NoError(t, err)
	all, err := fs.Glob(files, "*.sql")
	require.NoError(t, err)
	require.Len(t, query[int](t, stores[0], "SELECT version_id FROM goose_db_version WHERE version_id > 0"), len(all))
	require.Equal(t, "0", statement(t, direct, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"))
}
