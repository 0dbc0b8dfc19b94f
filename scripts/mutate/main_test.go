package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample is a module with one package, p, and enters it.
func sample(t *testing.T, code, test string) {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("p", 0o755))
	for name, text := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "p/p.go": "package p\n\n" + code,
		"p/p_test.go": "package p\n\nimport \"testing\"\n\n" + test} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
}

func TestMutantsAreNamedByTheirCode(t *testing.T) {
	sample(t, `const limit = 1 << 3

type list []int

func (l *list) above(
	n int) (out []int) {
	for i := 0; i < len(*l); i++ {
		if (*l)[i] > n ||
			n < 0 {
			out = append(out, -(*l)[i])
		}
	}
	return out
}

func name(s string) string { s += "x"; return s + "y" }
`, "")
	src, err := load(t.Context(), "p")
	require.NoError(t, err)
	of := map[string]status{}
	for _, m := range src.mutants() {
		of[m.name()] = m.status
	}
	require.NoError(t, src.compiles(), "every change is taken back")
	require.Equal(t, map[string]status{
		"p/p.go limit INVERT_BITWISE: 1 << 3 -> 1 >> 3":                                  untried,
		"p/p.go list.above CONDITIONALS_BOUNDARY: i < len(*l) -> i <= len(*l)":           untried,
		"p/p.go list.above CONDITIONALS_NEGATION: i < len(*l) -> i >= len(*l)":           untried,
		"p/p.go list.above INCREMENT_DECREMENT: i++ -> i--":                              untried,
		"p/p.go list.above INVERT_LOGICAL: (*l)[i] > n || n < 0 -> (*l)[i] > n && n < 0": untried,
		"p/p.go list.above CONDITIONALS_BOUNDARY: (*l)[i] > n -> (*l)[i] >= n":           untried,
		"p/p.go list.above CONDITIONALS_NEGATION: (*l)[i] > n -> (*l)[i] <= n":           untried,
		"p/p.go list.above CONDITIONALS_BOUNDARY: n < 0 -> n <= 0":                       untried,
		"p/p.go list.above CONDITIONALS_NEGATION: n < 0 -> n >= 0":                       untried,
		"p/p.go list.above ARITHMETIC_BASE: -(*l)[i] -> +(*l)[i]":                        untried,
		"p/p.go name INVERT_ASSIGNMENTS: s += \"x\" -> s -= \"x\"":                       notViable,
		"p/p.go name REMOVE_SELF_ASSIGNMENTS: s += \"x\" -> s = \"x\"":                   untried,
		"p/p.go name ARITHMETIC_BASE: s + \"y\" -> s - \"y\"":                            notViable,
	}, of)
}

// tried tries all mutants of a sample and says of each text how it ended.
func tried(t *testing.T) map[string]status {
	t.Helper()
	src, err := load(t.Context(), "p")
	require.NoError(t, err)
	mutants := src.mutants()
	dir := t.TempDir()
	w, err := build(t.Context(), "p", src, mutants, dir)
	require.NoError(t, err)
	all := trial{workers: 2, slack: 2 * time.Second, say: func(string, ...any) {}}
	tests, err := all.tests(t.Context(), "p", w.path, dir)
	require.NoError(t, err)
	of := map[string]status{}
	for _, m := range mutants {
		if m.status != notViable {
			binary, number := w.path, w.numbers[m]
			if number == 0 {
				binary, err = alone(t.Context(), "p", src, m, t.TempDir())
				require.NoError(t, err)
			}
			m.status, err = all.try(t.Context(), "p", binary, number, reaching(m, src, tests))
			require.NoError(t, err)
		}
		of[m.where+": "+m.text] = m.status
	}
	return of
}

