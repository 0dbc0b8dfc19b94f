// Command run is the load comparison of `make bench`: PinVault in production mode beside the bare program
// of scripts/bench/floor, on one PostgreSQL with fsync on, driven by wrk in turns. It prints a table and
// keeps it in scripts/bench/README.md.
//
// With the argument `growth`, sizes and a folder it holds a database that grows beside one that does not; what it measures is kept in
// the folder. `growth fill SIZE FOLDER`, `growth call FOLDER` and `growth report FOLDER` are the steps of that.
//
// With the argument `writes` it measures every contract's write alone.
//
// With the argument `peers` and the folder that scripts/bench/peers/run makes it holds PinVault beside mock servers instead.
//
// It stops at the first reply that is no success, and at anything that does not start. scripts/with-postgres
// gives it the database:
//
//	DURABLE=1 scripts/with-postgres go run ./scripts/bench/run
//
// ROUND is how long one measurement takes, ROUNDS how many there are of each, CONNECTIONS the numbers of
// connections, CARDS how many cards there are, LABEL the name under which the table is kept.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the environment says.
type settings struct {
	round       time.Duration
	rounds      int
	connections []int
	cards       int
	label       string
}

func readSettings(get func(string) string) (s settings, err error) {
	value := func(name, standard string) string {
		if v := strings.TrimSpace(get(name)); v != "" {
			return v
		}
		return standard
	}
	number := func(name, text string) int {
		n, wrong := strconv.Atoi(text)
		if wrong != nil || n < 1 {
			err = errors.Join(err, fmt.Errorf("%s must be a whole number from 1, not %q", name, text))
		}
		return n
	}
	s.rounds, s.cards = number("ROUNDS", value("ROUNDS", "5")), number("CARDS", value("CARDS", "100000"))
	for text := range strings.FieldsSeq(value("CONNECTIONS", "2 16 64")) {
		s.connections = append(s.connections, number("CONNECTIONS", text))
	}
	s.label = value("LABEL", "latest")
	if strings.ContainsAny(s.label, "#<>\n") {
		err = errors.Join(err, errors.New("LABEL must be one line of plain text"))
	}
	round, wrong := time.ParseDuration(value("ROUND", "5s"))
	if wrong != nil || round < time.Second || round%time.Second != 0 {
		err = errors.Join(err, errors.New("ROUND must be whole seconds, such as 5s"))
	}
	s.round = round
	return s, err
}

const readme = "scripts/bench/README.md"

func run(ctx context.Context) (err error) {
	s, err := readSettings(os.Getenv)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is not installed (Debian: apt-get install wrk)")
	}
	if len(os.Args) > 3 && os.Args[1] == "growth" {
		return compareSizes(ctx, s, os.Args[2:])
	}
	dir, err := os.MkdirTemp("", "pinvault-bench.")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := prepare(ctx, s, dir)
	if err != nil {
		return err
	}
	about := about{at: time.Now(), processor: processor(), postgres: b.version}
	if len(os.Args) == 3 && os.Args[1] == "peers" {
		return b.peers(ctx, about, os.Args[2])
	}
	if len(os.Args) != 2 || os.Args[1] != "writes" {
		if err := b.compare(ctx, about); err != nil {
			return err
		}
	}
	return b.compareWrites(ctx, about)
}

// compare is the comparison with the bare program.
func (b *bench) compare(ctx context.Context, about about) (err error) {
	if about.trips, err = b.trial(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	if about.others, err = busy(ctx, 5*time.Second); err != nil {
		return err
	}
	results, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return publish(about.section(b.settings, results))
}

// compareWrites is the comparison of the contracts.
func (b *bench) compareWrites(ctx context.Context, about about) (err error) {
	if about.others, err = busy(ctx, 5*time.Second); err != nil {
		return err
	}
	all, err := b.measureWrites(ctx)
	if err != nil {
		return err
	}
	return publish(about.writesSection(b.settings, all))
}

// publish prints a section and keeps it in the README.
func publish(section string) error {
	_, err := fmt.Fprintf(os.Stdout, "\n%s", section)
	return errors.Join(err, keep(readme, section))
}

// peers is the comparison with mock servers.
func (b *bench) peers(ctx context.Context, about about, tools string) (err error) {
	if err := b.settle(ctx); err != nil {
		return err
	}
	if about.others, err = busy(ctx, 5*time.Second); err != nil {
		return err
	}
	results, err := b.comparePeers(ctx, tools)
	if err != nil {
		return err
	}
	return publish(about.peersSection(b.settings, results))
}

// bench is all that a measurement needs.
type bench struct {
	settings
	dir     string
	version string // PostgreSQL's
	floor   program
	vault   program
	cards   string // the file that says what there is
	tokens  map[string]string

	partnerCards string // the same of those that every contract finds
	sealed       int    // how many requests have been sealed for them
}

// prepare builds the programs and fills a database for each.
func prepare(ctx context.Context, s settings, dir string) (*bench, error) {
	b := &bench{settings: s, dir: dir, cards: dir + "/cards.txt", partnerCards: dir + "/partners.txt"}
	say("building")
	if err := command(ctx, nil, "go", "build", "-o", dir, "./scripts/bench/floor", "./scripts/bench/load"); err != nil {
		return nil, err
	}
	urls, version, err := databases(ctx, os.Getenv("PINVAULT_TEST_DATABASE_URL"), "bench_floor", "bench_pinvault")
	if err != nil {
		return nil, err
	}
	b.version = version
	b.floor = program{name: "bare", url: urls[0], path: dir + "/floor", args: []string{"--cards", strconv.Itoa(s.cards)}}
	b.vault = pinvault(urls[1], dir)
	for _, args := range [][]string{{"bin/pinvault", "keys", "init"}, {"bin/pinvault", "migrate", "--database-url", urls[1]}} {
		if err := command(ctx, b.vault.env, args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	say("loading %d cards, and %d that every contract finds", s.cards, s.partners())
	err = command(ctx, b.vault.env, dir+"/load", "--database-url", with(urls[1], "synchronous_commit", "off"),
		"--cards", strconv.Itoa(s.cards), "--out", b.cards, "--partners", strconv.Itoa(s.partners()), "--partners-out", b.partnerCards)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// settle puts a database in the state of one that has been there for a while.
func (b *bench) settle(ctx context.Context) error {
	for _, url := range []string{b.floor.url, b.vault.url} {
		if err := execute(ctx, url, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
			return err
		}
	}
	return nil
}

// say tells how far it is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: %s\n", fmt.Sprintf(format, args...))
}
