package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/config"
	"pinvault/impl/metrics"
	"pinvault/impl/ondemand"
	"pinvault/impl/outbox"
	"pinvault/impl/pin"
)

// background is what a server does by itself: it sends events, tells of sessions and approvals whose time is over, and has checkpoints
// of the trail go to the audit log.
type background struct {
	Surroundings
	vault  *pin.Vault
	sender *outbox.Dispatcher
	feed   *outbox.Feed
	steady func(func())
	log    *checkpoints // nil: the server has none
	swept  atomic.Int64 // microseconds since 1970 until when they were looked at, 0: not yet
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
	o := outbox.Options{Now: s.Now, Networks: outbox.Networks{Allowed: c.WebhookNetworks, Sandbox: c.Sandbox}, Timeout: c.WebhookTimeout, Log: s.Log,
		Tracer: tracerOf(s.Traces, "pinvault/webhooks"), Outcome: metrics.NewDeliveries(registry).Attempt}
	most := min(longestPoll, c.RequestTimeout*4/5)
	if in != nil {
		b.steady, most = in.space.Steady, longestSandboxPoll
		o.Alone, o.Steady, o.Rehearse = in.space.ID != "", b.steady, in.rehearse // the first space may have several processes
	}
	metrics.ReadDatabase(registry, s.Database, s.Now)
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

// How often is looked for those whose time is over; at first for all that are still there.
const (
	sweepEvery = 2 * time.Second
	sweepSlack = 10 * time.Second // for processes whose clocks differ
	sweepBatch = 5000
)

// sweep tells the trail of sessions and approvals whose time is over. Any number of processes may: the next version of each is written
// once.
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
			b.Log.WarnContext(ctx, "ending sessions and approvals", "error", err)
		}
	}
}

// expire ends the sessions and approvals whose time is over.
func (b *background) expire(ctx context.Context) (err error) {
	b.steady(func() {
		now := b.Now()
		after := time.UnixMicro(0)
		if swept := time.UnixMicro(b.swept.Load()).Add(-sweepSlack); swept.After(after) && swept.Before(now) {
			after = swept
		}
		err = errors.Join(
			b.expireOf(ctx, pin.TableSessions, after, now, b.vault.ExpireSession),
			b.expireOf(ctx, pin.TableApprovals, after, now, b.vault.ExpireApproval))
		if err == nil {
			b.swept.Store(now.UnixMicro())
		}
	})
	return err
}

// tracerOf is nil where there are no traces.
func tracerOf(traces trace.TracerProvider, name string) trace.Tracer {
	if traces == nil {
		return nil
	}
	return traces.Tracer(name)
}

// expireOf ends the rows of a table whose time ended in (after, until].
func (b *background) expireOf(ctx context.Context, t pin.Table, after, until time.Time, end func(context.Context, pin.Row) error) error {
	for {
		rows, err := b.Database.Expired(ctx, t, after, until, sweepBatch)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := end(ctx, r); err != nil && !pin.Tampered(err) { // which is told of
				return err
			}
		}
		if len(rows) < sweepBatch {
			return nil
		}
		after = time.UnixMicro(rows[len(rows)-1].ExpiresAt)
	}
}
