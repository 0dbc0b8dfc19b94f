package docs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestOriginsAreToldInWordsAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	told := toldOf(t, `
openapi: 3.0.3
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
`)
	require.YAMLEq(t, `
openapi: 3.0.3
info: {description: "About.`+strings.ReplaceAll(originsTold, "\n", `\n`)+`"}
get:
  summary: Look
  description: "*From another document of the partner.* Shows it.\nTwice.\n"
  x-origin: sibling
  properties:
    width: {description: "*Not in the partner's public document.* Of the thing.", x-origin: local, pattern: '^[0-9]+$'}
    size: {description: 'In metres: all'}
  examples: {red: {summary: A red one (not in the partner's public document), x-origin: local, value: {z: 9007199254740993, a: '012', b: no}}}
`, told)
	require.Regexp(t, `(?s)width.*size.*examples.*z: 90.*a: '012'.*b: no`, told, "the order stays")

	require.YAMLEq(t, "{openapi: 3.0.3, info: {description: About.}}", toldOf(t, "{openapi: 3.0.3, info: {description: About.}}"), "nothing to tell, nothing to explain")
}

// toldOf is a document with its origins told.
func toldOf(t *testing.T, text string) string {
	t.Helper()
	d := written(t, text)
	before, err := d.YAML()
	require.NoError(t, err)
	told, err := tellOrigins(d).YAML()
	require.NoError(t, err)
	after, err := d.YAML()
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "it is a copy that tells")
	return string(told)
}

// What a reader of any document is shown is still that document, with every origin told.
func TestEveryOriginOfTheDocumentsIsTold(t *testing.T) {
	t.Parallel()
	all := everyDocument(t)
	site := everything(t)
	for _, d := range all {
		var document any
		require.NoError(t, yaml.Unmarshal(data(t, site, "docs/"+d.Name()+".yaml"), &document))
		requireToldOrigins(t, d.Name(), document)
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
			require.True(t, strings.HasSuffix(summary, " ("+strings.ToLower(origins[origin][:1])+origins[origin][1:]+")") || strings.HasPrefix(description, "*"+origins[origin]+".* "), where)
		}
		for name, inner := range value {
			requireToldOrigins(t, where+"/"+name, inner)
		}
	}
}
