// Package oauth is the authorization server for partner clients: it trades client credentials for
// bearer tokens and tells who a bearer token speaks for.
//
// It knows the domain's clients and callers and nothing of HTTP engines, generated code or databases;
// whoever mounts it reads the request, and writes what comes out.
//
// Rules come from RFC 6749 (4.4 the client credentials grant, 2.3.1 client authentication, 5.2 its
// errors), RFC 6750 (bearer tokens), RFC 9068 (JWT access tokens), RFC 7515, 7517 and 7518 (signature
// and keys) and RFC 8725 (what a verifier must refuse). Tokens are signed by ES256 and nothing else.
// No token and no secret is in an error, and the types that hold one print as ****.
package oauth
