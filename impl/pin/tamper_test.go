package pin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// unguarded is what somebody with write access to the database can do without being noticed, and why
// that does not matter: by table and what was done, a column's name standing for a change of it. The test
// fails for what is noticed all the same, so that the list stays true.
var unguarded = map[string]string{
	"settings key":         "facts about the installation; the mark of a sandbox protects an operator from a slip, and a sandbox's rows open under no other keys",
	"settings value":       "as its key",
	"settings deleted":     "as its key",
	"settings swapped":     "as its key",
	"sequences name":       "numbers are no secret, and one that was given out already is refused as a duplicate",
	"sequences program_id": "as its name",
	"sequences last":       "as its name",
	"sequences deleted":    "as its name",
	"sequences swapped":    "as its name",
	"sequences older":      "as its name",
	"replays deleted":      "as one that has expired",
	"replays older":        "what was there before had expired, or nothing could have taken its place",
	"approvals older":      "an approval counts in the version that its card's value names, under the card's seal, or not at all",
	"pin_sessions older":   "a session counts for the version of the PIN that it was made for, which stands under the card's seal, and so do the tries",
}

// unchanging are the tables whose rows are written once, and why: there is no older copy of one.
var unchanging = map[string]string{
	"audit_events":     "append-only",
	"card_lookup":      "a row is made and deleted",
	"contract_records": "a log",
	"settings":         "written once",
	"zone_keys":        "imported once",
}

// foreign are the tables that are not the vault's.
var foreign = map[string]string{
	"goose_db_version":    "the schema's version: no server starts on another one",
	"limit_leases":        "what clients have done in a minute or an hour: who changes it may write to the database, and needs no limit raised; what a limit is stands under the client's seal",
	"limit_verifications": "what the alarm counts in a minute, as limit_leases: that it went off stands under the client's seal",
	"limit_mismatches":    "as limit_verifications",
	"webhook_deliveries":  "what is to be sent: who changes it keeps a webhook from hearing of an event, or has it hear twice; what it hears is the event's, under its MAC",
}

// column is a column of the migrated schema.
type column struct {
	name, kind string
	key        bool
}

// trailSchema are the columns of all tables, by table.
func (w *trailWorld) trailSchema(t *testing.T) map[string][]column {
	t.Helper()
	query := `SELECT m.name, c.name, lower(c.type), c.pk > 0 FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, c.cid`
	if w.postgres {
		query = `SELECT c.table_name, c.column_name, c.data_type, EXISTS (SELECT FROM information_schema.key_column_usage k JOIN information_schema.table_constraints p USING (constraint_name, table_name)
			WHERE p.constraint_type = 'PRIMARY KEY' AND k.table_name = c.table_name AND k.column_name = c.column_name)
			FROM information_schema.columns c WHERE c.table_schema = 'public' ORDER BY 1, c.ordinal_position`
	}
	rows, err := w.sql.Query(query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	schema := map[string][]column{}
	for rows.Next() {
		var table string
		var c column
		require.NoError(t, rows.Scan(&table, &c.name, &c.kind, &c.key))
		if foreign[table] == "" {
			schema[table] = append(schema[table], c)
		}
	}
	require.NoError(t, rows.Err())
	return schema
}

// record is a row of any table, by column.
type record map[string]any

// records reads a table, or a copy of it.
func (w *trailWorld) records(t *testing.T, table string, columns []column) []record {
	t.Helper()
	var names, keys []string
	for _, c := range columns {
		if names = append(names, c.name); c.key {
			keys = append(keys, c.name)
		}
	}
	rows, err := w.sql.Query("SELECT " + strings.Join(names, ", ") + " FROM " + table + " ORDER BY " + strings.Join(keys, ", "))
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var out []record
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		r := record{}
		for i, name := range names {
			r[name] = values[i]
		}
		out = append(out, r)
	}
	require.NoError(t, rows.Err())
	return out
}

