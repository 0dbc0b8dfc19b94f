package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"pinvault/scripts/bench/cards"
)

// The comparison of sizes has two databases: one that stays as small as it was made, and one that grows by imports. Whenever it has grown,
// servers over both are called in turns, so that each size is held against the smallest one in the same minutes, and one large
// database is room enough on the disk.
const (
	smallDatabase = "growth_small"
	largeDatabase = "growth"
)

// sampled is how many cards are called, at every size as many, so that wrk and what it keeps of them is the same.
const sampled = 10_000

// grown are the calls that are made at each size.
var grown = append(slices.Clone(calls), call{"change", "PIN change by blocks", "networkintl", "", 0})

// stage is a size of the database, and what was measured at it.
type stage struct {
	Cards    int                  `json:"cards"`
	Import   float64              `json:"importSeconds"` // of all cards, those of the smaller sizes included
	Most     float64              `json:"importMemoryMB"`
	Database int64                `json:"databaseBytes"`
	Others   float64              `json:"othersShare"`         // of the cores, taken by other work just before the calls
	Rates    map[string][]float64 `json:"callsPerSecond"`      // by call, round by round
	Beside   map[string][]float64 `json:"smallCallsPerSecond"` // the smallest size's in the same rounds
	Settings string               `json:"postgreSQLSettings"`  // its version, and what a large database is run with
}

// share is what a call reaches of the smallest size's: of single rounds, since each holds both in the same seconds, the median, the
// lowest and the highest.
func (s *stage) share(name string) (middle, low, high float64) {
	rounds := make([]float64, len(s.Rates[name]))
	for i, rate := range s.Rates[name] {
		rounds[i] = rate / s.Beside[name][i]
	}
	return median(rounds), slices.Min(rounds), slices.Max(rounds)
}

// growth is the comparison under way, as far as it is kept in a folder: it can be continued, and calls be made again, as long as folder
// and databases are there.
type growth struct {
	*bench
	Program string   `json:"program"`
	Stages  []*stage `json:"stages"`
}

// compareSizes does what args say, in the folder that is their last: "fill SIZE" imports up to so many cards, "call" makes the calls
// at the size that is there, "report" writes the table. A list of sizes is all of it.
func compareSizes(ctx context.Context, s settings, args []string) error {
	g := &growth{bench: &bench{settings: s, dir: args[len(args)-1]}}
	g.settings.cards = sampled
	if err := g.open(ctx); err != nil {
		return err
	}
	switch what := args[0]; {
	case what == "call" && len(g.Stages) > 0:
		return g.callBoth(ctx)
	case what == "report" && len(g.Stages) > 0:
		return g.report()
	case what == "fill" && len(args) == 3:
		size, err := sizes(args[1])
		if err != nil {
			return err
		}
		return g.fill(ctx, size[0])
	}
	all, err := sizes(args[0])
	if err != nil {
		return err
	}
	for _, size := range all {
		if err := g.fill(ctx, size); err != nil {
			return err
		}
		if len(g.Stages) > 1 {
			if err := g.callBoth(ctx); err != nil {
				return err
			}
		}
	}
	return g.report()
}

func sizes(text string) (all []int, err error) {
	for field := range strings.FieldsSeq(text) {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || len(all) > 0 && n <= all[len(all)-1] {
			return nil, errors.New("SIZES must be numbers of cards, each larger than the one before")
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		return nil, errors.New("SIZES has no number of cards")
	}
	return all, nil
}

func (g *growth) kept() string { return g.dir + "/figures.json" }

// open reads what is kept in the folder, or begins there.
func (g *growth) open(ctx context.Context) error {
	if err := command(ctx, nil, "go", "build", "-o", g.dir, "./scripts/bench/load"); err != nil {
		return err
	}
	text, err := os.ReadFile(g.kept())
	switch {
	case err == nil:
		err = json.Unmarshal(text, g)
	case errors.Is(err, os.ErrNotExist):
		err = g.begin(ctx)
	}
	if err != nil {
		return err
	}
	master, err := os.ReadFile(g.dir + "/master-key")
	if err != nil {
		return err
	}
	g.vault = pinvault("", g.dir)
	g.vault.env = []string{"PINVAULT_KEYSET=" + g.dir + "/keyset.json", "PINVAULT_MASTER_KEY=" + string(master)}
	return nil
}

// begin makes the small database without a card, and keys.
func (g *growth) begin(ctx context.Context) error {
	env := keys(g.dir)
	urls, _, err := databases(ctx, os.Getenv("PINVAULT_TEST_DATABASE_URL"), smallDatabase)
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"bin/pinvault", "keys", "init"}, {"bin/pinvault", "migrate", "--database-url", urls[0]}} {
		if err := command(ctx, env, args[0], args[1:]...); err != nil {
			return err
		}
	}
	program, err := child(ctx, env, g.dir+"/load", "--database-url", urls[0], "--cards", "0").Output()
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	g.Program = strings.TrimSpace(string(program))
	_, master, _ := strings.Cut(env[1], "=")
	return errors.Join(os.WriteFile(g.dir+"/master-key", []byte(master), 0o600), g.keep())
}

