// Package memory is a pin.Store in maps, for tests and for the simulation (impl/simulation): it makes every promise of
// the stores of databases, which impl/store/storetest holds it to, and forgets everything with its process.
//
// What it does takes no time and asks nobody, so that whoever calls it from one goroutine gets the same answers each time.
package memory
