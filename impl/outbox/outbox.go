// Package outbox tells the world what happens: it sends events to webhooks, as openapi/events.yaml and Standard Webhooks
// (https://www.standardwebhooks.com) have it, and hands them to who fetches them.
//
// What is to be sent was written with the event itself, in the statement that made the change (pin.Change), one row for each
// webhook that wanted it. From there on it is at least once, and in order for each card and webhook: a [Dispatcher] in every server
// process takes rows for as long as an attempt may last, of one chain and webhook the first alone, and writes what came of it. A process that
// is killed leaves rows that others take when that time is over. No request waits for a webhook.
//
// It knows the vault's events and webhooks, the database's rows of deliveries, and HTTP to the outside; no contract and no handler.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/pin"
)

// Queue keeps what is to be sent. impl/store's Store does; impl/store/storetest says what it promises.
type Queue interface {
	DueWebhooks(ctx context.Context, now time.Time) ([]string, error)
	ClaimDeliveries(ctx context.Context, webhookID string, now time.Time, lease time.Duration, limit int) ([]pin.Delivery, error)
	SettleDelivery(ctx context.Context, d pin.Delivery) error
	DeliveredSince(ctx context.Context, webhookID string, since time.Time) (bool, error)
	QueueDeliveries(ctx context.Context, all []pin.Delivery) error
	Deliveries(ctx context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error)
	DropDeliveries(ctx context.Context, webhookID string) error
}

// Vault is what is needed of [pin.Vault].
type Vault interface {
	Webhook(ctx context.Context, id string) (pin.Webhook, error)
	UpdateWebhook(ctx context.Context, id string, patch func(*pin.Webhook) error, m pin.Memo) (pin.Webhook, error)
	SigningKeys(w pin.Webhook) ([]pin.SigningKeys, error)
	EventAt(ctx context.Context, chain string, seq int64) (pin.AuditEvent, error)
	AuditEvents(ctx context.Context, q pin.AuditQuery) ([]pin.AuditEvent, error)
	Card(ctx context.Context, q pin.Query) (pin.Record, error)
}

// Options of a [Dispatcher]; what is left out is as in production.
type Options struct {
	Now      func() time.Time // nil: the clock
	Uniform  func() float64   // [0, 1), nil: by chance
	Networks Networks         // where is sent to
	Timeout  time.Duration    // of an attempt, 0: [Timeout]
	Alone    bool             // nobody else writes to the database, so that while there are no webhooks nobody need look
	Rehearse Rehearse         // nil: every delivery is made once
	Log      *slog.Logger
	Tracer   trace.Tracer                              // makes a span of every attempt, nil: nobody does
	Steady   func(func())                              // does what no sandbox is to be put back during; nil: just does it
	Outcome  func(outcome string, since time.Duration) // hears of every attempt: delivered, failed, parked; and how long ago its event was
}

// Rehearse says what a sandbox does with a delivery.
type Rehearse func(e pin.AuditEvent) Effect

// Effect is what becomes of a delivery in a sandbox.
type Effect struct {
	Twice bool          // it is made once more
	Fail  bool          // its receiver is not asked
	Delay time.Duration // before it is made
}

// How deliveries are made.
const (
	Timeout = 10 * time.Second // of an attempt
	settles = 5 * time.Second  // what writing its outcome may take

	poll     = 500 * time.Millisecond // how often is looked for what other processes have left
	apart    = 25 * time.Millisecond  // looks are, while nothing is sent: under load each event that a webhook could want wakes
	slots    = 256                    // attempts at once
	each     = 16                     // of one webhook
	failures = 5                      // in a row, after which one attempt at a time is made, and not at once
	maxHold  = time.Minute            // before the next one
)

// Dispatcher sends what is due. It is safe for concurrent use, by any number of processes on one database.
type Dispatcher struct {
	Options
	vault  Vault
	queue  Queue
	client *http.Client

	woken chan struct{}
	mu    sync.Mutex
	busy  int
	hooks map[string]*receiver
	none  bool // when it was last looked, nothing was due
}

// receiver is what this process knows of a webhook's receiver.
type receiver struct {
	busy   int
	failed int       // attempts in a row
	until  time.Time // of the machine's clock: when it may be asked again
}

