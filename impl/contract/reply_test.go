package contract_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

const replies = `
openapi: 3.0.3
info: {title: Replies, version: '1'}
x-error-response: Problem
paths:
  /thing:
    get:
      operationId: getThing
      security: []
      x-public: a test
      responses:
        '200':
          description: the thing
          headers:
            ETag: {required: true, schema: {type: string, pattern: '^"[a-f]+"$'}}
            Age: {schema: {type: integer, minimum: 0}}
          content:
            application/json: {schema: {$ref: '#/components/schemas/Thing'}}
        '201':
          description: sealed
          content:
            application/json:
              schema: {type: object, required: [token], properties: {token: {type: string}}}
              x-decrypted-schema: Thing
        '204': {description: nothing}
        '302': {description: a page, content: {text/html: {schema: {type: string, minLength: 3}}}}
        '404': {$ref: '#/components/responses/Problem'}
components:
  responses:
    Problem:
      description: an error
      content: {application/problem+json: {schema: {type: object, additionalProperties: false, required: [code], properties: {code: {type: string, enum: [no]}}}}}
  schemas:
    Thing:
      type: object
      required: [id, kind]
      properties:
        id: {type: integer}
        kind: {type: string, enum: [a, b], nullable: true}
        secret: {type: string, writeOnly: true}
`

func TestRepliesAreHeldAgainstTheDocument(t *testing.T) {
	t.Parallel()
	d, err := contract.Load(fstest.MapFS{"replies.yaml": {Data: []byte(replies)}}, "replies")
	require.NoError(t, err)
	const json = "application/json"
	zipped := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write([]byte(text))
		require.NoError(t, errors.Join(err, w.Close()))
		return out.String()
	}
	for _, test := range []struct {
		name        string
		status      int
		contentType string
		coding      string
		etag        []string
		age         string
		body        string
		message     string
		want        []string
	}{
		{name: "as documented", status: 200, contentType: json, etag: []string{`"ab"`}, age: "3", body: `{"id":1,"kind":null}`},
		{name: "with a charset", status: 200, contentType: json + "; charset=utf-8", etag: []string{`"ab"`}, body: `{"id":1,"kind":"a","more":1}`},
		{name: "more values than a request may have", status: 200, contentType: json, etag: []string{`"ab"`}, body: `{"id":1,"kind":"a","more":[` + strings.Repeat("1,", contract.MaxTokens) + `1]}`},
		{name: "an undocumented status", status: 418, want: []string{"status: status 200, 201, 204, 302, 404"}},
		{name: "a required header is absent", status: 200, contentType: json, body: `{"id":1,"kind":"a"}`, want: []string{"header ETag: required"}},
		{name: "a header breaks its pattern", status: 200, contentType: json, etag: []string{"xyz"}, body: `{"id":1,"kind":"a"}`, want: []string{`header ETag: pattern ^"[a-f]+"$`}},
		{name: "a header twice", status: 200, contentType: json, etag: []string{`"a"`, `"b"`}, body: `{"id":1,"kind":"a"}`, want: []string{"header ETag: repeated"}},
		{name: "a header of another type", status: 200, contentType: json, etag: []string{`"a"`}, age: "old", body: `{"id":1,"kind":"a"}`, want: []string{"header Age: type integer"}},
		{name: "another media type", status: 200, contentType: "text/plain", etag: []string{`"a"`}, body: `{}`, want: []string{"media-type: mediaType application/json"}},
		{name: "no media type", status: 302, body: `<p>`, want: []string{"media-type: mediaType text/html"}},
		{name: "fields are missing or wrong", status: 200, contentType: json, etag: []string{`"a"`}, body: `{"kind":"c"}`, want: []string{"body /id: required", "body /kind: enum a, b"}},
		{name: "a field that only requests have", status: 200, contentType: json, etag: []string{`"a"`}, body: `{"id":1,"kind":"a","secret":"x"}`, want: []string{"body /secret: writeOnly"}},
		{name: "no JSON", status: 200, contentType: json, etag: []string{`"a"`}, body: `{"id":1`, want: []string{"body: json"}},
		{name: "something after the JSON", status: 200, contentType: json, etag: []string{`"a"`}, body: `{"id":1,"kind":"a"}{}`, want: []string{"body: json"}},
		{name: "text as documented", status: 302, contentType: "text/html; charset=utf-8", body: "<p>"},
		{name: "text too short", status: 302, contentType: "text/html", body: "<", want: []string{"body: minLength 3"}},
		{name: "text in bad UTF-8", status: 302, contentType: "text/html", body: "<p>\xff", want: []string{"body: characters"}},
		{name: "text that goes out compressed", status: 302, contentType: "text/html", coding: "gzip", body: zipped("<p>")},
		{name: "text too short that goes out compressed", status: 302, contentType: "text/html", coding: "gzip", body: zipped("<"), want: []string{"body: minLength 3"}},
		{name: "text that is not as compressed as it says", status: 302, contentType: "text/html", coding: "gzip", body: "<p>", want: []string{"body: characters"}},
		{name: "text that is cut off", status: 302, contentType: "text/html", coding: "gzip", body: zipped("<p>")[:20], want: []string{"body: characters"}},
		{name: "no body, as documented", status: 204},
		{name: "a body where none is", status: 204, body: "x", want: []string{"body: additionalBody"}},
		{name: "a response of the components", status: 404, contentType: "application/problem+json", body: `{"code":"yes"}`, want: []string{"body /code: enum no"}},
		{name: "a sealed reply that nobody told of", status: 201, contentType: json, body: `{"token":"x"}`},
		{name: "a sealed reply", status: 201, contentType: json, body: `{"token":"x"}`, message: `{"id":1,"kind":"a"}`},
		{name: "a sealed reply with a wrong message", status: 201, contentType: json, body: `{"token":"x"}`, message: `{"id":"1","kind":"a"}`, want: []string{"message /id: type integer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := contract.Reply{Status: test.status, Header: http.Header{}, Body: []byte(test.body)}
			if test.contentType != "" {
				r.Header.Set("Content-Type", test.contentType)
			}
			if test.coding != "" {
				r.Header.Set("Content-Encoding", test.coding)
			}
			if test.age != "" {
				r.Header.Set("Age", test.age)
			}
			for _, value := range test.etag {
				r.Header.Add("ETag", value)
			}
			if test.message != "" {
				r.Message = []byte(test.message)
			}
			require.ElementsMatch(t, test.want, lines(operation(t, d, "getThing").CheckReply(r)))
		})
	}
	for body, want := range map[string][]string{`{"code":"no"}`: {}, `{}`: {"body /code: required"}} {
		r := contract.Reply{Status: 404, Header: http.Header{"Content-Type": {"application/problem+json"}}, Body: []byte(body)}
		require.Equal(t, want, lines(d.CheckUnrouted(r)), "where no operation is")
	}
	require.Empty(t, load(t).CheckUnrouted(contract.Reply{Status: 404}), "a document without x-error-response says nothing")
}

func TestWhatIsInsideIsToldToWhoeverListens(t *testing.T) {
	t.Parallel()
	var heard []byte
	contract.Inside(contract.Listen(t.Context(), func(m []byte) { heard = m }), []byte("m"))
	require.Equal(t, "m", string(heard))
	contract.Inside(context.Background(), []byte("nobody listens"))
}
