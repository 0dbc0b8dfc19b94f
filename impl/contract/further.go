package contract

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// Further lists what a request breaks of the rules that no document can hold: those of programs, clients and
// keys. It is asked of every request, also of one that breaks the document, so that all that is wrong
// stands in one list; what it cannot read (see [Sent]) it passes over. What it found out on the way goes
// along in the context that it returns, to the handler and to whoever renders errors. An error ends the
// request.
type Further func(r *http.Request, op *Operation) (context.Context, []Violation, error)

// Violation is a broken rule at a JSON pointer into the operation's JSON body. The document says the rest.
func (op *Operation) Violation(pointer string, rule Rule) Violation {
	at := op.body.at(pointer)
	return Violation{In: InBody, Pointer: at.pointer, Rule: rule, Limit: limit(rule, at.schema()), Label: at.label, Schema: at.schema()}
}

// join puts further violations of the body to those that were found, in the document's order.
func (op *Operation) join(found, more []Violation) []Violation {
	if len(more) == 0 {
		return found
	}
	var before []Violation
	var inBody []finding
	for _, v := range slices.Concat(found, more) {
		if v.In == InBody {
			inBody = append(inBody, finding{v, op.body.at(v.Pointer).ranked(v.Rule)})
		} else {
			before = append(before, v)
		}
	}
	return append(before, inOrder(inBody)...)
}

// at is a place in the JSON body.
func (b *body) at(pointer string) place {
	var root *shape
	if b != nil {
		for _, m := range b.media {
			if m.kind == jsonMedia {
				root = m.shape
			}
		}
	}
	at := place{shape: root}
	for _, step := range strings.Split(pointer, "/")[1:] {
		at = at.child(unescape(step))
	}
	return at
}

// unescape reads a step of a JSON pointer (RFC 6901, section 4).
func unescape(step string) string {
	return strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
}
