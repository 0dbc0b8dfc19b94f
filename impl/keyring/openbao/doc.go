// Package openbao keeps the vault's keys in the transit engine of OpenBao, or of what speaks its API: a key there
// (aes256-gcm96) seals the keyset file, and where that is asked for, the keys of chosen uses are there too and every
// operation with one is a call. It knows that API and bytes: no card, no database, no contract, and no place where a token
// or a file is kept.
//
// Ciphertexts of uses are those of transit with another beginning: the five bytes that name the key, as those of package
// keyring have, in place of "vault:v1:". The key's id is its version.
//
// An OpenBao that does not answer in time, is sealed, or takes no token is [pin.Unavailable]; every call asks anew. The
// token is renewed as long as it lets itself be, and read again from where it came from once it is not taken any more.
package openbao
