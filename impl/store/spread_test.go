package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
	"pinvault/models"
)

// citusSQL spreads the tables over a cluster.
const citusSQL = "../../scripts/cluster/citus.sql"

// obstacles are what in a schema would keep its tables from being spread over machines as models.Spread says.
func obstacles(t *testing.T, s *Store) (found []string) {
	t.Helper()
	for table, column := range models.Spread() {
		found = append(found, query[string](t, s, `SELECT format('unique index %s of %s lacks %s', i.indexrelid::regclass, i.indrelid::regclass, a.attname)
			FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = ?
			WHERE i.indrelid = CAST(? AS regclass) AND (i.indisunique OR i.indisexclusion) AND NOT a.attnum = ANY (i.indkey)`, column, table)...)
		found = append(found, query[string](t, s, `SELECT format('%s.%s may be null or is compared by a collation', attrelid::regclass, attname) FROM pg_attribute
			WHERE attrelid = CAST(? AS regclass) AND attname = ? AND (NOT attnotnull OR attcollation <> 'pg_catalog."C"'::regcollation)`, table, column)...)
		if len(query[string](t, s, `SELECT attname FROM pg_attribute WHERE attrelid = CAST(? AS regclass) AND attname = ?`, table, column)) == 0 {
			found = append(found, fmt.Sprintf("%s has no column %s", table, column))
		}
	}
	for _, statement := range []string{
		`SELECT format('foreign key %s of %s', conname, conrelid::regclass) FROM pg_constraint c WHERE contype = 'f' AND connamespace = current_schema()::regnamespace`,
		`SELECT format('default of %s.%s', adrelid::regclass, attname) FROM pg_attrdef d JOIN pg_class c ON c.oid = adrelid JOIN pg_attribute a ON a.attrelid = adrelid AND attnum = adnum
			WHERE relnamespace = current_schema()::regnamespace AND relname <> 'goose_db_version'`,
		`SELECT format('%s.%s draws from a sequence', attrelid::regclass, attname) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
			WHERE attidentity <> '' AND relnamespace = current_schema()::regnamespace AND relname <> 'goose_db_version'`,
		`SELECT format('sequence %s', c.oid::regclass) FROM pg_class c WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'goose_db_version%'`,
		`SELECT format('trigger %s of %s', tgname, tgrelid::regclass) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal
			AND relnamespace = current_schema()::regnamespace AND (relname, tgname) NOT IN (('audit_events', 'audit_events_append_only'), ('audit_events', 'audit_events_no_truncate'))`,
		`SELECT format('rule of %s', tablename) FROM pg_rules WHERE schemaname = current_schema()`,
		`SELECT format('view %s', viewname) FROM pg_views WHERE schemaname = current_schema()`,
	} {
		found = append(found, query[string](t, s, statement)...)
	}
	return found
}

func TestTheSchemaCanBeSpreadOverMachines(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	require.Empty(t, obstacles(t, s))
	require.Len(t, query[string](t, s, `SELECT tgname FROM pg_trigger WHERE NOT tgisinternal`), 2, "the migration's two")

	for _, planted := range []struct{ name, statement, want string }{
		{"a look-up that is unique whatever the value", `CREATE UNIQUE INDEX planted ON card_lookup (card_id, kind)`, "unique index planted of card_lookup lacks value"},
		{"an event's id that is unique in all chains", `CREATE UNIQUE INDEX planted ON audit_events (id)`, "unique index planted of audit_events lacks chain"},
		{"a session's id that is unique for all cards", `ALTER TABLE pin_sessions ADD UNIQUE (id)`, "unique index pin_sessions_id_key of pin_sessions lacks card_id"},
		{"an index that is unique by an expression only", `CREATE UNIQUE INDEX planted ON cards (lower(id))`, "unique index planted of cards lacks id"},
		{"a reference from session to card", `ALTER TABLE pin_sessions ADD FOREIGN KEY (card_id) REFERENCES cards`, "foreign key pin_sessions_card_id_fkey of pin_sessions"},
		{"a card that is numbered", `ALTER TABLE cards ADD COLUMN number bigserial`, "default of cards.number"},
		{"an event that is numbered", `ALTER TABLE audit_events ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY`, "audit_events.number draws from a sequence"},
		{"a sequence", `CREATE SEQUENCE planted`, "sequence planted"},
		{"a trigger", `CREATE TRIGGER planted BEFORE UPDATE ON cards FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()`, "trigger planted of cards"},
		{"a card that is compared by the database's collation", `ALTER TABLE cards ALTER COLUMN id TYPE text COLLATE "default"`, "cards.id may be null or is compared by a collation"},
		{"a key that is gone", `ALTER TABLE replays DROP COLUMN id CASCADE`, "replays has no column id"},
	} {
		t.Run(planted.name, func(t *testing.T) {
			undone := errors.New("undone")
			require.ErrorIs(t, s.db.Transaction(func(db *gorm.DB) error {
				planting := &Store{db: db}
				exec(t, planting, planted.statement)
				require.Contains(t, obstacles(t, planting), planted.want)
				return undone
			}), undone)
		})
	}
}

