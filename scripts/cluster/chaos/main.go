// Command chaos breaks a cluster again and again while cards are used through every contract, and holds what everybody was told
// against what the vault promises. scripts/cluster/chaos/run starts the cluster and runs it there.
//
// What goes wrong, and when, is a function of the seed. What the callers do meanwhile is drawn at random and recorded:
// what is checked is what they were told.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"syscall"
	"time"
)

// settings are what a run can be told.
type settings struct {
	dir, script, out string
	seed             uint64
	faults, cards    int
	first            int
	callers          int
	pause            time.Duration
	only             string
	scale, holding   int
}

func main() {
	var s settings
	flag.StringVar(&s.dir, "dir", "", "where scripts/cluster/run keeps the cluster")
	flag.StringVar(&s.script, "script", "scripts/cluster/run", "scripts/cluster/run")
	flag.StringVar(&s.out, "out", ".", "the folder for report.json and calls.json")
	flag.Uint64Var(&s.seed, "seed", 1, "which schedule of faults")
	flag.IntVar(&s.faults, "faults", 30, "how many")
	flag.IntVar(&s.cards, "cards", 2000, "how many cards are used")
	flag.IntVar(&s.first, "first", 0, "the first card's number, for another run on the same cluster")
	flag.IntVar(&s.callers, "callers", 12, "how many use them at once")
	flag.DurationVar(&s.pause, "pause", 400*time.Millisecond, "how long a caller waits between calls, on average")
	flag.StringVar(&s.only, "only", "", "faults of this kind alone")
	flag.IntVar(&s.scale, "scale", 0, "instead of faults: measure in so many rounds what a second server adds")
	flag.IntVar(&s.holding, "hold", 0, "instead of all that: keep so many transactions open until standard input ends")
	flag.Parse()
	if s.holding > 0 {
		if err := hold(s.dir, s.holding); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := chaos(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func chaos(ctx context.Context, s settings) error {
	chosen := kinds
	if s.only != "" {
		chosen = slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return k.name != s.only })
		if len(chosen) == 0 {
			return fmt.Errorf("no fault is called %q", s.only)
		}
	}
	plan := schedule(s.seed, s.faults, chosen)
	fmt.Printf("seed %d, %d faults\n", s.seed, s.faults)
	c := cluster{name: clusterName(s.dir), dir: s.dir, script: s.script}
	b, err := newBank(s.dir, filepath.Join(filepath.Dir(s.script), "sample-keys"))
	if err != nil {
		return err
	}
	crowd := newCrowd(b, s.first, s.cards, time.Now())
	if err := c.bring(ctx, b, crowd.cards); err != nil {
		return err
	}
	if s.scale > 0 {
		return scale(ctx, c, crowd, s.scale)
	}
	r := &receiver{at: address["bank"] + ":8000", certificate: filepath.Join(s.dir, "tls", "chain.pem"), key: filepath.Join(s.dir, "tls", "key.pem")}
	hook, err := b.subscribe(ctx, r)
	if err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	faults, err := disturb(ctx, c, crowd, plan, s, r)
	if err != nil {
		return err
	}
	crowd.lookOnce(ctx)
	report, err := judge(ctx, c, crowd, faults, r, hook)
	if err != nil {
		return err
	}
	report.Seed = s.seed
	return errors.Join(keep(filepath.Join(s.out, "calls.json"), crowd.calls), keep(filepath.Join(s.out, "report.json"), report), report.print())
}

// clusterName is what the cluster in a folder is called.
func clusterName(dir string) string {
	return filepath.Base(dir)[:len(filepath.Base(dir))-len("-cluster")]
}

// bring imports the cards.
func (c cluster) bring(ctx context.Context, b *bank, cards []plastic) error {
	path := filepath.Join(c.dir, "app", "cards.ndjson")
	f, err := os.Create(path) //nolint:gosec // of the cluster
	if err != nil {
		return err
	}
	if err := errors.Join(b.portfolio(f, cards), f.Close()); err != nil {
		return err
	}
	_, err = run(ctx, c.script, "pinvault", "import", "--program", b.program, path)
	return err
}

// disturb makes one fault after the other while callers call. Each is mended, and the cluster whole again, before the next.
func disturb(ctx context.Context, c cluster, crowd *crowd, plan []fault, s settings, r *receiver) ([]happened, error) {
	working, enough := context.WithCancel(ctx)
	defer enough()
	var all sync.WaitGroup
	for range s.callers {
		all.Go(func() { crowd.work(working, s.pause) })
	}
	defer all.Wait()
	defer enough()
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	wait(5 * time.Second)
	var faults []happened
	for _, f := range plan {
		h := happened{fault: f, Began: time.Since(crowd.began)}
		at, mend, err := c.inject(ctx, f, r)
		h.At = at
		if err == nil {
			wait(f.For)
			err = mend()
		}
		h.Mended = time.Since(crowd.began)
		if err != nil {
			h.Error = err.Error()
		}
		if err := c.whole(ctx); err != nil {
			return nil, fmt.Errorf("fault %d, %s at %v: %w", f.Number, f.Kind, at, err)
		}
		h.Whole = time.Since(crowd.began)
		wait(calm + time.Second)
		faults = append(faults, h)
		fmt.Printf("%3d %-36s %-24s %5.1f s, whole after %5.1f s %s\n", f.Number, f.Kind, fmt.Sprint(at), (h.Mended - h.Began).Seconds(), (h.Whole - h.Began).Seconds(), h.Error)
	}
	return faults, ctx.Err()
}

// lookOnce reads every card back, so that what was acknowledged last is asked for too.
func (c *crowd) lookOnce(ctx context.Context) {
	var all sync.WaitGroup
	turns := make(chan struct{}, 8)
	for i := range c.cards {
		turns <- struct{}{}
		all.Go(func() {
			c.do(ctx, errand{Contract: "thredd", Do: reveal, Card: i})
			c.do(ctx, errand{Contract: "thredd", Do: status, Card: i})
			<-turns
		})
	}
	all.Wait()
}

// report is what a run found.
type report struct {
	Seed         uint64         `json:"seed"`
	Faults       []happened     `json:"faults"`
	Calls        int            `json:"calls"`
	Unanswered   int            `json:"unanswered"` // calls that nobody got an answer to, however often they asked
	Attempts     int            `json:"attempts"`
	InTime       float64        `json:"inTime"`
	InTimeOf     int            `json:"inTimeOf"`
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

// judge holds what was recorded against what the vault promises.
func judge(ctx context.Context, c cluster, crowd *crowd, faults []happened, r *receiver, hook string) (*report, error) {
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
	for i := range faults {
		until := time.Since(crowd.began)
		if i+1 < len(faults) {
			until = faults[i+1].Began
		}
		faults[i].Recovery, faults[i].Failed = recovered(faults[i], until, crowd.attempts)
	}
	p := &report{Faults: faults, Calls: len(crowd.calls), Attempts: len(crowd.attempts), Arrivals: len(r.arrivals), Broken: crowd.broken, Forged: r.forged,
		Strange: crowd.strange, Trail: said}
	for _, made := range crowd.calls {
		if !made.Told {
			p.Unanswered++
		}
	}
	p.InTime, p.InTimeOf = inTime(faults, crowd.attempts, longestFailover)
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

// print prints the report, and is an error where something does not hold.
func (p *report) print() error {
	fmt.Printf("\n%-36s %6s %8s %8s %8s\n", "fault", "times", "median", "maximum", "failed")
	byKind := map[string][]happened{}
	for _, f := range p.Faults {
		byKind[f.Kind] = append(byKind[f.Kind], f)
	}
	var slow []string
	for _, k := range kinds {
		of := byKind[k.name]
		if len(of) == 0 {
			continue
		}
		sort.Slice(of, func(i, j int) bool { return of[i].Recovery < of[j].Recovery })
		failed := 0
		for _, f := range of {
			failed += f.Failed
			if f.Recovery > max(longestFailover, f.Mended-f.Began) {
				slow = append(slow, fmt.Sprintf("fault %d, %s, was felt for %s", f.Number, f.Kind, f.Recovery.Round(100*time.Millisecond)))
			}
		}
		fmt.Printf("%-36s %6d %6.1f s %6.1f s %8d\n", k.name, len(of), of[len(of)/2].Recovery.Seconds(), of[len(of)-1].Recovery.Seconds(), failed)
	}
	fmt.Printf("\n%d calls in %d requests, %d of them without an answer at last; %d webhooks arrived\n", p.Calls, p.Attempts, p.Unanswered, p.Arrivals)
	fmt.Printf("answered within 2 s outside failovers: %.2f %% of %d\n", 100*p.InTime, p.InTimeOf)
	fmt.Printf("audit verify: %s\n", p.Trail)
	failures := 0
	for _, check := range []struct {
		what  string
		found []string
	}{
		{"cards whose answers no order explains", p.Disordered}, {"lost", p.Lost}, {"over-admitted", p.OverAdmitted},
		{"replies outside their documents", p.Broken}, {"events that are missing or out of order", p.Undelivered}, {"felt too long", slow},
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
	if p.InTime < leastInTime || p.Forged > 0 {
		failures++
	}
	if failures > 0 {
		return errors.New("not all of it holds")
	}
	return nil
}

func keep(path string, value any) error {
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
