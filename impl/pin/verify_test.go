package pin_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/glebarez/go-sqlite"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"pinvault/impl/checkpoint"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// trailDatabases are the kinds of database that are tampered with.
var trailDatabases = map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres}

// trailWorld is a vault with something of everything, and a connection by which somebody else changes its
// database.
type trailWorld struct {
	*pin.Vault
	db   *store.Store
	ring *keyring.Ring
	sql  *sql.DB

	postgres      bool
	program       pin.Program
	client, admin pin.Client // of the program, of the whole server
	cards         []pin.Card
	session       pin.Session
	approval      pin.Approval
}

// trailTables are all tables with rows of the vault's own.
var trailTables = []string{"programs", "clients", "zone_keys", "webhook_endpoints", "chains", "cards", "card_lookup", "audit_events",
	"pin_sessions", "approvals", "contract_records", "replays", "settings", "sequences"}

func newTrailWorld(t testing.TB, url string) *trailWorld {
	t.Helper()
	ctx := anybody()
	w := &trailWorld{postgres: strings.HasPrefix(url, "postgres")}
	var err error
	w.db, err = store.Open(ctx, url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.db.Close()) })
	require.NoError(t, w.db.Migrate(ctx))
	driver, source := "sqlite", strings.TrimPrefix(url, "sqlite://")
	if w.postgres {
		driver, source = "pgx", url
	}
	w.sql, err = sql.Open(driver, source)
	require.NoError(t, err)
	w.sql.SetMaxOpenConns(1) // which keeps its temporary tables
	t.Cleanup(func() { require.NoError(t, w.sql.Close()) })
	if w.postgres {
		w.exec(t, `ALTER TABLE audit_events DISABLE TRIGGER USER`)
	} else {
		w.exec(t, `PRAGMA busy_timeout = 5000`)
		w.exec(t, `DROP TRIGGER audit_events_no_update`)
		w.exec(t, `DROP TRIGGER audit_events_no_delete`)
	}
	w.ring = keyring.Open(keyringtest.Shared(t), w.db, nil)
	w.Vault = w.fresh()
	w.fill(t)
	return w
}

// fresh is another process's vault, which remembers nothing.
func (w *trailWorld) fresh() *pin.Vault { return newVault(w.db, w.ring, nil, nil) }

func trailPIN(t require.TestingT, digits string) pin.Offer {
	p, err := pin.New([]byte(digits))
	require.NoError(t, err)
	return pin.Plain(p)
}

// fill makes something of everything, twice where two of a kind are needed.
func (w *trailWorld) fill(t testing.TB) {
	t.Helper()
	ctx := anybody()
	require.NoError(t, w.Initialize(ctx))
	for i, id := range []string{"program-a", "program-b"} {
		p := pin.NewProgram("test")
		p.ID, p.RetrievalAllowed, p.DualUnblock = id, true, id == "program-b"
		p, err := w.CreateProgram(ctx, p, pin.Memo{})
		require.NoError(t, err)
		var made [2]pin.Client
		for j, program := range []string{p.ID, ""} {
			made[j], _, err = w.CreateClient(ctx, pin.Client{ID: fmt.Sprintf("client-%d-%d", i, j), ProgramID: program, Contract: "thredd", Name: "x"}, "", pin.Memo{})
			require.NoError(t, err)
		}
		raw, err := hex.DecodeString("E8DD93B8AF13999C7644C0FE11F5D2A7")
		require.NoError(t, err)
		key, err := w.ring.WrapZoneKey("key-"+strconv.Itoa(i), "", pin.UsageZonePIN, "TDES", raw)
		require.NoError(t, err)
		require.NoError(t, w.ImportZoneKey(ctx, key, pin.Memo{}))
		_, _, err = w.CreateWebhook(ctx, pin.Webhook{ID: "webhook-" + strconv.Itoa(i), ProgramID: p.ID, URL: "https://receiver.example", State: pin.WebhookActive}, pin.Memo{})
		require.NoError(t, err)
		if i == 0 {
			w.program, w.client, w.admin = p, made[0], made[1]
		}
	}
	for i := range 3 {
		first, err := pin.New([]byte("4826"))
		require.NoError(t, err)
		c, err := w.CreateCard(ctx, pin.NewCard{ID: fmt.Sprintf("card-%d", i), ProgramID: "program-a", PAN: fmt.Sprintf("999999000000%04d", i), Sequence: "01", PIN: first,
			References: []pin.Reference{{Kind: pin.KindURN, Value: strconv.Itoa(i)}, {Kind: pin.KindAlias, Value: "A"}},
			Attributes: pin.Attributes{CustomerID: fmt.Sprintf("customer-%d", i), MobileNumber: "971500000001"}}, pin.Memo{})
		require.NoError(t, err)
		w.cards = append(w.cards, c)
		q := pin.Query{CardID: c.ID}
		require.NoError(t, w.SetPIN(ctx, q, trailPIN(t, "9173"), pin.Memo{Keep: w.keep(fmt.Sprint("key-", i))}))
		_, err = w.Verify(ctx, q, trailPIN(t, "1111"), pin.Memo{})
		require.NoError(t, err)
		_, err = recorded(pin.WithCaller(ctx, pin.Caller{ProgramID: "program-a"}), w.Vault, q, `{"serviceCode":"109"}`)
		require.NoError(t, err)
		w.session, err = w.OpenSession(ctx, q, pin.NewSession{ID: fmt.Sprint("session-", i), Action: pin.ActionReset, Exchanges: 3, Lifetime: time.Hour}, pin.Memo{})
		require.NoError(t, err)
	}
	for i := range 2 {
		c, err := w.CreateCard(ctx, pin.NewCard{ID: fmt.Sprintf("dual-%d", i), ProgramID: "program-b", NoPIN: true}, pin.Memo{})
		require.NoError(t, err)
		w.approval, err = w.RequestApproval(pin.WithCaller(ctx, w.admin.Caller()), pin.Query{CardID: c.ID}, pin.NewApproval{Action: pin.ApproveUnblock}, pin.Memo{})
		require.NoError(t, err)
	}
	w.remember(t, time.Now().Add(-time.Hour))
	require.NoError(t, w.db.PutSetting(ctx, "first", "1"))
	require.NoError(t, w.db.PutSetting(ctx, "second", "2"))
	_, err := w.Number(pin.WithCaller(ctx, pin.Caller{ProgramID: "program-b"}), "other")
	require.NoError(t, err)
}

