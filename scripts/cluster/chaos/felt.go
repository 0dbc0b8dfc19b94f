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
	Spells   []spell       `json:"spells"`   // in which it was felt
	Failed   int           `json:"failed"`   // requests that were not answered well in them
	Worst    string        `json:"worst"`    // the kind of the fault that is felt: what the wave does to callers is put down to it alone
	Felt     time.Duration `json:"felt"`     // for how long, since that began
}

// spell is a time in which requests were not served as before.
type spell struct {
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
}

func (w wave) worst() happened {
	return w.Faults[worst(w.Faults, func(h happened) fault { return h.fault })]
}

// leaderless tells whether it took the leader away, for however long.
func (w wave) leaderless() bool {
	return w.Failover || slices.ContainsFunc(w.Faults, func(h happened) bool { return slices.Contains(leaderless, h.Kind) })
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

// judged is a wave with what it did to callers. A spell ends when from some moment on all requests that begin within three seconds are
// served well, and begins while a fault lasts, or soon after. A request that the next wave met is not put down to this one.
func (w wave) judged(until time.Duration, attempts []attempt) wave {
	w.Worst = w.worst().Kind
	for _, a := range attempts { // by when they began
		if a.From < w.began() || a.To >= until || a.good() {
			continue
		}
		last := len(w.Spells) - 1
		switch {
		case last >= 0 && a.From <= w.Spells[last].To+calm: // who waits for nothing begins no other
			w.Spells[last].To = max(w.Spells[last].To, a.To)
		case a.From <= w.mended()+calm:
			w.Spells = append(w.Spells, spell{a.From, a.To})
		default:
			return w // another thing
		}
		w.Failed++
		if last = len(w.Spells) - 1; w.Spells[last].From <= w.worst().Mended+calm {
			w.Felt = max(0, w.Spells[last].To-w.worst().Began)
		}
	}
	return w
}

// inTime is the share of requests, or calls, that were served well, of those that did not meet a wave while it was felt. It excuses nothing
// for longer than the wave lasts, or than the longest failover may take.
func inTime(excused []wave, attempts []attempt, longest time.Duration) (share float64, of int) {
	var spells []spell
	for _, w := range excused {
		for _, s := range w.Spells {
			spells = append(spells, spell{s.From, min(s.To, max(s.From+longest, w.mended()))})
		}
	}
	good := 0
	for _, a := range attempts {
		if slices.ContainsFunc(spells, func(s spell) bool { return a.To >= s.From && a.From <= s.To }) {
			continue
		}
		if of++; a.good() {
			good++
		}
	}
	return float64(good) / float64(max(1, of)), of
}
