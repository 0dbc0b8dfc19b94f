package apptest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

// Numbers of the sandbox's cards, which others' libraries take for PANs.
func TestPANsHaveTheirCheckDigit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1: "9999990000000014", 2: "9999990000000022", 5: "9999990000000055", 7: "9999990000000071"} {
		require.Equal(t, want, apptest.PAN(n))
	}
}