// spreadAs is how each table is spread: by which column, or "" where it is copied.
func spreadAs(t *testing.T) map[string]string {
	t.Helper()
	want := map[string]string{}
	for _, model := range models.All() {
		m, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
		require.NoError(t, err)
		want[m.Table] = models.Spread()[m.Table]
	}
	require.Subset(t, want, models.Spread(), "no table that is none")
	return want
}

func TestThePageOnScaleSpreadsWhatTheModelsSay(t *testing.T) {
	page, err := os.ReadFile("../../docs/scale.md")
	require.NoError(t, err)
	got := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:`(\\w+)`|copied) \\|").FindAllStringSubmatch(string(page), -1) {
		require.NotContains(t, got, m[1])
		got[m[1]] = m[2]
	}
	require.Equal(t, spreadAs(t), got)
}

func TestTheScriptForCitusSpreadsWhatTheModelsSay(t *testing.T) {
	script, err := os.ReadFile(citusSQL)
	require.NoError(t, err)
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^SELECT create_(?:distributed|reference)_table\('(\w+)'(?:, '(\w+)', colocate_with => '(\w+)')?\);$`).FindAllStringSubmatch(string(script), -1) {
		require.NotContains(t, got, m[1])
		got[m[1]] = m[2]
		stands := "none"
		if m[2] == "chain" || m[2] == "card_id" {
			stands = "cards"
		}
		if m[2] != "" {
			require.Equal(t, stands, m[3], "%s stands with the cards if it is spread by them", m[1])
		}
	}
	require.Equal(t, spreadAs(t), got)

	s := open(t, storetest.Postgres(t))
	arguments := query[string](t, s, `SELECT oidvectortypes(proargtypes) FROM pg_proc WHERE proname = 'swap_card'`)
	require.Len(t, arguments, 1)
	require.Contains(t, string(script), "create_distributed_function('swap_card("+strings.ReplaceAll(arguments[0], ", ", ",")+")',\n    'card', colocate_with => 'cards')")
	require.Equal(t, []string{"card"}, query[string](t, s, `SELECT proargnames[1] FROM pg_proc WHERE proname = 'swap_card'`))
}

// A catalogue such as Citus has it stands in for the extension.
func TestOpenFindsOutWhetherTheTablesAreSpread(t *testing.T) {
	database := storetest.Postgres(t)
	s := open(t, database)
	spread := func() bool {
		t.Helper()
		s, err := Open(context.Background(), database, Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		return s.engine.sharded
	}
	require.False(t, spread(), "no extension")
	exec(t, s, `CREATE TABLE pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL)`)
	require.False(t, spread(), "no table is spread")
	exec(t, s, `INSERT INTO pg_dist_partition VALUES ('programs', 'n'), ('replays', 'h')`)
	require.False(t, spread(), "another table is")
	exec(t, s, `INSERT INTO pg_dist_partition VALUES ('cards', 'n')`)
	require.False(t, spread(), "the cards are copied")
	exec(t, s, `UPDATE pg_dist_partition SET partmethod = 'h' WHERE logicalrelid = 'cards'::regclass`)
	require.True(t, spread())

	again := storetest.Postgres(t)
	fresh, err := Open(context.Background(), again, Options{})
	require.NoError(t, err)
	exec(t, fresh, `CREATE TABLE pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL)`)
	require.NoError(t, fresh.Close())
	database = again
	require.False(t, spread(), "the schema is not there yet")
}

// One card a transaction: the gate of a schema that is spread by card, on a database that is not.

// spreadByCard are the tables of which a transaction may touch the rows of one card only, and their column
// that has it. Chains that are no card's are left out.
var spreadByCard = map[string]string{"cards": "id", "audit_events": "chain", "pin_sessions": "card_id", "approvals": "card_id", "contract_records": "card_id"}

// oneCard notes in the transaction which card it touches. Only Wipe, which is no request's, deletes whole tables.
const oneCard = `CREATE FUNCTION one_card() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    card text := touched->>TG_ARGV[0];
    noted text := coalesce(current_setting('pinvault.card', true), '');
