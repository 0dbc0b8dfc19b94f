package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// about is where and when it was measured.
type about struct {
	at        time.Time
	processor string
	others    float64 // the share of the machine's time that other work took just before, 0..1
	postgres  string
	trips     trips
}

// processor is the name that Linux knows it by.
func processor() string {
	name := "processor unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		lines := bufio.NewScanner(strings.NewReader(string(text)))
		for lines.Scan() {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
			}
		}
	}
	return name
}

// busy is the share of the machine's time that is spent on work, seen over some seconds.
func busy(ctx context.Context, over time.Duration) (float64, error) {
	beganBusy, began, err := ticks()
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(over):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	endedBusy, ended, err := ticks()
	if err != nil || ended == began {
		return 0, err
	}
	return float64(endedBusy-beganBusy) / float64(ended-began), nil
}

// ticks are the processors' times since the machine started, those of work and all (proc(5), /proc/stat).
func ticks() (working, all int64, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		const idle, waiting, guests = 3, 4, 8
		if i >= guests {
			break // counted among the others already
		}
		if all += n; i != idle && i != waiting {
			working += n
		}
	}
	return working, all, nil
}

// where is a line of it.
func (a about) where() string {
	return fmt.Sprintf("%s, %d cores, %s, PostgreSQL %s with fsync on, %s; other work took %.0f %% of the cores just before.\n", a.processor, runtime.NumCPU(),
		strings.Replace(runtime.Version(), "go", "Go ", 1), a.postgres, a.at.Format("2 January 2006"), 100*a.others)
}

// section is what is kept of a run, in Markdown.
func (a about) section(s settings, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.label)
	b.WriteString(a.where())
	fmt.Fprintf(&b, "%d cards, medians of %d rounds of %s; in brackets the ratios of single rounds.\n\n", s.cards, s.rounds, s.round)
	b.WriteString("| what | connections | bare, calls/s | PinVault, calls/s | ratio | target |\n|---|---|---|---|---|---|\n")
	for _, c := range calls {
		for _, r := range results {
			if r.name != c.name {
				continue
			}
			middle, low, high := r.ratio()
			target := ""
			if r.connections == targetAt {
				target = verdict(middle, c.target)
			}
			fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %.2f (%.2f to %.2f) | %s |\n", c.what, r.connections, median(r.bare), median(r.vault), middle, low, high, target)
		}
	}
	b.WriteString("\nRound trips to the database a call: bare")
	for i, c := range calls {
		if i > 0 && c.against == c.name {
			b.WriteString(",")
		}
		if c.against == c.name {
			fmt.Fprintf(&b, " %s %s", c.name, figure(a.trips["bare "+c.name]))
		}
	}
	b.WriteString("; PinVault")
	for i, c := range calls {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %s %s", c.name, figure(a.trips["PinVault "+c.name]))
	}
	b.WriteString(".\n")
	return b.String()
}

// figure has one decimal where that says something.
func figure(f float64) string { return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") }

// What stands around the sections in the README.
const (
	opening = "<!-- make bench writes from here -->\n"
	closing = "<!-- to here -->\n"
)

// keep puts a section into the file in place of the one with its heading, or after the last one.
func keep(path, section string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	heading, _, _ := strings.Cut(section, "\n")
	out, err := place(string(text), strings.TrimPrefix(heading, "### "), section)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(out), 0o644) //nolint:gosec // a file of the repository, for all to read
}

func place(text, label, section string) (string, error) {
	before, rest, opened := strings.Cut(text, opening)
	inside, after, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		return "", errors.New("the comments between which the figures stand are missing")
	}
	var sections []string
	placed := false
	for i, s := range strings.Split("\n"+inside, "\n### ") {
		if s = strings.TrimSpace(s); i == 0 || s == "" {
			continue // what stands before the first heading is nobody's
		}
		if named, _, _ := strings.Cut(s, "\n"); named == label {
			sections, placed = append(sections, strings.TrimSpace(section)), true
			continue
		}
		sections = append(sections, "### "+s)
	}
	if !placed {
		sections = append(sections, strings.TrimSpace(section))
	}
	return before + opening + "\n" + strings.Join(sections, "\n\n") + "\n\n" + closing + after, nil
}