// keep makes replay records.
func (w *trailWorld) keep(key string) func(any) (pin.Replay, error) {
	return func(any) (pin.Replay, error) {
		return pin.Replay{Scope: "client", Key: key, Endpoint: "e", Result: []byte(`{}`), ExpiresAt: time.Now().Add(time.Hour)}, nil
	}
}

// remember keeps an answer under a key of its own, or takes over a record of it that has expired.
func (w *trailWorld) remember(t testing.TB, until time.Time) {
	t.Helper()
	require.NoError(t, w.Remember(anybody(), "x", pin.Memo{Keep: func(any) (pin.Replay, error) {
		return pin.Replay{Scope: "client", Key: "again", Endpoint: "e", Result: []byte(`{}`), ExpiresAt: until}, nil
	}}))
	w.exec(t, `DELETE FROM replays WHERE body LIKE '%"decoy"%'`) // nobody asks for those
}

func (w *trailWorld) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	require.NoError(t, w.attempt(statement, args...), statement)
}

// attempt runs SQL that the database may refuse.
func (w *trailWorld) attempt(statement string, args ...any) error {
	if w.postgres {
		for n := 1; strings.Contains(statement, "?"); n++ {
			statement = strings.Replace(statement, "?", "$"+strconv.Itoa(n), 1)
		}
	}
	_, err := w.sql.Exec(statement, args...)
	return err
}

// keepCopy keeps all rows as they stand under a name.
func (w *trailWorld) keepCopy(t testing.TB, name string) {
	t.Helper()
	for _, table := range trailTables {
		w.exec(t, `DROP TABLE IF EXISTS `+name+"_"+table)
		w.exec(t, `CREATE TEMPORARY TABLE `+name+"_"+table+` AS SELECT * FROM `+table)
	}
}

// putBack replaces the rows of tables that fit a condition by those of a copy.
func (w *trailWorld) putBack(t testing.TB, name, where string, tables ...string) {
	t.Helper()
	for _, table := range tables {
		w.exec(t, `DELETE FROM `+table+` WHERE `+where)
		w.exec(t, `INSERT INTO `+table+` SELECT * FROM `+name+"_"+table+` WHERE `+where)
	}
}

func (w *trailWorld) verify(t require.TestingT, o pin.VerifyOptions) pin.Summary {
	s, err := w.fresh().VerifyTrail(anybody(), o)
	require.NoError(t, err)
	return s
}

// firsts are the first break of each fault.
func firsts(s pin.Summary) []pin.Break {
	var out []pin.Break
	for _, f := range s.Findings {
		out = append(out, f.Breaks[0])
	}
	return out
}

