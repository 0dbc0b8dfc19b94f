package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, said, want string
		short            bool
	}{
		{"enough", "ok  \tpinvault/impl/pin\t3.1s\tcoverage: 80.0% of statements\n", "impl/pin 80.0 ok", false},
		{"of an earlier run", "ok  \tpinvault/impl/pin\t(cached)\tcoverage: 94.7% of statements\n", "impl/pin 94.7 ok", false},
		{"a little too little", "ok  \tpinvault/impl/pin\t3.1s\tcoverage: 79.9% of statements\n", "impl/pin 79.9 TOO LITTLE", true},
		{"no tests", "\tpinvault/impl/pin\t\tcoverage: 0.0% of statements\n", "impl/pin 0.0 TOO LITTLE", true},
		{"nothing to cover", "ok  \tpinvault/impl/pin\t0.1s\tcoverage: [no statements]\n", "impl/pin - ok", false},
		{"an exempt package", "\tpinvault/impl/app/apptest\t\tcoverage: 0.0% of statements\n", "impl/app/apptest 0.0 exempt: support for tests", false},
		{"a package below an exempt folder", "ok  \tpinvault/scripts/mutate\t1s\tcoverage: 3.0% of statements\n", "scripts/mutate 3.0 exempt: tools of the house, no part of the server", false},
		{"a package whose name only begins like an exempt one's", "\tpinvault/impl/store/storetesting\t\tcoverage: 0.0% of statements\n", "impl/store/storetesting 0.0 TOO LITTLE", true},
		{"neither tests nor statements", "?   \tpinvault/openapi\t[no test files]\n", "", false},
		{"a test that fails beside one that covers too little", "--- FAIL: TestX (0.00s)\ncoverage: 90.0% of statements\nFAIL\tpinvault/impl/pin\t0.1s\n\tpinvault/impl/x\t\tcoverage: 7.0% of statements\n", "impl/x 7.0 TOO LITTLE", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			require.Equal(t, test.short, report(&out, test.said))
			var lines []string
			for line := range strings.Lines(out.String()) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			require.Equal(t, test.want, strings.Join(lines, "\n"))
		})
	}
}
