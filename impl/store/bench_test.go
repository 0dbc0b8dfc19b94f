package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync/atomic"
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

// byURN finds one of the cards of [seed].
func byURN(i int) pin.Search {
	return pin.Search{ProgramID: "program", Kind: pin.KindURN, Values: []string{fmt.Sprint("urn-", i)}, Limit: 100}
}

// BenchmarkFind is a look-up by reference: PIN status, and the first half of every other operation.
func BenchmarkFind(b *testing.B) {
	const cards = 1000
	benchmark(b, cards, func(b *testing.B, s *Store) {
		for i := 0; b.Loop(); i++ {
			found, err := s.Find(context.Background(), byURN(i%cards))
			require.NoError(b, err)
			require.Len(b, found, 1)
		}
	})
}

// BenchmarkSwap is the second half: the next value of a card and an event.
func BenchmarkSwap(b *testing.B) {
	benchmark(b, 1, func(b *testing.B, s *Store) {
		for i := int64(2); b.Loop(); i++ {
			require.NoError(b, s.Swap(context.Background(), pin.Change{Card: revision("card-0", i), Events: eventsOf("card-0", i, 1)}))
		}
	})
}

// BenchmarkSwapAnnounced is a swap whose event webhooks are told of: where there is none, one that wants other events, one that
// wants it, and ten.
func BenchmarkSwapAnnounced(b *testing.B) {
	for name, wants := range map[string][]string{"nobody": nil, "other": {`"on other"`}, "one": {`"on x"`}, "ten": slices.Repeat([]string{`"on x"`}, 10)} {
		b.Run(name, func(b *testing.B) {
			benchmark(b, 1, func(b *testing.B, s *Store) {
				for i, want := range wants {
					require.NoError(b, s.Swap(context.Background(), pin.Change{Rows: []pin.Row{{Table: pin.TableWebhooks, ID: fmt.Sprint(i), ProgramID: "program", Version: 1,
						Body: []byte(`{"wants":[` + want + `],"more":"` + string(make512("more")) + `"}`), Seal: make([]byte, 37)}}}))
				}
				for i := int64(2); b.Loop(); i++ {
					told := eventsOf("card-0", i, 1)
					told[0].Topic = "on x"
					require.NoError(b, s.Swap(context.Background(), pin.Change{Card: revision("card-0", i), Events: told}))
				}
			})
		})
	}
}

// BenchmarkSwapWithReplay brings an idempotency record as well.
func BenchmarkSwapWithReplay(b *testing.B) {
	benchmark(b, 1, func(b *testing.B, s *Store) {
		for i := int64(2); b.Loop(); i++ {
			replay := pin.Row{Table: pin.TableReplays, ID: fmt.Sprint(i), Version: 1, ExpiresAt: 1 << 60, Body: make512("answer"), Seal: make([]byte, 37)}
			require.NoError(b, s.Swap(context.Background(), pin.Change{Card: revision("card-0", i), Events: eventsOf("card-0", i, 1), Rows: []pin.Row{replay}}))
		}
	})
}

// BenchmarkFindAndSwap is a whole operation, by many callers on cards of their own.
func BenchmarkFindAndSwap(b *testing.B) {
	const cards = 100
	benchmark(b, cards, func(b *testing.B, s *Store) {
		open := make([]*sql.Conn, 16) // beforehand: to open one takes as long as many operations
		for i := range min(len(open), s.engine.maxConns) {
			var err error
			open[i], err = s.pool.Conn(context.Background())
			require.NoError(b, err)
		}
		for _, c := range open {
			if c != nil {
				require.NoError(b, c.Close())
			}
		}
		var callers atomic.Int64
		b.SetParallelism(8)
		b.ResetTimer()
		b.RunParallel(func(p *testing.PB) {
			mine := int(callers.Add(1)) % cards
			for p.Next() {
				found, err := s.Find(context.Background(), byURN(mine))
				require.NoError(b, err)
				next := found[0].Revision + 1
				require.NoError(b, s.Swap(context.Background(), pin.Change{Card: revision(found[0].ID, next), Events: eventsOf(found[0].ID, next, 1)}))
			}
		})
	})
}

// BenchmarkLocked is what is left to a caller who was overtaken.
func BenchmarkLocked(b *testing.B) {
	benchmark(b, 1, func(b *testing.B, s *Store) {
		for b.Loop() {
			require.NoError(b, s.Locked(context.Background(), "card-0", func(c pin.CardRow) (pin.Change, error) {
				return pin.Change{Card: revision("card-0", c.Revision+1), Events: eventsOf("card-0", c.Revision+1, 1)}, nil
			}))
		}
	})
}
