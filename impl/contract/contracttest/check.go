package contracttest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// contract is a document with its extensions read.
type contract struct {
	doc      *openapi3.T
	prefixes []string
	fallback *openapi3.Response // what is answered where no operation is; nil when the document does not say
}

// operation is one operation and where it stands.
type operation struct {
	doc  *openapi3.T
	path string
	op   *openapi3.Operation
}

// public tells whether the operation demands no authorization, of which it may take one kind all the same.
func (o operation) public() bool {
	return o.op.Security != nil && (len(*o.op.Security) == 0 ||
		slices.ContainsFunc(*o.op.Security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 }))
}

func newContract(doc *openapi3.T) (contract, error) {
	c := contract{doc: doc}
	if err := decodeExtension(doc.Extensions, "x-prefixes", &c.prefixes); err != nil {
		return c, err
	}
	var name string
	if err := decodeExtension(doc.Extensions, "x-error-response", &name); err != nil || name == "" {
		return c, err
	}
	if doc.Components != nil {
		if ref := doc.Components.Responses[name]; ref != nil {
			c.fallback = ref.Value
		}
	}
	if c.fallback == nil {
		return c, fmt.Errorf("x-error-response: no components response %q", name)
	}
	return c, nil
}

// breaks returns what is wrong with the reply to r, a sentence each.
func (c *Client) breaks(r *http.Request, reply *Reply) []string {
	var breaks []string
	// RFC 9110, section 15.5.6: a 405 names the methods that there are.
	if reply.Status == http.StatusMethodNotAllowed && reply.Header.Get("Allow") == "" {
		breaks = append(breaks, "no header Allow")
	}
	operations := c.operations(r)
	for _, o := range operations {
		breaks = append(breaks, o.breaks(r, reply)...)
	}
	if len(operations) == 0 {
		breaks = append(breaks, c.unroutedBreaks(r, reply)...)
	}
	for i := range breaks {
		breaks[i] = fmt.Sprintf("%s %s: %d: %s", r.Method, r.URL.Path, reply.Status, breaks[i])
	}
	return breaks
}

// operations finds what r is meant for. Of two paths that fit and have the method, the one with fewer parameters is
// it. Where several documents describe the same path, the reply has to suit all of them.
func (c *Client) operations(r *http.Request) []operation {
	if o, ok := r.Context().Value(operationKey{}).(operation); ok && o.op != nil {
		return []operation{o}
	}
	var found []operation
	fewest := 0
	for _, contract := range c.contracts {
		o, ok := contract.operation(r)
		if !ok {
			continue
		}
		parameters := strings.Count(o.path, "{")
		if len(found) == 0 || parameters < fewest {
			found, fewest = nil, parameters
		}
		if parameters == fewest {
			found = append(found, o)
		}
	}
	return found
}

// operation finds the document's own operation for r.
func (c contract) operation(r *http.Request) (operation, bool) {
	for _, path := range c.doc.Paths.InMatchingOrder() {
		if !matches(path, r.URL.EscapedPath()) {
			continue
		}
		if op := c.doc.Paths.Value(path).GetOperation(r.Method); op != nil {
			return operation{c.doc, path, op}, true
		}
	}
	return operation{}, false
}

// matches says whether an escaped path fits a path template.
func matches(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(t, p string) bool {
		_, isParameter := parameterName(t)
		return t == p || isParameter && p != ""
	})
}

// parameterName returns the name within a template's segment "{name}".
func parameterName(segment string) (string, bool) {
	name, opened := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, opened && closed
}

// breaks returns what is wrong with the operation's reply.
func (o operation) breaks(r *http.Request, reply *Reply) []string {
	ref := o.op.Responses.Status(reply.Status)
	if ref == nil {
		ref = o.op.Responses.Default()
	}
	if ref == nil {
		return []string{o.op.OperationID + ": status is not documented; body: " + string(reply.Body)}
	}
	breaks := responseBreaks(o.doc, ref.Value, r, reply)
	for i := range breaks {
		breaks[i] = o.op.OperationID + ": " + breaks[i]
	}
	return breaks
}

