package contracttest

import (
	"errors"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Step names a conversation: an operationId and the name of an example.
type Step struct {
	Operation string `json:"operation"`
	Example   string `json:"example"`
}

func (s Step) String() string { return s.Operation + "/" + s.Example }

// Conversation is one named example: a request and its one documented reply.
type Conversation struct {
	Step
	Method string
	Path   string      // escaped, with the query
	Header http.Header // from the header parameters

	// Override is what x-request says about headers. It is set last; a nil value keeps the header from being sent.
	Override http.Header

	ContentType string // of Body; "" when the document names none
	Body        []byte // nil: none is sent
	Raw         bool   // Body is a rawBody, or of a bodySize
	Sealed      bool   // Body is what x-decrypted says and has yet to be sealed
	Printed     []byte // the sealed body as the document prints it, nil where Body is another

	Authorization string // word for Env.Authorize, "" by default
	Public        bool   // the operation has `security: []`
	Fault         string // word for Env.Fault, "" for none
	After         []Step
	Reply         Expected

	operation operation
}

// Expected is the documented reply of a conversation.
type Expected struct {
	Status      int
	ContentType string      // "" for a reply without content
	Body        []byte      // JSON or text; nil for a reply without content
	Sealed      bool        // Body is what x-decrypted says; the reply has to be opened first
	Printed     []byte      // the sealed reply as the document prints it
	Volatile    []string    // JSON pointers into Body
	Header      http.Header // a nil value: the header must not be there
}

// decode returns a body of this reply, opened if it was sealed, as a value to compare.
func (e Expected) decode(body []byte) (any, error) {
	if e.Sealed {
		return decodeJSON(body)
	}
	return decode(e.ContentType, body)
}

// Conversations returns every named example of doc as a conversation, in the order of path, method and status. The
// error names each example that cannot be one, be it a reply's or a request's that no reply belongs to.
func Conversations(doc *openapi3.T) ([]Conversation, error) {
	w := walk{doc: doc, ids: map[string]bool{}, taken: map[Step]bool{}, seen: map[place]string{}, used: map[place]bool{}}
	w.document()
	return w.conversations, errors.Join(w.errs...)
}

// Missing returns "operationId status" for every documented status without an executable example, except those listed
// in x-unexercised. An entry there without a reason is returned as well.
func Missing(doc *openapi3.T) []string {
	var missing []string
	var unexercised map[string]string
	if err := decodeExtension(doc.Extensions, "x-unexercised", &unexercised); err != nil {
		missing = append(missing, err.Error())
	}
	for _, status := range slices.Sorted(maps.Keys(unexercised)) {
		if strings.TrimSpace(unexercised[status]) == "" {
			missing = append(missing, "x-unexercised "+status+" without a reason")
		}
	}
	conversations, _ := Conversations(doc) // an example that cannot be executed shows nothing
	shown := map[string]bool{}
	for _, c := range conversations {
		shown[c.Operation+" "+strconv.Itoa(c.Reply.Status)] = true
	}
	for _, o := range operations(doc) {
		for _, status := range slices.Sorted(maps.Keys(o.op.Responses.Map())) {
			_, excused := unexercised[status]
			if name := o.op.OperationID + " " + status; !excused && !shown[name] {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

// operations yields the operations of a document by method, in the order of path and method.
func operations(doc *openapi3.T) iter.Seq2[string, operation] {
	return func(yield func(string, operation) bool) {
		paths := doc.Paths.Map()
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			methods := paths[path].Operations()
			for _, method := range slices.Sorted(maps.Keys(methods)) {
				if !yield(method, operation{doc, path, methods[method]}) {
					return
				}
			}
		}
	}
}
