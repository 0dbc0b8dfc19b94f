// Package portfolio moves cards in and out by files: NDJSON, an object a line, or CSV, whose columns are the members of the same
// object. Both are the schema PortfolioCard of openapi/issuer.yaml, which is where a rule about a row is changed.
//
// It knows files, lines and reports. What a row is, the issuer package's operator tells; whether it may move in, and what is told
// of a PIN that leaves, is the vault's to say. A report names lines and members and never a value: it may be sent to whoever
// made the file.
package portfolio
