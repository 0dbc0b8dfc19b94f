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

	"pinvault/impl/rows"
)

// contract is a document with its extensions read.
type contract struct {
	doc      *openapi3.T
	prefixes []string
	fallback *openapi3.Response // what is answered where no operation is; nil when the document does not say
}

func newContract(doc *openapi3.T) (contract, error) {
	c := contract{doc: doc}
	if err := rows.Extension(doc.Extensions, "x-prefixes", &c.prefixes); err != nil {
		return c, err
	}
	var name string
	if err := rows.Extension(doc.Extensions, "x-error-response", &name); err != nil || name == "" {
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
	var broken []string
	// RFC 9110, section 15.5.6: a 405 names the methods that there are.
	if reply.Status == http.StatusMethodNotAllowed && reply.Header.Get("Allow") == "" {
		broken = append(broken, "no header Allow")
	}
	operations := c.operations(r)
	for _, o := range operations {
		broken = append(broken, breaks(o, r, reply)...)
	}
	if len(operations) == 0 {
		broken = append(broken, c.unroutedBreaks(r, reply)...)
	}
	for i := range broken {
		broken[i] = fmt.Sprintf("%s %s: %d: %s", r.Method, r.URL.Path, reply.Status, broken[i])
	}
	return broken
}

// operations finds what r is meant for. Of two paths that fit and have the method, the one with fewer parameters is
// it. Where several documents describe the same path, the reply has to suit all of them.
func (c *Client) operations(r *http.Request) []rows.Operation {
	if o, ok := r.Context().Value(operationKey{}).(rows.Operation); ok && o.Op != nil {
		return []rows.Operation{o}
	}
	var found []rows.Operation
	fewest := 0
	for _, contract := range c.contracts {
		o, ok := contract.operation(r)
		if !ok {
			continue
		}
		parameters := strings.Count(o.Path, "{")
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
func (c contract) operation(r *http.Request) (rows.Operation, bool) {
	for _, path := range c.doc.Paths.InMatchingOrder() {
		if !matches(path, r.URL.EscapedPath()) {
			continue
		}
		if op := c.doc.Paths.Value(path).GetOperation(r.Method); op != nil {
			return rows.Operation{Doc: c.doc, Path: path, Op: op}, true
		}
	}
	return rows.Operation{}, false
}

// matches says whether an escaped path fits a path template.
func matches(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(t, p string) bool {
		_, isParameter := rows.ParameterName(t)
		return t == p || isParameter && p != ""
	})
}

// breaks returns what is wrong with the operation's reply.
func breaks(o rows.Operation, r *http.Request, reply *Reply) []string {
	ref := o.Op.Responses.Status(reply.Status)
	if ref == nil {
		ref = o.Op.Responses.Default()
	}
	if ref == nil {
		return []string{o.Op.OperationID + ": status is not documented; body: " + string(reply.Body)}
	}
	broken := responseBreaks(o.Doc, ref.Value, r, reply)
	for i := range broken {
		broken[i] = o.Op.OperationID + ": " + broken[i]
	}
	return broken
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
	value, err := rows.Decode(contentType, body)
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