func TestHowMutantsEnd(t *testing.T) {
	const code = `type pair[K comparable, V any] struct {
	key K
	all []V
}

const limit = 2 + 1

var twice = func(n int) int { return n * 2 }

var unasked = 1 + 1

func (p *pair[K, _]) is(key K) bool { return p.key == key }

func (pair[K, V]) least(_ K, more ...int) (n, m int) {
	for _, one := range more {
		if one < n {
			n = one
		}
	}
	return n, n + 1
}

func each[T comparable, S ~[]T](s S, t T) (n int) {
	for i := 0; i < len(s); i++ {
		if s[i] == t {
			n = 10
		}
	}
	return n
}

func sum(n int) (s int) {
	for i := 0; i != n; i++ {
		s += i
	}
	return s
}

func sign(n int) int {
	switch {
	case n < 0:
		return n - 1
	}
	return 0
}

func safe(n int) (err any) {
	defer after(&err)
	return 10 / n
}

func after(err *any) {
	if r := recover(); r != nil {
		*err = r
	}
}
`
	sample(t, code, `func TestAll(t *testing.T) {
	p := &pair[string, int]{key: "k"}
	n, m := p.least("k", 3, -4, 5)
	if !p.is("k") || n != -4 || m != -3 || each([]int{1, 2}, 2) != 10 || limit != 3 || safe(0) == nil || safe(10) != 1 {
		t.Fail()
	}
}
func TestSum(t *testing.T) { if sum(2) != 1 { t.Fail() } }
func TestSign(t *testing.T) { sign(1); sum(0) }
func TestTwice(t *testing.T) { if twice(2) != 4 { t.Fail() } }
`)
	require.Equal(t, map[string]status{
		"limit: 2 + 1 -> 2 - 1":                       killed,
		"twice: n * 2 -> n / 2":                       killed,
		"unasked: 1 + 1 -> 1 - 1":                     lived,
		"pair[K, _].is: p.key == key -> p.key != key": killed,
		"pair[K, V].least: one < n -> one <= n":       lived,
		"pair[K, V].least: one < n -> one >= n":       killed,
		"pair[K, V].least: n + 1 -> n - 1":            killed,
		"each: i < len(s) -> i <= len(s)":             killed,
		"each: i < len(s) -> i >= len(s)":             killed,
		"each: i++ -> i--":                            killed,
		"each: s[i] == t -> s[i] != t":                lived,
		"sum: i != n -> i == n":                       killed,
		"sum: i++ -> i--":                             loops,
		"sum: s += i -> s -= i":                       killed,
		"sum: s += i -> s = i":                        lived,
		"sign: n < 0 -> n <= 0":                       lived,
		"sign: n < 0 -> n >= 0":                       lived,
		"sign: n - 1 -> n + 1":                        notCovered,
		"safe: 10 / n -> 10 * n":                      killed,
		"safe: &err -> |err":                          notViable,
		"after: r != nil -> r == nil":                 killed,
	}, tried(t))
	text, err := os.ReadFile(filepath.Join("p", "p.go"))
	require.NoError(t, err)
	require.Equal(t, "package p\n\n"+code, string(text), "the code itself is as it was")
	require.NoFileExists(t, filepath.Join("p", "mutant_of_today.go"))
}

func TestTestsThatFailWithoutAnyChange(t *testing.T) {
	sample(t, "func sign(n int) int { return n + 1 }\n", "func TestSign(t *testing.T) { t.Error(sign(1)) }\n")
	src, err := load(t.Context(), "p")
	require.NoError(t, err)
	dir := t.TempDir()
	w, err := build(t.Context(), "p", src, src.mutants(), dir)
	require.NoError(t, err)
	_, err = trial{workers: 1}.tests(t.Context(), "p", w.path, dir)
	require.ErrorContains(t, err, "TestSign fails by itself, without any change")
}

func TestGremlinsAndWeFindTheSameMutants(t *testing.T) {
	const report = `{"files":[{"file_name":"a.go","mutations":[
		{"type":"INVERT_LOGICAL","status":"RUNNABLE","line":1,"column":2},
		{"type":"ARITHMETIC_BASE","status":"NOT COVERED","line":3,"column":4}]}]}`
	mutants := []*mutant{
		{file: "p/a.go", line: 1, column: 2, kind: "INVERT_LOGICAL"},
		{file: "p/a.go", line: 3, column: 4, kind: "ARITHMETIC_BASE", status: notViable},
	}
	require.NoError(t, compare([]byte(report), "p", mutants))

	for name, test := range map[string]struct {
		report  string
		mutants []*mutant
		want    string
	}{
		"a mutant that only gremlins knows": {report, mutants[:1], "gremlins knows p/a.go:3:4 ARITHMETIC_BASE, which is unknown here"},
		"a mutant that gremlins left out":   {`{"files":[]}`, mutants[:1], "gremlins does not know p/a.go:1:2 INVERT_LOGICAL"},
		"no report":                         {"", mutants, "unexpected end of JSON input"},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, compare([]byte(test.report), "p", test.mutants), test.want)
		})
	}
}

