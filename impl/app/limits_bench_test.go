package app

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/limits"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// What limits cost a PIN verification, over SQLite and, under scripts/with-postgres, PostgreSQL: the same call through a vault that limits
// nobody and one with all limits of production, turn by turn, so that whatever else the machine does weighs on both. "without limits/op" and
// "with limits/op" are nanoseconds, "ratio" the one by the other; targets are in scripts/bench/README.md.
func BenchmarkVerifyWithLimits(b *testing.B) {
	for engine, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			db, err := store.Open(b.Context(), database(b), store.Options{})
			require.NoError(b, err)
			defer func() { require.NoError(b, db.Close()) }()
			require.NoError(b, db.Migrate(b.Context()))
			ring := keyring.Open(keyring.Sandbox(), db, nil)
			operator := pin.WithCaller(b.Context(), pin.Operator(""))
			free, limited := pin.NewVault(db, ring, nil, nil), pin.NewVault(db, ring, nil, nil)
			granted := func(string, string) (string, bool) { return "pins:verify", true }
			free.GrantBy(granted)
			server := pin.DefaultLimits()
			for _, often := range []pin.Limit{pin.LimitRequests, pin.LimitVerifications, pin.LimitVerificationsHour} {
				server[often] = 100_000_000 // or the benchmark would meet them
			}
			limited.LimitBy(limits.New(db, nil), server, func(pin.Limit, string) { b.Error("refused") })
			program, err := free.CreateProgram(operator, pin.NewProgram("bench"), pin.Memo{})
			require.NoError(b, err)
			client, _, err := free.CreateClient(operator, pin.Client{Contract: "issuer", Scopes: []string{"pins:verify"}}, "", pin.Memo{})
			require.NoError(b, err)
			raw, err := hex.DecodeString("E8DD93B8AF13999C7644C0FE11F5D2A7")
			require.NoError(b, err)
			key, err := ring.WrapZoneKey("zpk", "", pin.UsageZonePIN, "TDES", raw)
			require.NoError(b, err)
			require.NoError(b, free.ImportZoneKey(operator, key, pin.Memo{}))
			right, err := pin.New([]byte("7010"))
			require.NoError(b, err)
			card, err := free.CreateCard(operator, pin.NewCard{ProgramID: program.ID, PAN: "9999990000000014", PIN: right}, pin.Memo{})
			require.NoError(b, err)
			block, err := hex.DecodeString("2F780C8387FFF32C")
			require.NoError(b, err)
			offer := pin.Encrypted("zpk", pinblock.ISO0, block)
			verify := func(ctx context.Context, v *pin.Vault) time.Duration {
				began := time.Now()
				if err := v.AdmitRequest(ctx); err != nil {
					b.Fatal(err)
				}
				result, err := v.Verify(ctx, pin.Query{CardID: card.ID}, offer, pin.Memo{})
				if err != nil || result.Result != pin.Match {
					b.Fatal(result, err)
				}
				return time.Since(began)
			}
			ctx := pin.WithCaller(b.Context(), client.Caller())
			var without, with time.Duration
			for b.Loop() {
				without += verify(ctx, free)
				with += verify(ctx, limited)
			}
			b.ReportMetric(float64(without.Nanoseconds())/float64(b.N), "without-limits-ns/op")
			b.ReportMetric(float64(with.Nanoseconds())/float64(b.N), "with-limits-ns/op")
			b.ReportMetric(float64(with)/float64(without), "ratio")
		})
	}
}

// One counted by lease and one counted by a statement of its own, turn by turn: the two ways there are.
func BenchmarkTake(b *testing.B) {
	for engine, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			db, err := store.Open(b.Context(), database(b), store.Options{})
			require.NoError(b, err)
			defer func() { require.NoError(b, db.Close()) }()
			require.NoError(b, db.Migrate(b.Context()))
			limiter := limits.New(db, nil)
			take := func(kind pin.Limit) time.Duration {
				began := time.Now()
				if wait, err := limiter.Take(b.Context(), kind, "client", 100_000_000); err != nil || wait > 0 {
					b.Fatal(wait, err)
				}
				return time.Since(began)
			}
			var lease, statement time.Duration
			for b.Loop() {
				lease += take(pin.LimitRequests)
				statement += take(pin.LimitFailedLogins) // one by one
			}
			b.ReportMetric(float64(lease.Nanoseconds())/float64(b.N), "lease-ns/op")
			b.ReportMetric(float64(statement.Nanoseconds())/float64(b.N), "statement-ns/op")
		})
	}
}
