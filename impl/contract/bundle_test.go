package contract

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

func TestABundleNeedsNoOtherFile(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"own.yaml": {Data: []byte(`
openapi: 3.0.3
info: {title: Own, version: '1'}
paths:
  /things:
    get:
      operationId: look
      responses:
        '200':
          description: A thing
          content: {application/json: {schema: {$ref: 'shared.yaml#/components/schemas/Thing'}}}
`)},
		"shared.yaml": {Data: []byte(`
openapi: 3.0.3
info: {title: Shared, version: '1'}
paths: {}
components:
  schemas:
    Thing: {type: object, properties: {colour: {$ref: '#/components/schemas/Colour'}}}
    Colour: {type: string, enum: [red]}
`)},
	}
	data, err := Bundle(files, "own")
	require.NoError(t, err)
	spec, err := openapi3.NewLoader().LoadFromData(data) // which reads no other file
	require.NoError(t, err)
	thing := spec.Paths.Value("/things").Get.Responses.Value("200").Value.Content["application/json"].Schema.Value
	require.Equal(t, []any{"red"}, thing.Properties["colour"].Value.Enum)

	_, err = Bundle(files, "nobody")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