func TestTheListOfSurvivors(t *testing.T) {
	listed, err := parseSurvivors("# For readers.\n\na.go f K: x\n\tA reason\n    of two lines.\n\na.go f K: x\n\tAnother.\nb.go g K: y\n\tOne.\n")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a.go f K: x": 2, "b.go g K: y": 1}, listed)

	for name, test := range map[string]struct{ text, want string }{
		"no reason at the end":           {"a.go f K: x\n", `no reason is given for "a.go f K: x"`},
		"no reason before the next":      {"a.go f K: x\nb.go f K: x\n\tA reason.\n", `no reason is given for "a.go f K: x"`},
		"an empty reason":                {"a.go f K: x\n\t\n", `no reason is given for "a.go f K: x"`},
		"a comment in a reason's place":  {"a.go f K: x\n# A reason.\n", `no reason is given for "a.go f K: x"`},
		"a reason that stands by itself": {"\tA reason.\n", "begins with a reason for nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseSurvivors(test.text)
			require.EqualError(t, err, test.want)
		})
	}
}

func TestTheVerdict(t *testing.T) {
	survivor := func(text string) *mutant {
		return &mutant{file: "p/a.go", line: 7, kind: "K", where: "f", text: text, status: lived}
	}
	for name, test := range map[string]struct {
		mutants []*mutant
		listed  map[string]int
		says    string
	}{
		"a survivor that is listed":                {[]*mutant{survivor("x")}, map[string]int{"p/a.go f K: x": 1}, ""},
		"a survivor of another package is no news": {nil, map[string]int{"q/a.go f K: x": 1, "p/q/a.go f K: x": 1}, ""},
		"a survivor that is not listed":            {[]*mutant{survivor("x")}, nil, "survives at p/a.go:7, and is not in"},
		"one more of the same text": {[]*mutant{survivor("x"), survivor("x")}, map[string]int{"p/a.go f K: x": 1},
			"survives at p/a.go:7, and is not in"},
		"one that is dead by now": {nil, map[string]int{"p/a.go f K: x": 1}, "does not survive any more"},
		"one of two dead by now":  {[]*mutant{survivor("x")}, map[string]int{"p/a.go f K: x": 2}, "does not survive any more"},
	} {
		t.Run(name, func(t *testing.T) {
			findings, good := report("p", test.mutants, test.listed, nil)
			require.Equal(t, test.says == "", good)
			if good {
				require.Empty(t, findings)
				return
			}
			require.Len(t, findings, 1)
			require.Contains(t, findings[0], test.says)
			require.Contains(t, findings[0], "\np/a.go f K: x", "ready to be copied")
		})
	}
}

func TestTheThresholds(t *testing.T) {
	for name, test := range map[string]struct {
		of                 map[status]int
		efficacy, coverage float64
		good               bool
	}{
		"all killed":                             {map[status]int{killed: 9, loops: 1}, 100, 100, true},
		"exactly enough":                         {map[status]int{killed: 360, loops: 1, lived: 19, notCovered: 20}, 95, 95, true},
		"too many survive":                       {map[status]int{killed: 94, lived: 6}, 94, 100, false},
		"too few are reached":                    {map[status]int{killed: 94, notCovered: 6}, 100, 94, false},
		"those that do not compile do not count": {map[status]int{killed: 1, notViable: 99}, 100, 100, true},
		"none at all":                            {nil, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := count{"impl/pin", test.of}
			lines, good := table([]count{c})
			require.Equal(t, test.good, good)
			require.Equal(t, test.efficacy, c.efficacy())
			require.Equal(t, test.coverage, c.coverage())
			require.Equal(t, test.good, strings.HasSuffix(lines, "  ok"))
			require.Equal(t, !test.good, strings.HasSuffix(lines, "  below 95 % or 95 %"))
		})
	}
}