func (g *growth) keep() error {
	text, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(g.kept(), text, 0o600)
}

// fill imports the cards that are missing at a size: the first ones into the small database, all others into a copy of it.
func (g *growth) fill(ctx context.Context, size int) error {
	before := &stage{}
	if n := len(g.Stages); n > 0 {
		before = g.Stages[n-1]
	}
	if size <= before.Cards {
		say("%d cards are there", size)
		return nil
	}
	url, err := named(largeDatabase)
	if len(g.Stages) == 0 {
		url, err = named(smallDatabase)
	}
	if err != nil {
		return err
	}
	if len(g.Stages) == 1 {
		if err := execute(ctx, os.Getenv("PINVAULT_TEST_DATABASE_URL"), "CREATE DATABASE "+largeDatabase+" TEMPLATE "+smallDatabase); err != nil {
			return err
		}
	}
	s := &stage{Cards: size}
	if err := g.moveIn(ctx, url, s, before); err != nil {
		return err
	}
	if err := weigh(ctx, url, s); err != nil {
		return err
	}
	say("%d cards: %.0f s, %.0f MB", s.Cards, s.Import, float64(s.Database)/1e6)
	g.Stages = append(g.Stages, s)
	return g.keep()
}

// named is the URL of a database on the server.
func named(database string) (string, error) {
	server := os.Getenv("PINVAULT_TEST_DATABASE_URL")
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return "", errors.New("PINVAULT_TEST_DATABASE_URL is no URL") // its text would hold the password
	}
	return strings.Replace(server, "/"+config.Database, "/"+database, 1), nil
}

// moveIn imports the cards that a database has more than before.
func (g *growth) moveIn(ctx context.Context, url string, s, before *stage) (err error) {
	say("importing %d cards more, to %d", s.Cards-before.Cards, s.Cards)
	from := child(ctx, nil, g.dir+"/load", "--rows", fmt.Sprintf("%d-%d", before.Cards+1, s.Cards), "--program", g.Program)
	into := child(ctx, g.vault.env, "bin/pinvault", "import", "--database-url", url, "--format", "csv", "-")
	from.Stderr, into.Stderr = os.Stderr, os.Stderr
	if into.Stdin, err = from.StdoutPipe(); err != nil {
		return err
	}
	began := time.Now()
	if err := from.Start(); err != nil {
		return err
	}
	if err := errors.Join(into.Run(), from.Wait()); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	s.Import = before.Import + time.Since(began).Seconds()
	if usage, ok := into.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.Most = float64(usage.Maxrss) / 1024
	}
	return nil
}

// weigh puts a database in the state of one that has been there for a while, and asks how large it is.
func weigh(ctx context.Context, url string, s *stage) (err error) {
	if err := execute(ctx, url, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
		return err
	}
	s.Database, err = asked[int64](ctx, url, `SELECT pg_database_size(current_database())`)
	return err
}

// settingsAsked are those that docs/running.md has for large databases, and PostgreSQL's version.
const settingsAsked = `SELECT split_part(current_setting('server_version'), ' ', 1) || ' with fsync on, ' || string_agg(name || ' ' || current_setting(name), ', ')
	FROM unnest(ARRAY['shared_buffers', 'huge_pages', 'max_wal_size', 'checkpoint_timeout', 'wal_compression']) AS name`

// asked is what a query with one value answers.
func asked[T any](ctx context.Context, url, query string) (value T, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return value, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	return value, conn.QueryRow(ctx, query).Scan(&value)
}