// everything is the condition of all rows.
const everything = "1 = 1"

func TestVerifyTrailFindsWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	const events = "audit_events"
	chainBreak := func(f pin.Fault, chain string, seq int64) pin.Break {
		return pin.Break{Fault: f, Table: events, ID: chain, Seq: seq}
	}
	rowBreak := func(f pin.Fault, table, id string) pin.Break { return pin.Break{Fault: f, Table: table, ID: id} }
	lookupBreak := func(f pin.Fault, kind pin.Kind, id string) pin.Break {
		return pin.Break{Fault: f, Table: "card_lookup", ID: id, Kind: kind}
	}
	run := func(statements ...string) func(testing.TB, *trailWorld) {
		return func(t testing.TB, w *trailWorld) {
			t.Helper()
			for _, s := range statements {
				w.exec(t, s)
			}
		}
	}
	// Places in the chain of a card: made, set, failed, unblocked, session opened. Since the copy "old":
	// two wrong guesses, a new program version, a rotated client of each kind.
	type row struct {
		name   string
		tamper func(testing.TB, *trailWorld)
		want   []pin.Break
	}
	rows := []row{
		{"nothing was done", run(), nil},
		{"the body of an event was changed", run(`UPDATE audit_events SET body = replace(body, 'pin.set', 'pin.changed') WHERE chain = 'card-1' AND seq = 2`),
			[]pin.Break{chainBreak(pin.FaultEventChanged, "card-1", 2)}},
		{"an event was given another MAC", run(`UPDATE audit_events SET mac = (SELECT mac FROM old_audit_events WHERE chain = 'card-0' AND seq = 2) WHERE chain = 'card-1' AND seq = 2`),
			[]pin.Break{chainBreak(pin.FaultEventChanged, "card-1", 2)}},
		{"an event was given to another program", run(`UPDATE audit_events SET program_id = 'program-b' WHERE chain = 'card-1' AND seq = 3`),
			[]pin.Break{chainBreak(pin.FaultEventChanged, "card-1", 3)}},
		{"an event was given another id", run(`UPDATE audit_events SET id = 'x' WHERE chain = 'program-a' AND seq = 1`),
			[]pin.Break{chainBreak(pin.FaultEventChanged, "program-a", 1)}},
		{"two events changed places", run(`UPDATE audit_events SET seq = 100 WHERE chain = 'card-1' AND seq = 2`, `UPDATE audit_events SET seq = 2 WHERE chain = 'card-1' AND seq = 3`,
			`UPDATE audit_events SET seq = 3 WHERE chain = 'card-1' AND seq = 100`), []pin.Break{chainBreak(pin.FaultEventChanged, "card-1", 2)}},
		{"the first event was removed", run(`DELETE FROM audit_events WHERE chain = 'card-1' AND seq = 1`), []pin.Break{chainBreak(pin.FaultEventMissing, "card-1", 1)}},
		{"an event was removed from the middle", run(`DELETE FROM audit_events WHERE chain = 'card-1' AND seq = 4`), []pin.Break{
			chainBreak(pin.FaultEventMissing, "card-1", 4)}},
		{"the newest event was removed", run(`DELETE FROM audit_events WHERE chain = 'card-1' AND seq = 7`), []pin.Break{chainBreak(pin.FaultTailMissing, "card-1", 7)}},
		{"the newest events of all cards were removed", run(`DELETE FROM audit_events WHERE chain LIKE 'card-%' AND seq > 4`), []pin.Break{chainBreak(pin.FaultTailMissing, "card-0", 5)}},
		{"a card's chain was removed", run(`DELETE FROM audit_events WHERE chain = 'card-1'`), []pin.Break{
			chainBreak(pin.FaultTailMissing, "card-1", 1)}},
		{"the newest event of the server was removed", run(`DELETE FROM audit_events WHERE chain = 'server' AND seq = 6`), []pin.Break{
			chainBreak(pin.FaultTailMissing, "server", 6), rowBreak(pin.FaultRowUntold, "clients", "client-0-1")}},
		{"the whole trail was removed", run(`DELETE FROM audit_events`), []pin.Break{
			chainBreak(pin.FaultTailMissing, "card-0", 1), rowBreak(pin.FaultRowUntold, "programs", "program-a")}},
		{"the whole trail was removed with its own heads", run(`DELETE FROM audit_events`, `DELETE FROM chains`), []pin.Break{
			chainBreak(pin.FaultTailMissing, "card-0", 1), rowBreak(pin.FaultServer, "chains", "server"), rowBreak(pin.FaultRowUntold, "programs", "program-a")}},
		{"a program's chain was removed with its head", run(`DELETE FROM audit_events WHERE chain = 'program-b'`, `DELETE FROM chains WHERE id = 'program-b'`), []pin.Break{
			rowBreak(pin.FaultRowUntold, "programs", "program-b")}},
		{"a card was removed", run(`DELETE FROM cards WHERE id = 'card-1'`), []pin.Break{
			chainBreak(pin.FaultHeadless, "card-1", 7), lookupBreak(pin.FaultLookupForged, pin.KindAlias, "card-1")}},
		{"the head of a program's chain was removed", run(`DELETE FROM chains WHERE id = 'program-a'`), []pin.Break{chainBreak(pin.FaultHeadless, "program-a", 6)}},
		{"the server's chain was removed with its head", run(`DELETE FROM audit_events WHERE chain = 'server'`, `DELETE FROM chains WHERE id = 'server'`), []pin.Break{
			rowBreak(pin.FaultServer, "chains", "server"), rowBreak(pin.FaultRowUntold, "clients", "client-0-1")}},
		{"events of no card were put in", run(`INSERT INTO audit_events SELECT 'card-9', seq, id, program_id, body, mac FROM old_audit_events WHERE chain = 'card-1'`), []pin.Break{
			chainBreak(pin.FaultEventChanged, "card-9", 1), chainBreak(pin.FaultHeadless, "card-9", 5)}},
		{"an event was put in at the end", run(`INSERT INTO audit_events SELECT chain, 8, id, program_id, body, mac FROM old_audit_events WHERE chain = 'card-1' AND seq = 3`), []pin.Break{
			chainBreak(pin.FaultEventChanged, "card-1", 8), {Fault: pin.FaultHeadBehind, Table: "cards", ID: "card-1", Seq: 7}}},
		{"an older copy of a card was put back", func(t testing.TB, w *trailWorld) { w.putBack(t, "old", "id = 'card-1'", "cards") }, []pin.Break{
			{Fault: pin.FaultHeadBehind, Table: "cards", ID: "card-1", Seq: 5}}},
		{"an older copy of a chain's head was put back", func(t testing.TB, w *trailWorld) { w.putBack(t, "old", "id = 'server'", "chains") }, []pin.Break{
			{Fault: pin.FaultHeadBehind, Table: "chains", ID: "server", Seq: 5}}},
		{"an older copy of a card was put back with its chain, which only a checkpoint shows", func(t testing.TB, w *trailWorld) {
			w.putBack(t, "old", "id = 'card-1'", "cards")
			w.putBack(t, "old", "chain = 'card-1'", "audit_events")
		}, nil},

		{"a card was put back that another history has made", func(t testing.TB, w *trailWorld) {
			w.putBack(t, "old", "id = 'card-1'", "cards")
			w.putBack(t, "old", "chain = 'card-1'", "audit_events")
			for range 2 {
				_, err := w.fresh().Verify(by(t), pin.Query{CardID: "card-1"}, trailPIN(t, "9173"), pin.Memo{})
				require.NoError(t, err)
			}
			w.putBack(t, "now", "id = 'card-1'", "cards")
		}, []pin.Break{{Fault: pin.FaultHeadOther, Table: "cards", ID: "card-1", Seq: 7}}},

		{"a card's details were changed", run(`UPDATE cards SET details = replace(details, 'normal', 'closed') WHERE id = 'card-1'`), []pin.Break{rowBreak(pin.FaultSeal, "cards", "card-1")}},
		{"a card's value was changed", run(`UPDATE cards SET value = replace(value, '"triesLeft":1', '"triesLeft":3') WHERE id = 'card-1'`), []pin.Break{rowBreak(pin.FaultSeal, "cards", "card-1")}},
		{"a card has another one's value", run(`UPDATE cards SET value = (SELECT value FROM old_cards WHERE id = 'card-0') WHERE id = 'card-1'`), []pin.Break{rowBreak(pin.FaultSeal, "cards", "card-1")}},
		{"a program was changed", run(`UPDATE programs SET body = replace(body, '"tryLimit":3', '"tryLimit":15') WHERE id = 'program-b'`), []pin.Break{rowBreak(pin.FaultSeal, "programs", "program-b")}},
		{"a client was changed", run(`UPDATE clients SET body = replace(body, 'thredd', 'issuer') WHERE id = 'client-0-0'`), []pin.Break{rowBreak(pin.FaultSeal, "clients", "client-0-0")}},
		{"a client is another one's copy", run(`INSERT INTO clients SELECT 'client-9', program_id, version, body, seal FROM old_clients WHERE id = 'client-0-1'`), []pin.Break{rowBreak(pin.FaultSeal, "clients", "client-9")}},
		{"a zone key was changed", run(`UPDATE zone_keys SET program_id = 'program-b' WHERE id = 'key-0'`), []pin.Break{rowBreak(pin.FaultSeal, "zone_keys", "key-0")}},
		{"a chain's head was changed", run(`UPDATE chains SET version = 5 WHERE id = 'server'`), []pin.Break{rowBreak(pin.FaultSeal, "chains", "server")}},
		{"a session was prolonged", run(`UPDATE pin_sessions SET expires_at = expires_at + 1 WHERE id = 'session-1'`), []pin.Break{rowBreak(pin.FaultSeal, "pin_sessions", "session-1")}},
		{"a record was changed", run(`UPDATE contract_records SET body = replace(body, '109', '110') WHERE card_id = 'card-1'`), []pin.Break{rowBreak(pin.FaultSeal, "contract_records", "fax:SR0000000002")}},
		{"a replay record was changed", run(`UPDATE replays SET id = 'x', body = replace(body, '"e"', '"f"') WHERE id = (SELECT min(id) FROM replays)`), []pin.Break{rowBreak(pin.FaultSeal, "replays", "x")}},

		{"an older copy of a program was put back", func(t testing.TB, w *trailWorld) { w.putBack(t, "old", "id = 'program-a'", "programs") }, []pin.Break{rowBreak(pin.FaultRowOld, "programs", "program-a")}},
		{"an older copy of a program was put back and then changed", func(t testing.TB, w *trailWorld) {
			w.putBack(t, "old", "id = 'program-a'", "programs")
			_, err := w.fresh().UpdateProgram(anybody(), "program-a", func(p *pin.Program) error { p.TryLimit = 4; return nil }, pin.Memo{})
			require.NoError(t, err)
		}, []pin.Break{{Fault: pin.FaultRowOld, Table: "programs", ID: "program-a", Seq: 7}}},
		{"an older copy of a program's client was put back", func(t testing.TB, w *trailWorld) { w.putBack(t, "old", "id = 'client-0-0'", "clients") }, []pin.Break{rowBreak(pin.FaultRowOld, "clients", "client-0-0")}},
		{"older copies of all clients were put back", func(t testing.TB, w *trailWorld) { w.putBack(t, "old", everything, "clients") }, []pin.Break{rowBreak(pin.FaultRowOld, "clients", "client-0-0")}},
		{"a program was removed", run(`DELETE FROM programs WHERE id = 'program-b'`), []pin.Break{rowBreak(pin.FaultRowMissing, "programs", "program-b")}},
		{"a client was removed", run(`DELETE FROM clients WHERE id = 'client-0-1'`), []pin.Break{rowBreak(pin.FaultRowMissing, "clients", "client-0-1")}},
		{"a zone key was removed", run(`DELETE FROM zone_keys WHERE id = 'key-1'`), []pin.Break{rowBreak(pin.FaultRowMissing, "zone_keys", "key-1")}},
		{"a record was removed", run(`DELETE FROM contract_records WHERE card_id = 'card-1'`), []pin.Break{
			rowBreak(pin.FaultRowMissing, "contract_records", "fax:SR0000000002"), lookupBreak(pin.FaultLookupForged, pin.KindRecord, "card-1")}},
		{"a record was removed with its look-up", run(`DELETE FROM contract_records WHERE card_id = 'card-1'`, `DELETE FROM card_lookup WHERE value = 'fax:SR0000000002'`), []pin.Break{
			rowBreak(pin.FaultRowMissing, "contract_records", "fax:SR0000000002")}},

		{"a card's reference was removed", run(`DELETE FROM card_lookup WHERE kind = 'urn' AND value = '1'`), []pin.Break{lookupBreak(pin.FaultLookupMissing, pin.KindURN, "card-1")}},
		{"all references were removed", run(`DELETE FROM card_lookup WHERE kind = 'urn'`), []pin.Break{lookupBreak(pin.FaultLookupMissing, pin.KindURN, "card-0")}},
		{"a card's reference leads to another card", run(`UPDATE card_lookup SET card_id = 'card-2' WHERE kind = 'urn' AND value = '1'`), []pin.Break{
			lookupBreak(pin.FaultLookupMissing, pin.KindURN, "card-1"), lookupBreak(pin.FaultLookupForged, pin.KindURN, "card-2")}},
		{"a card has another reference", run(`INSERT INTO card_lookup (kind, value, program_id, slot, card_id) VALUES ('urn', '9', 'program-a', '', 'card-1')`), []pin.Break{
			lookupBreak(pin.FaultLookupForged, pin.KindURN, "card-1")}},
		{"a card shares another alias", run(`INSERT INTO card_lookup (kind, value, program_id, slot, card_id) VALUES ('alias', 'B', 'program-a', 'card-1', 'card-1')`), []pin.Break{
			lookupBreak(pin.FaultLookupForged, pin.KindAlias, "card-1")}},
		{"a reference leads nowhere", run(`INSERT INTO card_lookup (kind, value, program_id, slot, card_id) VALUES ('urn', '9', 'program-a', '', 'card-9')`), []pin.Break{
			lookupBreak(pin.FaultLookupForged, pin.KindURN, "card-9")}},
		{"a look-up is of a kind that is none", run(`INSERT INTO card_lookup (kind, value, program_id, slot, card_id) VALUES ('x', '9', 'program-a', '', 'card-1')`), []pin.Break{
			lookupBreak(pin.FaultLookupForged, "x", "card-1")}},
		{"a session is not found", run(`DELETE FROM card_lookup WHERE value = 'session-1'`), []pin.Break{lookupBreak(pin.FaultLookupMissing, pin.KindSession, "session-1")}},
		{"a session is found at another card", run(`UPDATE card_lookup SET card_id = 'card-2' WHERE value = 'session-1'`), []pin.Break{
			lookupBreak(pin.FaultLookupMissing, pin.KindSession, "session-1"), lookupBreak(pin.FaultLookupForged, pin.KindSession, "card-2")}},
		{"a session was removed and its look-up was not", run(`DELETE FROM pin_sessions WHERE id = 'session-1'`), []pin.Break{lookupBreak(pin.FaultLookupForged, pin.KindSession, "card-1")}},
		{"a record is not found", run(`DELETE FROM card_lookup WHERE value = 'fax:SR0000000002'`), []pin.Break{lookupBreak(pin.FaultLookupMissing, pin.KindRecord, "fax:SR0000000002")}},
	}
	for name, database := range trailDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTrailWorld(t, database(t))
			w.keepCopy(t, "old")
			w.age(t)
			w.keepCopy(t, "now")
			for _, r := range rows {
				t.Run(r.name, func(t *testing.T) {
					r.tamper(t, w)
					s := w.verify(t, pin.VerifyOptions{})
					require.Equal(t, r.want, firsts(s))
					require.Equal(t, len(r.want) == 0, s.Whole())
					w.putBack(t, "now", everything, trailTables...)
				})
			}
			require.True(t, w.verify(t, pin.VerifyOptions{}).Whole())
		})
	}
}