// New makes a dispatcher.
func New(v Vault, q Queue, o Options) *Dispatcher {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Uniform == nil {
		o.Uniform = rand.Float64
	}
	if o.Timeout == 0 {
		o.Timeout = Timeout
	}
	if o.Steady == nil {
		o.Steady = func(f func()) { f() }
	}
	if o.Outcome == nil {
		o.Outcome = func(string, time.Duration) {}
	}
	return &Dispatcher{Options: o, vault: v, queue: q, client: o.Networks.client(o.Timeout), woken: make(chan struct{}, 1), hooks: map[string]*receiver{}}
}

// lease is for how long a delivery is taken: an attempt, and half as long for all else.
func (d *Dispatcher) lease() time.Duration { return d.Timeout + d.Timeout/2 }

// Wake has it look for what is due: at once, or [apart] after a look that found nothing to send.
func (d *Dispatcher) Wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// everyone is who asks the vault: the server itself.
func everyone(ctx context.Context) context.Context {
	return pin.WithCaller(ctx, pin.Caller{Everywhere: true})
}

// Run sends until ctx ends. Attempts under way are given up then, and left to whoever looks next.
func (d *Dispatcher) Run(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		looked, resting := time.Now(), d.resting()
		took, err := d.round(everyone(ctx), &sending)
		if err != nil && ctx.Err() == nil {
			d.Log.WarnContext(ctx, "webhooks", "error", err)
		}
		if took > 0 {
			continue
		}
		look := tick.C
		if d.Alone && err == nil && d.idle() {
			look = nil
		}
		select {
		case <-look:
		case <-d.woken:
			if resting {
				sleep(ctx, time.Until(looked.Add(apart)))
			}
		case <-ctx.Done():
		}
	}
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, wait time.Duration) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// resting tells whether nothing is under way here.
func (d *Dispatcher) resting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.busy == 0
}

// idle tells whether nothing is under way here, and nothing waits for a time to come.
func (d *Dispatcher) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.none && d.busy == 0
}

// round begins what is due and can be begun, and returns how much that was.
func (d *Dispatcher) round(ctx context.Context, sending *sync.WaitGroup) (took int, err error) {
	ids, err := d.queue.DueWebhooks(ctx, d.Now())
	if err != nil {
		return 0, err
	}
	if d.Alone { // whether something comes due by itself
		ahead, err := d.queue.DueWebhooks(ctx, d.Now().Add(lastsFor+maxWait))
		if err != nil {
			return 0, err
		}
		d.mu.Lock()
		d.none = len(ahead) == 0
		d.mu.Unlock()
	}
	for _, id := range ids {
		room := d.room(id)
		if room == 0 {
			continue
		}
		w, err := d.vault.Webhook(ctx, id)
		switch {
		case pin.CodeOf(err) == pin.NotFound: // it was deleted
			err = d.queue.DropDeliveries(ctx, id)
		case err == nil && w.State == pin.WebhookActive:
			var claimed []pin.Delivery
			claimed, err = d.queue.ClaimDeliveries(ctx, id, d.Now(), d.lease(), room)
			took += len(claimed)
			for _, c := range claimed {
				d.count(id, 1)
				sending.Go(func() { d.deliver(ctx, w, c) })
			}
		}
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

// room is how many attempts at a webhook may be begun.
func (d *Dispatcher) room(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.hooks[id]
	switch {
	case r == nil:
		return min(each, slots-d.busy)
	case r.failed >= failures && time.Now().Before(r.until):
		return 0
	case r.failed >= failures:
		return max(0, min(1-r.busy, slots-d.busy))
	}
	return max(0, min(each-r.busy, slots-d.busy))
}

func (d *Dispatcher) count(id string, by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hooks[id] == nil {
		d.hooks[id] = &receiver{}
	}
	d.busy += by
	d.hooks[id].busy += by
}

// answered remembers how a receiver has fared.
func (d *Dispatcher) answered(id string, taken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.hooks[id]
	if taken {
		r.failed = 0
		return
	}
	r.failed++
	if over := r.failed - failures; over >= 0 {
		r.until = time.Now().Add(min(time.Second<<min(over, 6), maxHold))
	}
}

// deliver makes one attempt, and writes what came of it.
func (d *Dispatcher) deliver(ctx context.Context, w pin.Webhook, c pin.Delivery) {
	defer d.Wake() // the next one of the chain may be due
	defer d.count(w.ID, -1)
	settled, err := d.attempt(ctx, w, c)
	if err == nil {
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), settles)
		defer cancel()
		if err = d.queue.SettleDelivery(own, settled); err == nil && settled.State == pin.DeliveryParked || settled.Status == http.StatusGone {
			err = errors.Join(err, d.pause(own, w, settled))
		}
	}
	if err != nil && ctx.Err() == nil { // whoever looks when the lease has ended tries again
		d.Log.WarnContext(ctx, "webhook", "webhook", w.ID, "event", c.EventID, "error", err)
	}
}

