// Package contracttest holds a running server to its OpenAPI documents.
//
// A [Client] checks every reply that it carries: the status is documented, and so are the content type, the described
// headers and the body. [Run] sends every named example of a document as a conversation and compares the whole reply,
// so that an example that is only written down fails the build. [Missing] lists the documented statuses that no example
// shows. [Faulty] makes requests of which two things are wrong, from all that a document's schemas know to be wrong.
//
// It is support for tests and knows HTTP and OpenAPI only: no contract, no vault. In tests a rejected value may be
// printed, and is; a server must never do so.
//
// # Named examples
//
// The name of an example, unique within its operation, ties a request to its one documented reply. The request is put
// together from the examples of that name under the parameters and the request body. Where one is
// required and has no example of that name, it takes the one named "default", a parameter else its plain example; what is
// optional is left out. What OpenAPI cannot say stands beside the value of the reply's example:
//
//	x-request:                     what is special about the request
//	  authorization: none          word for Env.Authorize
//	  method: PUT                  instead of the operation's
//	  contentType: text/plain      instead of the body's; '' sends none
//	  headers: {Name: value}       instead of the parameter's; null sends none
//	  query: {name: value}         the same for the query
//	  path: {publicToken: 'x'}     instead of the parameter's
//	  rawBody: '{"pin":'           sent as it is, instead of an example
//	  bodySize: 2000000            sent as so many blanks
//	  fault: database              word for Env.Fault
//	x-after:                       sent first, these only and in this order; each must answer with its status
//	  - {operation: setCardPin, example: pin-set}
//	x-volatile: [/traceId]         JSON pointers (RFC 6901) compared for presence and JSON type only
//	x-headers: {Allow: 'GET'}      headers that the reply must have; null: must not have
//	x-operations: [setCardPin]     the operations that show this example of a shared response; default all that use it
//
// A reply without content has its examples in the extension x-examples of the response. An example whose value is
// sealed says in x-decrypted (beside the value, in requests and replies) what is inside; that is what Env.Transform
// gets and what Env.Open's result is compared with.
//
// Extensions of the whole document:
//
//	x-prefixes: [/api/v1]          paths that this document answers for, also where it has no operation
//	x-error-response: Problem      the components response that such an answer keeps to
//	x-unexercised: {503: reason}   statuses that need no example
//
// Paths are matched as they stand, without the servers of the document; a path parameter is one whole segment.
package contracttest
