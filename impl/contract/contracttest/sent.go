package contracttest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/rows"
)

// Unsent holds a conversation of each operation of doc, a success where the document shows one, with the server that
// is told more, all of which counts as not sent: the reply must be the documented one. Optional members are null, and
// empty where the document says x-empty-is-absent, in the clear and inside envelopes; optional headers are empty; where
// no body is described there is one; where no parameter of the query is described there is a query. And a slash in the
// path that is sent encoded must lead nowhere. So an operation or field that is added to the document is looked at
// without another word, except for one whose successes the document says it cannot show (x-unexercised).
func Unsent(t *testing.T, doc *openapi3.T, env Env) {
	t.Helper()
	conversations, byStep := env.executable(t, doc)
	unexercised := map[string]string{}
	if err := rows.Extension(doc.Extensions, "x-unexercised", &unexercised); err != nil {
		t.Fatal(err)
	}
	for method, operation := range rows.Operations(doc) {
		id := operation.Op.OperationID
		first := slices.IndexFunc(conversations, func(c Conversation) bool { return c.Operation == id && c.Method == method && plain(c) })
		if first < 0 {
			if unexercised["200"] == "" {
				t.Errorf("%s: no example of a request as it is described", id)
			}
			continue
		}
		c := conversations[first]
		for _, more := range unsent(c) {
			t.Run(id+"/"+more.Example, func(t *testing.T) { env.converse(t, more, byStep) })
		}
		t.Run(id+"/encoded slashes", func(t *testing.T) { env.nowhere(t, c) })
	}
}

// plain tells whether nothing is special about the request.
func plain(c Conversation) bool { return !c.Raw && c.Fault == "" && c.Authorization == "" }

// unsent are a conversation with more in its request, each under a name that tells what.
func unsent(c Conversation) []Conversation {
	var all []Conversation
	with := func(what string, change func(*Conversation)) {
		more := c
		more.Example = what
		change(&more)
		all = append(all, more)
	}
	for what, body := range members(c) {
		with(what, func(c *Conversation) { c.Body, c.Printed = body, nil })
	}
	if empty := headers(c); len(empty) > 0 {
		with("optional headers empty", func(c *Conversation) {
			c.Header = c.Header.Clone()
			for _, name := range empty {
				c.Header.Set(name, "")
			}
		})
	}
	if c.Of.Op.RequestBody == nil && c.Body == nil {
		for _, body := range []string{"{}", "null", `""`} {
			with("body "+body, func(c *Conversation) { c.Raw, c.Body, c.ContentType = true, []byte(body), rows.MediaJSON })
		}
	}
	if !slices.ContainsFunc(c.Of.Parameters(), func(p *openapi3.Parameter) bool { return p.In == openapi3.ParameterInQuery }) {
		for _, query := range []string{"a;b", "a=%zz", "a=%00&a=%ff"} {
			with("query "+query, func(c *Conversation) { c.Path += "?" + query })
		}
	}
	return all
}

// headers are the optional ones that the request does not have.
func headers(c Conversation) []string {
	var absent []string
	for _, p := range c.Of.Parameters() {
		name := http.CanonicalHeaderKey(p.Name)
		_, sent := c.Header[name]
		_, overridden := c.Override[name]
		if p.In == openapi3.ParameterInHeader && !p.Required && !sent && !overridden {
			absent = append(absent, name)
		}
	}
	return absent
}

// members are the body with all the optional members that it does not have, by what stands in them.
func members(c Conversation) map[string][]byte {
	if c.Of.Op.RequestBody == nil || c.Body == nil {
		return nil
	}
	media := c.Of.Op.RequestBody.Value.Content.Get(c.ContentType)
	schema := media.Schema.Value
	if name, _ := media.Extensions["x-decrypted-schema"].(string); c.Sealed && name != "" {
		schema = c.Of.Doc.Components.Schemas[name].Value
	} else if !rows.IsJSON(c.ContentType) {
		return nil
	}
	bodies := map[string][]byte{}
	for what, of := range map[string]filling{
		"optional members null":  {value: nil, fits: func(*openapi3.SchemaRef) bool { return true }},
		"optional members empty": {value: "", fits: emptyIsAbsent},
	} {
		value, err := rows.DecodeJSON(c.Body)
		if err != nil {
			continue // the conversation itself fails
		}
		of.fill(schema, value)
		if body, err := json.Marshal(value); err == nil && !bytes.Equal(body, c.Body) {
			bodies[what] = body
		}
	}
	return bodies
}

func emptyIsAbsent(ref *openapi3.SchemaRef) bool {
	const extension = "x-empty-is-absent"
	return ref.Extensions[extension] == true || ref.Value.Extensions[extension] == true
}

// filling is what stands in optional members that an example does not have, those that it fits.
type filling struct {
	value any
	fits  func(*openapi3.SchemaRef) bool
}

func (f filling) fill(schema *openapi3.Schema, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, ref := range schema.Properties {
			if member, there := value[name]; there {
				f.fill(ref.Value, member)
			} else if !slices.Contains(schema.Required, name) && f.fits(ref) {
				value[name] = f.value
			}
		}
	case []any:
		if schema.Items != nil {
			for _, item := range value {
				f.fill(schema.Items.Value, item)
			}
		}
	}
}

// nowhere sends the request with one slash of its path encoded, each in turn. The first is the root's.
func (e Env) nowhere(tb testing.TB, c Conversation) {
	tb.Helper()
	e.Reset(tb)
	path, query, _ := strings.Cut(c.Path, "?")
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		encoded := path[:i] + "%2F" + path[i+1:]
		r := e.request(tb, c)
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = path, encoded, query
		reply := e.Client.For(tb).send(withOperation(r, rows.Operation{}))
		if reply.Status != http.StatusBadRequest && reply.Status != http.StatusNotFound && reply.Status != http.StatusMethodNotAllowed {
			tb.Errorf("%s %s: status %d, want 400, 404 or 405; body: %s", c.Method, encoded, reply.Status, reply.Body)
		}
	}
}
