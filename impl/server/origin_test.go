package server

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

func TestOriginsAreToldInWordsAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	told, err := tellOrigins([]byte(`
info: {description: About.}
get:
  summary: Look
  description: |
    Shows it.
    Twice.
  x-origin: sibling
  properties:
    width: {description: Of the thing., x-origin: local, pattern: '^[0-9]+$'}
    size: {description: 'In metres: all'}
  examples: {red: {summary: A red one, x-origin: local, value: {z: 9007199254740993, a: '012', b: no}}}
`))
	require.NoError(t, err)
	require.YAMLEq(t, `
info: {description: "About.`+strings.ReplaceAll(originsTold, "\n", `\n`)+`"}
get:
  summary: Look (sibling)
  description: "*Sibling.* Shows it.\nTwice.\n"
  x-origin: sibling
  properties:
    width: {description: '*Local.* Of the thing.', x-origin: local, pattern: '^[0-9]+$'}
    size: {description: 'In metres: all'}
  examples: {red: {summary: A red one (local), x-origin: local, value: {z: 9007199254740993, a: '012', b: no}}}
`, string(told))
	require.Regexp(t, `(?s)width.*size.*examples.*z: 90.*a: '012'.*b: no`, string(told), "the order stays")

	told, err = tellOrigins([]byte("info: {description: About.}\n"))
	require.NoError(t, err)
	require.YAMLEq(t, "info: {description: About.}", string(told), "nothing to tell, nothing to explain")

	_, err = tellOrigins([]byte("a: [b"))
	require.Error(t, err)
}

// What a reader of any document is shown is still that document, with every origin told.
func TestEveryOriginOfTheDocumentsIsTold(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for _, d := range everyDocument(t) {
		written, err := fs.ReadFile(openapi.Documents, d.Name()+".yaml")
		require.NoError(t, err)
		told, err := tellOrigins(written)
		require.NoError(t, err)
		files[d.Name()+".yaml"] = &fstest.MapFile{Data: told}
		var document any
		require.NoError(t, yaml.Unmarshal(told, &document))
		requireToldOrigins(t, d.Name(), document)
	}
	for name := range files {
		_, err := contract.Load(files, strings.TrimSuffix(name, ".yaml"))
		require.NoError(t, err)
	}
}

func requireToldOrigins(t *testing.T, where string, value any) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, inner := range value {
			requireToldOrigins(t, where, inner)
		}
	case map[string]any:
		if origin, ok := value["x-origin"].(string); ok {
			require.Contains(t, origins, origin, where)
			summary, _ := value["summary"].(string)
			description, _ := value["description"].(string)
			require.True(t, strings.HasSuffix(summary, origins[origin].summary) || strings.HasPrefix(description, origins[origin].description), where)
		}
		for name, inner := range value {
			requireToldOrigins(t, where+"/"+name, inner)
		}
	}
}
