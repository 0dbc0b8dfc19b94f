//go:build race

package simulation

// raced tells whether the race detector watches, which takes long and has nothing to find: one goroutine runs at a time.
const raced = true
