// Package pinvault is what the clients of PinVault's contracts have in common: errors, keys that seal messages, PIN
// blocks, and what sits beneath each client. The clients are packages of their own: accosa, common, creditplus, hashdt,
// hosted, issuer, networkintl, sandbox and thredd, each with a Connect.
package pinvault