// callBoth calls servers over both databases, in turns. A first round fills what keeps pages.
func (g *growth) callBoth(ctx context.Context) (err error) {
	small, large := g.Stages[0], g.Stages[len(g.Stages)-1]
	if large.Settings, err = asked[string](ctx, os.Getenv("PINVAULT_TEST_DATABASE_URL"), settingsAsked); err != nil {
		return err
	}
	if large.Others, err = busy(ctx, 5*time.Second); err != nil {
		return err
	}
	large.Rates, large.Beside = map[string][]float64{}, map[string][]float64{}
	sides := []*side{{database: smallDatabase, cards: small.Cards, rates: large.Beside}, {database: largeDatabase, cards: large.Cards, rates: large.Rates}}
	for _, s := range sides {
		if err := g.prepare(ctx, s); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	for round := 1 - warming; round <= g.rounds; round++ {
		if err := g.callRound(ctx, sides, round); err != nil {
			return err
		}
		slices.Reverse(sides) // none comes always after the other
	}
	for _, s := range sides {
		g.cards = s.sample
		if err := g.unharmed(ctx, s.running, g.cards); err != nil {
			return fmt.Errorf("%d cards: %w", s.cards, err)
		}
	}
	return g.keep()
}

// warming is how many rounds come before those that count.
const warming = 2

func (g *growth) callRound(ctx context.Context, sides []*side, round int) error {
	var text strings.Builder
	for _, c := range grown {
		fmt.Fprintf(&text, " %s", c.name)
		for _, s := range sides {
			g.cards = s.sample
			rate, err := g.drive(ctx, s.base, c, g.cards, targetAt, round+warming, g.settings.round)
			if err != nil {
				return fmt.Errorf("%d cards, %s: %w", s.cards, c.what, err)
			}
			if round > 0 {
				s.rates[c.name] = append(s.rates[c.name], rate)
			}
			fmt.Fprintf(&text, " %.0f at %d,", rate, s.cards)
		}
	}
	say("round %d of %d:%s", round, g.rounds, strings.TrimSuffix(text.String(), ","))
	return nil
}

// side is one of the two databases, and a server over it.
type side struct {
	running
	database string
	cards    int
	sample   string
	rates    map[string][]float64
}

// tried is how many cards are sent each call before it is measured, to see that the answers are right.
const tried = 20

// prepare starts a server over a database, draws cards from it and tries the calls.
func (g *growth) prepare(ctx context.Context, s *side) error {
	s.sample = fmt.Sprintf("%s/cards-%d.txt", g.dir, s.cards)
	if err := command(ctx, nil, g.dir+"/load", "--rows", fmt.Sprintf("1-%d", s.cards), "--sample", strconv.Itoa(sampled), "--out", s.sample); err != nil {
		return err
	}
	url, err := named(s.database)
	if err != nil {
		return err
	}
	if s.running, err = g.vault.start(ctx, g.dir, url); err != nil {
		return err
	}
	if g.tokens, err = tokens(ctx, s.base); err == nil {
		err = g.try(ctx, s)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%d cards: %w", s.cards, err), s.stop())
	}
	return nil
}

func (g *growth) try(ctx context.Context, s *side) error {
	g.cards = s.sample
	all, err := cards.Read(g.cards)
	if err != nil {
		return err
	}
	for _, c := range grown {
		for _, one := range all[:tried] {
			if err := g.send(ctx, s.base, c, one); err != nil {
				return fmt.Errorf("%s: %w", c.what, err)
			}
		}
	}
	return nil
}

// report writes the table. The smallest size's calls are those beside the largest's.
func (g *growth) report() error {
	section := g.section(about{at: time.Now(), processor: processor()})
	_, err := fmt.Fprintf(os.Stdout, "\n%s", section)
	return errors.Join(err, keep(readme, section))
}

func (g *growth) section(a about) string {
	var b strings.Builder
	last, rounds := g.Stages[len(g.Stages)-1], math.MaxInt
	for _, s := range g.Stages[1:] {
		rounds = min(rounds, len(s.Rates[grown[0].name]))
	}
	fmt.Fprintf(&b, "### %s\n\n", g.label)
	fmt.Fprintf(&b, "%s, %d cores, %s, PostgreSQL %s, %s; other work took", a.processor, runtime.NumCPU(),
		strings.Replace(runtime.Version(), "go", "Go ", 1), last.Settings, a.at.Format("2 January 2006"))
	for i, s := range g.Stages[1:] {
		if i > 0 {
			b.WriteString(" and")
		}
		fmt.Fprintf(&b, " %.0f %%", 100*s.Others)
	}
	b.WriteString(" of the cores just before the calls.\n")
	fmt.Fprintf(&b, "%d connections, %d cards of each size by chance, medians of at least %d rounds of %s. One database grows, and one stays at the smallest size: at each size both\n"+
		"are called in turns. After the colon the share of the smallest size's calls in the same round, median, lowest and highest; its own are those beside the largest.\n\n",
		targetAt, sampled, rounds, g.settings.round)
	b.WriteString("| cards | import | rows/s | most memory | database | a card |")
	for _, c := range grown {
		fmt.Fprintf(&b, " %s, calls/s |", c.what)
	}
	b.WriteString("\n|---|---|---|---|---|---|" + strings.Repeat("---|", len(grown)) + "\n")
	for i, s := range g.Stages {
		fmt.Fprintf(&b, "| %d | %.0f s | %.0f | %.0f MB | %.2f GB | %d bytes |", s.Cards, s.Import, float64(s.Cards)/s.Import, s.Most,
			float64(s.Database)/1e9, s.Database/int64(s.Cards))
		for _, c := range grown {
			if i == 0 {
				fmt.Fprintf(&b, " %.0f |", median(last.Beside[c.name]))
			} else {
				middle, low, high := s.share(c.name)
				fmt.Fprintf(&b, " %.0f: %.2f (%.2f to %.2f) |", median(s.Rates[c.name]), middle, low, high)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n![Calls a second and import by number of cards](growth.svg)\n")
	return b.String()
}
