package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// trial is how mutants are tried.
type trial struct {
	gremlins string // an absolute path
	workers  int
	files    []string                         // of the package that are tried; none: all
	slack    time.Duration                    // beyond ten times what tests take: what takes longer than that loops
	say      func(format string, args ...any) // prints a line
}

// run tries all mutants of a package.
func (t trial) run(ctx context.Context, pkg string) ([]*mutant, error) {
	started := time.Now()
	src, err := load(ctx, pkg)
	if err != nil {
		return nil, err
	}
	mutants := src.mutants()
	if err := agree(ctx, t.gremlins, pkg, mutants); err != nil {
		return nil, err
	}
	if len(t.files) > 0 {
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !slices.Contains(t.files, path.Base(m.file)) })
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w, err := build(ctx, pkg, src, mutants, dir)
	if err != nil {
		return nil, fmt.Errorf("all mutants in one: %w", err)
	}
	elapsed := func() time.Duration { return time.Since(started).Round(time.Second) }
	t.say("%s: %d mutants, %d of them in one binary, %s", pkg, len(mutants), len(w.numbers), elapsed())
	tests, err := t.tests(ctx, pkg, w.path, dir)
	if err != nil {
		return nil, err
	}
	t.say("%s: %d tests, %s", pkg, len(tests), elapsed())
	var done atomic.Int64
	var g errgroup.Group
	g.SetLimit(t.workers)
	for _, m := range mutants {
		binary, number := w.path, w.numbers[m]
		if m.status == notViable {
			continue
		}
		if number == 0 { // made here, since a mutant is made in the syntax that all share
			own, err := os.MkdirTemp(dir, "alone-")
			if err != nil {
				return nil, err
			}
			if binary, err = alone(ctx, pkg, src, m, own); err != nil {
				return nil, err
			}
			if binary == "" {
				m.status = notViable
				continue
			}
		}
		g.Go(func() (err error) {
			if m.status, err = t.try(ctx, pkg, binary, number, reaching(m, src, tests)); err != nil {
				return fmt.Errorf("%s: %w", m.name(), err)
			}
			if m.status == lived {
				t.say("%s: survives: %s:%d %s", pkg, m.file, m.line, m.name())
			}
			if n := done.Add(1); n%50 == 0 {
				t.say("%s: %d of %d, %s", pkg, n, len(mutants), elapsed())
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	t.say("%s: done in %s", pkg, elapsed())
	return mutants, nil
}

// test is one of a package's tests.
type test struct {
	name    string
	took    time.Duration
	reaches []block // all of the package, with how often the test ran them
}

// tests runs the tests of a package one by one, without any change, to learn how long they take and what they reach.
// The swiftest is the first.
func (t trial) tests(ctx context.Context, pkg, binary, dir string) ([]test, error) {
	list, err := t.binary(ctx, pkg, binary, 0, "-test.list", ".").Output()
	if err != nil {
		return nil, withStderr(err)
	}
	var all []test
	for name := range strings.Lines(string(list)) {
		if name = strings.TrimSpace(name); name != "" && !strings.HasPrefix(name, "Benchmark") {
			all = append(all, test{name: name})
		}
	}
	var g errgroup.Group
	g.SetLimit(t.workers)
	for i := range all {
		g.Go(func() error {
			one := &all[i]
			profile := filepath.Join(dir, strconv.Itoa(i)+".profile")
			started := time.Now()
			if said, err := t.binary(ctx, pkg, binary, 0, "-test.run", only(*one), "-test.coverprofile", profile).CombinedOutput(); err != nil {
				return fmt.Errorf("%s fails by itself, without any change: %w\n%s", one.name, err, said)
			}
			one.took = time.Since(started)
			text, err := os.ReadFile(profile) //nolint:gosec // made above
			if err != nil {
				return err
			}
			one.reaches, err = parseProfile(string(text))
			return err
		})
	}
	err = g.Wait()
	slices.SortStableFunc(all, func(a, b test) int { return cmp.Compare(a.took, b.took) })
	return all, err
}

// reaching are the tests that run a mutant. Coverage counts statements; of the conditions of a switch it says nothing.
// There it is the tests that run any of the function, and outside of functions all of them.
func reaching(m *mutant, src *source, tests []test) []test {
	counted := slices.ContainsFunc(tests, func(t test) bool {
		return slices.ContainsFunc(t.reaches, func(b block) bool { return b.holds(m) })
	})
	reached := func(b block) bool { return b.times > 0 && b.holds(m) }
	switch {
	case !counted && m.in == nil:
		return tests
	case !counted:
		from, to := src.fset.Position(m.in.Pos()).Line, src.fset.Position(m.in.End()).Line
		reached = func(b block) bool {
			return b.times > 0 && path.Base(m.file) == b.file && from <= b.line && b.line <= to
		}
	}
	return slices.DeleteFunc(slices.Clone(tests), func(t test) bool { return !slices.ContainsFunc(t.reaches, reached) })
}

// rounds are how many seconds the tests of each round but the last may take together: most mutants fall to a test
// that takes none.
var rounds = []time.Duration{time.Second, 5 * time.Second}

// try runs tests against a mutant until one fails.
func (t trial) try(ctx context.Context, pkg, binary string, number int, tests []test) (status, error) {
	if len(tests) == 0 {
		return notCovered, nil
	}
	for round := 0; len(tests) > 0; round++ {
		var now []test
		var take time.Duration
		for len(tests) > 0 && (len(now) == 0 || round >= len(rounds) || take+tests[0].took <= rounds[round]) {
			now, take, tests = append(now, tests[0]), take+tests[0].took, tests[1:]
		}
		limit := 10*take + t.slack
		within, cancel := context.WithTimeout(ctx, limit+10*time.Second) // it may not even come to giving up
		said, err := t.binary(within, pkg, binary, number, "-test.run", only(now...), "-test.failfast", "-test.timeout", limit.String()).CombinedOutput()
		late := within.Err() != nil && ctx.Err() == nil
		cancel()
		var exit *exec.ExitError
		switch {
		case err == nil:
		case late || bytes.Contains(said, []byte("panic: test timed out after ")):
			return loops, nil
		case errors.As(err, &exit):
			return killed, nil
		default:
			return untried, err
		}
	}
	return lived, nil
}

// only is the pattern of some tests' names.
func only(tests ...test) string {
	var names []string
	for _, t := range tests {
		names = append(names, regexp.QuoteMeta(t.name))
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// binary is a test binary that is to be a mutant, 0 for none.
func (t trial) binary(ctx context.Context, pkg, path string, number int, args ...string) *exec.Cmd {
	c := command(ctx, path, args...)
	c.Dir = pkg
	c.Env = append(c.Env, variable+"="+strconv.Itoa(number))
	c.WaitDelay = time.Second // what a test began may outlive it
	return c
}

// block is what coverage counts as one.
type block struct {
	file                                   string // the base of its name
	line, column, beyondLine, beyondColumn int
	times                                  int // that it was run
}

func (b block) holds(m *mutant) bool {
	column := m.column + m.shift
	return path.Base(m.file) == b.file && (m.line > b.line || m.line == b.line && column >= b.column) &&
		(m.line < b.beyondLine || m.line == b.beyondLine && column < b.beyondColumn)
}

// parseProfile reads the profile of one package.
func parseProfile(text string) ([]block, error) {
	var all []block
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(path.Base(line), ":")
		if name == "mode" {
			continue
		}
		b := block{file: name}
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.line, &b.column, &b.beyondLine, &b.beyondColumn, new(int), &b.times); !ok || err != nil {
			return nil, fmt.Errorf("no line of a profile: %q", line)
		}
		all = append(all, b)
	}
	return all, nil
}

// command is a command in the environment that mutants are tried in.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...) //nolint:gosec // the go command and gremlins, no shell
	c.Env = append(os.Environ(), "GOFLAGS=-trimpath -count=1 -vet=off", "RAPID_SEED=1", "RAPID_NOFAILFILE=true", "RAPID_SHRINKTIME=0s", "PINVAULT_TEST_BRIEF=1")
	return c
}

func withStderr(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return err
}
