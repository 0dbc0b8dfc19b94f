package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

var upkeepTests = []test{
	{"a database that is there answers", func(t *testing.T, s Store) { require.NoError(t, s.Ping(context.Background())) }},
	{"a setting is written once", func(t *testing.T, s Store) {
		_, err := s.Setting(context.Background(), "sandbox")
		requireCode(t, err, pin.NotFound)
		require.NoError(t, s.PutSetting(context.Background(), "sandbox", "yes"))
		requireCode(t, s.PutSetting(context.Background(), "sandbox", "no"), pin.Duplicate, "setting")
		value, err := s.Setting(context.Background(), "sandbox")
		require.NoError(t, err)
		require.Equal(t, "yes", value)
	}},
	{"what is done now and then is marked with when", func(t *testing.T, s Store) {
		at, err := s.Marked(context.Background(), "tidying")
		require.NoError(t, err)
		require.Zero(t, at)
		for _, when := range []time.Time{time.Unix(100, 0).UTC(), time.Unix(200, 0).UTC()} {
			require.NoError(t, s.Mark(context.Background(), "tidying", when))
			at, err = s.Marked(context.Background(), "tidying")
			require.NoError(t, err)
			require.Equal(t, when, at)
		}
	}},
	{"sessions whose time is not over are counted by state", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for i, state := range []pin.SessionState{pin.SessionOpen, pin.SessionOpen, pin.SessionVerified, pin.SessionUsed} {
			row := newRow(pin.TableSessions, fmt.Sprint("session ", i))
			row.Body = []byte(`{"state":"` + string(state) + `"}`)
			swap(t, s, beside(nil, row))
		}
		live, err := s.LiveSessions(context.Background(), at(0))
		require.NoError(t, err)
		require.Equal(t, map[pin.SessionState]int64{pin.SessionOpen: 2, pin.SessionVerified: 1}, live)
		live, err = s.LiveSessions(context.Background(), at(time.Hour))
		require.NoError(t, err)
		require.Empty(t, live)
	}},
	{"programs, clients and keys make a store full, settings and events do not", func(t *testing.T, s Store) {
		requireEmpty := func(want bool) {
			t.Helper()
			empty, err := s.Empty(context.Background())
			require.NoError(t, err)
			require.Equal(t, want, empty)
		}
		require.NoError(t, s.PutSetting(context.Background(), "sandbox", "yes"))
		chain := newRow(pin.TableChains, "server")
		swap(t, s, pin.Change{Rows: []pin.Row{chain}, Events: events("server", 1, 1)})
		_, err := s.Numbers(context.Background(), "sequence", "", 1)
		require.NoError(t, err)
		requireEmpty(true)
		for _, table := range []pin.Table{pin.TablePrograms, pin.TableClients, pin.TableZoneKeys} {
			swap(t, s, pin.Change{Rows: []pin.Row{newRow(table, "id")}})
			requireEmpty(false)
			require.NoError(t, s.Wipe(context.Background()))
			requireEmpty(true)
		}
	}},
	{"wiping leaves settings only, and a store as good as new", func(t *testing.T, s Store) {
		require.NoError(t, s.PutSetting(context.Background(), "sandbox", "yes"))
		empty := everything(t, s)
		for range 2 {
			stage(t, s)
			swap(t, s, whole(true))
			require.NoError(t, s.Wipe(context.Background()))
			require.Equal(t, empty, everything(t, s))
		}
		value, err := s.Setting(context.Background(), "sandbox")
		require.NoError(t, err)
		require.Equal(t, "yes", value)
	}},
	{"expired records are purged, in as many batches as it takes", func(t *testing.T, s Store) {
		const expired = 1100
		var rows []pin.Row
		for i := range expired {
			r := newRow(pin.TableReplays, fmt.Sprint(i))
			rows = append(rows, r)
		}
		fresh := newRow(pin.TableReplays, "fresh")
		fresh.ExpiresAt = now + 2*anHour
		swap(t, s, pin.Change{Rows: append(rows, fresh), Now: now})
		for _, step := range []struct{ before, purged int64 }{{now + anHour, 0}, {now + anHour + 1, expired}, {now + 2*anHour, 0}} {
			n, err := s.PurgeReplays(context.Background(), time.UnixMicro(step.before))
			require.NoError(t, err)
			require.Equal(t, step.purged, n)
		}
		require.Equal(t, []pin.Row{fresh}, everything(t, s).Rows)
	}},
	{"expired sessions are purged with their look-ups, in as many batches as it takes", func(t *testing.T, s Store) {
		const expired = 1050
		withCards(t, s, "card", "other")
		var rows []pin.Row
		for i := range expired {
			r := newRow(pin.TableSessions, fmt.Sprint(i))
			if i%2 == 0 {
				r.CardID = "other"
			}
			rows = append(rows, r)
		}
		for _, card := range []string{"card", "other"} {
			var own []pin.Row
			for _, r := range rows {
				if r.CardID == card {
					own = append(own, r)
				}
			}
			swap(t, s, beside(nil, own...))
		}
		before := everything(t, s)
		fresh := newRow(pin.TableSessions, "fresh")
		fresh.ExpiresAt = now + 2*anHour
		swap(t, s, beside(nil, fresh))
		for _, step := range []struct{ before, purged int64 }{{now + anHour, 0}, {now + anHour + 1, expired}, {now + 2*anHour, 0}} {
			n, err := s.PurgeSessions(context.Background(), time.UnixMicro(step.before))
			require.NoError(t, err)
			require.Equal(t, step.purged, n)
		}
		require.Equal(t, fresh, row(t, s, pin.TableSessions, "fresh"))
		after := everything(t, s)
		require.Equal(t, before.Cards, after.Cards)
		require.Len(t, after.Lookups, len(before.Lookups)-expired+1)
		require.Len(t, after.Rows, 2, "the program and the session")
	}},
	{"approvals are purged when they have expired, and can be looked up no more", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		fresh := newRow(pin.TableApprovals, "fresh")
		fresh.ExpiresAt = now + 2*anHour
		swap(t, s, beside(nil, newRow(pin.TableApprovals, "old"), newRow(pin.TableSessions, "old"), fresh))
		n, err := s.PurgeApprovals(context.Background(), time.UnixMicro(now+anHour+1))
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.Equal(t, fresh, row(t, s, pin.TableApprovals, "fresh"))
		require.Equal(t, newRow(pin.TableSessions, "old"), row(t, s, pin.TableSessions, "old"))
		_, err = s.Row(context.Background(), pin.TableApprovals, "", "old")
		requireCode(t, err, pin.NotFound)
		kept, err := s.LookupsOf(context.Background(), []pin.Lookup{{Kind: pin.KindApproval, Value: "old", ProgramID: "program"}})
		require.NoError(t, err)
		require.Empty(t, kept)
	}},
	{"two who purge at once purge everything once", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		var rows []pin.Row
		for i := range 20 {
			rows = append(rows, newRow(pin.TableSessions, fmt.Sprint(i)), newRow(pin.TableReplays, fmt.Sprint(i)))
		}
		swap(t, s, beside(nil, rows...))
		var purged [4]int64
		for _, err := range together(4, func(i int) (err error) {
			if i%2 == 0 {
				purged[i], err = s.PurgeSessions(context.Background(), time.UnixMicro(now+2*anHour))
			} else {
				purged[i], err = s.PurgeReplays(context.Background(), time.UnixMicro(now+2*anHour))
			}
			return err
		}) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 20, purged[0]+purged[2])
		require.EqualValues(t, 20, purged[1]+purged[3])
		require.Len(t, everything(t, s).Rows, 1)
	}},
}
