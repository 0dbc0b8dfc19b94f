package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// crowd makes the store open n connections, all of which have found a card before they are left idle.
func crowd(t *testing.T, s *Store, n int) {
	t.Helper()
	var group sync.WaitGroup
	var inside atomic.Int64
	all := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		group.Go(func() {
			tx := s.db.Begin()
			_, errs[i] = cardRows(tx, foundByLookup+byLookup+inProgram+inOrder, pin.KindURN, []string{"urn-0"}, "program", 100)
			if inside.Add(1) == int64(n) {
				close(all)
			}
			<-all
			tx.Rollback()
		})
	}
	group.Wait()
	require.Equal(t, make([]error, n), errs)
	require.Equal(t, n, s.Stats().Idle)
}

// swapNext makes the next revision of a card as a vault does: what is in doubt is made once more.
func swapNext(s *Store, from pin.CardRow) error {
	c := pin.Change{Card: revision(from.ID, from.Revision+1), Events: eventsOf(from.ID, from.Revision+1, 1)}
	err := s.Swap(context.Background(), c)
	if errors.Is(err, pin.ErrInDoubt) {
		if err = s.Swap(context.Background(), c); pin.CodeOf(err) == pin.Conflict {
			err = nil
		}
	}
	return err
}

// requireServed fails unless the store finds the card and changes it.
func requireServed(t *testing.T, s *Store) {
	t.Helper()
	found, err := s.Find(context.Background(), byURN(0))
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, swapNext(s, found[0]))
	require.NoError(t, s.Locked(context.Background(), "card-0", func(c pin.CardRow) (pin.Change, error) {
		require.Equal(t, found[0].Revision+1, c.Revision)
		return pin.Change{Card: revision("card-0", c.Revision+1)}, nil
	}))
	require.NoError(t, s.Ping(context.Background()))
}

func TestADatabaseThatIsGoneIsUnavailableAtOnceAndFoundAgain(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	seed(t, s, 1)
	crowd(t, s, 5)
	for range 2 {
		l.cut()
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		next := pin.Change{Card: revision("card-0", card(t, open(t, l.direct), "card-0").Revision+1)}
		for name, call := range map[string]func() error{
			"Find": func() error { _, err := s.Find(ctx, byURN(0)); return err },
			"Swap": func() error { return s.Swap(ctx, next) },
			"Locked": func() error {
				return s.Locked(ctx, "card-0", func(pin.CardRow) (pin.Change, error) { return next, nil })
			},
			"Row":     func() error { _, err := s.Row(ctx, pin.TablePrograms, "", "program"); return err },
			"Numbers": func() error { _, err := s.Numbers(ctx, "sequence", "program", 1); return err },
			"Ping":    func() error { return s.Ping(ctx) },
		} {
			require.Equal(t, pin.Unavailable, pin.CodeOf(call()), name)
		}
		err := s.Swap(ctx, next)
		require.NotErrorIs(t, err, pin.ErrInDoubt, "no connection was had")
		require.NoError(t, ctx.Err(), "nothing waited for a timeout")
		cancel()
		l.mend()
		requireServed(t, s)
	}
}

func TestConnectionsThatDiedUnnoticedAreReplaced(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 1)
	crowd(t, s, 10)
	exec(t, s, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	for range 10 {
		requireServed(t, s)
	}
}

func TestStalePreparedStatementsAreReplaced(t *testing.T) {
	for _, c := range []struct{ name, stale string }{
		{"the schema changes", "ALTER TABLE cards ALTER COLUMN value TYPE varchar(9999)"},
		{"another server answers", "DEALLOCATE ALL"},
		{"the function is made anew", "ALTER FUNCTION swap_card SET work_mem = '5MB'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, storetest.Postgres(t))
			seed(t, s, 1)
			s.pool.SetMaxOpenConns(1)
			requireServed(t, s)
			exec(t, s, c.stale)
			before := card(t, s, "card-0")
			exec(t, s, c.stale)
			require.NoError(t, s.Swap(context.Background(), pin.Change{Card: revision("card-0", before.Revision+1)}), "not even in doubt")
			requireServed(t, s)
		})
	}
}