// age changes what the copy "old" then is an older copy of.
func (w *trailWorld) age(t testing.TB) {
	t.Helper()
	ctx := anybody()
	for _, c := range w.cards {
		for range 2 {
			_, err := w.Verify(ctx, pin.Query{CardID: c.ID}, trailPIN(t, "1111"), pin.Memo{})
			require.NoError(t, err)
		}
	}
	_, err := w.UpdateProgram(ctx, w.program.ID, func(p *pin.Program) error { p.TryLimit = 5; return nil }, pin.Memo{})
	require.NoError(t, err)
	for _, c := range []pin.Client{w.client, w.admin} {
		_, _, err = w.RotateClient(ctx, c.ID, time.Hour, pin.Memo{})
		require.NoError(t, err)
	}
	for _, id := range []string{"webhook-0", "webhook-1"} {
		_, _, err = w.RotateWebhook(ctx, id, time.Hour, pin.Memo{})
		require.NoError(t, err)
	}
	moved := w.session
	moved.State, moved.ExchangesLeft, moved.Version = pin.SessionExchanged, 0, moved.Version+1
	require.NoError(t, w.MoveSession(ctx, moved))
	_, err = w.DecideApproval(pin.WithCaller(ctx, pin.Caller{ClientID: "decider", Everywhere: true}), w.approval.ID, true, pin.Memo{})
	require.NoError(t, err)
	w.remember(t, time.Now().Add(time.Hour))
	for _, program := range []string{"program-a", "program-b", "program-b"} {
		_, err = w.fresh().Number(pin.WithCaller(ctx, pin.Caller{ProgramID: program}), map[string]string{"program-a": "fax", "program-b": "other"}[program])
		require.NoError(t, err)
	}
}

