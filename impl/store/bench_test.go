package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// benchmark runs on both databases, with cards made by [seed].
func benchmark(b *testing.B, cards int, run func(b *testing.B, s *Store)) {
	for _, database := range databases {
		b.Run(database.name, func(b *testing.B) {
			s := open(b, database.url(b))
			seed(b, s, cards)
			b.ReportAllocs()
			run(b, s)
		})
	}
}

func BenchmarkFind(b *testing.B) {
	const cards = 1000
	benchmark(b, cards, func(b *testing.B, s *Store) {
		for i := 0; b.Loop(); i++ {
			found, err := s.Find(context.Background(), pin.Search{ProgramID: "program", Limit: 2,
				Criteria: []pin.Criterion{{Kind: pin.KindPublicToken, Values: []string{fmt.Sprint("token-", i%cards)}}}})
			require.NoError(b, err)
			require.Len(b, found, 1)
		}
	})
}

func BenchmarkTakeTry(b *testing.B) {
	benchmark(b, 1, func(b *testing.B, s *Store) {
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
	benchmark(b, 1, func(b *testing.B, s *Store) {
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
