package contract

import "errors"

// Told is an error that brings its reply along: what goes out whatever the contract would have answered. Of a
// reply that the contract seals, Message is what is inside, and the body is made of it by a [Sealer].
type Told struct {
	Reply   Reply
	Outside bool // the document has no such reply, and need not: it is the sandbox's own
}

// Error says that there is a reply, and not which.
func (*Told) Error() string { return "answered as it was told to" }

// Cut is the error of a request that ends without a reply: the connection is closed.
var Cut = errors.New("cut off") //nolint:revive,staticcheck // what becomes of the request, as in "fail(c, contract.Cut)"
