package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// newEvent is an event with every field set.
func newEvent(chain string, seq int64, id string) pin.AuditEvent {
	return pin.AuditEvent{
		ID: id, Chain: chain, Seq: seq, Type: pin.EventPINVerified, ProgramID: "program", CardID: "card", Subject: "subject",
		Outcome: "match", At: at, Contract: "thredd", ClientID: "client", RemoteAddr: "192.0.2.1", TraceID: "trace",
		Description: "description", UpdatedBy: "operator", MAC: []byte{0, 1, 255},
	}
}

// appendEvent puts an event at the end of its chain.
func appendEvent(tx pin.Tx, e pin.AuditEvent) error {
	seq, _, err := tx.LastAudit(e.Chain)
	if err != nil {
		return err
	}
	e.Seq = seq + 1
	return tx.InsertAudit(e)
}

// audit is the ids of the events that a query finds.
func audit(t *testing.T, s Store, q pin.AuditQuery) []string {
	t.Helper()
	return paged(t, 2, func(p pin.Page) ([]string, error) {
		q.Page = p
		page, err := s.Audit(context.Background(), q)
		return each(page, func(e pin.AuditEvent) string { return e.ID }), err
	})
}

var auditTests = []test{
	{"an event comes back as it was written", func(t *testing.T, s Store) {
		for i, want := range []pin.AuditEvent{newEvent("chain", 1, "id 1"), {ID: "id 2", Chain: "chain", Seq: 2, At: at, MAC: []byte("mac")}} {
			tx(t, s, func(tx pin.Tx) error { return tx.InsertAudit(want) })
			got, err := s.Audit(context.Background(), pin.AuditQuery{Chain: "chain", Page: pin.Page{Limit: 9}})
			require.NoError(t, err)
			require.Equal(t, want, got[i])
		}
	}},
	{"a chain's newest event is known, and a new chain has none", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error {
			for i, id := range []string{"c", "b", "a"} {
				e := newEvent("chain", int64(i+1), id)
				e.MAC = []byte(id)
				if err := tx.InsertAudit(e); err != nil {
					return err
				}
			}
			seq, mac, err := tx.LastAudit("chain")
			require.NoError(t, err)
			require.EqualValues(t, 3, seq)
			require.Equal(t, []byte("a"), mac)
			seq, mac, err = tx.LastAudit("other")
			require.NoError(t, err)
			require.Zero(t, seq)
			require.Nil(t, mac)
			return nil
		})
	}},
	{"events come in pages: a chain's in its order, others by id", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error {
			for _, e := range []struct{ chain, id, program string }{{"x", "5", "p"}, {"y", "4", "q"}, {"x", "3", "q"}, {"y", "2", "p"}, {"x", "1", "p"}} {
				event := newEvent(e.chain, 0, e.id)
				event.ProgramID = e.program
				if err := appendEvent(tx, event); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			q    pin.AuditQuery
			want []string
		}{
			{pin.AuditQuery{}, []string{"1", "2", "3", "4", "5"}},
			{pin.AuditQuery{ProgramID: "p"}, []string{"1", "2", "5"}},
			{pin.AuditQuery{Chain: "x"}, []string{"5", "3", "1"}},
			{pin.AuditQuery{Chain: "y", ProgramID: "p"}, []string{"2"}},
			{pin.AuditQuery{Chain: "z"}, nil},
		} {
			require.Equal(t, c.want, audit(t, s, c.q), "%+v", c.q)
		}
	}},
	{"many who append at once leave no gap and fork nothing", func(t *testing.T, s Store) {
		const writers, events = 20, 5
		together(t, writers, func(i int) error {
			for n := range events {
				err := in(s, func(tx pin.Tx) error {
					seq, mac, err := tx.LastAudit("chain")
					if err != nil {
						return err
					}
					e := newEvent("chain", seq+1, fmt.Sprint(i, " ", n))
					e.MAC, e.Description = []byte(e.ID), string(mac)
					return tx.InsertAudit(e)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		all, err := s.Audit(context.Background(), pin.AuditQuery{Chain: "chain", Page: pin.Page{Limit: 2 * writers * events}})
		require.NoError(t, err)
		require.Len(t, all, writers*events)
		previous := ""
		for i, e := range all {
			require.EqualValues(t, i+1, e.Seq)
			require.Equal(t, previous, e.Description, "each event follows the one that it has seen")
			previous = string(e.MAC)
		}
	}},
	{"two events in one place make the transaction run again", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		tx(t, s, func(tx pin.Tx) error { return tx.InsertAudit(newEvent("chain", 1, "first")) })
		var runs atomic.Int64
		tx(t, s, func(tx pin.Tx) error {
			if err := tx.ReplacePIN("card", 1, newPIN()); err != nil {
				return err
			}
			if runs.Add(1) == 1 {
				return tx.InsertAudit(newEvent("chain", 1, "second")) // as if the chain had been read before the first was there
			}
			return appendEvent(tx, newEvent("chain", 0, "second"))
		})
		require.EqualValues(t, 2, runs.Load())
		require.EqualValues(t, 2, record(t, s, "card").PIN.Version, "what the first run did is undone")
		require.Equal(t, []string{"first", "second"}, audit(t, s, pin.AuditQuery{Chain: "chain"}))
	}},
	{"a place that stays taken is unavailable in the end", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error { return tx.InsertAudit(newEvent("chain", 1, "first")) })
		runs := 0
		requireCode(t, in(s, func(tx pin.Tx) error { runs++; return tx.InsertAudit(newEvent("chain", 1, uuid.NewString())) }), pin.Unavailable)
		require.Greater(t, runs, 2)
	}},
}
