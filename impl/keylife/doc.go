// Package keylife is what happens to the vault's own keys while the vault is at work: an operator takes a step, the
// keyset file is replaced, and every process that serves takes the new keyset without a restart.
//
// A step goes one way: the file is locked, read, what becomes of the keyset is decided (package keyring, which knows
// the rules), the new file is written and read back, the audit trail is told, and only then does the new file take
// the old one's place, by one rename. So no step is without its event, and nobody ever reads half a file. An event
// whose step then failed is possible, where the machine stops between the two; the next step begins from what the
// file says.
//
// Nobody coordinates processes. A [Watcher] in each looks at the file every few seconds; a fresh key opens from then
// on, and makes outputs only when its time has come, which is late enough for all to have looked. What cannot be read
// or is another vault's is not taken: the process works on with what it has, and says so.
//
// It knows keysets, files and events; no card, no contract, no database.
package keylife
