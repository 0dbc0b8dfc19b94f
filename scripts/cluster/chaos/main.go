// Command chaos breaks a cluster again and again while cards are used through every contract, and holds what everybody was told
// against what the vault promises. scripts/cluster/chaos/run starts the cluster and runs it there.
//
// What goes wrong, and when, is a function of the seed. What the callers do meanwhile is drawn at random and recorded:
// what is checked is what they were told.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// settings are what a run can be told.
type settings struct {
	dir, script, out string
	seed             uint64
	faults, together int
	cards            int
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
	flag.StringVar(&s.out, "out", ".", "the folder for report.json, calls.json and attempts.json")
	flag.Uint64Var(&s.seed, "seed", 1, "which schedule of faults")
	flag.IntVar(&s.faults, "faults", 30, "how many")
	flag.IntVar(&s.together, "together", 3, "how many of them at once, at most")
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
	plan := schedule(s.seed, s.faults, s.together, chosen)
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
	waves, unfinished := disturb(ctx, c, crowd, plan, s, r)
	ctx = context.WithoutCancel(ctx) // what was done until then is judged
	crowd.lookOnce(ctx)
	report, err := judge(ctx, c, crowd, waves, r, hook)
	if err != nil {
		return errors.Join(unfinished, err)
	}
	report.Seed = s.seed
	return errors.Join(unfinished, keep(filepath.Join(s.out, "calls.json"), crowd.calls), keep(filepath.Join(s.out, "attempts.json"), crowd.attempts), keep(filepath.Join(s.out, "report.json"), report), report.print())
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

// disturb makes one wave of faults after the other while callers call. Each is mended, and the cluster whole again, before the next.
// Where it does not become whole, or ctx ends, there are no more.
func disturb(ctx context.Context, c cluster, crowd *crowd, plan [][]fault, s settings, r *receiver) (waves []wave, err error) {
	working, enough := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for range s.callers {
		all.Go(func() { crowd.work(working, s.pause) })
	}
	defer all.Wait()
	defer enough()
	pause(ctx, 5*time.Second)
	began, count := time.Now(), 0
	for _, faults := range plan {
		was, err := c.roles(ctx)
		if err != nil {
			return waves, err
		}
		w := wave{Faults: make([]happened, len(faults))}
		var together sync.WaitGroup
		for i, f := range faults {
			together.Go(func() { w.Faults[i] = c.suffer(ctx, f, was, r, crowd.began) })
		}
		together.Wait()
		if err := c.whole(ctx); err != nil {
			return append(waves, w), fmt.Errorf("wave %d: %w", len(waves)+1, err)
		}
		w.Whole = time.Since(crowd.began)
		is, err := c.roles(ctx)
		if err != nil {
			return append(waves, w), err
		}
		w.Failover = is[primary] != was[primary]
		waves, count = append(waves, w), count+len(faults)
		each := time.Since(began) / time.Duration(count)
		fmt.Printf("%3d of %d after %s, %s to go: %s\n", count, s.faults, time.Since(began).Round(time.Second), (each * time.Duration(s.faults-count)).Round(time.Second), w)
		pause(ctx, time.Second)
	}
	return waves, nil
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
