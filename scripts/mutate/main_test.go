package main

import (
	"fmt"
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

func TestAMutantThatIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		tests string
		want  status
	}{
		"is killed by a test that fails":        {`if sum(0) != 0 || sum(1) > 9 { t.Fail() }`, killed},
		"survives where nothing is asked of it": {`sum(0)`, lived},
		"loops":                                 {`if sum(3) == 4 { t.Fail() }`, loops},
	} {
		t.Run(name, func(t *testing.T) {
			mutation, code := "INCREMENT_DECREMENT", "func sum(n int) (s int) {\n\tfor i := 0; i < n; i++ {\n\t\ts += i\n\t}\n\treturn s\n}\n"
			if test.want != loops {
				mutation, code = "CONDITIONALS_BOUNDARY", strings.Replace(code, "s += i", "s += 10", 1)
			}
			sample(t, code, "func TestSum(t *testing.T) { "+test.tests+" }\n")
			src, err := load(t.Context(), "p")
			require.NoError(t, err)
			for _, m := range src.mutants() {
				if m.kind == mutation {
					require.NoError(t, trial{limit: 3 * time.Second}.again(t.Context(), "p", m, src, t.TempDir()))
					require.Equal(t, test.want, m.status)
				}
			}
			text, err := os.ReadFile(filepath.Join("p", "p.go"))
			require.NoError(t, err)
			require.Equal(t, "package p\n\n"+code, string(text), "the code itself stays as it is")
		})
	}
}

func TestCoverageTellsWhichCodeItCounts(t *testing.T) {
	sample(t, "func sign(n int) int {\n\tswitch {\n\tcase n < 0:\n\t\treturn n - 1\n\t}\n\treturn n + 1\n}\n",
		"func TestSign(t *testing.T) { sign(1) }\n")
	untouched, took, err := coverage(t.Context(), "p", filepath.Join(t.TempDir(), "profile"))
	require.NoError(t, err)
	require.Positive(t, took)
	src, err := load(t.Context(), "p")
	require.NoError(t, err)
	for _, m := range src.mutants() {
		require.Equal(t, strings.HasPrefix(m.text, "n - 1"), untouched(m), m.text)
	}

	sample(t, "func sign(n int) int { return n }\n", "func TestSign(t *testing.T) { t.Error(sign(1)) }\n")
	_, _, err = coverage(t.Context(), "p", filepath.Join(t.TempDir(), "profile"))
	require.ErrorContains(t, err, "the tests fail without any change")
}

func TestWhatGremlinsFoundIsTakenOver(t *testing.T) {
	const report = `{"files":[{"file_name":"a.go","mutations":[
		{"type":"INVERT_LOGICAL","status":"KILLED","line":1,"column":2},
		{"type":"INVERT_BITWISE","status":"TIMED OUT","line":1,"column":2},
		{"type":"ARITHMETIC_BASE","status":"KILLED","line":3,"column":4}]}]}`
	mutants := func() []*mutant {
		return []*mutant{
			{file: "p/a.go", line: 1, column: 2, kind: "INVERT_LOGICAL"}, {file: "p/a.go", line: 1, column: 2, kind: "INVERT_BITWISE"},
			{file: "p/a.go", line: 3, column: 4, kind: "ARITHMETIC_BASE", status: notViable},
		}
	}
	all := mutants()
	require.NoError(t, take([]byte(report), "p", all))
	require.Equal(t, []status{killed, unsure, notViable}, []status{all[0].status, all[1].status, all[2].status})

	for name, test := range map[string]struct {
		report  string
		mutants []*mutant
		want    string
	}{
		"a mutant that only gremlins knows":  {report, mutants()[:2], "gremlins tried p/a.go:3:4 ARITHMETIC_BASE, which is unknown here"},
		"a mutant that gremlins left out":    {`{"files":[]}`, mutants()[:1], "gremlins did not try p/a.go:1:2 INVERT_LOGICAL"},
		"a word that gremlins never had yet": {strings.Replace(report, "TIMED OUT", "SKIPPED", 1), mutants(), `gremlins found "SKIPPED"`},
		"no report":                          {"", mutants(), "unexpected end of JSON input"},
	} {
		t.Run(name, func(t *testing.T) {
			require.EqualError(t, take([]byte(test.report), "p", test.mutants), test.want)
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
			c := count{"impl/p", test.of}
			lines, good := table([]count{c})
			require.Equal(t, test.good, good)
			require.Equal(t, test.efficacy, c.efficacy())
			require.Equal(t, test.coverage, c.coverage())
			require.Equal(t, test.good, strings.HasSuffix(lines, "  ok"))
			require.Equal(t, !test.good, strings.HasSuffix(lines, "  below 95 %"))
		})
	}
}

func TestProgressIsToldFromTimeToTime(t *testing.T) {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	p := &progress{say: say, pkg: "impl/p", of: 41, elapsed: func() time.Duration { return time.Minute }}
	_, err := p.Write([]byte("Starting...\nGathering coverage... done in 1s\n"))
	require.NoError(t, err)
	for range 41 {
		for _, piece := range []string{"      KILLED INVERT_LOGICAL at", " format.go:1:2", "\n"} {
			_, err := p.Write([]byte(piece))
			require.NoError(t, err)
		}
	}
	require.Equal(t, []string{"impl/p: 20 of 41, 1m0s", "impl/p: 40 of 41, 1m0s", "impl/p: 41 of 41, 1m0s"}, said)
}
