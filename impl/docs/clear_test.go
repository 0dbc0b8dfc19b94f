package docs

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/bundle"
)

// envelopes has a message of each kind: in a token, in a token or else in the clear, beside itself in the clear, and alone.
const envelopes = `
openapi: 3.0.3
info: {title: Envelopes, version: 1.0.0, description: Three calls.}
paths:
  /token:
    post:
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Token'}
            x-decrypted-schema: Message
            examples:
              within: {value: {token: x}, x-decrypted: {within: a}}
              unopenable: {value: {token: '!'}}
              elsewhere: {$ref: '#/components/examples/Elsewhere'}
      responses:
        '200':
          description: A token.
          content:
            application/json: {schema: {$ref: '#/components/schemas/Token'}, x-decrypted-schema: Reply, example: {token: x}}
        '400': {$ref: '#/components/responses/Refused'}
  /jose:
    post:
      requestBody:
        content:
          application/jose: {schema: {$ref: '#/components/schemas/JWE'}, x-decrypted-schema: Message}
          application/json: {schema: {$ref: '#/components/schemas/Message'}}
      responses: {'204': {description: Done.}}
    put:
      requestBody:
        content:
          application/jose: {schema: {$ref: '#/components/schemas/JWE'}, x-decrypted-schema: Message}
      responses: {'204': {description: Done.}}
components:
  examples:
    Elsewhere: {value: {token: z}, x-decrypted: {}}
  responses:
    Refused:
      description: A token, or in the clear.
      content:
        application/json:
          schema: {$ref: '#/components/schemas/TokenOrError'}
          x-decrypted-schema: Reply
          examples:
            sealed: {value: {token: y}, x-decrypted: {code: '1'}}
            clear: {value: {reason: key}}
  schemas:
    Token: {type: object, properties: {token: {$ref: '#/components/schemas/Text'}}}
    Text: {type: string}
    JWE: {type: string}
    Error: {type: object, required: [reason]}
    TokenOrError: {oneOf: [{$ref: '#/components/schemas/Token'}, {$ref: '#/components/schemas/Error'}]}
    Message: {type: object, properties: {within: {type: string}}}
    Reply: {type: object, required: [code]}
`

func TestAMessageStandsInThePlaceOfItsEnvelope(t *testing.T) {
	t.Parallel()
	sealed, err := bundle.Of(fstest.MapFS{"envelopes.yaml": {Data: []byte(envelopes)}}, "envelopes")
	require.NoError(t, err)
	text, err := Clear(sealed).JSON()
	require.NoError(t, err)
	spec, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, spec.Validate(t.Context()), "the examples too: they are messages")

	const message, reply = "#/components/schemas/Message", "#/components/schemas/Reply"
	token := spec.Paths.Value("/token").Post
	sent := token.RequestBody.Value.Content["application/json"]
	require.Equal(t, message, sent.Schema.Ref)
	require.Len(t, sent.Examples, 2, "the one that is about the envelope is gone")
	require.Equal(t, map[string]any{"within": "a"}, sent.Examples["within"].Value.Value)
	require.Equal(t, map[string]any{}, sent.Examples["elsewhere"].Value.Value)
	got := token.Responses.Value("200").Value.Content["application/json"]
	require.Equal(t, reply, got.Schema.Ref)
	require.Nil(t, got.Example)
	refused := token.Responses.Value("400").Value.Content["application/json"]
	require.Equal(t, "#/components/schemas/ReplyOrError", refused.Schema.Ref)
	either := refused.Schema.Value.OneOf
	require.Len(t, either, 2)
	require.Equal(t, reply, either[0].Ref)
	require.Equal(t, "#/components/schemas/Error", either[1].Ref)
	require.Equal(t, map[string]any{"code": "1"}, refused.Examples["sealed"].Value.Value)
	require.Equal(t, map[string]any{"reason": "key"}, refused.Examples["clear"].Value.Value)
	for _, operation := range []*openapi3.Operation{spec.Paths.Value("/jose").Post, spec.Paths.Value("/jose").Put} {
		content := operation.RequestBody.Value.Content
		require.Len(t, content, 1)
		require.Equal(t, message, content["application/json"].Schema.Ref)
	}
	for _, gone := range []string{"Token", "TokenOrError", "JWE", "Text"} {
		require.NotContains(t, spec.Components.Schemas, gone)
	}
	require.Contains(t, spec.Info.Description, "Three calls.")
	require.Contains(t, spec.Info.Description, "place of their envelopes")

	original, err := sealed.JSON()
	require.NoError(t, err)
	require.Contains(t, string(original), "x-decrypted", "the document itself stays as it was")
}

// What has no envelope needs no variant, and what has one is whole.
func TestDocumentsWithEnvelopesAreServedInTheClearToo(t *testing.T) {
	t.Parallel()
	s := everything(t)
	served := map[string]bool{}
	for _, f := range s.Files {
		if name, found := strings.CutSuffix(f.Path, ".clear.json"); found {
			served[strings.TrimPrefix(name, "openapi/")] = true
		}
	}
	require.Equal(t, map[string]bool{"accosa": true, "creditplus": true}, served)

	landing, err := s.Pages(false)[0].Data()
	require.NoError(t, err)
	for name, fields := range map[string][]string{
		"accosa": {"clientTxnId", "newPIN", "last4Digits"}, "creditplus": {"dataValidUntilTimestamp", "identifier"},
	} {
		path := "openapi/" + name + ".clear.json"
		text := data(t, s, path)
		require.NotRegexp(t, `\$ref"?: ["']?[^#"']`, string(text), "it refers to no other file")
		require.NotContains(t, string(text), "x-decrypted")
		require.NotContains(t, string(text), "127.0.0.1", "it speaks of its own server")
		spec, err := openapi3.NewLoader().LoadFromData(text) // which reads no other file
		require.NoError(t, err)
		require.NoError(t, spec.Validate(t.Context(), openapi3.DisableExamplesValidation()))
		operations := 0
		for _, item := range spec.Paths.Map() {
			for _, operation := range item.Operations() {
				operations++
				require.Equal(t, []string{"application/json"}, mediaTypes(operation), operation.OperationID)
			}
		}
		require.NotZero(t, operations)
		message := spec.Components.Schemas[map[string]string{"accosa": "ResetPinMessage", "creditplus": "ResetRequest"}[name]].Value
		for _, field := range fields {
			require.Contains(t, message.Properties, field)
		}
		require.Contains(t, string(landing), `href="`+path+`"`)
	}
	accosa, err := openapi3.NewLoader().LoadFromData(data(t, s, "openapi/accosa.clear.json"))
	require.NoError(t, err)
	require.NotContains(t, accosa.Components.Schemas, "Token")
	for name, example := range accosa.Paths.Value("/mob1/api/onboarding/v1/resetPin").Post.RequestBody.Value.Content["application/json"].Examples {
		require.NotContains(t, example.Value.Value, "token", name)
	}
}

func mediaTypes(o *openapi3.Operation) (all []string) {
	for mediaType := range o.RequestBody.Value.Content {
		all = append(all, mediaType)
	}
	return all
}