// where is the condition that finds a row by its key.
func (r record) where(columns []column) (condition string, args []any) {
	var parts []string
	for _, c := range columns {
		if c.key {
			parts, args = append(parts, c.name+" = ?"), append(args, r[c.name])
		}
	}
	return strings.Join(parts, " AND "), args
}

// write sets columns of a row, unless the database refuses that.
func (w *trailWorld) write(table string, columns []column, at, values record) bool {
	var sets []string
	var args []any
	for _, name := range slices.Sorted(maps.Keys(values)) {
		sets, args = append(sets, name+" = ?"), append(args, values[name])
	}
	condition, key := at.where(columns)
	return w.attempt("UPDATE "+table+" SET "+strings.Join(sets, ", ")+" WHERE "+condition, append(args, key...)...) == nil
}

// content is what a row says besides its key.
func (r record) content(columns []column) record {
	out := record{}
	for _, c := range columns {
		if !c.key {
			out[c.name] = r[c.name]
		}
	}
	return out
}

func (r record) same(other record) bool { return fmt.Sprint(r) == fmt.Sprint(other) }

// otherValues are values that a column could hold instead: of JSON, such as mean the same.
func otherValues(t *testing.T, value any) []any {
	t.Helper()
	switch v := value.(type) {
	case int64:
		return []any{v - 1, v + 1_000_000}
	case string:
		if json.Valid([]byte(v)) && strings.HasPrefix(v, "{") {
			return []any{v + " ", strings.Replace(v, `"`, `"a":1,"`, 1)}
		}
		return []any{v + "x", ""}
	case []byte:
		flipped := bytes.Clone(v)
		flipped[len(flipped)-1] ^= 1
		return []any{flipped, []byte{}}
	}
	t.Fatalf("no test knows values of type %T: tell others of it", value)
	return nil
}

// noticed tells whether a verification finds something, or cannot read it.
func (w *trailWorld) noticed() bool {
	s, err := w.fresh().VerifyTrail(anybody(), pin.VerifyOptions{})
	return err != nil || !s.Whole()
}

// Whatever is done to a value or a row is noticed, except for what is listed with the reason why it does not
// matter. The tables and columns are read from the database, so a new one is tried by itself.
func TestNothingInTheDatabaseIsChangedUnnoticed(t *testing.T) {
	t.Parallel()
	for name, database := range trailDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTrailWorld(t, database(t))
			w.keepCopy(t, "old")
			w.age(t)
			w.keepCopy(t, "now")
			require.False(t, w.noticed())
			schema := w.trailSchema(t)
			require.ElementsMatch(t, trailTables, slices.Collect(maps.Keys(schema)), "a table that the world knows nothing of")
			tried := map[string]bool{}
			// try does something to a table and puts it back.
			try := func(table, what string, row record, tamper func() bool) {
				t.Helper()
				if !tamper() {
					return
				}
				label := table + " " + what
				tried[label] = true
				require.NotEqual(t, unguarded[label] != "", w.noticed(), "%s: %v", label, row)
				w.refuses(t, table, label, row, slices.ContainsFunc(schema[table], func(c column) bool { return c.name == what }))
				w.putBack(t, "now", everything, table)
			}
			for _, table := range slices.Sorted(maps.Keys(schema)) {
				columns := schema[table]
				rows := w.records(t, table, columns)
				require.GreaterOrEqual(t, len(rows), 2, "%s: the world has two rows of everything", table)
				first, last := rows[0], rows[len(rows)-1]
				for _, row := range []record{first, last} {
					condition, key := row.where(columns)
					for _, c := range columns {
						for _, other := range otherValues(t, row[c.name]) {
							if (record{"": other}).same(record{"": row[c.name]}) {
								continue
							}
							what := c.name
							if c.key && other == "" {
								what = "deleted" // pages begin after the empty key, under which the vault has no row
							}
							try(table, what, row, func() bool { return w.write(table, columns, row, record{c.name: other}) })
						}
					}
					try(table, "deleted", row, func() bool { return w.attempt("DELETE FROM "+table+" WHERE "+condition, key...) == nil })
				}
				for _, other := range rows[1:] {
					if !other.content(columns).same(first.content(columns)) {
						try(table, "swapped", first, func() bool {
							return w.write(table, columns, first, other.content(columns)) && w.write(table, columns, other, first.content(columns))
						})
						break
					}
				}
				for _, older := range w.records(t, "old_"+table, columns) {
					i := slices.IndexFunc(rows, func(r record) bool {
						_, a := r.where(columns)
						_, b := older.where(columns)
						return fmt.Sprint(a) == fmt.Sprint(b)
					})
					if i >= 0 && !rows[i].same(older) {
						try(table, "older", older, func() bool { return w.write(table, columns, older, older.content(columns)) })
					}
				}
				require.NotEqual(t, unchanging[table] != "", tried[table+" older"], "%s: the world makes an older copy, or the table is in the list", table)
				for _, c := range columns {
					require.True(t, tried[table+" "+c.name], "%s.%s: the database refused every other value", table, c.name)
				}
				require.True(t, tried[table+" deleted"] && tried[table+" swapped"], table)
			}
			for label := range unguarded {
				require.True(t, tried[label], "%s is in the list and was not tried", label)
			}
			require.False(t, w.noticed(), "all is as it was")
		})
	}
}

