// Package metrics counts, for Prometheus, what the vault does and what stands around it: outcomes of operations, broken seals,
// deliveries, calls of key backends, and what of the database an operator looks at. What a request took is counted where
// requests are answered (impl/server), what stands with the keys where they live (impl/keylife).
//
// Every label has a few values that this program names: contracts, outcomes, rules, states. No card, client, program, key or
// webhook is a label, so that nobody's number or name can become one and no series is ever more than these. What is counted
// from an enumeration is there from the start, at zero.
//
// It knows the vault's words for what happened, and nothing of HTTP and of SQL.
package metrics
