// Package limits counts what clients do, over all processes of a server: it is [pin.Limiter].
//
// Most of it is counted by lease. A process takes some of what is left of a limit in the window under way from the
// database, by one statement, and counts by itself until that is used up: so a request costs a lock in memory, and a
// statement now and then. No more is ever given away than the limit is; what a process has taken and does not use, because
// its callers have left or it has ended, is lost until the window is over. What is taken at a time is a sixteenth of what
// is left, and no more than a two-hundredth of the limit, so that no process can lose more than half a percent. What
// happens seldom, failures, is taken one by one.
//
// Windows are the clock's: they begin at multiples of their length since 1970, by the clock of the database, which is the
// one that all processes share, however wrong their own are. Where the server's time is set by somebody, in a sandbox or a
// test, it is that.
//
// The alarm about mismatches (see [pin.Halt]) must know which cards they were of. Each process keeps what it has counted
// of a client and BIN, and adds it to the database before it lets the client verify another PIN, where it was a second
// ago that it last did or a twentieth of the alarm's limit of cards has come together. So the alarm goes off at most a
// twentieth of its limit late for each process, and not at all for what was counted in the last second of a minute.
//
// It knows the vault's words for limits, and no database, contract or HTTP.
package limits

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"pinvault/impl/pin"
)

// Store counts for all processes. impl/store's is one. A time that is zero is the database's.
type Store interface {
	// Lease takes some of what is left of a limit in the window under way, at most block, 0 where nothing is left. The window
	// remains for so long.
	Lease(ctx context.Context, id string, limit, block int64, window time.Duration, at time.Time) (granted int64, remains time.Duration, err error)
	// CountVerifications adds to what is known of a client and BIN in the window under way, and tells what it comes to.
	CountVerifications(ctx context.Context, n pin.MismatchCount, clientID string, cardIDs []string, window time.Duration, at time.Time) (pin.MismatchCount, error)
}

// rule is how a limit is counted.
type rule struct {
	window time.Duration
	singly bool // one at a time: it happens seldom, and each counts
}

var rules = map[pin.Limit]rule{
	pin.LimitRequests:          {window: time.Minute},
	pin.LimitVerifications:     {window: time.Minute},
	pin.LimitVerificationsHour: {window: time.Hour},
	pin.LimitFailedLogins:      {window: time.Minute, singly: true},
	pin.LimitWrongSecureCodes:  {window: time.Hour, singly: true},
	pin.LimitRefusedPINs:       {window: time.Minute, singly: true},
}

// alarmWindow is what the alarm looks at.
const alarmWindow = time.Minute

// maxHeld bounds how many leases are kept; those of windows that are over go first.
const maxHeld = 1 << 16

// Limiter is [pin.Limiter] over a store. It is safe for concurrent use.
type Limiter struct {
	store Store
	now   func() time.Time
	given func() time.Time // the time that the store is told

	mu     sync.Mutex
	leases map[key]*lease
	counts map[string]*counts // by client
}

var _ pin.Limiter = (*Limiter)(nil)

type key struct {
	kind pin.Limit
	whom string
}

// New makes a limiter. now is nil where windows are by the database's clock.
func New(store Store, now func() time.Time) *Limiter {
	l := &Limiter{store: store, now: now, given: now, leases: map[key]*lease{}, counts: map[string]*counts{}}
	if now == nil {
		l.now, l.given = time.Now, func() time.Time { return time.Time{} }
	}
	return l
}

// Forget has everything asked for anew: the database was put back.
func (l *Limiter) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.leases)
	clear(l.counts)
}

// Take counts one, see [pin.Limiter]. Callers who wait for one lease wait for one statement.
func (l *Limiter) Take(ctx context.Context, kind pin.Limit, whom string, limit int64) (time.Duration, error) {
	held := l.held(key{kind, whom})
	held.mu.Lock()
	defer held.mu.Unlock()
	for {
		now := l.now()
		taken, wait := held.take(now, limit)
		if taken || wait > 0 {
			return wait, nil
		}
		r := rules[kind]
		granted, remains, err := l.store.Lease(ctx, string(kind)+" "+whom, limit, block(limit, r.singly), r.window, l.given())
		if err != nil {
			return 0, uncounted(err)
		}
		held.renew(now, limit, granted, remains)
	}
}

// uncounted is the error of what could not be counted, whatever the reason: Unavailable. It is not done.
func uncounted(err error) error {
	return &pin.Error{Code: pin.Unavailable, Err: fmt.Errorf("limits: %w", err)}
}

// Spent is how long a limit that this process knows to be used up stays so.
func (l *Limiter) Spent(kind pin.Limit, whom string, limit int64) time.Duration {
	held := l.held(key{kind, whom})
	held.mu.Lock()
	defer held.mu.Unlock()
	return held.spent(l.now(), limit)
}

func (l *Limiter) held(k key) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.leases[k]
	if held == nil {
		if len(l.leases) >= maxHeld {
			l.sweep()
		}
		held = &lease{}
		l.leases[k] = held
	}
	return held
}

// sweep drops leases of windows that are over, and all where that is not enough: what is lost is fewer, never more.
func (l *Limiter) sweep() {
	now := l.now()
	maps.DeleteFunc(l.leases, func(_ key, held *lease) bool {
		held.mu.Lock()
		defer held.mu.Unlock()
		return !now.Before(held.ends)
	})
	if len(l.leases) >= maxHeld {
		clear(l.leases)
	}
}

// Verified counts a verification for the alarm.
func (l *Limiter) Verified(clientID, bin, cardID string, mismatch bool) {
	c := l.countsOf(clientID)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(l.now(), bin, cardID, mismatch)
}

// Mismatches brings together what was counted of a client, where it is time.
func (l *Limiter) Mismatches(ctx context.Context, clientID string, cards int64) (totals []pin.MismatchCount, err error) {
	c := l.countsOf(clientID)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := l.now()
	for bin, n := range c.bins {
		if !n.due(now, cards) {
			continue
		}
		total, err := l.store.CountVerifications(ctx, pin.MismatchCount{BIN: bin, Verifications: n.verifications, Mismatches: n.mismatches}, clientID,
			slices.Sorted(maps.Keys(n.cards)), alarmWindow, l.given())
		if err != nil {
			return nil, uncounted(err)
		}
		c.bins[bin] = &count{minute: n.minute, told: now, cards: map[string]bool{}}
		totals = append(totals, total)
	}
	return totals, nil
}

func (l *Limiter) countsOf(clientID string) *counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts[clientID]
	if c == nil {
		c = &counts{bins: map[string]*count{}}
		l.counts[clientID] = c
	}
	return c
}
