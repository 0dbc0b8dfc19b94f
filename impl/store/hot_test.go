package store

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// roundTrips are how many round trips to the database an operation may take.
var roundTrips = map[string]int{
	"status": 1, "set": 2, "verify": 2, "verify a wrong PIN": 2, "change": 2, "reset": 2, "reveal": 2, "unblock": 2,
	"unblock by device number or PAN": 2, "set with an idempotency key": 2, "verify with an idempotency key": 2,
	"refuse a card that is not there, under an idempotency key": 2, // as many as for one that is
}

// recorded is what the hot operations send when all that they know beforehand is known: programs are in
// the cache, statements are prepared.
func recorded(t *testing.T, l *line, s *Store) (names []string, sent map[string][]trip) {
	v := newVault(t, s)
	sent = map[string][]trip{}
	for _, o := range v.operations() {
		if !o.hot {
			continue
		}
		s.pool.SetMaxOpenConns(1) // so that what is prepared is prepared for whoever comes
		require.NoError(t, o.run(1), o.name)
		names = append(names, o.name)
		sent[o.name] = l.record(func() { require.NoError(t, o.run(2), o.name) })
	}
	return names, sent
}

// TestTheHotStatementsAreThoseOfTheGoldenFile listens to the wire: what a program sends is what it costs. Run
// it with -update where a statement is meant to be another.
func TestTheHotStatementsAreThoseOfTheGoldenFile(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	names, sent := recorded(t, l, open(t, l.url))
	text := "# What the vault's hot operations send to PostgreSQL, in the order of their round trips.\n" +
		"# go test ./impl/store -run Golden -update writes it anew.\n"
	for _, name := range names {
		text += fmt.Sprintf("\n%s: round trips %d\n", name, len(sent[name]))
		for _, now := range sent[name] {
			require.Empty(t, now.prepared, "%s prepares a statement each time", name)
			require.Len(t, now.run, 1, "%s", name)
			text += "    " + strings.Join(now.run, "; ") + "\n"
		}
	}
	golden := filepath.Join("testdata", "hot.golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text)

	require.Len(t, names, len(roundTrips))
	for name, most := range roundTrips {
		require.LessOrEqual(t, len(sent[name]), most, name)
	}
}

// The page's own POST of a PIN is as dear as any other one.
func TestThePINOfASessionTakesTwoRoundTrips(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	v := newVault(t, s)
	opened, err := v.OpenSession(v.ctx, v.q, pin.NewSession{Action: pin.ActionReset, SecretDigest: []byte("mac"), Exchanges: 3, Lifetime: time.Hour}, pin.Memo{})
	require.NoError(t, err)
	trips := l.record(func() {
		e, err := v.Entry(v.ctx, opened.ID)
		require.NoError(t, err)
		require.NoError(t, v.ChoosePIN(v.ctx, e, v.digits(v.another()), pin.Memo{}))
	})
	trips = slices.DeleteFunc(trips, func(now trip) bool { return len(now.run) == 0 }) // in which statements are prepared
	require.Len(t, trips, 2)
}

// many fills the tables with cards, a hundred of which share an alias, and their look-ups, events, sessions
// and replays, in statements of the test's own.
func many(t *testing.T, s *Store, cards int) {
	seed(t, s, 0)
	for _, statement := range []string{
		`INSERT INTO cards SELECT 'card-' || i, 'program', 1, repeat('d', 400), repeat('v', 400), '' FROM generate_series(1, ?) i`,
		`INSERT INTO card_lookup SELECT 'urn', 'urn-' || i, 'program', '', 'card-' || i FROM generate_series(1, ?) i`,
		`INSERT INTO card_lookup SELECT 'publicToken', 'token-' || i, 'program', '', 'card-' || i FROM generate_series(1, ?) i`,
		`INSERT INTO card_lookup SELECT 'alias', 'alias-' || i / 100, 'program', 'card-' || i, 'card-' || i FROM generate_series(1, ?) i`,
		`INSERT INTO audit_events SELECT 'card-' || i, 1, 'event-' || i, 'program', 'body', '' FROM generate_series(1, ?) i`,
		`INSERT INTO pin_sessions SELECT 'card-' || i, 'session-' || i, 'program', 1, i, 'body', '' FROM generate_series(1, ? / 10) i`,
		`INSERT INTO replays SELECT 'replay-' || i, 1, i, 'body', '' FROM generate_series(1, ?) i`,
	} {
		exec(t, s, statement, cards)
	}
	exec(t, s, "ANALYZE")
}

// seqScans finds the tables that a plan reads from end to end.
var seqScans = regexp.MustCompile(`Seq Scan on (\w+)`)

// The plans that PostgreSQL settles for, whatever the values, read no table of cards from end to end.
func TestHotStatementsUseIndexes(t *testing.T) {
	const cards = 20_000
	l := lineTo(t, storetest.Postgres(t))
	_, sent := recorded(t, l, open(t, l.url))
	statements := map[string]string{}
	for name, trips := range sent {
		for i, now := range trips {
			statements[fmt.Sprintf("%s, statement %d", name, i+1)] = now.run[0]
		}
	}
	for name, statement := range map[string]string{
		"a value in any program": foundByLookup + byLookup + inOrder, "one of two values": strings.Replace(foundByLookup+byLookup, "IN ?", "IN (?, ?)", 1) + inProgram + inOrder,
		"a value of one of two kinds in any program": strings.Replace(foundByLookup+byEither, "IN ?", "IN (?)", 1) + inOrder,
		"a session and its card":                     hotSession, "a card": findByID, "a card, locked": findByID + forUpdate, "a value, where cards are spread": lookupOnly + byLookup + inProgram + inOrder,
		"cards, where they are spread": strings.Replace(findByIDs, "IN ?", "IN (?, ?)", 1), "cards of a program": cardsAfter + cardsOfProgram + cardsInOrder,
	} {
		statement = strings.Replace(statement, "IN ?", "IN (?)", 1)
		for n := 1; strings.Contains(statement, "?"); n++ {
			statement = strings.Replace(statement, "?", fmt.Sprint("$", n), 1)
		}
		statements[name] = statement
	}

	s := open(t, storetest.Postgres(t))
	many(t, s, cards)
	ctx := context.Background()
	conn, plans := explaining(t, s)
	for name, statement := range statements {
		if statement == callSwap {
			continue // below
		}
		t.Run(name, func(t *testing.T) {
			_, err := conn.Exec(ctx, "PREPARE hot AS "+statement)
			require.NoError(t, err)
			last := 1
			for strings.Contains(statement, fmt.Sprint("$", last+1)) {
				last++
			}
			nulls := strings.TrimPrefix(strings.Repeat(", NULL", last), ", ")
			var plan []string
			rows, err := conn.Query(ctx, "EXPLAIN EXECUTE hot ("+nulls+")", pgx.QueryExecModeSimpleProtocol)
			require.NoError(t, err)
			plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			_, err = conn.Exec(ctx, "DEALLOCATE hot")
			require.NoError(t, err)
			requireIndexed(t, strings.Join(plan, "\n"))
		})
	}
	t.Run("what swap_card runs", func(t *testing.T) {
		*plans = nil
		const row = `"program_id":"program","card_id":"card-7","version":%d,"expires_at":5,"body":"b","seal":"\\x00"`
		more := fmt.Sprintf(`{"replays":[{"id":"replay-7",`+row+`}],"pin_sessions":[{"id":"new",`+row+`},{"id":"session-7",`+row+`}],"contract_records":[{"id":"new",`+row+`}],
			"card_lookup":[{"kind":"pinSession","value":"new","program_id":"program","slot":"","card_id":"card-7"}]}`, 1, 1, 2, 1)
		var swapped bool
		require.NoError(t, conn.QueryRow(ctx, callSwap, "card-7", "program", 1, nil, "value", []byte("seal"), 2, []string{"a", "b"}, []string{"a", "b"}, [][]byte{{1}, {2}}, more, 100).Scan(&swapped))
		require.True(t, swapped)
		text := strings.Join(*plans, "\n")
		for _, touched := range []string{"Update on cards", "Insert on audit_events", "Insert on replays", "Insert on pin_sessions", "Update on pin_sessions", "Insert on contract_records", "Insert on card_lookup"} {
			require.Contains(t, text, touched)
		}
		requireIndexed(t, text)
	})
	t.Run("a walk would show", func(t *testing.T) {
		*plans = nil
		_, err := conn.Exec(ctx, "SELECT FROM cards WHERE details = 'x'")
		require.NoError(t, err)
		require.Contains(t, strings.Join(*plans, "\n"), "Seq Scan on cards")
	})
}

// A plan that was made when there were few answers is kept when there are many.
func TestAKeptAnswerIsLookedForByItsIDHoweverFewThereAre(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	exec(t, s, `INSERT INTO replays SELECT 'replay-' || i, 1, 1000000 + i, repeat('b', 300), '' FROM generate_series(1, 300) i`)
	exec(t, s, "ANALYZE")
	conn, _ := explaining(t, s)
	ctx := context.Background()
	for name, unless := range map[string][]string{"under one key": {"a"}, "while the key is rotated": {"a", "b"}} {
		statement, args := s.hot(pin.Search{Kind: pin.KindURN, Values: []string{"1"}, ProgramID: "program", Limit: 9, Unless: unless})
		_, err := conn.Exec(ctx, "PREPARE hot AS "+statement)
		require.NoError(t, err)
		rows, err := conn.Query(ctx, "EXPLAIN EXECUTE hot ("+strings.TrimPrefix(strings.Repeat(", NULL", len(args)), ", ")+")", pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Equal(t, len(unless), strings.Count(strings.Join(plan, "\n"), "using replays_pkey"), "%s: %s", name, plan)
		_, err = conn.Exec(ctx, "DEALLOCATE hot")
		require.NoError(t, err)
	}
}

func requireIndexed(t *testing.T, plan string) {
	t.Helper()
	for _, walk := range seqScans.FindAllStringSubmatch(plan, -1) {
		require.Contains(t, []string{"programs", "webhook_endpoints"}, walk[1], plan)
	}
}

// explaining is a connection that plans as for any values, and tells the plan of every statement that it runs,
// those within functions too.
func explaining(t *testing.T, s *Store) (*pgx.Conn, *[]string) {
	t.Helper()
	ctx := context.Background()
	config, err := pgx.ParseConfig(os.Getenv("PINVAULT_TEST_DATABASE_URL"))
	require.NoError(t, err)
	config.Database = query[string](t, s, "SELECT current_database()")[0]
	plans := &[]string{}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { *plans = append(*plans, n.Message) }
	conn, err := pgx.ConnectConfig(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(ctx)) })
	for _, statement := range []string{"SET plan_cache_mode = force_generic_plan", "LOAD 'auto_explain'", "SET auto_explain.log_nested_statements = on",
		"SET auto_explain.log_min_duration = 0", "SET client_min_messages = log"} {
		_, err := conn.Exec(ctx, statement)
		require.NoError(t, err)
	}
	return conn, plans
}
