package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// happened is a fault as it was, in times since the run began.
type happened struct {
	fault
	Began  time.Duration `json:"began"`
	Mended time.Duration `json:"mended"`
	Error  string        `json:"error,omitempty"` // why it could not be made, or mended
}

// wave is what went wrong together.
type wave struct {
	Faults   []happened    `json:"faults"`
	Whole    time.Duration `json:"whole"`    // when every part was back
	Failover bool          `json:"failover"` // another host was the primary then
	Over     time.Duration `json:"over"`     // when calls were served as before; 0: nobody felt it
	Failed   int           `json:"failed"`   // requests that were not answered well until then
	Worst    string        `json:"worst"`    // the kind of the fault that is felt: what the wave does to callers is put down to it alone
	Felt     time.Duration `json:"felt"`     // for how long, since that began
}

func (w wave) worst() happened {
	return w.Faults[worst(w.Faults, func(h happened) fault { return h.fault })]
}

func (w wave) began() time.Duration {
	return slices.MinFunc(w.Faults, func(a, b happened) int { return int(a.Began - b.Began) }).Began
}

func (w wave) mended() time.Duration {
	return slices.MaxFunc(w.Faults, func(a, b happened) int { return int(a.Mended - b.Mended) }).Mended
}

// String is the wave on a line.
func (w wave) String() string {
	var all []string
	for _, h := range w.Faults {
		one := h.Kind + " " + strings.Join(h.At, " ")
		if h.Mended-h.Began > time.Second {
			one += fmt.Sprintf(" %.0f s", (h.Mended - h.Began).Seconds())
		}
		if h.Error != "" {
			one += ": " + h.Error
		}
		all = append(all, one)
	}
	return fmt.Sprintf("%s; whole after %.0f s", strings.Join(all, " + "), (w.Whole - w.began()).Seconds())
}

// calm is for how long all requests are served well before it is over.
const calm = 3 * time.Second

// judged is a wave with what it did to callers. It was felt until from some moment on all requests that begin within three seconds
// are served well.
func (w wave) judged(until time.Duration, attempts []attempt) wave {
	at, failed := w.began(), 0
	for _, a := range attempts { // by when they began
		if a.From < w.began() || a.From >= until || a.good() {
			continue
		}
		if failed > 0 && a.From > at+calm {
			break
		}
		if failed == 0 && a.From > w.mended()+calm {
			break // another thing
		}
		at, failed = max(at, a.To), failed+1 // who waits for nothing begins no other
	}
	w.Worst, w.Failed = w.worst().Kind, failed
	if failed > 0 {
		w.Over, w.Felt = at, max(0, at-w.worst().Began)
	}
	return w
}

// inTime is the share of requests that were served well, of those that did not meet a wave while it was felt. It excuses nothing
// for longer than it lasts, or than the longest failover may take.
func inTime(excused []wave, attempts []attempt, longest time.Duration) (share float64, of int) {
	good := 0
	for _, a := range attempts {
		if slices.ContainsFunc(excused, func(w wave) bool {
			return w.Over > 0 && a.To >= w.began() && a.From <= min(w.Over, max(w.worst().Began+longest, w.mended()))
		}) {
			continue
		}
		if of++; a.good() {
			good++
		}
	}
	return float64(good) / float64(max(1, of)), of
}
