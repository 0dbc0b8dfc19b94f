// Package contracttest holds a running server to its OpenAPI documents.
//
// A [Client] checks every reply that it carries: the status is documented, and so are the content type, the described
// headers and the body. [Run] sends every named example of a document as a conversation and compares the whole reply,
// so that an example that is only written down fails the build. [Faulty] makes requests of which two things are wrong,
// from all that a document's schemas know to be wrong.
//
// It is support for tests and knows HTTP and OpenAPI only: no contract, no vault. In tests a rejected value may be
// printed, and is; a server must never do so.
//
// What is sent, and what is expected, are the rows that package rows reads of the document. Of an example whose value is
// sealed, what is inside is what Env.Transform gets and what Env.Open's result is compared with.
//
// Extensions of the whole document:
//
//	x-prefixes: [/api/v1]          paths that this document answers for, also where it has no operation
//	x-error-response: Problem      the components response that such an answer keeps to
package contracttest
