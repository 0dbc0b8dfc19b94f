package store

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// databases are the kinds of database that every test of both goes through.
var databases = []struct {
	name string
	url  func(t testing.TB) string
}{{"sqlite", storetest.SQLite}, {"postgres", storetest.Postgres}}

// onBoth runs a test on a fresh database of each kind.
func onBoth(t *testing.T, run func(t *testing.T, s *Store)) {
	for _, database := range databases {
		t.Run(database.name, func(t *testing.T) { run(t, open(t, database.url(t))) })
	}
}

func open(t testing.TB, databaseURL string) *Store {
	t.Helper()
	s, err := Open(context.Background(), databaseURL, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(context.Background()))
	return s
}

// exec runs SQL of the test's own.
func exec(t testing.TB, s *Store, statement string, args ...any) {
	t.Helper()
	require.NoError(t, s.db.Exec(statement, args...).Error)
}

// query reads rows with SQL of the test's own.
func query[R any](t testing.TB, s *Store, statement string, args ...any) (rows []R) {
	t.Helper()
	require.NoError(t, s.db.Raw(statement, args...).Find(&rows).Error)
	return rows
}

// conform runs the conformance suite on one database, which is emptied between the tests: making one, and
// connections to it, takes much longer. as may make the store another before each.
func conform(t *testing.T, database string, as func(t *testing.T, s *Store)) {
	storetest.Run(t, emptied(t, database, as))
}

// emptied opens a database for each test.
func emptied(t *testing.T, database string, as func(t *testing.T, s *Store)) func(*testing.T) storetest.Store {
	var s *Store
	return func(*testing.T) storetest.Store {
		if s == nil || s.closed.Load() {
			s = open(t, database)
		}
		if as != nil {
			as(t, s)
		}
		exec(t, s, "DELETE FROM settings")
		require.NoError(t, s.Wipe(context.Background()))
		return s
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { storetest.RunMany(t, emptied(t, storetest.SQLite(t), nil)) })
	t.Run("PostgreSQL", func(t *testing.T) { storetest.RunMany(t, emptied(t, storetest.Postgres(t), nil)) })
	t.Run("PostgreSQL, as if spread", func(t *testing.T) { // one card a transaction
		storetest.RunMany(t, emptied(t, gate(t, storetest.Postgres(t)), func(_ *testing.T, s *Store) { s.engine.sharded = true }))
	})
}

func TestSQLite(t *testing.T) { conform(t, storetest.SQLite(t), nil) }

func TestPostgres(t *testing.T) { conform(t, storetest.Postgres(t), nil) }

// Distributed engines that speak PostgreSQL's protocol isolate all transactions as serializable, and
// report failures that PostgreSQL by default does not.
func TestPostgresSerializable(t *testing.T) {
	conform(t, withParameter(t, storetest.Postgres(t), "default_transaction_isolation", "serializable"), func(t *testing.T, s *Store) {
		require.Equal(t, []string{"serializable"}, query[string](t, s, "SHOW transaction_isolation"))
	})
}

// TestCitus runs on the cluster whose coordinator PINVAULT_TEST_CITUS_URL names: a database that has the
// extension and its nodes, and in which nothing is lost when it is emptied.
func TestCitus(t *testing.T) {
	database := os.Getenv("PINVAULT_TEST_CITUS_URL")
	if database == "" {
		t.Skip("PINVAULT_TEST_CITUS_URL names no cluster")
	}
	if s := open(t, database); !s.engine.sharded {
		script, err := os.ReadFile(citusSQL)
		require.NoError(t, err)
		exec(t, s, string(script))
	}
	conform(t, database, func(t *testing.T, s *Store) { require.True(t, s.engine.sharded, "found out by Open") })
}

// withParameter sets a parameter of the session in a URL.
func withParameter(t testing.TB, databaseURL, name, value string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	values := u.Query()
	values.Set(name, value)
	u.RawQuery = values.Encode()
	return u.String()
}

// seed makes the program "program" and cards in it, card-0 and on, each with one event, the look-ups urn-0 and
// token-0 and on, and an alias that a hundred cards share.
func seed(t testing.TB, s *Store, cards int) {
	t.Helper()
	require.NoError(t, s.Swap(context.Background(), pin.Change{Rows: []pin.Row{{Table: pin.TablePrograms, ID: "program", Version: 1, Body: []byte("{}"), Seal: make([]byte, 37)}}}))
	for i := range cards {
		id := fmt.Sprint("card-", i)
		l := pin.Lookup{Kind: pin.KindURN, Value: fmt.Sprint("urn-", i), ProgramID: "program", CardID: id}
		token, alias := l, l
		token.Kind, token.Value = pin.KindPublicToken, fmt.Sprint("token-", i)
		alias.Kind, alias.Value, alias.Slot = pin.KindAlias, fmt.Sprint("alias-", i/100), id
		require.NoError(t, s.Swap(context.Background(), pin.Change{Card: revision(id, 1), DetailsToo: true, Events: eventsOf(id, 1, 1), Add: []pin.Lookup{l, token, alias}}))
	}
}

// revision is a card as long as most are.
func revision(id string, n int64) *pin.CardRow {
	return &pin.CardRow{ID: id, ProgramID: "program", Revision: n, Details: make512(id), Value: make512(fmt.Sprint(id, n)), Seal: make([]byte, 37)}
}

// make512 is a text of 512 characters.
func make512(text string) []byte { return fmt.Appendf(nil, "%512s", text) }

// eventsOf are the events at n places of a chain.
func eventsOf(chain string, first int64, n int) []pin.EventRow {
	out := make([]pin.EventRow, n)
	for i := range out {
		seq := first + int64(i)
		out[i] = pin.EventRow{Chain: chain, Seq: seq, ID: fmt.Sprintf("%s-%d", chain, seq), ProgramID: "program", Body: make512("event"), MAC: make([]byte, 37)}
	}
	return out
}

// card is a card as it stands.
func card(t testing.TB, s *Store, id string) pin.CardRow {
	t.Helper()
	found, err := s.Find(context.Background(), pin.Search{CardID: id, Limit: 1})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}
