// Package ondemand is what a sandbox answers with instead of the real answer: documented rows that a caller asks for by
// header, and the rows, faults and delays of rules. Where the rules come from is openapi/sandbox.yaml.
//
// It knows documents, their rows and HTTP: no vault, no database, no contract's code. A fault is a word to it, and a card
// an id.
package ondemand
