// Package auditlog is the log that outsiders follow: checkpoints of the audit trail, one after the other, in a tree that only
// grows (C2SP tlog-tiles), under signed notes that third parties keep (C2SP tlog-checkpoint). It appends to the log, makes
// proofs that an event is in it, and checks them; a check takes the log's public key and no other thing of the vault's.
//
// An entry of the log is the first line of a checkpoint (package checkpoint). What it covers stands in two trees: of all
// chains, and of those that have moved since the entry before. An event is proven so: its row's hash, with the digest of its chain
// before it and the hashes of what follows, gives the digest of its chain as it stood at the first entry after it; that is a leaf of
// the tree of chains that have moved; its root is in the entry; the entry is in the log. So a proof is short however old the
// event is, and tells of others nothing but hashes.
//
// Before it vouches for anything, an entry is held against the one before: each chain must go on from where it was. A database
// that was put back is not appended.
//
// A folder of the log's:
//
//	tiles/      the log as it is served: checkpoint, tile/… (and Tessera's own .state)
//	newest      the newest checkpoint, a file as of 'pinvault audit checkpoint --out'
//	moved/N     what entry N was made of: its line, then those of the chains that had moved
//	id          tells this folder from others of the same database
//	lock        held by the process that appends
//
// It knows chains by their ids, and neither cards nor a database.
package auditlog