func TestVerifyTrailCountsBreaksOfAKindAndNamesTheFirst(t *testing.T) {
	t.Parallel()
	w := newTrailWorld(t, storetest.SQLite(t))
	w.exec(t, `DELETE FROM audit_events WHERE chain LIKE 'card-%' AND seq = 5`)
	s := w.verify(t, pin.VerifyOptions{})
	require.Len(t, s.Findings, 1)
	require.EqualValues(t, 3, s.Findings[0].Count)
	require.Len(t, s.Findings[0].Breaks, 1)
	require.Equal(t, `the newest events of a chain are missing: chain "card-0", place 5`, s.Findings[0].Breaks[0].String())
	require.EqualValues(t, 5, s.Cards)
	require.EqualValues(t, 8, s.Chains)
}

func TestBreaksAreToldInPlainWordsWithoutTheValuesOfRows(t *testing.T) {
	t.Parallel()
	for want, b := range map[string]pin.Break{
		`events are missing within a chain: chain "c", place 3`:                                            {Fault: pin.FaultEventMissing, Table: "audit_events", ID: "c", Seq: 3},
		`there are events of a card or chain that is not there: chain "c"`:                                 {Fault: pin.FaultHeadless, Table: "audit_events", ID: "c"},
		`a row was changed: its seal is broken: clients, id "a\x1b[2Jb"`:                                   {Fault: pin.FaultSeal, Table: "clients", ID: "a\x1b[2Jb"},
		`a card or chain is older than its own events: cards, id "c", place 7`:                             {Fault: pin.FaultHeadBehind, Table: "cards", ID: "c", Seq: 7},
		`what should find a card or row is missing, or leads elsewhere: card_lookup of kind "urn", id "c"`: {Fault: pin.FaultLookupMissing, Table: "card_lookup", ID: "c", Kind: pin.KindURN},
	} {
		require.Equal(t, want, b.String())
	}
}

