package contract

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"pinvault/generated/served"
	"pinvault/openapi"
)

// serving is a document as it is served, and the whole of it.
func serving(t *testing.T, name string) (d, whole *Document) {
	t.Helper()
	d, err := Serving(served.Forms, openapi.Documents, name)
	require.NoError(t, err)
	whole, err = d.Whole()
	require.NoError(t, err)
	return d, whole
}

// eachServed runs a test for every document.
func eachServed(t *testing.T, test func(t *testing.T, name string)) {
	names, err := Names(openapi.Documents)
	require.NoError(t, err)
	require.Len(t, names, 9)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name)
		})
	}
}

// prune takes out of a document what is for readers, and that something is as it is unless it is said; out of a form what
// it has besides. named says that members bear names of the document's.
func prune(v any, named bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, of := range v {
			if !named && (forReaders[key] || key == "required" && of == false) || key == orderExtension {
				delete(v, key)
				continue
			}
			prune(of, !named && holders[key])
		}
	case []any:
		for _, of := range v {
			prune(of, false)
		}
	}
}

// pruned is a document as it is written, in JSON.
func pruned(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	require.NoError(t, yaml.Unmarshal(text, &v), "which reads JSON too")
	prune(v, false)
	out, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return string(out)
}

// What a server checks by is the document and nothing less.
func TestWhatServesIsTheDocumentWithoutProse(t *testing.T) {
	t.Parallel()
	eachServed(t, func(t *testing.T, name string) {
		document, err := openapi.Documents.ReadFile(name + ".yaml")
		require.NoError(t, err)
		form, err := served.Forms.ReadFile(name + ".json")
		require.NoError(t, err)
		made, err := Form(openapi.Documents, name)
		require.NoError(t, err)
		require.Equal(t, string(made)+"\n", string(form), "run 'make generate'")
		require.Equal(t, strings.ReplaceAll(pruned(t, document), ".yaml#/", ".json#/"), pruned(t, form))

		d, whole := serving(t, name)
		require.NotEmpty(t, whole.spec.Info.Description)
		require.Empty(t, d.spec.Info.Description)
	})
}

// outline is a shape in the document's order.
type outline struct {
	Name, Label, Type string
	Required, Empty   bool
	Members           []outline
	Items, Other      []outline
}

// outlined ends where a shape stands inside itself.
func (m *member) outlined(above ...*shape) []outline {
	if m == nil || m.shape == nil {
		return nil
	}
	s := m.shape
	o := outline{Name: m.name, Label: m.label, Type: strings.Join(s.schema.Type.Slice(), " "), Required: m.required, Empty: m.empty}
	if slices.Contains(above, s) {
		return []outline{o}
	}
	above = append(slices.Clip(above), s)
	for i := range s.members {
		o.Members = append(o.Members, s.members[i].outlined(above...)...)
	}
	o.Items, o.Other = s.items.outlined(above...), s.other.outlined(above...)
	return []outline{o}
}

func (s *shape) outlined() []outline { return (&member{shape: s}).outlined() }

func outlines(parameters []parameter) (all []outline) {
	for _, p := range parameters {
		all = append(all, (&member{name: string(p.in) + " " + p.name, label: p.label, shape: p.shape, required: p.spec.Required}).outlined()...)
	}
	return all
}

func TestWhatServesHasTheDocumentsOrder(t *testing.T) {
	t.Parallel()
	eachServed(t, func(t *testing.T, name string) {
		d, whole := serving(t, name)
		require.Len(t, d.operations, len(whole.operations))
		for i, want := range whole.operations {
			got := d.operations[i]
			require.Equal(t, [3]string{want.ID, want.Method, want.Path}, [3]string{got.ID, got.Method, got.Path})
			require.Equal(t, outlines(want.parameters()), outlines(got.parameters()), want.ID)
			require.Equal(t, want.body.outlined(), got.body.outlined(), want.ID)
			require.Len(t, got.replies, len(want.replies))
			for status, reply := range want.replies {
				require.Equal(t, outlines(reply.headers), outlines(got.replies[status].headers), want.ID)
				require.Equal(t, mediaOutlined(reply.media), mediaOutlined(got.replies[status].media), want.ID)
			}
		}
		require.Len(t, d.messages, len(whole.messages))
		for schema, shape := range whole.messages {
			require.Equal(t, shape.outlined(), d.messages[schema].outlined(), schema)
		}
	})
}

