package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// onBoth runs a benchmark on both databases, with cards named after their number.
func onBoth(b *testing.B, cards int, run func(b *testing.B, s *Store)) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := open(b, url(b))
			seed(b, s, cards)
			b.ReportAllocs()
			b.ResetTimer()
			run(b, s)
		})
	}
}

// seed makes one program and cards in it, card-0 and on, with the references token-0, urn-0 and on, and
// an alias that a hundred cards share.
func seed(t testing.TB, s *Store, cards int) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	program := pin.NewProgram("Program")
	program.ID, program.Version, program.CreatedAt, program.UpdatedAt = "program", 1, now, now
	require.NoError(t, s.InTx(context.Background(), func(tx pin.Tx) error {
		if err := tx.InsertProgram(program); err != nil {
			return err
		}
		for i := range cards {
			c := pin.Card{ID: fmt.Sprint("card-", i), ProgramID: program.ID, Status: pin.StatusNormal, Version: 1, CreatedAt: now, UpdatedAt: now,
				References: []pin.Reference{{Kind: pin.KindPublicToken, Value: fmt.Sprint("token-", i)}, {Kind: pin.KindURN, Value: fmt.Sprint("urn-", i)},
					{Kind: pin.KindAlias, Value: fmt.Sprint("alias-", i/100)}}}
			p := pin.PINRecord{State: pin.PINAssigned, Verifier: make([]byte, 37), Version: 1, TriesLeft: 3, ChangedAt: now}
			if err := tx.InsertCard(c, fmt.Sprint("hash-", i), p); err != nil {
				return err
			}
		}
		return nil
	}))
}

func BenchmarkFind(b *testing.B) {
	const cards = 1000
	onBoth(b, cards, func(b *testing.B, s *Store) {
		for i := 0; b.Loop(); i++ {
			found, err := s.Find(context.Background(), pin.Search{ProgramID: "program", Limit: 2,
				Criteria: []pin.Criterion{{Kind: pin.KindPublicToken, Values: []string{fmt.Sprint("token-", i%cards)}}}})
			require.NoError(b, err)
			require.Len(b, found, 1)
		}
	})
}

func BenchmarkTakeTry(b *testing.B) {
	onBoth(b, 1, func(b *testing.B, s *Store) {
		const limit = 1 << 30
		require.NoError(b, s.InTx(context.Background(), func(tx pin.Tx) error { return tx.ResetTries("card-0", limit) }))
		for b.Loop() {
			_, admitted, err := s.TakeTry(context.Background(), "card-0", limit)
			require.NoError(b, err)
			require.True(b, admitted)
		}
	})
}

// BenchmarkInTx is the transaction that ends a verification: tries given back and an audit event.
func BenchmarkInTx(b *testing.B) {
	onBoth(b, 1, func(b *testing.B, s *Store) {
		for i := int64(1); b.Loop(); i++ {
			require.NoError(b, s.InTx(context.Background(), func(tx pin.Tx) error {
				if _, err := tx.GiveBack("card-0", 0, 3); err != nil {
					return err
				}
				seq, _, err := tx.LastAudit("card-0")
				if err != nil {
					return err
				}
				return tx.InsertAudit(pin.AuditEvent{ID: fmt.Sprint("event-", i), Chain: "card-0", Seq: seq + 1, CardID: "card-0", MAC: make([]byte, 37)})
			}))
		}
	})
}
