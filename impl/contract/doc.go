// Package contract holds requests, and in a sandbox replies too, against the OpenAPI documents: it
// finds the operation, checks parameters, media type and body, and says in [Violation]s what breaks
// the rules.
//
// It knows kin-openapi and gin's names for paths, and no partner: the rules come from the documents
// in openapi/, and what is wrong is told in terms that a partner package can render (which field,
// which rule, which bound, which label). Which violation goes out, and in which words, is that
// package's business. The value sent is in no violation, error or log of this package, because it
// may be a PIN or a PAN.
//
// A body is read up to a limit, [DefaultMaxBody] unless the operation has x-max-body (bytes).
//
// Besides the documents, three sets of rules apply:
//
//   - RFC 7493 (I-JSON) and a few bounds of our own for JSON bodies, see [Strict];
//   - RFC 9110, sections 8.3 and 8.4, for Content-Type and Content-Encoding;
//   - our own rules for documents, which [Load] enforces, and so [Form] before the server is built.
package contract
