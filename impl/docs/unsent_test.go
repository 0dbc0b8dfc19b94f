package docs

import (
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

func TestOptionalMembersOfRequestsMayBeNullInWhatIsServed(t *testing.T) {
	t.Parallel()
	const text = `
openapi: 3.0.3
paths:
  /x:
    post:
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Envelope'}
            x-decrypted-schema: Message
      responses: {'200': {description: '', content: {application/json: {schema: {$ref: '#/components/schemas/Reply'}}}}}
components:
  schemas:
    Envelope: {type: object, required: [token], properties: {token: {type: string}}}
    Message:
      type: object
      required: [must]
      properties:
        must: {type: string}
        may: {type: string, pattern: '^a$'}
        blank: {type: string, minLength: 1, pattern: '^b$', x-empty-is-absent: true}
        one: {type: string, enum: [c], x-empty-is-absent: true}
        shared: {$ref: '#/components/schemas/Shared'}
        within: {type: object, properties: {deep: {type: integer}}}
        other: {$ref: '#/components/schemas/Other'}
        list: {type: array, items: {$ref: '#/components/schemas/Other'}}
    Shared: {type: string}
    Other: {type: object, properties: {own: {type: boolean, nullable: true}}}
    Reply: {type: object, properties: {may: {type: string}, shared: {$ref: '#/components/schemas/Shared'}}}
`
	d := written(t, text)
	told, err := describeUnsent(d).JSON()
	require.NoError(t, err)
	var found struct {
		Components struct{ Schemas map[string]json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(told, &found))
	for name, want := range map[string]string{
		"Envelope": `{"type":"object","required":["token"],"properties":{"token":{"type":"string"}}}`,
		"Message": `{"type":"object","required":["must"],"properties":{
			"must":{"type":"string"},
			"may":{"type":"string","pattern":"^a$","nullable":true},
			"blank":{"type":"string","minLength":0,"pattern":"^$|^b$","x-empty-is-absent":true,"nullable":true},
			"one":{"type":"string","enum":["c",null,""],"x-empty-is-absent":true,"nullable":true},
			"shared":{"type":"string","nullable":true},
			"within":{"type":"object","properties":{"deep":{"type":"integer","nullable":true}},"nullable":true},
			"other":{"$ref":"#/components/schemas/Other"},
			"list":{"type":"array","items":{"$ref":"#/components/schemas/Other"},"nullable":true}}}`,
		"Shared": `{"type":"string"}`,
		"Other":  `{"type":"object","properties":{"own":{"type":"boolean","nullable":true}}}`,
		"Reply":  `{"type":"object","properties":{"may":{"type":"string"},"shared":{"$ref":"#/components/schemas/Shared"}}}`,
	} {
		require.JSONEq(t, want, string(found.Components.Schemas[name]), name)
	}
}

// What the partner's example sends is what the served schema admits: the examples of success with null and with blanks.
func TestServedSchemasAdmitWhatTheirOwnExamplesOfSuccessSend(t *testing.T) {
	t.Parallel()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	site := everything(t)
	held := 0
	for _, name := range names {
		spec, err := openapi3.NewLoader().LoadFromData(data(t, site, "docs/"+name+".yaml")) // which has every example where the source has it
		require.NoError(t, err)
		for _, item := range spec.Paths.Map() {
			for _, operation := range item.Operations() {
				held += holdExamples(t, spec, name, operation)
			}
		}
	}
	require.Greater(t, held, 100)
}

// holdExamples holds the requests of an operation's successes against their schemas, and says how many there are.
func holdExamples(t *testing.T, spec *openapi3.T, document string, operation *openapi3.Operation) (held int) {
	t.Helper()
	successes := map[string]bool{"default": true}
	for status, response := range operation.Responses.Map() {
		if status[0] != '2' {
			continue
		}
		for _, media := range response.Value.Content {
			for name, example := range media.Examples {
				decrypted, _ := example.Extensions["x-decrypted"].(map[string]any)
				successes[name] = decrypted == nil || decrypted["responseCode"] == "00"
			}
		}
		extra, _ := response.Value.Extensions["x-examples"].(map[string]any)
		for name := range extra {
			successes[name] = true
		}
	}
	if operation.RequestBody == nil {
		return 0
	}
	for _, media := range operation.RequestBody.Value.Content {
		schema := media.Schema.Value
		if message := contract.MessageSchema(media.Extensions); message != "" {
			schema = spec.Components.Schemas[message].Value
		}
		for name, example := range media.Examples {
			value := example.Value.Value
			if decrypted := example.Value.Extensions["x-decrypted"]; decrypted != nil {
				value = decrypted
			}
			if _, isObject := value.(map[string]any); !isObject || !successes[name] {
				continue
			}
			held++
			require.NoError(t, schema.VisitJSON(value, openapi3.VisitAsRequest(), contract.Formats()), "%s %s %s", document, operation.OperationID, name)
		}
	}
	return held
}
