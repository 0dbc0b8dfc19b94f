// Package storetest is what every database under the vault must pass: [Run] holds an implementation of
// pin.Store to each promise that pin.Store and pin.Change make.
//
// It also makes the databases for it, and for any other test that needs a fresh one: [SQLite] and
// [Postgres]. What it repeats, it repeats a few times; PINVAULT_TEST_LONG=1 makes that many times.
package storetest
