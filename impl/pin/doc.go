// Package pin is the domain: cards, their PINs, the one try counter that all contracts share, and
// the vault that acts on them.
//
// It knows no transport, no database and no partner. What it needs of the outside it states as
// interfaces, [Store] and [Keys], and it reports failures as [Error] with a [Code], which every
// contract translates in one table of its own.
//
// Rules come from ISO 9564-1 (PIN length 4 to 12, the try counter, protection of PINs at rest) and
// from the issuer's program settings. Nothing in this package prints a PIN, and every text that
// leaves it is free of PANs.
package pin
