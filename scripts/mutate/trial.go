package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/printer"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// How long a mutant's tests may take.
const (
	// leastTime is for building and running them, before gremlins gives up.
	leastTime = 20 * time.Second
	// leastFactor is by how much more time than coverage took that has to be.
	leastFactor = 4
)

// swift is the build tag without which a package has tests that are too slow to be run a thousand times. They
// are run for what the others let live.
const swift = "swift"

// trial is how mutants are tried.
type trial struct {
	gremlins string // an absolute path
	workers  int
	files    []string                         // of the package that are tried; none: all
	limit    time.Duration                    // for running the tests alone; what takes longer than that loops
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
	var others []string // files that are not asked for
	if len(t.files) > 0 {
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool {
			file := path.Base(m.file)
			asked := slices.Contains(t.files, file)
			if !asked && !slices.Contains(others, file) {
				others = append(others, file)
			}
			return !asked
		})
	}
	t.say("%s: %d mutants", pkg, len(mutants))
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	untouched, took, err := coverage(ctx, pkg, filepath.Join(dir, "profile"))
	if err != nil {
		return nil, err
	}
	elapsed := func() time.Duration { return time.Since(started).Round(time.Second) }
	p := &progress{say: t.say, pkg: pkg, of: len(mutants), elapsed: elapsed}
	if err := t.unleash(ctx, pkg, filepath.Join(dir, "found.json"), took, others, p); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "found.json"))
	if err != nil {
		return nil, err
	}
	if err := take(text, pkg, mutants); err != nil {
		return nil, err
	}
	if err := t.onceMore(ctx, pkg, mutants, untouched, src, dir); err != nil {
		return nil, err
	}
	t.say("%s: done in %s", pkg, elapsed())
	return mutants, nil
}

// onceMore tries with all tests what gremlins could not kill with the swift ones: what survived, what took too
// long, and what no swift test reaches.
func (t trial) onceMore(ctx context.Context, pkg string, mutants []*mutant, untouched func(*mutant) bool, src *source, dir string) error {
	left := slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool {
		return m.status != unsure && m.status != lived && (m.status != notCovered || untouched(m))
	})
	t.say("%s: %d once more, with all tests", pkg, len(left))
	var g errgroup.Group
	g.SetLimit(t.workers)
	for i, m := range left {
		g.Go(func() error {
			own := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(own, 0o700); err != nil {
				return err
			}
			err := t.again(ctx, pkg, m, src, own)
			if m.status == lived {
				t.say("%s: %d of %d survives: %s:%d %s", pkg, i+1, len(left), m.file, m.line, m.name())
			}
			return err
		})
	}
	return g.Wait()
}

// unleash runs gremlins over a package, except for some files. took is how long the tests take on an unchanged
// package.
func (t trial) unleash(ctx context.Context, pkg, report string, took time.Duration, others []string, progress io.Writer) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	args := []string{"unleash", "--output", report, "--workers", strconv.Itoa(t.workers),
		"--timeout-coefficient", strconv.Itoa(max(leastFactor, int(leastTime/max(took, time.Second)))),
		"--exclude-files", "/", "--invert-negatives=false", "--tags", swift} // a folder below has tests of its own
	for _, file := range others {
		args = append(args, "--exclude-files", "^"+regexp.QuoteMeta(file)+"$")
	}
	for kind := range kinds {
		args = append(args, "--"+strings.ReplaceAll(strings.ToLower(kind), "_", "-"))
	}
	c := command(ctx, t.gremlins, append(args, filepath.Join(root, pkg))...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = io.MultiWriter(progress, &said), &said
	if err := c.Run(); err != nil {
		return fmt.Errorf("gremlins: %w\n%s", err, said.Bytes())
	}
	return nil
}

// words are gremlins' for how a mutant ended.
var words = map[string]status{"KILLED": killed, "LIVED": lived, "NOT COVERED": notCovered, "TIMED OUT": unsure, "NOT VIABLE": notViable}

