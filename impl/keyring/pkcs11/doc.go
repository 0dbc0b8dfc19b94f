// Package pkcs11 keeps the vault's keys in a token (an HSM, by PKCS#11 2.40): they are made in it and never leave it. It
// knows PKCS#11 and bytes: no card, no database, no contract, and no place where a PIN or a file is kept.
//
// The token has an AES key for each use that seals, a pair on P-256 for each list of signing keys, an AES key that wraps
// partners' keys, and one that seals the keyset file, in which the keys of all other uses rest. A key's label is the
// object of the URI, a slash and what the key is for; its id is its version, four bytes. The newest version is the one at
// work. Ciphertexts begin with the five bytes that name the key, as those of package keyring do, so that older versions
// keep opening what they sealed.
//
// A partner's key is wrapped by the token (AES key wrap, RFC 3394 and RFC 5649) and that sealed, bound to what it may be
// used for. It is unwrapped into the token and used there by its handle. Only when it is imported has this process seen
// it.
//
// A token that does not answer in time, or is gone, is [pin.Unavailable]; the next call opens sessions anew and logs in. A
// login that was refused is never tried again, since tokens lock.
//
// It takes cgo: without, [Open] says so.
package pkcs11