// attempt asks the receiver, and says what is to be written of it.
func (d *Dispatcher) attempt(ctx context.Context, w pin.Webhook, c pin.Delivery) (pin.Delivery, error) {
	e, err := d.vault.EventAt(ctx, c.Chain, c.Seq)
	switch {
	case pin.Tampered(err), pin.CodeOf(err) == pin.NotFound: // nothing is told that the trail does not vouch for
		return d.parked(c, "tampered"), nil
	case err != nil:
		return c, err
	case !w.Hears(e): // any more
		return d.parked(c, "unwanted"), nil
	}
	keys, err := d.vault.SigningKeys(w)
	if err != nil {
		return c, err
	}
	ctx, end := d.span(ctx, w, e)
	a := answer{failure: "rehearsed"}
	effect := d.rehearsed(ctx, e)
	for range map[bool]int{true: 2, false: 1}[effect.Twice] {
		if !effect.Fail {
			a = d.send(ctx, w, e, keys)
		}
	}
	end(a)
	if ctx.Err() != nil && !a.taken() { // given up: somebody else may try at once
		c.DueAt = d.Now().UnixMicro()
		return c, nil
	}
	d.answered(w.ID, a.taken())
	now := d.Now()
	settled := settle(c, a, now, d.Uniform())
	d.Outcome(outcomeOf(settled), now.Sub(time.UnixMicro(c.CreatedAt)))
	return settled, nil
}

func (d *Dispatcher) rehearsed(ctx context.Context, e pin.AuditEvent) Effect {
	if d.Rehearse == nil {
		return Effect{}
	}
	effect := d.Rehearse(e)
	if effect.Delay > 0 {
		sleep(ctx, min(effect.Delay, d.Timeout))
	}
	return effect
}

func (d *Dispatcher) parked(c pin.Delivery, failure string) pin.Delivery {
	c.State, c.DoneAt, c.Failure = pin.DeliveryParked, d.Now().UnixMicro(), failure
	return c
}

func outcomeOf(d pin.Delivery) string {
	if d.State == pin.DeliveryPending {
		return "failed"
	}
	return string(d.State)
}

// pause pauses a webhook whose receiver wants no more, or has taken nothing for as long as a delivery lasts.
func (d *Dispatcher) pause(ctx context.Context, w pin.Webhook, c pin.Delivery) error {
	reason := pin.PausedGone
	if c.Status != http.StatusGone {
		if c.FirstAt == 0 || c.DoneAt-c.FirstAt < lastsFor.Microseconds() {
			return nil
		}
		reason = pin.PausedFailing
		if some, err := d.queue.DeliveredSince(ctx, w.ID, d.Now().Add(-lastsFor)); err != nil || some {
			return err
		}
	}
	var err error
	d.Steady(func() {
		_, err = d.vault.UpdateWebhook(everyone(ctx), w.ID, func(now *pin.Webhook) error {
			if now.State != pin.WebhookActive || now.Version != w.Version {
				return &pin.Error{Code: pin.Conflict}
			}
			now.State, now.PausedFor = pin.WebhookPaused, reason
			return nil
		}, pin.Memo{})
	})
	if pin.CodeOf(err) == pin.Conflict || pin.CodeOf(err) == pin.NotFound { // somebody else has, or has changed it
		return nil
	}
	return err
}