func TestOfTwoTransactionsInADeadlockBothSucceed(t *testing.T) {
	s := open(t, withParameter(t, storetest.Postgres(t), "deadlock_timeout", "20ms"))
	seed(t, s, 2)
	var runs atomic.Int64
	var group, bothHoldOne sync.WaitGroup
	bothHoldOne.Add(2)
	errs := make([]error, 2)
	for i := range errs {
		group.Go(func() {
			var once sync.Once
			errs[i] = s.inTx(context.Background(), func(t *tx) error {
				runs.Add(1)
				touch := func(card int) error {
					return t.fail(t.db.Exec("UPDATE cards SET revision = revision + 1 WHERE id = ?", fmt.Sprint("card-", card)).Error, "")
				}
				if err := touch(i); err != nil {
					return err
				}
				once.Do(func() { bothHoldOne.Done(); bothHoldOne.Wait() })
				return touch(1 - i)
			})
		})
	}
	group.Wait()
	require.Equal(t, []error{nil, nil}, errs)
	require.Greater(t, runs.Load(), int64(2), "one of them ran again")
	require.EqualValues(t, 3, card(t, s, "card-0").Revision)
}

// awaitWaiting returns when so many sessions of the database wait for a lock.
func awaitWaiting(t *testing.T, s *Store, n int) {
	for waiting := []int{0}; waiting[0] < n; {
		waiting = query[int](t, s, "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())")
	}
}

func TestPurgingSparesAReplayThatIsTakenOverMeanwhile(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	expired := pin.Row{Table: pin.TableReplays, ID: "key", Version: 1, ExpiresAt: 1000, Body: []byte("old"), Seal: []byte("old")}
	require.NoError(t, s.Swap(context.Background(), pin.Change{Rows: []pin.Row{expired}}))

	purged := make(chan int64)
	fresh := expired
	fresh.ExpiresAt = 9000
	require.NoError(t, s.inTx(context.Background(), func(tx *tx) error {
		err := tx.put(fresh, pin.Change{Now: 2000})
		go func() {
			n, err := s.PurgeReplays(context.Background(), time.UnixMicro(2000))
			assert.NoError(t, err)
			purged <- n
		}()
		awaitWaiting(t, s, 1)
		return err
	}))
	require.Zero(t, <-purged)
	got, err := s.Row(context.Background(), pin.TableReplays, "", "key")
	require.NoError(t, err)
	require.Equal(t, fresh, got)
}

func TestACrowdAtOneCardKeepsNobodyElseWaiting(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 2)
	const callers = 60
	next := func(c pin.CardRow) (pin.Change, error) {
		return pin.Change{Card: revision(c.ID, c.Revision+1), Events: eventsOf(c.ID, c.Revision+1, 1)}, nil
	}
	var group sync.WaitGroup
	errs := make([]error, callers)
	require.NoError(t, s.Locked(context.Background(), "card-0", func(c pin.CardRow) (pin.Change, error) {
		for i := range errs {
			group.Go(func() { errs[i] = s.Locked(context.Background(), "card-0", next) })
		}
		awaitWaiting(t, s, s.engine.maxConns/2-1)
		require.NoError(t, swapNext(s, card(t, s, "card-1")))
		_, err := s.Row(context.Background(), pin.TablePrograms, "", "program")
		require.NoError(t, err)
		require.LessOrEqual(t, s.Stats().InUse, s.engine.maxConns/2)
		return next(c)
	}))
	group.Wait()
	require.Equal(t, make([]error, callers), errs)
	require.EqualValues(t, 2+callers, card(t, s, "card-0").Revision)
}

func TestWhoDecidesMayReadThoughThereAreFewConnections(t *testing.T) {
	for _, conns := range []int{1, 2, 3} {
		s, err := Open(context.Background(), storetest.Postgres(t), Options{MaxConns: conns})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		require.NoError(t, s.Migrate(context.Background()))
		seed(t, s, 1)
		require.NoError(t, s.Locked(context.Background(), "card-0", func(pin.CardRow) (pin.Change, error) {
			_, err := s.Row(context.Background(), pin.TablePrograms, "", "program")
			return pin.Change{Card: revision("card-0", 2)}, err
		}))
	}
}

// hostile are texts that swap_card, or the JSON that it is given, could trip over.
var hostile = []string{"", " ", `'`, `"`, `\`, `\\`, `\\x00`, `\x41`, `\u0000`, `\ud800`, `{}`, `[]`, `null`, `{"a":"b"}`, `{a,"b"}`, `'); DROP TABLE cards; --`, `$1`, `?`, `%s`,
	"\n\r\t\b\f", "\x01\x1f\x7f", "é", "e\u0301", "\ufffd", "\ufeff", "\u2028", "😀", "\U0010FFFF", "</script>&amp;", strings.Repeat("long ", 20_000)}

