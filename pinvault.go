// Package pinvault is what stands beside the code for readers, and what the server's own pages show of it: the changelog,
// what changed in each contract and the picture of the contracts.
package pinvault

import "embed"

// Texts has them by their paths in the repository.
//
//go:embed CHANGELOG.md docs/contracts.svg generated/changes
var Texts embed.FS