BEGIN
    IF current_query() = 'DELETE FROM ' || TG_TABLE_NAME
        OR TG_TABLE_NAME = 'audit_events' AND NOT EXISTS (SELECT FROM cards WHERE id = card) THEN
        NULL;
    ELSIF noted NOT IN ('', 'card ' || card) OR TG_OP = 'UPDATE' AND to_jsonb(OLD)->>TG_ARGV[0] <> card THEN
        RAISE EXCEPTION 'two cards in one transaction' USING ERRCODE = 'PV999';
    ELSE
        PERFORM set_config('pinvault.card', 'card ' || card, true);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$`

// everywhere stands in for Citus's function on a database that is one machine.
const everywhere = `CREATE FUNCTION run_command_on_all_nodes(command text) RETURNS TABLE (nodeid integer, success boolean, result text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT 1, true, (' || command || ')::text';
END
$$`

// gate installs the gate in a database.
func gate(t *testing.T, database string) string {
	s := open(t, database)
	exec(t, s, oneCard)
	exec(t, s, everywhere)
	for table, column := range spreadByCard {
		// Named so that it comes before the trigger that keeps events from being changed.
		exec(t, s, fmt.Sprintf("CREATE TRIGGER a_one_card BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION one_card('%s')", table, column))
	}
	return database
}

func TestNoTransactionOfTheStoreTouchesTwoCards(t *testing.T) {
	t.Run("together", func(t *testing.T) { conform(t, gate(t, storetest.Postgres(t)), nil) })
	t.Run("as if spread", func(t *testing.T) { // what the store does where its tables are spread
		conform(t, gate(t, storetest.Postgres(t)), func(_ *testing.T, s *Store) { s.engine.sharded = true })
	})
}

func TestNoTransactionOfTheVaultTouchesTwoCards(t *testing.T) {
	for name, spread := range map[string]bool{"together": false, "as if spread": true} {
		t.Run(name, func(t *testing.T) {
			s := open(t, gate(t, storetest.Postgres(t)))
			s.engine.sharded = spread
			v := newVault(t, s)
			for _, o := range v.operations() {
				require.NoError(t, o.run(1), o.name)
				require.NoError(t, o.run(2), o.name)
			}
		})
	}
}

func TestTheGateCatchesWhoTouchesTwoCards(t *testing.T) {
	s := open(t, gate(t, storetest.Postgres(t)))
	seed(t, s, 2)
	session := func(card string) pin.Change {
		r := pin.Row{Table: pin.TableSessions, ID: "id", CardID: card, Version: 1, Seal: []byte("seal")}
		request := r
		request.Table = pin.TableRecords
		return pin.Change{Rows: []pin.Row{r, request}}
	}
	require.NoError(t, s.Swap(context.Background(), session("card-0")))
	exec(t, s, `DROP TRIGGER audit_events_append_only ON audit_events`)
	for _, planted := range []string{
		`UPDATE cards SET revision = revision + 1`,
		`UPDATE cards SET revision = revision + 1 WHERE id IN ('card-0', 'card-1')`,
		`DELETE FROM cards WHERE id <> ''`,
		`UPDATE cards SET id = 'another' WHERE id = 'card-0'`,
		`INSERT INTO cards SELECT id || '!', program_id, 1, '', '', '' FROM cards`,
		`DELETE FROM audit_events WHERE seq = 1`,
		`WITH a AS (UPDATE cards SET revision = 9 WHERE id = 'card-0') INSERT INTO audit_events VALUES ('card-1', 9, '', '', '', '')`,
		`WITH a AS (UPDATE cards SET revision = 9 WHERE id = 'card-1') UPDATE pin_sessions SET version = 9`,
		`WITH a AS (UPDATE cards SET revision = 9 WHERE id = 'card-1') DELETE FROM contract_records WHERE id = 'id'`,
	} {
		require.ErrorContains(t, s.db.Exec(planted).Error, "two cards", planted)
	}
	other := session("card-1")
	other.Card = revision("card-0", 2)
	require.ErrorContains(t, s.Swap(context.Background(), other), "PV999")
	other.DetailsToo, other.Add = true, []pin.Lookup{{Kind: pin.KindURN, Value: "new", ProgramID: "program", CardID: "card-0"}}
	require.ErrorContains(t, s.Swap(context.Background(), other), "PV999")
	for _, fine := range []string{`UPDATE cards SET revision = 9 WHERE id = 'card-0'`, `WITH a AS (UPDATE cards SET revision = 9 WHERE id = 'card-0') UPDATE pin_sessions SET version = 9`,
		`INSERT INTO audit_events VALUES ('program', 1, '', '', '', ''), ('server', 1, '', '', '', ''), ('card-0', 9, '', '', '', '')`} {
		exec(t, s, fine)
	}
}
