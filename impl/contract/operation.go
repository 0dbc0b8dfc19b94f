package contract

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Operation is one operation of a document.
type Operation struct {
	ID      string // operationId
	Method  string
	Path    string // as the document writes it: "/cards/{publicToken}/pin"
	GinPath string // as gin's FullPath has it: "/cards/:publicToken/pin"

	// Scopes are those that the document's security, and x-scopes beside an API key, demand: all of them.
	Scopes []string

	// Public says that the document demands no authorization (security: [], and x-public says why).
	Public bool

	// Spec is the operation in the document, with its extensions. It is shared: read only.
	Spec *openapi3.Operation

	document *Document
	route    *routers.Route
	path     []parameter // each in the document's order
	query    []parameter
	header   []parameter
	body     *body             // nil where none is described
	maxBody  int64             // bytes (x-max-body)
	replies  map[string]*reply // by status; "default" for any other
}

func newOperation(d *Document, known shapes, l listed) *Operation {
	op := &Operation{
		ID:       l.spec.OperationID,
		Method:   l.method,
		Path:     l.path,
		GinPath:  strings.NewReplacer("{", ":", "}", "").Replace(l.path),
		Spec:     l.spec,
		document: d,
		route:    &routers.Route{Spec: d.spec, Path: l.path, PathItem: l.item, Method: l.method, Operation: l.spec},
		body:     newBody(known, l.spec),
		maxBody:  d.maxBody,
		replies:  map[string]*reply{},
	}
	for status, ref := range l.spec.Responses.Map() {
		op.replies[status] = newReply(known, ref.Value)
	}
	if own, ok := maxBody(l.spec); ok {
		op.maxBody = own
	}
	op.Scopes, op.Public = authorization(d.spec, l.spec)
	lists := map[In]*[]parameter{InPath: &op.path, InQuery: &op.query, InHeader: &op.header}
	for _, ref := range parameters(l) {
		list := lists[In(ref.Value.In)]
		*list = append(*list, newParameter(known, ref))
	}
	return op
}

// maxBody is x-max-body, the longest body of an operation in bytes.
func maxBody(spec *openapi3.Operation) (bytes int64, ok bool) {
	n, ok := spec.Extensions["x-max-body"].(float64)
	return int64(n), ok && n >= 1 && n <= maxMaxBody && n == math.Trunc(n)
}

// maxMaxBody is the most that a document may ask to be kept in memory for one request, in bytes.
const maxMaxBody = 16 << 20

// parameters are those of the path and those of the operation, which win.
func parameters(l listed) openapi3.Parameters {
	var all openapi3.Parameters
	for _, ref := range l.item.Parameters {
		if l.spec.Parameters.GetByInAndName(ref.Value.In, ref.Value.Name) == nil {
			all = append(all, ref)
		}
	}
	return append(all, l.spec.Parameters...)
}

// authorization reads security, the operation's own or else the document's. Where it gives
// alternatives, all their scopes are demanded: that asks for too much rather than too little.
func authorization(spec *openapi3.T, op *openapi3.Operation) (scopes []string, public bool) {
	requirements := spec.Security
	if op.Security != nil {
		requirements = *op.Security
	}
	public = len(requirements) == 0
	for _, schemes := range requirements {
		public = public || len(schemes) == 0
		for _, demanded := range schemes {
			scopes = append(scopes, demanded...)
		}
	}
	if !public { // OpenAPI 3.0 lets no API key demand scopes in security
		own, _ := op.Extensions["x-scopes"].([]any)
		scopes = append(scopes, words(own)...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), public
}

// Check holds a request against the operation; pathParams are the path's parameters by name, as the
// handler will get them. Nil means that it keeps the contract.
//
// r.Body is read and replaced: what was sent can be read again, [Sent] gives it without reading, and
// when the contract is kept a JSON body has a ValidatedValue() any, from which the generated handlers
// bind (runtime.BindJSONValue), so that they get what was checked and not what a second, more lenient
// decoder makes of it. For the same reason r.Form and r.PostForm are set from a form body alone: left
// to themselves they would mix in the query. Where only a charset was added to a described media
// type, or its case changed, Content-Type becomes what the document writes, which is what the
// generated code compares with.
//
// Violations come in the order path, query, header, body, and within each in the document's order.
func (op *Operation) Check(r *http.Request, pathParams map[string]string) []Violation {
	return append(op.checkParameters(r, pathParams), op.checkBody(r)...)
}

func (op *Operation) checkParameters(r *http.Request, pathParams map[string]string) []Violation {
	op.sentHeaders(r.Header)
	var query url.Values
	var err error
	if op.query != nil {
		query, err = url.ParseQuery(r.URL.RawQuery)
	}
	input := &openapi3filter.RequestValidationInput{
		Request:     r,
		PathParams:  pathParams,
		QueryParams: query,
		Route:       op.route,
		Options:     op.document.options,
	}
	found := checkAll(op.path, input)
	if err != nil {
		found = append(found, Violation{In: InQuery, Rule: RuleMalformed})
	} else {
		found = append(found, checkAll(op.query, input)...)
		found = append(found, checkRest(InQuery, op.query, query)...)
	}
	found = append(found, checkAll(op.header, input)...)
	return append(found, checkRest(InHeader, op.header, r.Header)...)
}
