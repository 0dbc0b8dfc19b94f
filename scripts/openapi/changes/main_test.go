package main

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

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
	dir := t.TempDir()
	inside := `[{"text":"changed a pattern","level":2,"operation":"POST","path":"/pin","section":"paths"}]`
	require.NoError(t, write(fstest.MapFS{
		"thredd/wire.json":   {Data: []byte(said)},
		"thredd/inside.json": {Data: []byte(inside)},
		"same/wire.json":     {Data: []byte("[]")},
	}, dir))
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
		require.Error(t, write(fstest.MapFS{"a/wire.json": {Data: []byte(said)}}, t.TempDir()), said)
	}
	require.Error(t, write(fstest.MapFS{}, filepath.Join(t.TempDir(), "nowhere")))
}