// The same change made by swap_card, in one statement, and by the statements that other databases get comes to the same.
func TestAChangeTakesTextsAsTheyAre(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 0)
	contents := func(id string) (all []string) {
		for _, statement := range []string{
			`SELECT replace(cards::text, ?, '#') FROM cards WHERE id = ?`, `SELECT replace(row(seq, chain, program_id, body, mac)::text, ?, '#') FROM audit_events WHERE chain = ? ORDER BY seq`,
			`SELECT replace(s::text, ?, '#') FROM pin_sessions s WHERE card_id = ? ORDER BY id`, `SELECT replace(s::text, ?, '#') FROM contract_records s WHERE card_id = ? ORDER BY id`,
			`SELECT replace(l::text, ?, '#') FROM card_lookup l WHERE card_id = ? ORDER BY value`,
		} {
			all = append(all, query[string](t, s, statement, id, id)...)
		}
		return append(all, query[string](t, s, `SELECT replace(r::text, ?, '#') FROM replays r WHERE id LIKE ? ORDER BY id`, id, id+"%")...)
	}
	for i, text := range hostile {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			made := [3][]string{}
			for j := range made {
				id := fmt.Sprintf("card-%d-%d", i, j)
				require.NoError(t, s.Swap(context.Background(), pin.Change{Card: revision(id, 1), DetailsToo: true}))
				c := pin.Change{Card: revision(id, 2), Events: eventsOf(id, 1, 2), Now: 1}
				c.Card.Value, c.Card.Seal = []byte(text), []byte("\x00\xff"+text)
				for k := range c.Events {
					c.Events[k].ID, c.Events[k].Body, c.Events[k].MAC = fmt.Sprintf("%.100s", text), []byte(text), []byte("\xff\x00"+text)
				}
				name := fmt.Sprintf("%s %.100s", id, text) // an index takes no long ones
				for _, table := range []pin.Table{pin.TableReplays, pin.TableSessions, pin.TableRecords} {
					r := pin.Row{Table: table, ID: name, ProgramID: text, CardID: id, Version: 1, ExpiresAt: math.MaxInt64, Body: []byte(text), Seal: []byte("\x00\\\xff" + text)}
					c.Rows = append(c.Rows, r)
				}
				c.Add = []pin.Lookup{{Kind: pin.Kind(fmt.Sprintf("%.100s", text)), Value: name, ProgramID: fmt.Sprintf("%.100s", text), Slot: fmt.Sprintf("%.100s", text), CardID: id}}
				require.True(t, s.calls(c))
				switch j {
				case 0, 1:
					if j == 1 {
						c = drawn(c)
					}
					statement, _, err := s.swapping(c)
					require.NoError(t, err)
					require.Equal(t, j == 0, statement == callSwap)
					require.NoError(t, s.Swap(context.Background(), c))
				case 2:
					require.NoError(t, s.inTx(context.Background(), func(t *tx) error { return t.swap(c) }))
				}
				made[j] = contents(id)
			}
			require.Equal(t, made[2], made[0])
			require.Equal(t, made[2], made[1])
			require.Len(t, made[0], 7)
		})
	}
}

func TestAChangeWithWhatIsNoTextIsRefused(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 1)
	before := card(t, s, "card-0")
	for _, none := range []string{"nul\x00", "\x00", "half \xf0\x9f\x98", "\xff", "surrogate \xed\xa0\x80"} {
		row := func(table pin.Table) pin.Row {
			return pin.Row{Table: table, ID: "id", CardID: "card-0", Version: 1, Body: []byte("body"), Seal: []byte("seal")}
		}
		for name, spoil := range map[string]func(c *pin.Change){
			"the value":      func(c *pin.Change) { c.Card.Value = []byte(none) },
			"the details":    func(c *pin.Change) { c.DetailsToo, c.Card.Details = true, []byte(none) },
			"an event":       func(c *pin.Change) { c.Events[1].Body = []byte(none) },
			"an event's id":  func(c *pin.Change) { c.Events[0].ID = none },
			"a session":      func(c *pin.Change) { c.Rows = []pin.Row{row(pin.TableSessions)}; c.Rows[0].Body = []byte(none) },
			"a session's id": func(c *pin.Change) { c.Rows = []pin.Row{row(pin.TableSessions)}; c.Rows[0].ID = none },
			"a replay":       func(c *pin.Change) { c.Rows = []pin.Row{row(pin.TableReplays)}; c.Rows[0].Body = []byte(none) },
			"a record":       func(c *pin.Change) { c.Rows = []pin.Row{row(pin.TableRecords)}; c.Rows[0].Body = []byte(none) },
			"a look-up": func(c *pin.Change) {
				c.Add = []pin.Lookup{{Kind: pin.KindURN, Value: none, ProgramID: "program", CardID: "card-0"}}
			},
			"the card":              func(c *pin.Change) { c.Card.ID, c.Events = none, nil },
			"the program of a card": func(c *pin.Change) { c.Card.ProgramID, c.Events = none, nil },
		} {
			t.Run(fmt.Sprintf("%s is %q", name, none), func(t *testing.T) {
				for _, events := range [][]pin.EventRow{eventsOf("card-0", 2, 2), drawn(pin.Change{Events: eventsOf("card-0", 2, 2)}).Events} {
					c := pin.Change{Card: revision("card-0", 2), Events: events}
					spoil(&c)
					require.True(t, s.calls(c))
					require.Equal(t, pin.Internal, pin.CodeOf(s.Swap(context.Background(), c)))
					require.Equal(t, before, card(t, s, "card-0"))
				}
			})
		}
	}
	require.NoError(t, s.Swap(context.Background(), pin.Change{Card: revision("card-0", 2), Events: eventsOf("card-0", 2, 2)}))
	require.NoError(t, s.Swap(context.Background(), pin.Change{Card: revision("card-0", 3), Events: []pin.EventRow{}}))
	require.Equal(t, []int64{3}, query[int64](t, s, "SELECT count(*) FROM audit_events"))
}

