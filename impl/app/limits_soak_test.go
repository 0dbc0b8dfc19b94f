package app_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// The long form of TestTwoProcessesAdmitOneLimit: servers, 100,000 calls, windows by the clock of the database. A run that the hour's end
// falls into begins anew.
func TestSoakTwoProcessesAdmitOneLimit(t *testing.T) {
	if os.Getenv("PINVAULT_TEST_LONG") == "" {
		t.Skip("PINVAULT_TEST_LONG=1 runs it")
	}
	const limit, calls, workers = 50_000, 100_000, 8
	l := newLimiting(t, storetest.Postgres(t), map[string]int64{"requestsPerMinute": 0, "mismatchCardsPerMinute": 0})
	here, there := l.process(), l.process()
	card := here.cards(t, 1)[0]
	l.key(here)
	right := block(t, "7010")
	for {
		_, token := here.client(t, pin.Limits{pin.LimitVerifications: 0, pin.LimitVerificationsHour: limit}, "pins:verify")
		before := l.hour()
		total := 0
		for admitted, n := range apptest.Together(workers, func(worker int) (admitted int) {
			for i := range calls / workers {
				switch reply := verify([]process{here, there}[(worker+i)%2], token, card, right); reply.Status {
				case http.StatusOK:
					admitted++
				case http.StatusTooManyRequests:
				default:
					t.Errorf("status %d: %s", reply.Status, reply.Body)
				}
			}
			return admitted
		}) {
			total += admitted * n
		}
		if l.hour() != before {
			continue
		}
		require.LessOrEqual(t, total, limit)
		require.GreaterOrEqual(t, total, limit*98/100)
		return
	}
}

// hour is that of the database's clock, in which a lease of nothing was just taken.
func (l *limiting) hour() int64 {
	l.t.Helper()
	_, remains, err := l.db.Lease(l.t.Context(), "hour", 0, 0, time.Hour, time.Time{})
	require.NoError(l.t, err)
	return time.Now().Add(remains).Round(time.Minute).Unix()
}
