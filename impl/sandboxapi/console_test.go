package sandboxapi_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/docs"
	"pinvault/impl/sandboxapi"
)

// loads is what a file loads of others, by its relative path.
var loads = map[string]*regexp.Regexp{
	".js": regexp.MustCompile(`(?:from|import) ?"(\.[^"]+)"`),
	"":    regexp.MustCompile(`(?:src|href)="([^"#]+(?:\.js|\.css))"`),
}

// What is missing would be a blank page, and what names a host would leave the machine.
func TestTheConsoleHasAllThatItLoads(t *testing.T) {
	t.Parallel()
	files, err := sandboxapi.Console()
	require.NoError(t, err)
	byPath := map[string]*docs.File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	require.Contains(t, byPath, "sandbox")
	loaded := 0
	for _, f := range files {
		data, err := f.Data()
		require.NoError(t, err)
		require.NotEmpty(t, f.Type, f.Path)
		require.Equal(t, f.Path != "sandbox", f.Lasting, "%s may be kept for good", f.Path)
		if pattern := loads[path.Ext(f.Path)]; pattern != nil {
			for _, found := range pattern.FindAllStringSubmatch(string(data), -1) {
				require.Contains(t, byPath, path.Join(path.Dir(f.Path), found[1]), "%s loads it", f.Path)
				loaded++
			}
		}
		if path.Ext(f.Path) == ".js" && path.Base(f.Path) != "preact.js" || path.Ext(f.Path) == ".css" {
			require.NotRegexp(t, `["'(](https?:)?//[a-z]`, string(data), f.Path)
		}
	}
	require.Greater(t, loaded, 10)
}

func TestTheConsolesStyleIsTheDocumentations(t *testing.T) {
	t.Parallel()
	files, err := sandboxapi.Console()
	require.NoError(t, err)
	at := slices.IndexFunc(files, func(f *docs.File) bool { return strings.HasSuffix(f.Path, "console.css") })
	require.GreaterOrEqual(t, at, 0)
	data, err := files[at].Data()
	require.NoError(t, err)
	require.Contains(t, string(data), "--ground: light-dark(")
	require.Contains(t, string(data), ".entries")
}
