package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sort"
	"time"
)

// report is what a run found.
type report struct {
	Seed         uint64         `json:"seed"`
	Waves        []wave         `json:"waves"`
	Calls        int            `json:"calls"`
	Unanswered   int            `json:"unanswered"` // calls that nobody got an answer to, however often they asked
	Attempts     int            `json:"attempts"`
	Requests     []share        `json:"requests"` // in time, at the times of whens
	Called       []share        `json:"called"`   // the same of calls, which may take several requests
	Arrivals     int            `json:"arrivals"`
	Disordered   []string       `json:"disordered"`
	Lost         []string       `json:"lost"`
	OverAdmitted []string       `json:"overAdmitted"`
	Broken       []string       `json:"broken"` // replies outside their documents
	Undelivered  []string       `json:"undelivered"`
	Forged       int            `json:"forged"`
	Trail        string         `json:"trail"`
	Strange      map[string]int `json:"strange"`
}

// share is how many of some were answered well within two seconds.
type share struct {
	When string  `json:"when"`
	Part float64 `json:"part"`
	Of   int     `json:"of"`
}

// whens are the times of which shares are told, the strictest last, and which waves each of them excuses.
var whens = []struct {
	name    string
	excuses func(wave) bool
}{
	{"while no fault was felt", func(wave) bool { return true }},
	{"whatever went wrong, except for the leader", wave.leaderless},
	{"at any time", func(wave) bool { return false }},
}

func shares(waves []wave, attempts []attempt) (all []share) {
	for _, when := range whens {
		excused := slices.DeleteFunc(slices.Clone(waves), func(w wave) bool { return !when.excuses(w) })
		part, of := inTime(excused, attempts, longestFailover)
		all = append(all, share{when.name, part, of})
	}
	return all
}

// judge holds what was recorded against what the vault promises.
func judge(ctx context.Context, c cluster, crowd *crowd, waves []wave, r *receiver, hook string) (*report, error) {
	trail, err := crowd.trail(ctx)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, p := range crowd.cards {
		ours[p.id] = true
	}
	var due []string
	if err := pages(ctx, crowd.bank, "/issuer/v1/events", func(e struct {
		ID, Type string
		Data     struct{ CardID string }
	}) {
		if ours[e.Data.CardID] && e.Type != "card.created" { // that was before there was a webhook
			due = append(due, e.ID)
		}
	}); err != nil {
		return nil, err
	}
	if err := crowd.delivered(ctx, hook); err != nil {
		return nil, err
	}
	said, err := run(ctx, c.script, "pinvault", "audit", "verify")
	if err != nil {
		said = err.Error()
	}
	sort.Slice(crowd.attempts, func(i, j int) bool { return crowd.attempts[i].From < crowd.attempts[j].From })
	for i := range waves {
		until := time.Since(crowd.began)
		if i+1 < len(waves) {
			until = waves[i+1].began()
		}
		waves[i] = waves[i].judged(until, crowd.attempts)
	}
	p := &report{Waves: waves, Calls: len(crowd.calls), Attempts: len(crowd.attempts), Arrivals: len(r.arrivals), Broken: crowd.broken, Forged: r.forged,
		Strange: crowd.strange, Trail: said}
	calls := make([]attempt, 0, len(crowd.calls))
	for _, made := range crowd.calls {
		asOne := attempt{From: made.From, To: made.To, Status: http.StatusOK}
		if !made.Told {
			p.Unanswered++
			asOne.Status = 0
		}
		calls = append(calls, asOne)
	}
	p.Requests, p.Called = shares(waves, crowd.attempts), shares(waves, calls)
	p.Disordered = disordered(crowd.calls, crowd.cards)
	p.Lost = lost(crowd.calls, trail, crowd.cards)
	p.OverAdmitted = overAdmitted(trail, rules().TryLimit)
	p.Undelivered = undelivered(due, r.arrivals)
	return p, nil
}

// What must hold.
const (
	longestFailover = 30 * time.Second
	leastInTime     = 0.99
)

// tooLong are the waves that were felt for longer than a failover may take, and than they lasted. Where the leader was replaced, it has
// to have been in time in any case.
func (p *report) tooLong() (found []string) {
	for _, w := range p.Waves {
		allowed := longestFailover
		if !w.Failover {
			allowed = max(allowed, w.mended()-w.worst().Began)
		}
		if w.Felt > allowed {
			found = append(found, fmt.Sprintf("wave %d was felt for %.1f s: %s", w.worst().Wave, w.Felt.Seconds(), w))
		}
	}
	return found
}

// print prints the report, and is an error where something does not hold.
func (p *report) print() error {
	fmt.Printf("\n%-36s %6s %6s %8s %8s %8s\n", "fault", "times", "worst", "median", "maximum", "failed")
	for _, k := range kinds {
		p.printKind(k)
	}
	var failovers []time.Duration
	unmade := 0
	for _, w := range p.Waves {
		if w.Failover {
			failovers = append(failovers, w.Felt)
		}
		for _, h := range w.Faults {
			if h.Error != "" {
				unmade++
			}
		}
	}
	slices.Sort(failovers)
	fmt.Println()
	if n := len(failovers); n > 0 {
		fmt.Printf("the leader was replaced %d times: median %.1f s, maximum %.1f s\n", n, failovers[n/2].Seconds(), failovers[n-1].Seconds())
	}
	fmt.Printf("faults that could not be made or mended: %d\n", unmade)
	fmt.Printf("%d calls in %d requests, %d of them without an answer at last; %d webhooks arrived\n", p.Calls, p.Attempts, p.Unanswered, p.Arrivals)
	for i, of := range p.Requests {
		fmt.Printf("answered well within 2 s %s: %.2f %% of %d requests, %.2f %% of %d calls\n", of.When, 100*of.Part, of.Of, 100*p.Called[i].Part, p.Called[i].Of)
	}
	fmt.Printf("audit verify: %s\n", p.Trail)
	failures := 0
	for _, check := range []struct {
		what  string
		found []string
	}{
		{"cards whose answers no order explains", p.Disordered}, {"lost", p.Lost}, {"over-admitted", p.OverAdmitted},
		{"replies outside their documents", p.Broken}, {"events that are missing or out of order", p.Undelivered}, {"felt too long", p.tooLong()},
	} {
		fmt.Printf("%s: %d\n", check.what, len(check.found))
		for _, one := range check.found[:min(5, len(check.found))] {
			fmt.Println("   ", one)
		}
		failures += len(check.found)
	}
	for what, times := range p.Strange {
		fmt.Printf("unexpected, %d times: %s\n", times, what)
	}
	if p.Requests[0].Part < leastInTime || p.Called[0].Part < leastInTime || p.Forged > 0 {
		failures++
	}
	if failures > 0 {
		return errors.New("not all of it holds")
	}
	return nil
}

// printKind prints how often there was a kind of fault, and how long it was felt where it was the worst of its wave.
func (p *report) printKind(k kind) {
	times, failed := 0, 0
	var felt []time.Duration
	for _, w := range p.Waves {
		for _, h := range w.Faults {
			if h.Kind == k.name {
				times++
			}
		}
		if w.Worst == k.name {
			felt, failed = append(felt, w.Felt), failed+w.Failed
		}
	}
	slices.Sort(felt)
	switch n := len(felt); {
	case n > 0:
		fmt.Printf("%-36s %6d %6d %6.1f s %6.1f s %8d\n", k.name, times, n, felt[n/2].Seconds(), felt[n-1].Seconds(), failed)
	case times > 0:
		fmt.Printf("%-36s %6d %6d\n", k.name, times, 0)
	}
}

func keep(path string, value any) error {
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