// take takes over what gremlins found. It must have tried the very same mutants. What does not compile stays so.
func take(text []byte, pkg string, mutants []*mutant) error {
	var report struct {
		Files []struct {
			Name      string `json:"file_name"`
			Mutations []struct {
				Type, Status string
				Line, Column int
			}
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	id := func(file string, line, column int, kind string) string {
		return fmt.Sprint(file, ":", line, ":", column, " ", kind)
	}
	of := map[string]status{}
	for _, f := range report.Files {
		for _, m := range f.Mutations {
			s, ok := words[m.Status]
			if !ok {
				return fmt.Errorf("gremlins found %q", m.Status)
			}
			of[id(path.Join(pkg, f.Name), m.Line, m.Column, m.Type)] = s
		}
	}
	for _, m := range mutants {
		key := id(m.file, m.line, m.column, m.kind)
		s, ok := of[key]
		if !ok {
			return fmt.Errorf("gremlins did not try %s", key)
		}
		delete(of, key)
		if m.status == untried {
			m.status = s
		}
	}
	for key := range of {
		return fmt.Errorf("gremlins tried %s, which is unknown here", key)
	}
	return nil
}

// progress counts the mutants that gremlins prints, a line each, and tells from time to time how far it has come.
type progress struct {
	say     func(format string, args ...any)
	pkg     string
	of      int
	elapsed func() time.Duration

	line []byte // as far as it was written
	seen int
}

// Write takes a piece of what gremlins prints.
func (p *progress) Write(b []byte) (int, error) {
	for _, c := range b {
		if p.line = append(p.line, c); c != '\n' {
			continue
		}
		if bytes.Contains(p.line, []byte(" at ")) && bytes.Contains(p.line, []byte(".go:")) {
			if p.seen++; p.seen%20 == 0 || p.seen == p.of {
				p.say("%s: %d of %d, %s", p.pkg, p.seen, p.of, p.elapsed())
			}
		}
		p.line = p.line[:0]
	}
	return len(b), nil
}

// again runs the package's tests against a mutant and sets its status.
func (t trial) again(ctx context.Context, pkg string, m *mutant, src *source, dir string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	src.printing.Lock() // a mutant is made in the syntax that all share
	err = m.mutated(func() error { return printer.Fprint(&text, src.fset, m.syntax) })
	src.printing.Unlock()
	if err != nil {
		return err
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): changed}})
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(changed, text.Bytes(), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return err
	}
	said, err := command(ctx, "go", "test", "-overlay", overlay, "-failfast", "-timeout", t.limit.String(), "./"+pkg).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		m.status = lived
	case !errors.As(err, &exit):
		return err
	case bytes.Contains(said, []byte("panic: test timed out after ")):
		m.status = loops
	case bytes.Contains(said, []byte("[build failed]")):
		m.status = notViable // the code, or its tests with it, do not compile
	default:
		m.status = killed
	}
	return nil
}

// coverage runs the tests of an unchanged package. It returns what tells whether a mutant is in a statement that
// coverage counts and no test reaches, and how long it took.
func coverage(ctx context.Context, pkg, profile string) (untouched func(*mutant) bool, took time.Duration, err error) {
	started := time.Now()
	if said, err := command(ctx, "go", "test", "-coverprofile", profile, "./"+pkg).CombinedOutput(); err != nil {
		return nil, 0, fmt.Errorf("the tests fail without any change: %w\n%s", err, said)
	}
	took = time.Since(started)
	text, err := os.ReadFile(profile)
	if err != nil {
		return nil, 0, err
	}
	blocks, err := parseProfile(string(text))
	return func(m *mutant) bool {
		return slices.ContainsFunc(blocks, func(b block) bool { return b.times == 0 && b.holds(m) })
	}, took, err
}

// block is what coverage counts as one.
type block struct {
	file                                   string // the base of its name
	line, column, beyondLine, beyondColumn int
	times                                  int // that it was run
}

func (b block) holds(m *mutant) bool {
	return path.Base(m.file) == b.file && (m.line > b.line || m.line == b.line && m.column >= b.column) &&
		(m.line < b.beyondLine || m.line == b.beyondLine && m.column < b.beyondColumn)
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
