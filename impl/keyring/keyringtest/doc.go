// Package keyringtest is the conformance suite of [keyring.Engine], which every backend of the vault's keys passes, and
// backends to run it and other tests over: SoftHSM2 and OpenBao, real ones.
//
// PINVAULT_TEST_SOFTHSM names SoftHSM2's module (scripts/with-softhsm), PINVAULT_TEST_OPENBAO and
// PINVAULT_TEST_OPENBAO_TOKEN a server (scripts/with-openbao). A test that needs one that is not named is skipped; with
// PINVAULT_TEST_REQUIRE_KEYS=1 it fails.
//
// PINVAULT_TEST_KEYS says which backend [Shared] is: nothing for a keyset in memory, or pkcs11, openbao, transit.
package keyringtest
