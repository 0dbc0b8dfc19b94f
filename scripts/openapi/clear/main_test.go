package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/openapi"
)

func TestEveryDocumentIsWrittenInClear(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, write(openapi.Documents, dir))
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "openapi", "*.yaml"))
	require.NoError(t, err)
	documents := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if strings.HasSuffix(name, ".cfg") {
			continue
		}
		documents++
		text, err := os.ReadFile(filepath.Join(dir, name+".json"))
		require.NoError(t, err)
		spec, err := openapi3.NewLoader().LoadFromData(text)
		require.NoError(t, err, name)
		require.NoError(t, spec.Validate(t.Context()), name)
		require.NotContains(t, string(text), decrypted, name)
		require.NotContains(t, string(text), `"links"`, name)
	}
	require.Greater(t, documents, 5)
	written, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, written, documents)
}

// envelopes has a message of each kind: in a token, in a token or else in clear, beside itself in clear, and alone.
const envelopes = `
openapi: 3.0.3
info: {title: Envelopes, version: 1.0.0}
paths:
  /token:
    post:
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/Token'}, x-decrypted-schema: Message, example: {token: x}}
      responses:
        '200':
          description: A token.
          content:
            application/json: {schema: {$ref: '#/components/schemas/Token'}, x-decrypted-schema: Reply}
        '400': {$ref: '#/components/responses/Refused'}
  /jose:
    post:
      requestBody:
        content:
          application/jose: {schema: {type: string}, x-decrypted-schema: Message}
          application/json: {schema: {$ref: '#/components/schemas/Message'}}
      responses: {'204': {description: Done.}}
    put:
      requestBody:
        content:
          application/jose: {schema: {type: string}, x-decrypted-schema: Message}
      responses: {'204': {description: Done.}}
components:
  responses:
    Refused:
      description: A token, or in clear.
      content:
        application/json: {schema: {$ref: '#/components/schemas/TokenOrError'}, x-decrypted-schema: Reply}
  schemas:
    Token: {type: object, properties: {token: {type: string}}}
    Error: {type: object}
    TokenOrError: {oneOf: [{$ref: '#/components/schemas/Token'}, {$ref: '#/components/schemas/Error'}]}
    Message: {type: object, not: {enum: [{}]}, properties: {within: {type: string, not: {enum: ['']}}}}
    Reply: {type: object}
`

func TestAMessageStandsInPlaceOfItsEnvelope(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, write(fstest.MapFS{"envelopes.yaml": {Data: []byte(envelopes)}, "envelopes.cfg.yaml": {Data: []byte("{}")}}, dir))
	text, err := os.ReadFile(filepath.Join(dir, "envelopes.json"))
	require.NoError(t, err)
	spec, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)

	const message, reply = "#/components/schemas/Message", "#/components/schemas/Reply"
	token := spec.Paths.Value("/token").Post
	require.Equal(t, message, token.RequestBody.Value.Content["application/json"].Schema.Ref)
	require.Equal(t, reply, token.Responses.Value("200").Value.Content["application/json"].Schema.Ref)
	either := token.Responses.Value("400").Value.Content["application/json"].Schema.Value.OneOf
	require.Len(t, either, 2)
	require.Equal(t, reply, either[0].Ref)
	require.Equal(t, "#/components/schemas/Error", either[1].Ref)
	for _, operation := range []*openapi3.Operation{spec.Paths.Value("/jose").Post, spec.Paths.Value("/jose").Put} {
		content := operation.RequestBody.Value.Content
		require.Len(t, content, 1)
		require.Equal(t, message, content["application/json"].Schema.Ref)
	}
	require.Nil(t, spec.Components.Schemas["Message"].Value.Not)
	require.Nil(t, spec.Components.Schemas["Message"].Value.Properties["within"].Value.Not)
	require.NotContains(t, string(text), `"example"`)
}

func TestAMessageThatTheDocumentDoesNotDescribeIsAFault(t *testing.T) {
	broken := strings.ReplaceAll(envelopes, "x-decrypted-schema: Reply", "x-decrypted-schema: Nowhere")
	err := write(fstest.MapFS{"broken.yaml": {Data: []byte(broken)}}, t.TempDir())
	require.EqualError(t, err, "broken: x-decrypted-schema names Nowhere, which is no component schema")
}
