package space

import (
	"sync"
	"time"
)

// Clock is the time of a space: another clock's, moved or stopped.
type Clock struct {
	base func() time.Time

	mu      sync.Mutex
	ahead   time.Duration // of the base
	stopped time.Time     // the time at which it stands; zero while it runs
}

// NewClock is a clock that goes as base does.
func NewClock(base func() time.Time) *Clock { return &Clock{base: base} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if !c.stopped.IsZero() {
		return c.stopped
	}
	return c.base().Add(c.ahead)
}

// latest is as far as a clock goes: what is later has no place in some tokens and databases.
var latest = time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC)

// Shift is what is to become of a clock; the zero value changes nothing. Its steps are taken in this order.
type Shift struct {
	Reset   bool          // to the base, running
	To      time.Time     // unless zero
	Running *bool         // whether it is to go on; nil: as before
	By      time.Duration // not negative
}

// Move changes the clock, and returns its time and whether it runs.
func (c *Clock) Move(s Shift) (now time.Time, running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	running = c.stopped.IsZero()
	now = c.now()
	if s.Reset {
		now, running = c.base(), true
	}
	if !s.To.IsZero() {
		now = s.To
	}
	if s.Running != nil {
		running = *s.Running
	}
	if now = now.Add(s.By); now.After(latest) {
		now = latest
	}
	if s != (Shift{}) { // what is only asked does not drift
		c.ahead, c.stopped = now.Sub(c.base()), time.Time{}
	}
	if s.Reset && s.To.IsZero() && s.By == 0 {
		c.ahead = 0
	}
	if !running {
		c.stopped = now
	}
	return now, running
}
