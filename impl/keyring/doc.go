// Package keyring holds the vault's keys and what each may be used for. It is what is behind [pin.Keys].
//
// It knows keys and bytes: no card, no database (zone keys reach it through [ZoneKeys]), no contract, and no place
// where files or secrets are kept.
//
//   - A [Keyset] is what must be kept: one Tink key set for every [pin.Use], and the keys that sign access tokens
//     and checkpoints of the audit trail. It rests as a file that is encrypted under a key-encryption key.
//   - An [Engine] is where keys do their work. A keyset is one, in software; an HSM is another.
//   - A [Ring] is an engine at work for the vault, with partners' keys. It never hands out a key.
//
// Each use has keys of its own, so what was made for one use is worth nothing in another; inputs need no further
// mark of their use. Outputs of MAC and AEAD uses begin with five bytes that name the key (Tink's output prefix), and
// indexes are computed under every enabled key: a key set may get a new primary key, and older outputs stay good.
//
// The algorithms are HMAC-SHA256 with the whole tag (FIPS 198-1) for MACs and indexes, AES-256-GCM with random nonces
// (NIST SP 800-38D, which allows 2^32 of them to a key) for ciphertexts, and ES256 (RFC 7518, 3.4) for signatures.
// Key sets carry no annotations, so that Tink's monitoring is off and costs nothing.
package keyring
