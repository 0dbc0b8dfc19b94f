package portfolio_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/portfolio"
	"pinvault/impl/store"
)

// Rows with PIN blocks from the file into an empty database. A round is as many as one transaction has.
func BenchmarkImport(b *testing.B) {
	for name, database := range engines {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(b.Context(), database(b), store.Options{})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, s.Close()) })
			require.NoError(b, s.Migrate(b.Context()))
			h := movedInto(b, s)
			const round = 1000
			var files []string
			for n := 0; n < b.N*round; n += round {
				var rows []map[string]any
				for i := n; i < n+round; i++ {
					rows = append(rows, map[string]any{"pan": panOf(i), "sequence": "01", "expiry": "3112", "customerId": fmt.Sprint("C", i),
						"references": []map[string]any{{"kind": "urn", "value": fmt.Sprint(i + 1)}}, "pin": h.pinned("block", i)})
				}
				files = append(files, lines(b, rows...))
			}
			b.ResetTimer()
			for _, file := range files {
				total, _ := h.moveIn(portfolio.NDJSON, file)
				require.Equal(b, round, total.Imported)
			}
			b.ReportMetric(float64(b.N*round)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
