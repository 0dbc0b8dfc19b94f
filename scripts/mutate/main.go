// Command mutate judges how well the tests of packages notice changes of their code:
//
//	go run ./scripts/mutate -gremlins FILE [-workers N] [-files a.go,b.go] PACKAGE…
//
// What a change is, gremlins says: it lists them, and they are made here just so. To run them one at a time as it does
// takes a build and all tests for each, hours for a package. Here all mutants are in one test binary, which the
// environment tells which of them to be, and each is tried with the tests that reach it, the swiftest first.
//
//   - A mutant that does not compile proves nothing.
//   - One whose tests take ten times as long as they should, and some seconds more, counts as killed: it loops.
//   - Tests that draw their inputs draw the same ones each time.
//
// It fails where the tests kill or reach a smaller share of a package's mutants than is asked of it, where a mutant
// survives that scripts/mutate/survivors.txt does not name, and where that names one that does not survive.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

const survivorsFile = "scripts/mutate/survivors.txt"

// thresholds are what shares of a package's mutants, in percent, its tests must kill and reach at least.
type thresholds struct{ efficacy, coverage float64 }

// asked is asked of a package: most where the PINs are.
func asked(pkg string) thresholds {
	switch pkg {
	case "impl/pin", "impl/pinblock", "impl/pinverification", "impl/cmac", "impl/keymaterial", "impl/keyblock", "impl/keyring":
		return thresholds{95, 95}
	}
	return thresholds{90, 80}
}

func main() {
	gremlins := flag.String("gremlins", "", "the gremlins to run, an absolute path")
	workers := flag.Int("workers", 2, "how many mutants are tried at a time")
	files := flag.String("files", "", "the files of the packages that are tried, with commas between; all of them if empty")
	flag.Parse()
	if flag.NArg() == 0 || *gremlins == "" {
		fmt.Fprintln(os.Stderr, "usage: mutate -gremlins FILE [-workers N] PACKAGE…")
		os.Exit(2)
	}
	t := trial{gremlins: *gremlins, workers: *workers, slack: 20 * time.Second, say: say}
	if *files != "" {
		t.files = strings.Split(*files, ",")
	}
	if err := judge(context.Background(), t, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// say prints a line.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", args...) }

// judge tries the packages one after another and writes what was found, a table last.
func judge(ctx context.Context, t trial, packages []string) error {
	text, err := os.ReadFile(survivorsFile)
	if err != nil {
		return err
	}
	listed, err := parseSurvivors(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", survivorsFile, err)
	}
	var rows []count
	good := true
	for _, pkg := range packages {
		pkg = strings.TrimSuffix(strings.TrimPrefix(pkg, "./"), "/")
		mutants, err := t.run(ctx, pkg)
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		rows = append(rows, countOf(pkg, mutants))
		findings, fine := report(pkg, mutants, listed, t.files)
		for _, finding := range findings {
			t.say("%s", finding)
		}
		good = good && fine
	}
	lines, fine := table(rows)
	t.say("\n%s", lines)
	if !good || !fine {
		return errors.New("not good enough, see above")
	}
	return nil
}

// report says what is wrong with a package, and whether something is. What no test reaches is said too, but is a
// matter of the threshold.
func report(pkg string, mutants []*mutant, listed map[string]int, files []string) (findings []string, good bool) {
	good = true
	found := map[string]int{}
	for _, m := range mutants {
		switch m.status {
		case notCovered:
			findings = append(findings, fmt.Sprintf("no test reaches %s:%d: %s", m.file, m.line, m.name()))
		case lived:
			if found[m.name()]++; found[m.name()] > listed[m.name()] {
				good = false
				findings = append(findings, fmt.Sprintf("survives at %s:%d, and is not in %s; kill it, or list it with its reason:\n%s",
					m.file, m.line, survivorsFile, m.name()))
			}
		}
	}
	for _, name := range stale(pkg, listed, found, files) {
		good = false
		findings = append(findings, fmt.Sprintf("does not survive any more, take it out of %s:\n%s", survivorsFile, name))
	}
	return findings, good
}

// count is how the mutants of a package ended.
type count struct {
	pkg string
	of  map[status]int
}

func countOf(pkg string, mutants []*mutant) count {
	c := count{pkg, map[status]int{}}
	for _, m := range mutants {
		c.of[m.status]++
	}
	return c
}

// efficacy is the share of the mutants that tests reach that they kill, in percent.
func (c count) efficacy() float64 {
	dead := c.of[killed] + c.of[loops]
	return percent(dead, dead+c.of[lived])
}

// coverage is the share of the mutants that tests reach, in percent.
func (c count) coverage() float64 {
	reached := c.of[killed] + c.of[loops] + c.of[lived]
	return percent(reached, reached+c.of[notCovered])
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0 // a package without mutants is a mistake
	}
	return 100 * float64(part) / float64(whole)
}

// table is a line for each package; good where all reach what is asked of them.
func table(rows []count) (lines string, good bool) {
	good = true
	cells := []byte("package\tkilled\tloop\tsurvive\tnot reached\tdo not compile\tefficacy\tcoverage\t\n")
	for _, c := range rows {
		verdict := "ok"
		if least := asked(c.pkg); c.efficacy() < least.efficacy || c.coverage() < least.coverage {
			good, verdict = false, fmt.Sprintf("below %.0f %% or %.0f %%", least.efficacy, least.coverage)
		}
		cells = fmt.Appendf(cells, "%s\t%d\t%d\t%d\t%d\t%d\t%.1f %%\t%.1f %%\t  %s\n", c.pkg, c.of[killed], c.of[loops], c.of[lived],
			c.of[notCovered], c.of[notViable], c.efficacy(), c.coverage(), verdict)
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = w.Write(cells) // into memory
	_ = w.Flush()
	return strings.TrimRight(text.String(), "\n"), good
}
