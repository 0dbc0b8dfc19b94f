//go:build race

package pin_test

// raced tells that the race detector watches, under which everything takes several times as long.
const raced = true
