//go:build swift

package pin_test

import (
	"testing"

	"pinvault/impl/pin"
)

// With the tag swift no test has a database: mutants of the code, of which there are a thousand, are built and
// tried several times as fast. Those that survive are tried once more with all tests, see scripts/mutate.

// newWorld is a world over a store in memory.
func newWorld(t testing.TB, settings ...func(*pin.Program)) *world {
	t.Helper()
	return newSwiftWorld(t, settings...)
}
