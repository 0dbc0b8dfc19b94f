package rows

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

// Step names a row: an operationId and the name of an example.
type Step struct {
	Operation string `json:"operation"`
	Example   string `json:"example"`
}

func (s Step) String() string { return s.Operation + "/" + s.Example }

// Row is one named example: a request and its one documented reply.
type Row struct {
	Step
	Asked   string // summary of the request's example, "" for none
	Summary string // of the reply's example, "" for none
	Origin  string // x-origin of the reply's example, "" where the partner's document has it
	Advice  string // x-advice of the reply's example, "" where what its code or status is advised fits

	Method string
	Path   string      // escaped, with the query
	Header http.Header // from the header parameters

	Arguments []Argument // of the described parameters that it sends, in the document's order

	// Override is what x-request says about headers. It is set last; a nil value keeps the header from being sent.
	Override http.Header

	ContentType string // of Body; "" when the document names none
	Body        []byte // nil: none is sent
	Raw         bool   // Body is a rawBody, or of a bodySize
	Sealed      bool   // Body is what x-decrypted says and has yet to be sealed
	Printed     []byte // the sealed body as the document prints it, nil where Body is another

	Authorization string // word for who calls, "" for whoever may
	Public        bool   // the operation has `security: []`
	Fault         string // word for what fails meanwhile, "" for nothing
	Session       *Session
	After         []Step
	Reply         Reply

	Of Operation // whose row it is
}

// Argument is what a row sends for a parameter: a value that is not null.
type Argument struct {
	*openapi3.Parameter
	Value any
}

// Session is what a row needs of a session that is made for it, whose secrets no document can have.
type Session struct {
	Link    string         `json:"link"`              // word for what hands it out
	Message map[string]any `json:"message,omitempty"` // what is sealed to the session's key, nil for nothing
}

// Reply is the documented reply of a row.
type Reply struct {
	Status      int
	ContentType string      // "" for a reply without content
	Body        []byte      // JSON or text; nil for a reply without content
	Sealed      bool        // Body is what x-decrypted says; the reply has to be opened first
	Printed     []byte      // the sealed reply as the document prints it
	Volatile    []string    // JSON pointers into Body
	Header      http.Header // a nil value: the header must not be there
}

// Decode returns a body of this reply, opened if it was sealed, as a value to compare.
func (r Reply) Decode(body []byte) (any, error) {
	if r.Sealed {
		return DecodeJSON(body)
	}
	return Decode(r.ContentType, body)
}

// All returns every named example of doc as a row, in the order of path, method and status. The
// error names each example that cannot be one, be it a reply's or a request's that no reply belongs to.
func All(doc *openapi3.T) ([]Row, error) {
	w := walk{doc: doc, ids: map[string]bool{}, taken: map[Step]bool{}, seen: map[place]string{}, used: map[place]bool{}}
	w.document()
	return w.rows, errors.Join(w.errs...)
}

// Missing returns "operationId status" for every documented status without an executable example, except those listed
// in x-unexercised. An entry there without a reason is returned as well.
func Missing(doc *openapi3.T) []string {
	var missing []string
	var unexercised map[string]string
	if err := Extension(doc.Extensions, "x-unexercised", &unexercised); err != nil {
		missing = append(missing, err.Error())
	}
	for _, status := range slices.Sorted(maps.Keys(unexercised)) {
		if strings.TrimSpace(unexercised[status]) == "" {
			missing = append(missing, "x-unexercised "+status+" without a reason")
		}
	}
	rows, _ := All(doc) // an example that cannot be executed shows nothing
	shown := map[string]bool{}
	for _, c := range rows {
		shown[c.Operation+" "+strconv.Itoa(c.Reply.Status)] = true
	}
	for _, o := range Operations(doc) {
		for _, status := range slices.Sorted(maps.Keys(o.Op.Responses.Map())) {
			_, excused := unexercised[status]
			if name := o.Op.OperationID + " " + status; !excused && !shown[name] {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

// Operation is one operation and where it stands.
type Operation struct {
	Doc  *openapi3.T
	Path string
	Op   *openapi3.Operation
}

// Public tells whether the operation demands no authorization, of which it may take one kind all the same.
func (o Operation) Public() bool {
	return o.Op.Security != nil && (len(*o.Op.Security) == 0 ||
		slices.ContainsFunc(*o.Op.Security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 }))
}

// Parameters returns those of the operation, and those of its path that the operation does not replace.
func (o Operation) Parameters() []*openapi3.Parameter {
	var all []*openapi3.Parameter
	for _, ref := range o.Op.Parameters {
		all = append(all, ref.Value)
	}
	for _, ref := range o.Doc.Paths.Value(o.Path).Parameters {
		if o.Op.Parameters.GetByInAndName(ref.Value.In, ref.Value.Name) == nil {
			all = append(all, ref.Value)
		}
	}
	return all
}

// Operations yields the operations of a document by method, in the order of path and method.
func Operations(doc *openapi3.T) iter.Seq2[string, Operation] {
	return func(yield func(string, Operation) bool) {
		paths := doc.Paths.Map()
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			methods := paths[path].Operations()
			for _, method := range slices.Sorted(maps.Keys(methods)) {
				if !yield(method, Operation{doc, path, methods[method]}) {
					return
				}
			}
		}
	}
}
