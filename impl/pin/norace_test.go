//go:build !race

package pin_test

// raced tells that the race detector watches.
const raced = false
