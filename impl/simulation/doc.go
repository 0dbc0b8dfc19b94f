// Package simulation runs the whole vault in one process from a seed: callers, the network between them and several servers,
// the vaults of these servers, the network to the database, the database, and everybody's clock. FoundationDB and TigerBeetle
// are tested so.
//
// A life ([Live]) goes step by step, and a source of numbers that was seeded decides each: which message arrives next, which
// call the database answers, who crashes, which reply is lost or doubled, which commit is made long after everybody has
// given it up. A call that a server works on is a coroutine, which stops wherever the vault asks the store, so nothing
// happens at the same time as anything else, and one seed gives one life, however often. Time is that of a bubble of
// testing/synctest, in which [Live] has to run: it passes where a life lets it.
//
// The vault is the real one, with its policy, its seals and its chains; the store is impl/store/memory, which keeps what the
// stores of databases keep. Keys are cheap. What must hold is written down anew in a few lines (rules.go), and held against
// every commit at the moment when it is made, against every answer when it leaves, and at the end against the trail, which
// must tell of every call that was answered, once, and in an order in which it could have been.
//
// It knows the domain, limits of unblocks, approvals and idempotency keys, no contract and no database.
package simulation
