// Package store keeps the vault's state in SQLite or PostgreSQL: it is pin.Store over GORM.
//
// It knows the domain and the rows of models, and nothing of HTTP, contracts or keys: what it is given
// to keep is a MAC or a ciphertext already. The rules that it must keep are the comments of pin.Store
// and pin.Change; storetest holds them as a test that every database passes.
//
// Nothing that a row holds gets into an error or a log: GORM's logger is off, and errors of the
// drivers are replaced by texts that name codes, tables and constraints only.
package store