func (op *Operation) parameters() []parameter { return slices.Concat(op.path, op.query, op.header) }

func (b *body) outlined() map[string][]outline {
	if b == nil {
		return nil
	}
	return mediaOutlined(b.media)
}

func mediaOutlined(media map[string]*mediaType) map[string][]outline {
	all := map[string][]outline{}
	for name, m := range media {
		all[name+" "+m.message] = m.shape.outlined()
	}
	return all
}

// wrong is a value in which every member is, of another type than the document's, and one more is there.
func (s *shape) wrong(depth int) any {
	switch {
	case s.items != nil && depth > 0:
		return []any{s.items.shape.wrong(depth - 1)}
	case len(s.members) == 0 || depth == 0:
		return map[string]any{"unknown": []any{}}
	}
	object := map[string]any{"unknown": true}
	for i := range s.members {
		object[s.members[i].name] = s.members[i].shape.wrong(depth - 1)
	}
	return object
}

// wrong is a request in which everything is wrong that can be, or without what it needs.
func (op *Operation) wrong(t *testing.T, fill bool) (*http.Request, map[string]string) {
	t.Helper()
	path := map[string]string{}
	for _, p := range op.path {
		path[p.name] = "\u00a0"
	}
	var body io.Reader = http.NoBody
	root := op.body.json()
	if root != nil {
		value := any(map[string]any{})
		if fill {
			value = root.wrong(4)
		}
		text, err := json.Marshal(value)
		require.NoError(t, err)
		body = bytes.NewReader(text)
	}
	r := httptest.NewRequest(op.Method, "/?unknown=1&unknown=2", body)
	if root != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if fill {
		query := r.URL.Query()
		for _, p := range op.query {
			query.Set(p.name, "\u00a0")
		}
		r.URL.RawQuery = query.Encode()
		for _, p := range op.header {
			r.Header.Set(p.name, "\u00a0")
		}
	}
	return r, path
}

func TestWhatServesFindsTheSameInTheSameOrder(t *testing.T) {
	t.Parallel()
	eachServed(t, func(t *testing.T, name string) {
		d, whole := serving(t, name)
		several := 0
		for i, op := range whole.operations {
			for _, fill := range []bool{true, false} {
				want, path := op.wrong(t, fill)
				got, _ := op.wrong(t, fill)
				violations := texts(op.Check(want, path))
				require.Equal(t, violations, texts(d.operations[i].Check(got, path)), op.ID)
				several += len(violations)
			}
		}
		for schema, shape := range whole.messages {
			value := shape.wrong(4)
			violations := texts(whole.check(InBody, shape, "", value))
			require.Equal(t, violations, texts(d.check(InBody, d.messages[schema], "", value)), schema)
			several += len(violations)
		}
		require.Greater(t, several, len(whole.operations))
	})
}

func texts(violations []Violation) (all []string) {
	for _, v := range violations {
		all = append(all, v.String()+" "+v.Label)
	}
	return all
}

const formless = `openapi: 3.0.3
info: {title: T, version: '1', description: Prose.}
paths:
  /b:
    post:
      security: []
      x-public: a test
      operationId: second
      summary: What it does
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Named'}
            examples: {one: {value: {}}}
      responses:
        '200': {description: Done., content: {application/json: {examples: {one: {value: {}}}}}}
        default: {$ref: 'other.yaml#/components/responses/Failed'}
  /a:
    get:
      operationId: first
      security: []
      x-public: a test
      description: More of it
      parameters:
        - {in: query, name: q, description: Asked for., schema: {type: integer}}
      responses: {'204': {description: ''}}
components:
  schemas:
    Named:
      type: object
      description: Of members with the names of others.
      required: [properties]
      x-origin: sibling
      properties:
        summary: {type: integer, example: 1}
        properties: {type: object, description: Here., properties: {description: {type: boolean}}}
        description: {type: boolean}
`