// A database that no server has ever begun is not told from one that was emptied.
func TestVerifyTrailOfAnEmptyDatabaseMissesTheServersChain(t *testing.T) {
	t.Parallel()
	db, err := store.Open(by(t), storetest.SQLite(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(by(t)))
	s, err := newVault(db, keyring.Open(keyringtest.Shared(t), db, nil), nil, nil).VerifyTrail(by(t), pin.VerifyOptions{})
	require.NoError(t, err)
	require.Equal(t, pin.Summary{Findings: []pin.Finding{{Fault: pin.FaultServer, Count: 1, Breaks: []pin.Break{{Fault: pin.FaultServer, Table: "chains", ID: "server"}}}}}, s)
}

func TestVerifyTrailWithOtherKeysFindsNothingWhole(t *testing.T) {
	t.Parallel()
	w := newTrailWorld(t, storetest.SQLite(t))
	other, err := keyring.Generate(trailRandom{}, time.Now())
	require.NoError(t, err)
	s, err := newVault(w.db, keyring.Open(other, w.db, nil), nil, nil).VerifyTrail(by(t), pin.VerifyOptions{})
	require.NoError(t, err)
	require.False(t, s.Whole())
	require.Equal(t, pin.FaultEventChanged, s.Findings[0].Fault)
	require.Equal(t, s.Chains, s.Findings[0].Count, "none of them under a key that is known, and none covered")
}

// trailRandom is a source of bytes that are all the same.
type trailRandom struct{}

func (trailRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 7
	}
	return len(b), nil
}

