package app_test

import (
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/store/storetest"
)

// How many PIN blocks are verified in a second with the keys of each backend, held against keys in memory in turns, by
// sixteen callers, from the vault's interface to the database. -benchtime 5x is five turns.
//
//	scripts/with-postgres scripts/with-softhsm scripts/with-openbao go test ./impl/app -run '^$' -bench Backends -benchtime 5x
func BenchmarkVerifyByBackends(b *testing.B) {
	for _, name := range keyringtest.All {
		for database, open := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
			b.Run(name+"/"+database, func(b *testing.B) {
				memory, backend := newVerifier(b, keyring.Sandbox(), open(b)), newVerifier(b, keyringtest.Engine(b, name), open(b))
				var own, theirs, ratios []float64
				for b.Loop() {
					m, k := memory.round(b), backend.round(b)
					own, theirs, ratios = append(own, m), append(theirs, k), append(ratios, k/m)
				}
				b.ReportMetric(median(own), "memory/s")
				b.ReportMetric(median(theirs), "backend/s")
				b.ReportMetric(median(ratios), "ratio")
			})
		}
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// verifier verifies PINs of sixteen cards.
type verifier struct {
	vault *pin.Vault
	cards []string
	offer pin.Offer
}

func newVerifier(b *testing.B, keys keyring.Engine, url string) *verifier {
	b.Helper()
	db := apptest.OpenStore(b, url)
	require.NoError(b, db.Migrate(b.Context()))
	ring := keyring.Open(keys, db, nil)
	v := &verifier{vault: pin.NewVault(db, ring, nil, nil)}
	ctx := apptest.Operating(b)
	require.NoError(b, v.vault.Initialize(ctx))
	program, err := v.vault.CreateProgram(ctx, pin.NewProgram("bench"), pin.Memo{})
	require.NoError(b, err)
	raw, err := hex.DecodeString("E8DD93B8AF13999C7644C0FE11F5D2A7")
	require.NoError(b, err)
	key, err := ring.WrapZoneKey("zpk", "", pin.UsageZonePIN, keyring.TDES, raw)
	require.NoError(b, err)
	require.NoError(b, v.vault.ImportZoneKey(ctx, key, pin.Memo{}))
	for i := range 16 {
		right, err := pin.New([]byte("7010"))
		require.NoError(b, err)
		card, err := v.vault.CreateCard(ctx, pin.NewCard{ProgramID: program.ID, PAN: "9999990000000014", Sequence: string([]byte{'0' + byte(i/10), '0' + byte(i%10)}), PIN: right}, pin.Memo{})
		require.NoError(b, err)
		v.cards = append(v.cards, card.ID)
	}
	block, err := hex.DecodeString("2F780C8387FFF32C")
	require.NoError(b, err)
	v.offer = pin.Encrypted("zpk", pinblock.ISO0, block)
	return v
}

// round is how many verifications there are in a second.
func (v *verifier) round(b *testing.B) float64 {
	b.Helper()
	const length = 400 * time.Millisecond
	var done atomic.Int64
	var failed atomic.Pointer[error]
	ctx := apptest.Operating(b)
	began := time.Now()
	var all sync.WaitGroup
	for _, card := range v.cards {
		all.Go(func() {
			for time.Since(began) < length {
				found, err := v.vault.Verify(ctx, pin.Query{CardID: card}, v.offer, pin.Memo{})
				if err != nil || found.Result != pin.Match {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return float64(done.Load()) / time.Since(began).Seconds()
}