// unroutedBreaks returns what is wrong with a reply where no operation is: an unknown path, or a method that a known
// path does not have.
func (c *Client) unroutedBreaks(r *http.Request, reply *Reply) []string {
	contract, ok := c.responsible(r.URL.EscapedPath())
	if !ok {
		return []string{"the path is in no document and under no x-prefixes"}
	}
	if reply.Status < http.StatusBadRequest {
		return []string{"no document has the operation that answered"}
	}
	if contract.fallback == nil {
		return nil
	}
	return responseBreaks(contract.doc, contract.fallback, r, reply)
}

// responsible returns the contract with the longest prefix of path.
func (c *Client) responsible(path string) (found contract, ok bool) {
	longest := -1
	for _, contract := range c.contracts {
		for _, prefix := range contract.prefixes {
			prefix = strings.TrimSuffix(prefix, "/")
			if len(prefix) > longest && (path == prefix || strings.HasPrefix(path, prefix+"/")) {
				found, ok, longest = contract, true, len(prefix)
			}
		}
	}
	return found, ok
}

// responseBreaks returns what is wrong with a reply that should be the documented response.
func responseBreaks(doc *openapi3.T, response *openapi3.Response, r *http.Request, reply *Reply) []string {
	breaks := headerBreaks(doc, response, r, reply)
	if r.Method == http.MethodHead {
		return breaks
	}
	if len(response.Content) == 0 {
		if len(reply.Body) > 0 {
			breaks = append(breaks, "no body is documented; body: "+string(reply.Body))
		}
		return breaks
	}
	contentType := reply.Header.Get("Content-Type")
	media := response.Content.Get(contentType)
	if media == nil {
		documented := strings.Join(slices.Sorted(maps.Keys(response.Content)), ", ")
		return append(breaks, fmt.Sprintf("content type %q is not documented (%s)", contentType, documented))
	}
	return append(breaks, bodyBreaks(media, contentType, reply.Body)...)
}

// headerBreaks has openapi3filter check the described headers. By itself that leaves redirects unchecked, so the
// response is handed over as the default one of a 200.
func headerBreaks(doc *openapi3.T, response *openapi3.Response, r *http.Request, reply *Reply) []string {
	op := &openapi3.Operation{Responses: openapi3.NewResponses(openapi3.WithName("default", response))}
	return sentences(openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r,
			Route:   &routers.Route{Spec: doc, Operation: op},
		},
		Status:  http.StatusOK,
		Header:  reply.Header,
		Options: &openapi3filter.Options{ExcludeResponseBody: true},
	}))
}

// bodyBreaks checks a body here, not in openapi3filter: that accepts anything behind the first JSON value and knows no
// text type but text/plain.
func bodyBreaks(media *openapi3.MediaType, contentType string, body []byte) []string {
	if media.Schema == nil {
		return nil
	}
	value, err := decode(contentType, body)
	if err != nil {
		return []string{fmt.Sprintf("body is not JSON: %v; body: %s", err, body)}
	}
	return sentences(media.Schema.Value.VisitJSON(value,
		openapi3.VisitAsResponse(),
		openapi3.MultiErrors(),
		openapi3.WithStringFormatValidator("uuid",
			openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562)),
	))
}

// sentences renders an error of kin-openapi: rule, JSON pointer and value of every broken schema, of the branches of a
// oneOf too. An error that holds no schema is rendered by its own text, so that none is lost.
func sentences(err error) []string {
	switch e := err.(type) { //nolint:errorlint // one layer at a time; what is wrapped comes below
	case nil:
		return nil
	case openapi3.MultiError:
		var all []string
		for _, one := range e {
			all = append(all, sentences(one)...)
		}
		return all
	case *openapi3filter.ResponseError:
		if !holdsSchema(e.Err) {
			return []string{e.Error()}
		}
		all := sentences(e.Err)
		for i := range all {
			all[i] = e.Reason + ": " + all[i]
		}
		return all
	case *openapi3.SchemaError:
		pointer := strings.Join(append([]string{""}, e.JSONPointer()...), "/")
		all := []string{fmt.Sprintf("rule %q at %q: %s; value: %s", e.SchemaField, pointer, e.Reason, compact(e.Value))}
		if holdsSchema(e.Origin) {
			all = append(all, sentences(e.Origin)...)
		}
		return all
	}
	if inner := errors.Unwrap(err); inner != nil && holdsSchema(inner) {
		return sentences(inner)
	}
	return []string{err.Error()}
}

func holdsSchema(err error) bool {
	var schema *openapi3.SchemaError
	return errors.As(err, &schema)
}