// Pages of every table are gone through, and rows at their ends are not lost.
func TestVerifyTrailGoesThroughMoreThanAPage(t *testing.T) {
	t.Parallel()
	w := newTrailWorld(t, storetest.SQLite(t))
	ctx := by(t)
	const cards = 1101
	for i := range cards {
		_, err := w.CreateCard(ctx, pin.NewCard{ProgramID: "program-b", NoPIN: true, References: []pin.Reference{{Kind: pin.KindURN, Value: strconv.Itoa(i)}}}, pin.Memo{})
		require.NoError(t, err)
	}
	for range 520 {
		q := pin.Query{CardID: "card-0"}
		_, err := recorded(pin.WithCaller(ctx, pin.Caller{ProgramID: "program-a"}), w.Vault, q, `{}`)
		require.NoError(t, err)
	}
	var what []string
	s := w.verify(t, pin.VerifyOptions{Progress: func(of string, _ int64) { what = append(what, of) }})
	require.Empty(t, s.Findings)
	require.EqualValues(t, cards+5, s.Cards)
	require.EqualValues(t, cards+8, s.Chains)
	require.Subset(t, what, []string{"events", "rows", "look-ups"})
	w.exec(t, `DELETE FROM contract_records WHERE id IN (SELECT id FROM contract_records ORDER BY id DESC LIMIT 7)`)
	w.exec(t, `DELETE FROM card_lookup WHERE kind = 'urn' AND program_id = 'program-b' AND value IN ('0', '600', '1100')`)
	s = w.verify(t, pin.VerifyOptions{})
	require.Len(t, s.Findings, 3)
	for i, want := range []int64{7, 3, 7} {
		require.Equal(t, want, s.Findings[i].Count, s.Findings[i].Fault)
	}
}

