package app

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pinvault/impl/config"
	"pinvault/impl/ondemand"
	"pinvault/impl/outbox"
	"pinvault/impl/pin"
)

// background is what a server does by itself: it sends events, tells of sessions whose time is over, and has checkpoints of the
// trail go to the audit log.
type background struct {
	Surroundings
	vault  *pin.Vault
	sender *outbox.Dispatcher
	feed   *outbox.Feed
	steady func(func())
	log    *checkpoints // nil: the server has none
	swept  atomic.Int64 // microseconds since 1970 until when sessions were looked at, 0: not yet
}

// How long somebody may wait for an event: shorter in a sandbox, where a call that is waiting keeps the database from being put back.
const (
	longestPoll        = 20 * time.Second
	longestSandboxPoll = 2 * time.Second
)

func newBackground(c config.Serve, s Surroundings, vault *pin.Vault, registry prometheus.Registerer, in *inside) *background {
	if s.Now == nil {
		s.Now = time.Now
	}
	b := &background{Surroundings: s, vault: vault, steady: func(f func()) { f() }}
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pinvault_webhook_attempts_total", Help: "Attempts to deliver an event to a webhook, by outcome: delivered, failed, parked.",
	}, []string{"outcome"})
	for _, outcome := range []string{"delivered", "failed", "parked"} {
		outcomes.WithLabelValues(outcome)
	}
	o := outbox.Options{Now: s.Now, Networks: outbox.Networks{Allowed: c.WebhookNetworks, Sandbox: c.Sandbox}, Timeout: c.WebhookTimeout, Log: s.Log,
		Outcome: func(outcome string) { outcomes.WithLabelValues(outcome).Inc() }}
	most := min(longestPoll, c.RequestTimeout*4/5)
	if in != nil {
		b.steady, most = in.space.Steady, longestSandboxPoll
		o.Alone, o.Steady, o.Rehearse = in.space.ID != "", b.steady, in.rehearse // the first space may have several processes
	}
	registry.MustRegister(outcomes, &waiting{s.Database, s.Now})
	b.sender = outbox.New(vault, s.Database, o)
	b.feed = outbox.NewFeed(vault, s.Database, s.Now, b.sender.Wake, most)
	return b
}

// rehearse is what the rules of a space say of a delivery.
func (in *inside) rehearse(e pin.AuditEvent) outbox.Effect {
	does, delay := in.space.Rules.TakeDelivery(ondemand.Delivery{Event: e.Announced(), Client: e.ClientID, Card: e.CardID})
	return outbox.Effect{Twice: does == ondemand.DeliverTwice, Fail: does == ondemand.DeliverFail, Delay: delay}
}

// begin runs something until the function that it returns is called, which waits for its end.
func begin(ctx context.Context, run func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// run runs it until ctx ends.
func (b *background) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { b.sender.Run(ctx) })
	all.Go(func() { b.sweep(ctx) })
	if b.log != nil {
		all.Go(func() { b.log.run(ctx) })
	}
	all.Wait()
}

// again has it look at everything anew, since the database was put back.
func (b *background) again() {
	b.swept.Store(0)
	b.sender.Wake()
}

// How often is looked for sessions whose time is over; at first for all that are still there.
const (
	sweepEvery = 2 * time.Second
	sweepSlack = 10 * time.Second // for processes whose clocks differ
	sweepBatch = 5000
)

// sweep tells the trail of sessions whose time is over. Any number of processes may: the session's next version is written once.
func (b *background) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := b.expire(ctx); err != nil && ctx.Err() == nil {
			b.Log.WarnContext(ctx, "ending sessions", "error", err)
		}
	}
}

// expire ends the sessions whose time is over.
func (b *background) expire(ctx context.Context) (err error) {
	b.steady(func() {
		now := b.Now()
		after := time.UnixMicro(0)
		if swept := time.UnixMicro(b.swept.Load()).Add(-sweepSlack); swept.After(after) && swept.Before(now) {
			after = swept
		}
		for {
			var rows []pin.Row
			if rows, err = b.Database.ExpiredSessions(ctx, after, now, sweepBatch); err != nil {
				return
			}
			for _, r := range rows {
				if failed := b.vault.ExpireSession(ctx, r); failed != nil && !pin.Tampered(failed) { // which is told of
					err = failed
					return
				}
			}
			if len(rows) < sweepBatch {
				b.swept.Store(now.UnixMicro())
				return
			}
			after = time.UnixMicro(rows[len(rows)-1].ExpiresAt)
		}
	})
	return err
}

// waiting tells what waits for webhooks, when it is asked.
type waiting struct {
	db  Database
	now func() time.Time
}

var (
	waitingCount = prometheus.NewDesc("pinvault_webhook_waiting", "Events that wait to be delivered to webhooks that are not paused.", nil, nil)
	waitingLag   = prometheus.NewDesc("pinvault_webhook_lag_seconds", "How long the oldest of them has waited.", nil, nil)
)

// Describe is prometheus.Collector's.
func (*waiting) Describe(out chan<- *prometheus.Desc) {
	out <- waitingCount
	out <- waitingLag
}

// Collect is prometheus.Collector's.
func (w *waiting) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := w.db.WaitingDeliveries(ctx)
	if err != nil {
		return
	}
	count, lag := int64(0), time.Duration(0)
	for _, one := range all {
		count, lag = count+one.Count, max(lag, w.now().Sub(time.UnixMicro(one.Oldest)))
	}
	out <- prometheus.MustNewConstMetric(waitingCount, prometheus.GaugeValue, float64(count))
	out <- prometheus.MustNewConstMetric(waitingLag, prometheus.GaugeValue, lag.Seconds())
}