func TestAFormHasTheDocumentWithoutWhatIsForReaders(t *testing.T) {
	t.Parallel()
	documents := fstest.MapFS{"t.yaml": {Data: []byte(formless)}, "other.yaml": {Data: []byte(`openapi: 3.0.3
info: {title: O, version: '1'}
paths: {}
components: {responses: {Failed: {description: Failed.}}}
`)}}
	form, err := Form(documents, "t")
	require.NoError(t, err)
	require.JSONEq(t, `{
  "openapi": "3.0.3", "info": {"title": "T", "version": "1"},
  "paths": {
    "x-order": ["second", "first"],
    "/a": {"get": {"operationId": "first", "security": [], "x-public": "a test",
      "parameters": [{"in": "query", "name": "q", "schema": {"type": "integer"}}], "responses": {"204": {"description": ""}}}},
    "/b": {"post": {"operationId": "second", "security": [], "x-public": "a test",
      "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Named"}}}},
      "responses": {"200": {"description": "", "content": {"application/json": {}}}, "default": {"$ref": "other.json#/components/responses/Failed"}}}}
  },
  "components": {"schemas": {"Named": {
    "type": "object", "required": ["properties"], "x-order": ["summary", "properties", "description"],
    "properties": {
      "description": {"type": "boolean"},
      "properties": {"type": "object", "properties": {"description": {"type": "boolean"}}},
      "summary": {"type": "integer"}}}}}}`, string(form))
	_, err = Form(fstest.MapFS{"t.yaml": {Data: []byte(strings.Replace(formless, "x-public: a test", "", 1))}}, "t")
	require.ErrorContains(t, err, "contract t")
}

func TestABrokenFormIsRefused(t *testing.T) {
	t.Parallel()
	const form = `{"openapi":"3.0.3","info":{"title":"T","version":"1"},"paths":{"/a":{"get":{"operationId":"a","parameters":[
		{"in":"query","name":"q","schema":{"$ref":"#/components/schemas/Q"}}],"responses":{"204":{"description":""}}}}},
		"components":{"schemas":{"Q":{"type":"string","pattern":"^a$"}}}}`
	for name, change := range map[string][2]string{
		"cut off":                        {`^a$"}}}}`, ""},
		"no paths":                       {`"paths"`, `"x-paths"`},
		"a type that there is not":       {`"string"`, `"text"`},
		"a pattern that is none":         {"^a$", "("},
		"a reference that leads nowhere": {"schemas/Q", "schemas/R"},
		"a member of another kind":       {`"parameters":[`, `"parameters":{},"x":[`},
		"a parameter without a schema":   {`"schema"`, `"x-schema"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, form, change[0])
			_, err := Serving(fstest.MapFS{"t.json": {Data: []byte(strings.Replace(form, change[0], change[1], 1))}}, nil, "t")
			require.ErrorContains(t, err, "contract t as it is served: ")
		})
	}
	_, err := Serving(fstest.MapFS{"t.json": {Data: []byte(form)}}, nil, "t")
	require.NoError(t, err)
	_, err = Serving(fstest.MapFS{}, nil, "t")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAWholeDocumentIsItsOwn(t *testing.T) {
	t.Parallel()
	whole, err := Load(openapi.Documents, "common")
	require.NoError(t, err)
	same, err := whole.Whole()
	require.NoError(t, err)
	require.Same(t, whole, same)
}

func BenchmarkServing(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Serving(served.Forms, openapi.Documents, "issuer"); err != nil {
			b.Fatal(err)
		}
	}
}
