package contract

import (
	"net/http"
	"slices"
	"strings"
)

// Broken is the error of a request that breaks the contract: never empty, in the order in which the
// contract is checked. It is what a contract renders for anything that was found before its handler.
type Broken []Violation //nolint:errname // contract.Broken says it

// Error lists the violations. Nothing in it comes from the request.
func (b Broken) Error() string {
	lines := make([]string, len(b))
	for i, v := range b {
		lines[i] = v.String()
	}
	return strings.Join(lines, "; ")
}

// Rules of requests that find no operation or cannot be bound to its types.
const (
	RuleRoute  Rule = "route"  // no operation has this path
	RuleMethod Rule = "method" // the path has operations, but none with this method
	RuleValue  Rule = "value"  // keeps the schema, but is no value of the field's type: 30 February
)

// NoRoute, NoMethod and Unbound are the violations of requests that never reached, or passed, the
// document's rules.
var (
	NoRoute  = Broken{{In: InPath, Rule: RuleRoute}}  //nolint:errname // as Broken
	NoMethod = Broken{{In: InPath, Rule: RuleMethod}} //nolint:errname // as Broken
	Unbound  = Broken{{In: InBody, Rule: RuleValue}}  //nolint:errname // as Broken
)

// Status is the HTTP status that violations call for where a contract documents nothing else: 404 and
// 405 without an operation, 413, 415, and 400.
func (b Broken) Status() int {
	for _, s := range []struct {
		status int
		is     func(Violation) bool
	}{
		{http.StatusNotFound, func(v Violation) bool { return v.Rule == RuleRoute }},
		{http.StatusMethodNotAllowed, func(v Violation) bool { return v.Rule == RuleMethod }},
		{http.StatusRequestEntityTooLarge, func(v Violation) bool { return v.In == InSize }},
		{http.StatusUnsupportedMediaType, func(v Violation) bool { return v.In == InMediaType || v.In == InEncoding }},
	} {
		if slices.ContainsFunc(b, s.is) {
			return s.status
		}
	}
	return http.StatusBadRequest
}
