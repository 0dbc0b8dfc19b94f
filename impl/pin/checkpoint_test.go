package pin_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/checkpoint"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// checkpoint is one of all chains as they are.
func (w *trailWorld) checkpoint(t testing.TB) *checkpoint.File {
	t.Helper()
	keys := keyring.Sandbox().CheckpointKeys()
	var lines bytes.Buffer
	signed, _, err := checkpoint.Write(&lines, w.fresh().Heads(by(t)), keys[0], time.Now)
	require.NoError(t, err)
	f, err := checkpoint.Open(strings.NewReader(signed+"\n"+lines.String()), keys)
	require.NoError(t, err)
	return f
}

func TestCheckpointShowsWhatWasRolledBackWhole(t *testing.T) {
	t.Parallel()
	for name, database := range trailDatabases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTrailWorld(t, database(t))
			w.keepCopy(t, "old")
			early := w.checkpoint(t)
			w.age(t)
			w.keepCopy(t, "now")
			late := w.checkpoint(t)
			require.EqualValues(t, 8, early.Chains)
			require.Greater(t, late.Events, early.Events)
			for _, test := range []struct {
				name    string
				tamper  func()
				against *checkpoint.File
				want    []string // chains
			}{
				{"nothing was done since", func() {}, late, nil},
				{"time has gone on", func() {}, early, nil},
				{"a card was put back with its chain", func() {
					w.putBack(t, "old", "id = 'card-1'", "cards")
					w.putBack(t, "old", "chain = 'card-1'", "audit_events")
				}, late, []string{"card-1"}},
				{"a card was put back with its chain to where the checkpoint was made", func() {
					w.putBack(t, "old", "id = 'card-1'", "cards")
					w.putBack(t, "old", "chain = 'card-1'", "audit_events")
				}, early, nil},
				{"a card was put back with its chain, and used since", func() {
					w.putBack(t, "old", "id = 'card-1'", "cards")
					w.putBack(t, "old", "chain = 'card-1'", "audit_events")
					for range 5 {
						_, err := w.fresh().Verify(by(t), pin.Query{CardID: "card-1"}, trailPIN(t, "9173"), pin.Memo{})
						require.NoError(t, err)
					}
				}, late, []string{"card-1"}},
				{"a card was removed with all that is its", func() {
					for table, column := range map[string]string{"cards": "id", "audit_events": "chain", "card_lookup": "card_id", "pin_sessions": "card_id", "approvals": "card_id", "contract_records": "card_id"} {
						w.exec(t, "DELETE FROM "+table+" WHERE "+column+" = 'card-2'")
					}
				}, late, []string{"card-2"}},
				{"the whole database was put back", func() { w.putBack(t, "old", everything, trailTables...) }, late,
					[]string{"card-0", "card-1", "card-2", "dual-1", "program-a", "program-b", "server"}},
				{"a program was removed with all that is its", func() {
					for table, column := range map[string]string{"programs": "id", "chains": "id", "clients": "program_id", "zone_keys": "program_id", "webhook_endpoints": "program_id", "cards": "program_id",
						"card_lookup": "program_id", "audit_events": "program_id", "pin_sessions": "program_id", "approvals": "program_id", "contract_records": "program_id"} {
						w.exec(t, "DELETE FROM "+table+" WHERE "+column+" = 'program-a'")
					}
				}, late, []string{"card-0", "card-1", "card-2", "program-a"}},
			} {
				t.Run(test.name, func(t *testing.T) {
					test.tamper()
					require.Empty(t, w.verify(t, pin.VerifyOptions{}).Findings, "nothing else shows it")
					s := w.verify(t, pin.VerifyOptions{Expected: test.against.Heads()})
					require.EqualValues(t, test.against.Chains, s.Heads)
					var chains []string
					for _, f := range s.Findings {
						require.Equal(t, pin.FaultRolledBack, f.Fault)
						for _, b := range f.Breaks {
							chains = append(chains, b.ID)
						}
					}
					require.Equal(t, test.want, chains)
					w.putBack(t, "now", everything, trailTables...)
				})
			}
		})
	}
}

func TestNoCheckpointVouchesForABrokenSeal(t *testing.T) {
	t.Parallel()
	w := newTrailWorld(t, trailDatabases["SQLite"](t))
	w.keepCopy(t, "now")
	for table, id := range map[string]string{"cards": "card-1", "chains": "server"} {
		w.exec(t, "UPDATE "+table+" SET seal = ? WHERE id = ?", []byte("x"), id)
		var alarms []string
		v := w.fresh()
		v.OnTampered(func(_ context.Context, table, id string) { alarms = append(alarms, table+" "+id) })
		_, _, err := checkpoint.Write(&bytes.Buffer{}, v.Heads(by(t)), keyring.Sandbox().CheckpointKeys()[0], time.Now)
		require.True(t, pin.Tampered(err))
		require.Equal(t, []string{table + " " + id}, alarms)
		w.putBack(t, "now", everything, table)
	}
}
