package outbox

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// looked is a queue that remembers when it was asked. A delivery of a webhook that is gone is due from a time on.
type looked struct {
	Queue
	due time.Time
	at  []time.Time
}

func (q *looked) DueWebhooks(_ context.Context, now time.Time) ([]string, error) {
	q.at = append(q.at, time.Now())
	if q.due.IsZero() || now.Before(q.due) {
		return nil, nil
	}
	return []string{"gone"}, nil
}

func (q *looked) DropDeliveries(context.Context, string) error {
	q.due = time.Time{}
	return nil
}

// gone is a vault without webhooks.
type gone struct{ Vault }

func (gone) Webhook(context.Context, string) (pin.Webhook, error) {
	return pin.Webhook{}, &pin.Error{Code: pin.NotFound}
}

// running is a dispatcher that has looked once, in the time of a synctest bubble, with so many deliveries under way.
func running(t *testing.T, q Queue, busy int) *Dispatcher {
	t.Helper()
	d := New(gone{}, q, Options{Log: slog.New(slog.DiscardHandler)})
	d.count("webhook", busy)
	go d.Run(t.Context())
	synctest.Wait()
	return d
}

func TestEventsThatFollowEachOtherAreLookedForTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &looked{}
		d := running(t, q, 0)
		for range 100 { // events, a millisecond from one to the next
			d.Wake()
			sleep(t.Context(), time.Millisecond)
		}
		synctest.Wait()
		require.Len(t, q.at, 1+4)
		for i := range q.at[1:] {
			require.Equal(t, apart, q.at[i+1].Sub(q.at[i]))
		}
	})
}

func TestAnEventIsLookedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ after, late time.Duration }{
		"at once, when it is a while since it was looked":    {apart, 0},
		"at once, when that is long ago":                     {poll - time.Millisecond, 0},
		"a moment later, when it was looked a moment before": {time.Millisecond, apart - time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := &looked{}
				d := running(t, q, 0)
				sleep(t.Context(), c.after)
				q.due = time.Now()
				d.Wake()
				sleep(t.Context(), c.late)
				synctest.Wait()
				require.Len(t, q.at, 2)
				require.Zero(t, q.due, "it was not found")
			})
		})
	}
}

// What another one waits for is begun as soon as it has ended.
func TestWhileSomethingIsSentItIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &looked{}
		d := running(t, q, 1)
		for range 3 {
			d.Wake()
			synctest.Wait()
		}
		require.Len(t, q.at, 1+3)
	})
}