// While others change one card and many, programs and clients, nothing is found.
func TestVerifyTrailIsContentWhileOthersChangeEverything(t *testing.T) {
	t.Parallel()
	for name, database := range trailDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTrailWorld(t, database(t))
			ctx, cancel := context.WithCancel(by(t))
			var writers sync.WaitGroup
			defer func() { cancel(); writers.Wait() }()
			var done atomic.Int64
			for n := range 16 {
				writers.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						w.disturb(ctx, t, n, i)
						done.Add(1)
					}
				})
			}
			for until := time.Now().Add(6 * time.Second); time.Now().Before(until); {
				s := w.verify(t, pin.VerifyOptions{})
				require.Empty(t, s.Findings)
				var file bytes.Buffer
				signed, _, err := checkpoint.Write(&file, w.Heads(ctx), keyring.Sandbox().CheckpointKeys()[0], time.Now)
				require.NoError(t, err)
				against, err := checkpoint.Open(strings.NewReader(signed+"\n"+file.String()), keyring.Sandbox().CheckpointKeys())
				require.NoError(t, err)
				s = w.verify(t, pin.VerifyOptions{Expected: against.Heads()})
				require.Empty(t, s.Findings)
			}
			cancel()
			writers.Wait()
			require.Greater(t, done.Load(), int64(100))
			s := w.verify(t, pin.VerifyOptions{})
			require.Empty(t, s.Findings)
			require.Zero(t, s.Unsettled)
		})
	}
}

// disturb changes something: one writer in two the first card, the others any.
func (w *trailWorld) disturb(ctx context.Context, t *testing.T, n, i int) {
	card := w.cards[0]
	if n%2 == 1 {
		card = w.cards[i%len(w.cards)]
	}
	q := pin.Query{CardID: card.ID}
	own := pin.WithCaller(ctx, pin.Caller{ProgramID: "program-a"})
	var err error
	switch (n + i) % 10 {
	case 0, 1:
		_, err = w.Verify(ctx, q, trailPIN(t, "1111"), pin.Memo{})
	case 2:
		err = w.SetPIN(ctx, q, trailPIN(t, "9173"), pin.Memo{Keep: w.keep(fmt.Sprint(n, "-", i))})
	case 3:
		_, err = recorded(own, w.Vault, q, `{}`)
	case 4:
		_, err = w.OpenSession(ctx, q, pin.NewSession{ID: fmt.Sprint("s-", n, "-", i), Action: pin.ActionReset, Exchanges: 3, Lifetime: time.Microsecond}, pin.Memo{})
	case 5, 6:
		_, err = w.UpdateCard(ctx, q, func(c *pin.Card) error {
			c.References = []pin.Reference{{Kind: pin.KindURN, Value: card.ID}}
			if i%2 == 0 {
				c.References = append(c.References, pin.Reference{Kind: pin.KindAlias, Value: "B"}, pin.Reference{Kind: pin.KindEXID, Value: card.ID})
			}
			return nil
		}, pin.Memo{})
	case 7:
		_, err = w.CreateCard(ctx, pin.NewCard{ProgramID: "program-b", NoPIN: true, References: []pin.Reference{{Kind: pin.KindURN, Value: fmt.Sprint(n, "-", i)}}}, pin.Memo{})
	case 8:
		_, err = w.UpdateProgram(ctx, "program-b", func(p *pin.Program) error { p.TryLimit = 3 + i%5; return nil }, pin.Memo{})
		if err == nil {
			_, _, err = w.RotateClient(ctx, w.admin.ID, time.Hour, pin.Memo{})
		}
	case 9:
		_, _, err = w.CreateClient(ctx, pin.Client{ProgramID: "program-a", Contract: "thredd", Name: "x"}, "", pin.Memo{})
		if err == nil {
			_, err = w.db.PurgeSessions(ctx, time.Now())
		}
	}
	if code := pin.CodeOf(err); code != "" && code != pin.Conflict && ctx.Err() == nil {
		t.Errorf("%v", err)
	}
}
