package issuer

import (
	"fmt"
	"maps"
	"slices"

	"pinvault/impl/contract"
)

// grants is, for each scope of each contract, the scope of this one that a caller must hold to give it to a
// client, or to rotate, change or revoke a client that has it: nobody hands on more than they may do.
var grants = map[string]map[string]string{
	"thredd": {
		"cards:write": "cards:write",
		"pins:read":   "pins:read",
		"pins:reveal": "pins:reveal",
		"pins:write":  "pins:write",
	},
	"creditplus":  {"tries:reset": "pins:write"},
	"accosa":      {"pins:write": "pins:write"},
	"networkintl": {"pins:change": "pins:write"},
	"hashdt":      {"pins:write": "pins:write"},
	"issuer": {
		"programs:read":     "programs:read",
		"programs:write":    "programs:write",
		"clients:read":      "clients:read",
		"clients:write":     "clients:write",
		"clients:release":   "clients:release",
		"cards:read":        "cards:read",
		"cards:write":       "cards:write",
		"pins:read":         "pins:read",
		"pins:verify":       "pins:verify",
		"pins:write":        "pins:write",
		"pins:reveal":       "pins:reveal",
		"approvals:read":    "approvals:read",
		"approvals:request": "approvals:request",
		"approvals:decide":  "approvals:decide",
		"pins:translate":    "pins:translate",
		"pins:export":       "pins:export",
		"keys:read":         "keys:read",
		"keys:manage":       "keys:manage",
		"keys:component":    "keys:component",
		"audit:read":        "audit:read",

		"vaultkeys:read":   "vaultkeys:read",
		"vaultkeys:manage": "vaultkeys:manage",
		"webhooks:read":    "webhooks:read",
		"webhooks:write":   "webhooks:write",
		"events:read":      "events:read",
	},
}

// Granted says who may grant what, see [pin.Grants].
func Granted(contract, scope string) (needed string, ok bool) {
	needed, ok = grants[contract][scope]
	return needed, ok
}

// CheckGrants is an error for a contract that has a scope of which nothing is said here, and the other way
// round.
func CheckGrants(documents map[string]*contract.Document) error {
	for name, document := range documents {
		if said := slices.Sorted(maps.Keys(grants[name])); !slices.Equal(said, document.Scopes()) {
			return fmt.Errorf("contract %s has the scopes %v, and impl/issuer/grants.go says who may grant %v", name, document.Scopes(), said)
		}
	}
	return nil
}
