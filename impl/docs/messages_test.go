package docs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASealedContentShowsTheMessageAndTheEnvelope(t *testing.T) {
	t.Parallel()
	const text = `
openapi: 3.0.3
paths:
  /x:
    post:
      requestBody: {$ref: '#/components/requestBodies/Sealed'}
      responses:
        '200': {content: {application/jose: {schema: {type: string}, x-decrypted-schema: Message}}}
        '400': {content: {application/json: {schema: {$ref: '#/components/schemas/Problem'}}}}
components:
  requestBodies: {Sealed: {content: {application/json: {schema: {$ref: '#/components/schemas/Token'}, x-decrypted-schema: Message}}}}
`
	shown := func(envelope string) string {
		return `{description: "The fields of the message inside. It goes over the wire sealed, as the section Encryption says.", oneOf: [
      {title: The message inside, allOf: [{$ref: '#/components/schemas/Message'}]},
      {title: As it goes over the wire, allOf: [` + envelope + `]}]}`
	}
	d := written(t, text)
	told, err := showMessages(d).YAML()
	require.NoError(t, err)
	require.YAMLEq(t, `
openapi: 3.0.3
paths:
  /x:
    post:
      requestBody: {$ref: '#/components/requestBodies/Sealed'}
      responses:
        '200': {content: {application/jose: {schema: `+shown(`{type: string}`)+`, x-decrypted-schema: Message}}}
        '400': {content: {application/json: {schema: {$ref: '#/components/schemas/Problem'}}}}
components:
  requestBodies: {Sealed: {content: {application/json: {schema: `+shown(`{$ref: '#/components/schemas/Token'}`)+`, x-decrypted-schema: Message}}}}
`, string(told))
}
