package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// sampled is how many cards are called, at every size as many, so that wrk and what it keeps of them is the same.
const sampled = 10_000

// stage is a size of the database, and what was measured at it.
type stage struct {
	Cards    int                  `json:"cards"`
	Import   float64              `json:"importSeconds"` // of all cards, those of the smaller sizes included
	Most     float64              `json:"importMemoryMB"`
	Database int64                `json:"databaseBytes"`
	Rates    map[string][]float64 `json:"callsPerSecond"` // by call, round by round

	url, cards string
}

// grow makes a database of each size, each by an import into a copy of the one before, and calls servers over all of them in turns.
func (b *bench) grow(ctx context.Context, sizes []int) (stages []*stage, err error) {
	if err := command(ctx, nil, "go", "build", "-o", b.dir, "./scripts/bench/load"); err != nil {
		return nil, err
	}
	url, version, err := databases(ctx, os.Getenv("PINVAULT_TEST_DATABASE_URL"), "growth_0")
	if err != nil {
		return nil, err
	}
	b.version = version
	b.vault = pinvault("", b.dir)
	for _, args := range [][]string{{"bin/pinvault", "keys", "init"}, {"bin/pinvault", "migrate", "--database-url", url[0]}} {
		if err := command(ctx, b.vault.env, args[0], args[1:]...); err != nil {
			return nil, err
		}
	}
	surroundings := child(ctx, b.vault.env, b.dir+"/load", "--database-url", url[0], "--cards", "0")
	program, err := surroundings.Output()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	before := &stage{url: url[0]}
	for i, size := range sizes {
		s := &stage{Cards: size, Rates: map[string][]float64{}, url: before.url, cards: fmt.Sprintf("%s/cards-%d.txt", b.dir, size)}
		if i > 0 {
			if s.url, err = copied(ctx, before.url, fmt.Sprint("growth_", i)); err != nil {
				return nil, err
			}
		}
		if err := b.moveIn(ctx, s, before, strings.TrimSpace(string(program))); err != nil {
			return nil, err
		}
		stages, before = append(stages, s), s
	}
	return stages, b.callAll(ctx, stages)
}

// copied is a copy of a database on the same server.
func copied(ctx context.Context, url, name string) (string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", errors.New("the database's URL is none") // its text would hold the password
	}
	from := config.Database
	admin := strings.Replace(url, "/"+from, "/postgres", 1)
	if err := execute(ctx, admin, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{from}.Sanitize()+" STRATEGY file_copy"); err != nil {
		return "", err
	}
	return strings.Replace(url, "/"+from, "/"+name, 1), nil
}

// moveIn imports the cards that a database has more than the one before.
func (b *bench) moveIn(ctx context.Context, s, before *stage, program string) (err error) {
	say("importing %d cards more, to %d", s.Cards-before.Cards, s.Cards)
	rows := fmt.Sprintf("%d-%d", before.Cards+1, s.Cards)
	from := child(ctx, nil, b.dir+"/load", "--rows", rows, "--program", program)
	into := child(ctx, b.vault.env, "bin/pinvault", "import", "--database-url", s.url, "--format", "csv", "-")
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
	if err := command(ctx, nil, b.dir+"/load", "--rows", fmt.Sprintf("1-%d", s.Cards), "--sample", strconv.Itoa(sampled), "--out", s.cards); err != nil {
		return err
	}
	if err := execute(ctx, s.url, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if err := conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&s.Database); err != nil {
		return err
	}
	say("%d cards: %.0f s, %.0f MB", s.Cards, s.Import, float64(s.Database)/1e6)
	return nil
}

// callAll calls a server over each database, in turns. A first round fills what keeps pages.
func (b *bench) callAll(ctx context.Context, stages []*stage) (err error) {
	var servers []running
	defer func() {
		for _, r := range servers {
			err = errors.Join(err, r.stop())
		}
	}()
	for _, s := range stages {
		r, err := b.vault.start(ctx, b.dir, s.url)
		if err != nil {
			return err
		}
		servers = append(servers, r)
	}
	if b.tokens, err = tokens(ctx, servers[0].base); err != nil {
		return err
	}
	for round := range b.rounds + 1 {
		var text strings.Builder
		for _, c := range calls {
			for i, s := range stages {
				b.cards = s.cards
				rate, err := b.drive(ctx, servers[i].base, c, b.cards, targetAt, round, b.settings.round)
				if err != nil {
					return fmt.Errorf("%d cards, %s: %w", s.Cards, c.what, err)
				}
				if round > 0 {
					s.Rates[c.name] = append(s.Rates[c.name], rate)
				}
				fmt.Fprintf(&text, " %.0f", rate)
			}
			text.WriteString(";")
		}
		say("round %d of %d:%s", round, b.rounds, text.String())
	}
	return nil
}

// growthSection is what is kept of it, in Markdown.
func (a about) growthSection(s settings, stages []*stage) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.label)
	fmt.Fprintf(&b, "%s, %d cores, %s, PostgreSQL %s with fsync on, %s; other work took %.0f %% of the cores just before.\n", a.processor, runtime.NumCPU(),
		strings.Replace(runtime.Version(), "go", "Go ", 1), a.postgres, a.at.Format("2 January 2006"), 100*a.others)
	fmt.Fprintf(&b, "%d connections, %d cards of each size by chance, medians of %d rounds of %s, all sizes in turns; in brackets the share of the smallest size's.\n\n",
		targetAt, sampled, s.rounds, s.round)
	b.WriteString("| cards | import | rows/s | most memory | database | a card |")
	for _, c := range calls {
		fmt.Fprintf(&b, " %s, calls/s |", c.what)
	}
	b.WriteString("\n|---|---|---|---|---|---|" + strings.Repeat("---|", len(calls)) + "\n")
	for _, one := range stages {
		fmt.Fprintf(&b, "| %d | %.0f s | %.0f | %.0f MB | %.1f GB | %d bytes |", one.Cards, one.Import, float64(one.Cards)/one.Import, one.Most,
			float64(one.Database)/1e9, one.Database/int64(one.Cards))
		for _, c := range calls {
			here := median(one.Rates[c.name])
			fmt.Fprintf(&b, " %.0f (%.2f) |", here, here/median(stages[0].Rates[c.name]))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n![Calls a second and import by number of cards](growth.svg)\n")
	return b.String()
}

// growth is the comparison of sizes. What was measured goes to a file for the picture.
func growth(ctx context.Context, s settings, dir, sizes, out string) error {
	var counts []int
	for text := range strings.FieldsSeq(sizes) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || len(counts) > 0 && n <= counts[len(counts)-1] {
			return errors.New("SIZES must be numbers of cards, each larger than the one before")
		}
		counts = append(counts, n)
	}
	b := &bench{settings: s, dir: dir}
	b.settings.cards = sampled
	about := about{at: time.Now(), processor: processor()}
	var err error
	if about.others, err = busy(ctx, 5*time.Second); err != nil {
		return err
	}
	stages, err := b.grow(ctx, counts)
	if err != nil {
		return err
	}
	about.postgres = b.version
	figures, err := json.Marshal(stages)
	if err != nil {
		return err
	}
	section := about.growthSection(s, stages)
	_, err = fmt.Fprintf(os.Stdout, "\n%s", section)
	return errors.Join(err, os.WriteFile(out, figures, 0o600), keep(readme, section)) //nolint:gosec // whoever starts it says where
}
