package docs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/openapi"
)

const server = "https://pin.example/base"

// everyDocument loads what stands in openapi/, so that a new document is tested without being named.
func everyDocument(t *testing.T) []*contract.Document {
	t.Helper()
	all, err := everyOnce()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

var everyOnce = sync.OnceValues(func() (all []*contract.Document, err error) {
	names, err := contract.Names(openapi.Documents)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
})

// everything is the site of every document, which all tests share: what it is made of does not change.
func everything(t *testing.T) *Site {
	t.Helper()
	s, err := everythingOnce()
	require.NoError(t, err)
	return s
}

var everythingOnce = sync.OnceValues(func() (*Site, error) {
	all, err := everyOnce()
	if err != nil {
		return nil, err
	}
	return New(all, openapi.Documents, server)
})

func documents(t *testing.T, names ...string) (all []*contract.Document) {
	t.Helper()
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

// written is a document of a test's own.
func written(t *testing.T, text string) *bundle.Document {
	t.Helper()
	d, err := bundle.Of(fstest.MapFS{"own.yaml": {Data: []byte(text)}}, "own")
	require.NoError(t, err)
	return d
}

func siteOf(t *testing.T, documents []*contract.Document) *Site {
	t.Helper()
	s, err := New(documents, openapi.Documents, server)
	require.NoError(t, err)
	return s
}

func data(t *testing.T, s *Site, path string) []byte {
	t.Helper()
	for _, f := range s.Files {
		if f.Path == path {
			text, err := f.Data()
			require.NoError(t, err)
			return text
		}
	}
	t.Fatalf("there is no %s", path)
	return nil
}

// pageData is the page of a server.
func pageData(t *testing.T, s *Site, credentials map[string]Credentials) []byte {
	t.Helper()
	f, err := s.Page(true, credentials)
	require.NoError(t, err)
	html, err := f.Data()
	require.NoError(t, err)
	return html
}

// pageOf reads what the page is made from out of its HTML.
func pageOf(t *testing.T, html []byte) (p page) {
	t.Helper()
	found := regexp.MustCompile(`(?s)<script type="application/json" id="page">(.*?)</script>`).FindSubmatch(html)
	require.NotNil(t, found)
	require.NoError(t, json.Unmarshal(found[1], &p))
	return p
}

func TestEveryDocumentIsListedAndStandsThereInOnePiece(t *testing.T) {
	t.Parallel()
	all := everyDocument(t)
	s := everything(t)
	html := pageData(t, s, nil)
	listed := map[string]string{}
	for _, d := range pageOf(t, html).Contracts {
		listed[d.Name] = d.Title
	}
	require.Len(t, listed, len(all))
	for _, d := range all {
		require.Equal(t, d.Spec().Info.Title, listed[d.Name()])
		for _, path := range []string{"openapi/" + d.Name() + ".yaml", "openapi/" + d.Name() + ".json", "openapi/" + d.Name() + ".examples.json", "docs/" + d.Name() + ".yaml"} {
			text := string(data(t, s, path))
			require.NotRegexp(t, `\$ref"?: ["']?[^#"']`, text, "it refers to no other file")
			require.NotContains(t, text, "127.0.0.1", "it speaks of its own server")
			spec, err := openapi3.NewLoader().LoadFromData([]byte(text)) // which reads no other file
			require.NoError(t, err)
			require.NoError(t, spec.Validate(t.Context(), openapi3.DisableExamplesValidation()))
			require.Equal(t, server, spec.Servers[0].URL)
			var operations []string
			for path, item := range spec.Paths.Map() {
				for method := range item.Operations() {
					operations = append(operations, method+" "+path)
				}
			}
			var own []string
			for _, op := range d.Operations() {
				own = append(own, op.Method+" "+op.Path)
			}
			require.ElementsMatch(t, own, operations, path)
		}
	}
}

func TestThePageHasTheCredentialsThatItIsGiven(t *testing.T) {
	t.Parallel()
	s := siteOf(t, documents(t, "common", "thredd"))
	html := pageData(t, s, map[string]Credentials{"thredd": {"oauth2": map[string]any{"token": "</script>"}}})
	p := pageOf(t, html)
	require.True(t, p.Live)
	for _, d := range p.Contracts {
		require.Equal(t, d.Name == "thredd", d.Authentication != nil)
	}
	require.Equal(t, Credentials{"oauth2": map[string]any{"token": "</script>"}}, p.Contracts[1].Authentication)
	require.NotContains(t, strings.ReplaceAll(string(html), "</script>\n", ""), "</script>x")
}

func TestTheStaticSiteIsThePageAndItsFiles(t *testing.T) {
	t.Parallel()
	s := siteOf(t, documents(t, "common", "issuer", "sandbox"))
	dir := filepath.Join(t.TempDir(), "site")
	require.NoError(t, s.Write(dir))
	index, err := os.ReadFile(filepath.Join(dir, "docs.html"))
	require.NoError(t, err)
	p := pageOf(t, index)
	require.False(t, p.Live, "there is nothing to try calls on")
	require.Len(t, p.Contracts, 3)
	for _, name := range []string{"docs.html", "index.html", "docs/common.html", "docs/issuer.html", "docs/issuer/changes.html", "docs/workflows/card.html"} {
		html, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		require.NoError(t, err)
		require.NotContains(t, string(html), "data-try", "there is nothing to try calls on")
		for _, own := range regexp.MustCompile(`(?:src|href)="([^"#]+)[^"]*"`).FindAllStringSubmatch(string(html), -1) {
			if !strings.Contains(own[1], ":") {
				require.FileExists(t, filepath.Join(dir, filepath.Dir(name), filepath.FromSlash(own[1])), name)
			}
		}
	}
	for _, f := range s.Files {
		found, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(data(t, s, f.Path), found), f.Path)
		require.NotContains(t, string(found), bundle.ExampleServer, "%s: it speaks of its own server", f.Path)
	}
	require.Error(t, s.Write(filepath.Join(dir, "index.html")), "a file is in the way")
}

func TestAFileIsTheSameCompressed(t *testing.T) {
	t.Parallel()
	for _, f := range siteOf(t, documents(t, "common")).Files {
		want, err := f.Data()
		require.NoError(t, err)
		zipped, err := f.Gzip()
		require.NoError(t, err)
		r, err := gzip.NewReader(bytes.NewReader(zipped))
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), f.Path)
		require.Equal(t, regexp.MustCompile(`\.[0-9a-f]{16}\.(js|css)$`).MatchString(f.Path), f.Lasting, f.Path)
	}
}

func TestADocumentWithoutItsTextIsRefused(t *testing.T) {
	t.Parallel()
	_, err := New(documents(t, "common"), os.DirFS(t.TempDir()), server)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
