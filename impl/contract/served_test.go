package contract

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/openapi"
)

// prune does to a document what withoutProse does to its text.
func prune(v any, above string) {
	switch v := v.(type) {
	case map[string]any:
		for key, of := range v {
			if forReaders[key] && !holders[above] {
				delete(v, key)
				continue
			}
			prune(of, key)
		}
	case []any:
		for _, of := range v {
			prune(of, "")
		}
	}
}

func pruned(t *testing.T, d *Document) any {
	t.Helper()
	text, err := json.Marshal(d.spec)
	require.NoError(t, err)
	var v any
	require.NoError(t, json.Unmarshal(text, &v))
	prune(v, "")
	return v
}

// What a server checks by is the document and nothing less.
func TestWhatServesIsTheDocumentWithoutProse(t *testing.T) {
	t.Parallel()
	names, err := Names(openapi.Documents)
	require.NoError(t, err)
	require.Len(t, names, 9)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Serving(openapi.Documents, name)
			require.NoError(t, err)
			whole, err := d.Whole()
			require.NoError(t, err)
			require.Equal(t, pruned(t, whole), pruned(t, d))
			require.NotEmpty(t, whole.spec.Info.Description)
			require.Empty(t, d.spec.Info.Description)
			require.Len(t, d.operations, len(whole.operations))
			for i, op := range whole.operations {
				require.Equal(t, op.ID, d.operations[i].ID, "in the document's order")
			}
			for schema, shape := range whole.messages {
				require.Equal(t, Member{shape: shape}.names(), Member{shape: d.messages[schema]}.names(), "in the document's order")
			}
		})
	}
}

func (m Member) names() (all []string) {
	for _, of := range m.Members() {
		all = append(all, of.Name)
	}
	return all
}

func TestWhatIsForReaders(t *testing.T) {
	t.Parallel()
	const text = `info:
  title: T
  description: |
    Prose, with a line
      type: that looks like more.

    And another.
paths:
  /description:
    get:
      summary: What it does,
        on two lines
      tags: [a]
components:
  schemas:
    A:
      properties:
        description: {type: string}
        summary:
          type: string
          example: x
          maxLength: 3
      examples:
      - one
      - two
      required: [summary]
servers:
- url: /
  description: here
- description: there
  url: /
`
	const want = `info:
  title: T
  description: ''




paths:
  /description:
    get:


      tags: [a]
components:
  schemas:
    A:
      properties:
        description: {type: string}
        summary:
          type: string

          maxLength: 3



      required: [summary]
servers:
- url: /
  description: ''
- description: there
  url: /
`
	require.Equal(t, want, string(withoutProse([]byte(text))))
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
		if _, err := Serving(openapi.Documents, "issuer"); err != nil {
			b.Fatal(err)
		}
	}
}
