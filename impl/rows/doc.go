// Package rows reads the named examples of an OpenAPI document as rows: a request, and the one reply that the document
// promises for it. Whoever sends rows, prints them as a table or counts what no row shows starts here. It knows OpenAPI
// only: no contract, no server, no test.
//
// # Named examples
//
// The name of an example, unique within its operation, ties a request to its one documented reply. The request is put
// together from the examples of that name under the parameters and the request body. Where one is
// required and has no example of that name, it takes the one named "default", a parameter else its plain example; what is
// optional is left out. What OpenAPI cannot say stands beside the value of the reply's example:
//
//	x-request:                     what is special about the request
//	  authorization: none          a word for who calls
//	  method: PUT                  instead of the operation's
//	  contentType: text/plain      instead of the body's; '' sends none
//	  headers: {Name: value}       instead of the parameter's; null sends none
//	  query: {name: value}         the same for the query
//	  path: {publicToken: 'x'}     instead of the parameter's
//	  rawBody: '{"pin":'           sent as it is, instead of an example
//	  bodySize: 2000000            sent as so many blanks
//	  fault: database              a word for what fails meanwhile
//	  session:                     the session in the path is one of its own, and the body is what such a session takes:
//	    link: changepin            a word for what hands it out
//	    message: {pin: '1'}        what is sealed to it; left out, the body is the session's secret, if there is a body
//	x-after:                       sent first, these only and in this order; each must answer with its status
//	  - {operation: setCardPin, example: pin-set}
//	x-volatile: [/traceId]         JSON pointers (RFC 6901) compared for presence and JSON type only
//	x-headers: {Allow: 'GET'}      headers that the reply must have; null: must not have
//	x-operations: [setCardPin]     the operations that show this example of a shared response; default all that use it
//	x-advice: Set a PIN first.     what to do about it, where x-error-reference says by code or status what does not fit
//
// A reply without content has its examples in the extension x-examples of the response. An example whose value is
// sealed says in x-decrypted (beside the value, in requests and replies) what is inside.
//
// Of the whole document, x-unexercised: {503: reason} are statuses that need no row.
//
// Paths are as they stand, without the servers of the document; a path parameter is one whole segment.
package rows