// What is in the way of one row is in the way of all, whichever way the change is made.
func TestAChangeWithARowThatIsInItsWayWritesNothing(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 1)
	ctx := context.Background()
	row := func(table pin.Table, version int64) pin.Row {
		return pin.Row{Table: table, ID: "there", CardID: "card-0", ProgramID: "program", Version: version, ExpiresAt: 100, Body: []byte("body"), Seal: []byte("seal")}
	}
	lookup := pin.Lookup{Kind: pin.KindURN, Value: "there", ProgramID: "program", CardID: "card-0"}
	require.NoError(t, s.Swap(ctx, drawn(pin.Change{Card: revision("card-0", 2), Events: eventsOf("card-0", 2, 1), Add: []pin.Lookup{lookup},
		Rows: []pin.Row{row(pin.TableReplays, 1), row(pin.TableSessions, 1), row(pin.TableRecords, 1)}})))
	everything := func() (all []string) {
		for _, table := range []string{"cards", "audit_events", "pin_sessions", "contract_records", "replays", "card_lookup", "webhook_deliveries"} {
			all = append(all, query[string](t, s, "SELECT t::text FROM "+table+" t ORDER BY 1")...)
		}
		return all
	}
	before := everything()
	late := eventsOf("card-0", 3, 2)
	late[0].ID = "019b0000-0000-7000-8000-000000000000"
	for name, c := range map[string]struct {
		change pin.Change
		code   pin.Code
		field  string
	}{
		"a card that has moved on":           {pin.Change{Card: revision("card-0", 2)}, pin.Conflict, "card"},
		"a card that is not there":           {pin.Change{Card: revision("card-9", 2)}, pin.Conflict, "card"},
		"a replay that has not expired":      {pin.Change{Now: 99, Rows: []pin.Row{row(pin.TableReplays, 1)}}, pin.Duplicate, "replays"},
		"a session that is there":            {pin.Change{Rows: []pin.Row{row(pin.TableSessions, 1)}}, pin.Conflict, "pin_sessions"},
		"a session that has moved on":        {pin.Change{Rows: []pin.Row{row(pin.TableSessions, 3)}}, pin.Conflict, "pin_sessions"},
		"a record that is there":             {pin.Change{Rows: []pin.Row{row(pin.TableSessions, 2), row(pin.TableRecords, 1)}}, pin.Duplicate, "contract_records"},
		"a look-up that is there":            {pin.Change{Rows: []pin.Row{row(pin.TableSessions, 2)}, Add: []pin.Lookup{lookup}}, pin.Duplicate, string(pin.KindURN)},
		"an event that is there":             {pin.Change{Events: eventsOf("card-0", 2, 1)}, pin.Duplicate, "audit_events"},
		"an event whose id was drawn before": {pin.Change{Events: late}, pin.Conflict, "audit_events"},
	} {
		if c.change.Card == nil {
			c.change.Card = revision("card-0", 3)
		}
		if len(c.change.Events) == 0 {
			c.change.Events = eventsOf(c.change.Card.ID, 3, 2)
		}
		for way, swap := range map[string]func(c pin.Change) error{
			"in one statement": func(c pin.Change) error { return s.Swap(ctx, drawn(c)) },
			"by swap_card": func(c pin.Change) error {
				return s.inTx(ctx, func(t *tx) error { return t.fail(call(ctx, t.db.Statement.ConnPool, c), "") })
			},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				err := swap(c.change)
				require.Equal(t, c.code, pin.CodeOf(err), "%v", err)
				require.Equal(t, c.field, pin.FieldOf(err))
				require.Equal(t, before, everything())
			})
		}
	}
}

