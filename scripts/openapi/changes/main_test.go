package main

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// said is what oasdiff 1.30 prints of a field that became required, and of what else it finds.
const said = `[
 {"id":"request-property-became-required","text":"the request property ` + "`pin`" + ` became required","level":3,"operation":"POST","operationId":"setPin","path":"/pin","section":"paths","revisionSource":{"file":"a.yaml","line":7,"column":9},"fingerprint":"aa"},
 {"id":"request-property-pattern-changed","text":"changed a pattern (media type: application/json)","comment":"hard to tell","level":2,"operation":"POST","operationId":"setPin","path":"/pin","section":"paths"},
 {"id":"api-schema-removed","text":"removed the schema ` + "`<A>`" + `","level":1,"section":"components"},
 {"id":"api-version-not-bumped","text":"the version is still ` + "`1.0.0`" + `","level":1,"section":"info"}
]`

func TestEachChangeIsALineWithoutItsPlace(t *testing.T) {
	t.Parallel()
	dir, documents := t.TempDir(), written(t, map[string]string{"thredd": empty, "same": empty})
	inside := `[{"text":"changed a pattern","level":2,"operation":"POST","path":"/pin","section":"paths"}]`
	require.NoError(t, write(fstest.MapFS{
		"thredd/wire.json":   {Data: []byte(said)},
		"thredd/inside.json": {Data: []byte(inside)},
		"same/wire.json":     {Data: []byte("[]")},
	}, documents, documents, dir))
	for name, want := range map[string]string{
		"same.json": "[]\n",
		"thredd.json": `[
{"level":"compatible","text":"removed the schema ` + "`<A>`" + `"}
,{"level":"breaking","method":"POST","path":"/pin","text":"the request property ` + "`pin`" + ` became required"}
,{"level":"unclear","method":"POST","path":"/pin","text":"changed a pattern"}
]
`,
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

func TestWhatOasdiffDoesNotSayIsRefused(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"", "{}", `[{"level": 4}]`} {
		documents := written(t, map[string]string{"a": empty})
		require.Error(t, write(fstest.MapFS{"a/wire.json": {Data: []byte(said)}}, documents, documents, t.TempDir()), said)
	}
	require.Error(t, write(fstest.MapFS{}, "", "", filepath.Join(t.TempDir(), "nowhere")))
	require.Error(t, write(fstest.MapFS{"a/wire.json": {Data: []byte("[]")}}, t.TempDir(), t.TempDir(), t.TempDir()), "no documents")
}

const empty = `{"openapi":"3.0.3","info":{"title":"a","version":"1"},"paths":{}}`

// written is a folder with documents.
func written(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600))
	}
	return dir
}

func TestBreaksThatNobodyNoticesStandApart(t *testing.T) {
	t.Parallel()
	document := func(kind, schema, name string) string {
		return `{"openapi":"3.0.3","info":{"title":"a","version":"1"},"paths":{"/cards/{id}":{"post":{
			"requestBody":{"content":{"application/json":{"schema":{"properties":{"key":{"properties":{"type":` + kind + `}}}}}}},
			"responses":{"400":{"description":"d"}}}}},
			"components":{"schemas":{"` + name + `":` + schema + `}}}`
	}
	read := func(text string) *openapi3.T {
		spec, err := openapi3.NewLoader().LoadFromData([]byte(text))
		require.NoError(t, err)
		return spec
	}
	released := read(document(`{"type":"string","enum":["A"]}`, `{"type":"object","description":"Wrong."}`, "Error"))
	const (
		parameter = "added the new path request parameter `id`"
		value     = "removed the enum value `A` of the request property `key/type`"
		more      = "added `#/components/schemas/Fault` to the response body `oneOf` list for the response status `400`"
		less      = "removed `#/components/schemas/Error` from the response body `oneOf` list for the response status `400`"
	)
	of := func(texts ...string) (all []change) {
		for _, text := range texts {
			all = append(all, change{"breaking", "POST", "/cards/{id}", text})
		}
		return all
	}
	for name, test := range map[string]struct {
		now  string
		all  []change
		want string
	}{
		"a parameter that the path always had": {document(`{}`, `{}`, "B"), of(parameter), "unnoticed"},
		"a parameter of another path":          {document(`{}`, `{}`, "B"), []change{{"breaking", "POST", "/cards", parameter}}, "breaking"},
		"any value is taken":                   {document(`{"type":"string"}`, `{}`, "B"), of(value), "unnoticed"},
		"fewer values are taken":               {document(`{"type":"string","enum":["B"]}`, `{}`, "B"), of(value), "breaking"},
		"the property is gone":                 {document(`{}`, `{}`, "B"), of("removed the enum value `A` of the request property `key/kind`"), "breaking"},
		"of what is within a not":              {document(`{}`, `{}`, "B"), of("removed the enum value `A` of the request property `/not/type`"), "breaking"},
		"another name":                         {document(`{}`, `{"type":"object","description":"A fault."}`, "Fault"), of(more, less), "unnoticed"},
		"another name and another schema":      {document(`{}`, `{"type":"string"}`, "Fault"), of(more, less), "breaking"},
		"one more":                             {document(`{}`, `{"type":"object"}`, "Fault"), of(more), "breaking"},
		"anything else":                        {document(`{}`, `{}`, "B"), of("endpoint removed"), "breaking"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, versions{released, read(test.now)}.weighed(test.all)[0].Level)
		})
	}
}