// refuses holds what a server does that needs the row: where one of its values was changed it does
// nothing, and no look-up ever leads to another card than before.
func (w *trailWorld) refuses(t *testing.T, table, label string, row record, changed bool) {
	t.Helper()
	ctx, v := by(t), w.fresh()
	text := func(name string) string { return fmt.Sprint(row[name]) }
	var err error
	switch table {
	case "programs":
		_, err = v.Program(ctx, text("id"))
	case "clients":
		_, err = v.Client(ctx, text("id"))
	case "webhook_endpoints":
		_, err = v.Webhook(ctx, text("id"))
	case "zone_keys":
		_, err = pin.NewZoneKeys(w.db, w.ring).ZoneKey(ctx, text("id"))
	case "cards":
		_, err = v.RevealPIN(ctx, pin.Query{CardID: text("id")})
	case "pin_sessions":
		_, err = v.Session(ctx, text("id"))
	case "approvals":
		_, err = v.Approval(ctx, text("id"))
	case "contract_records":
		contract, id, _ := strings.Cut(text("id"), ":")
		_, err = v.ContractRecord(pin.WithCaller(ctx, pin.Caller{ProgramID: "program-a"}), contract, id)
	case "replays":
		for _, key := range []string{"key-0", "key-1", "key-2", "again"} {
			if _, failed := v.Replay(ctx, "client", key); failed != nil {
				err = failed
			}
		}
	case "chains":
		if !changed || text("id") != "server" {
			return
		}
		_, _, err = v.CreateClient(ctx, pin.Client{Contract: "thredd", Name: "x"}, "", pin.Memo{})
	case "card_lookup":
		for i, c := range w.cards {
			for _, q := range []pin.Query{
				{References: []pin.Reference{{Kind: pin.KindURN, Value: fmt.Sprint(i)}}},
				{References: []pin.Reference{{Kind: pin.KindPAN, Value: fmt.Sprintf("999999000000%04d", i)}}},
				{References: []pin.Reference{{Kind: pin.KindDevice, Value: fmt.Sprintf("999999000000%04d", i)}}},
				{Holder: pin.Holder{CustomerID: c.CustomerID}},
			} {
				found, err := v.Find(ctx, q, 10)
				require.True(t, err == nil || pin.Tampered(err), "%s: %v", label, err)
				for _, rec := range found {
					require.Equal(t, c.ID, rec.Card.ID, label)
				}
			}
		}
		return
	default:
		return
	}
	if changed {
		code := pin.CodeOf(err)
		require.True(t, pin.Tampered(err) || code == pin.NotFound || code == pin.Internal, "%s: %v: %v", label, row, err)
	}
}