// One that was sent once more, and whose event is too old by now, may have been made by the first: it waits for that, and is told that the
// card has moved on and not that it was late, which would be to say that it was not made.
func TestALateChangeWaitsForWhoeverElseMovesTheCard(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 1)
	first := s.db.Begin()
	require.NoError(t, first.Exec(`UPDATE cards SET revision = 2 WHERE id = 'card-0'`).Error)
	late := pin.Change{Card: revision("card-0", 2), Events: eventsOf("card-0", 2, 1)}
	late.Events[0].ID = "019b0000-0000-7000-8000-000000000000"
	told := make(chan error)
	go func() { told <- s.Swap(context.Background(), late) }()
	require.Eventually(t, func() bool {
		return query[int64](t, s, `SELECT count(*) FROM pg_locks WHERE NOT granted`)[0] > 0
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, first.Commit().Error)
	err := <-told
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "card", pin.FieldOf(err))
}

// A commit that waits, for a standby most of all, must not be cancelled when nobody waits for it any longer: PostgreSQL would show it to
// everybody before it is anywhere but on the primary.
func TestACommitThatNobodyWaitsForIsNotCancelled(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 1)
	exec(t, s, `CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$`)
	exec(t, s, `CREATE CONSTRAINT TRIGGER dawdle AFTER UPDATE ON cards DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()`)
	for i, way := range swaps {
		next := int64(i + 2)
		held := s.db.Begin()
		require.NoError(t, held.Exec(`SELECT pg_advisory_xact_lock(7)`).Error)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // who asked goes when the commit is under way
			defer cancel()
			for {
				var waiting int
				if err := s.db.Raw(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted`).Scan(&waiting).Error; err != nil || waiting > 0 {
					return
				}
			}
		}()
		c := pin.Change{Card: revision("card-0", next), Events: eventsOf("card-0", next, 1)}
		err := map[string]func() error{
			"one statement": func() error { return s.Swap(ctx, drawn(c)) },
			"swap_card":     func() error { return s.Swap(ctx, c) },
			"statements": func() error {
				c.DetailsToo, c.Add = true, []pin.Lookup{{Kind: pin.KindURN, Value: "another", ProgramID: "program", CardID: "card-0"}}
				return s.Swap(ctx, c)
			},
			"under the lock": func() error {
				return s.Locked(ctx, "card-0", func(pin.CardRow) (pin.Change, error) { return c, nil })
			},
		}[way.name]()
		require.ErrorIs(t, err, pin.ErrInDoubt, way.name)
		require.NoError(t, held.Rollback().Error)
		require.Eventually(t, func() bool { return card(t, s, "card-0").Revision == next }, time.Minute, 20*time.Millisecond, way.name)
	}
}

// The role that docs/running.md gives to servers may do what a server does. One that may not, of all tables or of one that a release has
// added, would start and then fail.
func TestADatabaseSaysWhichTablesItsRoleMayNotWrite(t *testing.T) {
	database := storetest.Postgres(t)
	open(t, database)
	name := "pinvault_test_" + uuid.NewString()
	statement(t, database, fmt.Sprintf("CREATE ROLE %q LOGIN PASSWORD 'password'; GRANT USAGE ON SCHEMA public TO %q; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %q", name, name, name))
	t.Cleanup(func() { statement(t, database, fmt.Sprintf("DROP OWNED BY %q; DROP ROLE %q", name, name)) })
	u, err := url.Parse(database)
	require.NoError(t, err)
	u.User = url.UserPassword(name, "password")
	servers, err := Open(t.Context(), u.String(), Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, servers.Close()) })
	barred := func() string {
		f, err := servers.Facts(t.Context())
		require.NoError(t, err)
		return f.Barred
	}
	require.Contains(t, barred(), "audit_events, card_lookup, cards, ")
	statement(t, database, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %q", name))
	require.Empty(t, barred())
	statement(t, database, fmt.Sprintf("REVOKE UPDATE, DELETE ON audit_events FROM %q", name))
	require.Empty(t, barred(), "nobody changes audit events")
	statement(t, database, "CREATE TABLE of_the_next_release (id text)")
	require.Equal(t, "of_the_next_release", barred())
	statement(t, database, fmt.Sprintf("REVOKE DELETE ON replays FROM %q", name))
	require.Equal(t, "of_the_next_release, replays", barred())
}
