// Command cover tells how much of each package its own tests cover, in per cent of its statements, and fails where
// that is less than enough:
//
//	go run ./scripts/cover [PACKAGE…]
//
// It runs the packages' tests, all of them unless some are named. What go test says meanwhile goes to standard error,
// the table to standard output.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
)

// enough is what is asked of a package, in per cent.
const enough = 80

// exempt are the packages of which nothing is asked, by prefix, and why.
var exempt = []struct{ prefix, why string }{
	{"generated/", "written by the generator; what uses it is tested"},
	{"impl/cmd/", "main: its tests run the built program"},
	{"impl/app/apptest/", "support for tests"},
	{"impl/store/storetest/", "support for tests"},
	{"scripts/", "tools of the house, no part of the server"},
}

func main() {
	packages := os.Args[1:]
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	test := exec.Command("go", append([]string{"test", "-cover", "-vet=off", "-timeout=20m"}, packages...)...) //nolint:gosec,noctx // what the developer names; ends with it
	var said bytes.Buffer
	test.Stdout, test.Stderr = io.MultiWriter(os.Stderr, &said), os.Stderr
	failed := test.Run() != nil
	if short := report(os.Stdout, said.String()); short || failed {
		os.Exit(1)
	}
}

// covered is a line of go test: one of a package whose tests passed, or of one that has none.
var covered = regexp.MustCompile(`^(?:ok\s+)?\s*pinvault/(\S+)\s.*coverage: (?:([0-9.]+)% of statements|\[no statements\])`)

// report writes the table of what go test said, and tells whether a package has too little.
func report(out io.Writer, said string) (short bool) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for line := range strings.Lines(said) {
		found := covered.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		name, own := found[1], found[2]
		verdict := judge(name, own)
		short = short || verdict == tooLittle
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", name, cmp.Or(own, "-"), verdict)
	}
	_ = table.Flush()
	return short
}

const tooLittle = "TOO LITTLE"

// judge is what becomes of a package whose own tests cover so many per cent, "" where it has no statements.
func judge(name, own string) string {
	for _, e := range exempt {
		if strings.HasPrefix(name+"/", e.prefix) {
			return "exempt: " + e.why
		}
	}
	if percent, err := strconv.ParseFloat(own, 64); own != "" && (err != nil || percent < enough) {
		return tooLittle
	}
	return "ok"
}
