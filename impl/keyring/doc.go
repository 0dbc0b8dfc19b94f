// Package keyring holds the vault's keys and what each may be used for. It is what is behind [pin.Keys].
//
// It knows keys and bytes: no card, no database (zone keys reach it through [ZoneKeys]), no contract, and no place
// where files or secrets are kept.
//
//   - A [Keyset] is what must be kept: for every [pin.Use], and for what signs access tokens and checkpoints, the keys
//     of past and present with what may be known of them. It rests as a file that is encrypted under a key-encryption
//     key, and of which nothing can be changed without it.
//   - A [Key] lives: it is pending, active, retiring, retired, destroyed. [Wish] is a step that an operator may take; what
//     follows from it is decided in life.go, by dates and nothing else. A [Live] keyset is replaced while it is at work.
//   - An [Engine] is where keys do their work. A keyset is one, in software; an HSM is another.
//   - A [Ring] is an engine at work for the vault, with partners' keys. It never hands out a key.
//
// Each use has keys of its own, so what was made for one use is worth nothing in another; inputs need no further
// mark of their use. Every output begins with what names its key, of MAC and AEAD uses five bytes (Tink's output prefix), and
// indexes are computed under every key that is not retired: a use gets a new active key, older outputs stay good, and it
// can be told which of them there are. A pending key opens already, so that processes may change over one after the other.
//
// The algorithms are HMAC-SHA256 with the whole tag (FIPS 198-1) for MACs and indexes, AES-256-GCM with random nonces
// (NIST SP 800-38D, which allows 2^32 of them to a key) for ciphertexts, and ES256 (RFC 7518, 3.4) for signatures.
// Key sets carry no annotations, so that Tink's monitoring is off and costs nothing.
package keyring
