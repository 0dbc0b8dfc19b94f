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
	at := op.body.json().at(pointer)
	return Violation{In: InBody, Pointer: at.pointer, Rule: rule, Limit: limit(rule, at.schema()), Label: at.label, Schema: at.schema()}
}

// join puts further violations of the body to those that were found, in the document's order.
func (op *Operation) join(found, more []Violation) []Violation {
	if len(more) == 0 {
		return found
	}
	var before, inBody []Violation
	for _, v := range slices.Concat(found, more) {
		if v.In == InBody {
			inBody = append(inBody, v)
		} else {
			before = append(before, v)
		}
	}
	return append(before, op.body.json().inOrder(inBody)...)
}

// json is the shape of the JSON body, nil where there is none.
func (b *body) json() (root *shape) {
	if b != nil {
		for _, m := range b.media {
			if m.kind == jsonMedia {
				root = m.shape
			}
		}
	}
	return root
}

// at is the place that a JSON pointer leads to.
func (s *shape) at(pointer string) place {
	steps := strings.Split(pointer, "/")[1:]
	for i := range steps {
		steps[i] = unescape(steps[i])
	}
	return s.find("", steps)
}

// inOrder sorts violations of a message by the places that they are of.
func (s *shape) inOrder(found []Violation) []Violation {
	placed := make([]finding, len(found))
	for i, v := range found {
		placed[i] = finding{rank: s.at(v.Pointer).ranked(v.Rule), Violation: v}
	}
	return inOrder(placed)
}

// unescape reads a step of a JSON pointer (RFC 6901, section 4).
func unescape(step string) string {
	return strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
}
