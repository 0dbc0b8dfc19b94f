package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// everyDocument loads what stands in openapi/, so that a new document is tested without being named.
func everyDocument(t *testing.T) (all []*contract.Document) {
	t.Helper()
	names, err := contract.Names(openapi.Documents)
	require.NoError(t, err)
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		all = append(all, d)
	}
	require.NotEmpty(t, all)
	return all
}

// docsOf prepares the named documents alone, which takes less time than all.
func docsOf(t *testing.T, names ...string) *Docs {
	t.Helper()
	var documents []*contract.Document
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		documents = append(documents, d)
	}
	docs, err := NewDocs(documents, openapi.Documents)
	require.NoError(t, err)
	return docs
}

// namedTokens issues tokens that tell for whom.
type namedTokens struct{ Tokens }

func (namedTokens) Exchange(_ context.Context, r oauth.Request, _ string, _ time.Duration) (oauth.Token, error) {
	return oauth.Token{AccessToken: "token of " + r.ClientID}, nil
}

// box is a sandbox of three clients, or one that fails.
type box struct {
	Sandbox
	err error
}

func (b box) Fixtures(context.Context) (clients, cards map[string]map[string]any, err error) {
	clients = map[string]map[string]any{}
	for _, name := range []string{"accosa", "hashdt", "thredd"} {
		clients[name] = map[string]any{"client_id": name, "client_secret": name + "-secret", "x-api-key": name + ".key"}
	}
	return clients, nil, b.err
}

func docsServer(t *testing.T, docs *Docs, sandbox Sandbox) http.Handler {
	t.Helper()
	common, err := contract.Load(openapi.Documents, "common")
	require.NoError(t, err)
	app, err := New(Options{Common: common, Tokens: namedTokens{}, Sandbox: sandbox, Docs: docs,
		Ready: func(context.Context) error { return nil }, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	return app
}

// pageOf reads what the page is made from out of its HTML.
func pageOf(t *testing.T, html string) (p docsPage) {
	t.Helper()
	found := regexp.MustCompile(`(?s)<script type="application/json" id="page">(.*?)</script>`).FindStringSubmatch(html)
	require.NotNil(t, found)
	require.NoError(t, json.Unmarshal([]byte(found[1]), &p))
	return p
}

func TestEveryDocumentIsListedAndServedAsWrittenAndInOnePiece(t *testing.T) {
	t.Parallel()
	documents := everyDocument(t)
	docs, err := NewDocs(documents, openapi.Documents)
	require.NoError(t, err)
	app := docsServer(t, docs, nil)
	w := send(t, app, "GET", "/docs", nil)
	require.Equal(t, 200, w.Code)
	listed := map[string]string{}
	for _, d := range pageOf(t, w.Body.String()).Contracts {
		listed[d.Name] = d.Title
	}
	require.Len(t, listed, len(documents))
	for _, d := range documents {
		require.Equal(t, d.Spec().Info.Title, listed[d.Name()])

		asWritten, err := fs.ReadFile(openapi.Documents, d.Name()+".yaml")
		require.NoError(t, err)
		w := send(t, app, "GET", "/openapi/"+d.Name()+".yaml", nil)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "application/yaml", w.Header().Get("Content-Type"))
		require.Equal(t, string(asWritten), w.Body.String())

		w = send(t, app, "GET", "/openapi/"+d.Name()+".json", nil)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.NotRegexp(t, `"\$ref": "[^#]`, w.Body.String(), "it refers to no other file")
		spec, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes()) // which reads no other file
		require.NoError(t, err)
		require.NoError(t, spec.Validate(t.Context(), openapi3.DisableExamplesValidation()))
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
		require.ElementsMatch(t, own, operations, d.Name())
	}
}

func TestThePageHasTheFixturesCredentialsInASandboxAlone(t *testing.T) {
	t.Parallel()
	docs := docsOf(t, "accosa", "hashdt", "thredd", "common")

	w := send(t, docsServer(t, docs, nil), "GET", "/docs", nil)
	require.Equal(t, 200, w.Code)
	for _, d := range pageOf(t, w.Body.String()).Contracts {
		require.Empty(t, d.Authentication, d.Name)
	}

	w = send(t, docsServer(t, docs, box{}), "GET", "/docs", nil)
	require.Equal(t, 200, w.Code)
	page := pageOf(t, w.Body.String())
	require.True(t, page.Live)
	found := map[string]map[string]any{}
	for _, d := range page.Contracts {
		found[d.Name] = d.Authentication
	}
	require.Equal(t, map[string]any{"apiKey": map[string]any{"value": "accosa.key"}}, found["accosa"])
	require.Equal(t, map[string]any{"apiKey": map[string]any{"value": "hashdt.key"}, "bearer": map[string]any{"token": "token of hashdt"}}, found["hashdt"])
	require.Equal(t, map[string]any{"basic": map[string]any{"username": "thredd", "password": "thredd-secret"}, "oauth2": map[string]any{"flows": map[string]any{"clientCredentials": map[string]any{
		"token": "token of thredd", "x-scalar-client-id": "thredd", "clientSecret": "thredd-secret"}}}}, found["thredd"])
	require.Empty(t, found["common"], "nobody's document")

	for status, err := range map[int]error{503: &pin.Error{Code: pin.Unavailable}, 500: errors.New("broken")} {
		w = send(t, docsServer(t, docs, box{err: err}), "GET", "/docs", nil)
		require.Equal(t, status, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
}

func TestThePageLoadsFromItsOwnServerAlone(t *testing.T) {
	t.Parallel()
	docs := docsOf(t, "common", "issuer")
	app := docsServer(t, docs, nil)
	w := send(t, app, "GET", "/docs", nil)
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; script-src 'self';")
	require.NotContains(t, policy, "unsafe-eval")
	require.NotContains(t, policy, "http")
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "it may hold a token")
	for _, own := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if own[1] == "data:," {
			continue
		}
		w := send(t, app, "GET", "/"+own[1], nil)
		require.Equal(t, 200, w.Code, own[1])
		require.NotEmpty(t, w.Body.String())
		require.Equal(t, 304, send(t, app, "GET", "/"+own[1], map[string]string{"If-None-Match": w.Header().Get("ETag")}).Code)
	}
	require.Equal(t, 200, send(t, app, "GET", "/docs/scalar.LICENSE", nil).Code)
}

func TestDocsLeaveOtherPathsAndMethodsToTheServer(t *testing.T) {
	t.Parallel()
	docs := docsOf(t, "common", "issuer")
	for _, test := range []struct {
		docs         *Docs
		method, path string
		status       int
	}{
		{docs, "GET", "/docs/", 404},
		{docs, "GET", "/docs/index.html", 404},
		{docs, "GET", "/openapi", 404},
		{docs, "GET", "/openapi/common.cfg.yaml", 404},
		{docs, "GET", "/openapi/..%2fopenapi.go", 404},
		{docs, "POST", "/docs", 405},
		{docs, "PUT", "/openapi/common.yaml", 405},
		{nil, "GET", "/docs", 404},
		{nil, "GET", "/openapi/common.yaml", 404},
	} {
		w := send(t, docsServer(t, test.docs, nil), test.method, test.path, nil)
		require.Equal(t, test.status, w.Code, test.method+" "+test.path)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
}

func TestTheStaticSiteIsThePageAndItsFiles(t *testing.T) {
	t.Parallel()
	docs := docsOf(t, "common", "issuer")
	dir := filepath.Join(t.TempDir(), "site")
	require.NoError(t, docs.Write(dir))
	index, err := os.ReadFile(filepath.Join(dir, "index.html"))
	require.NoError(t, err)
	page := pageOf(t, string(index))
	require.False(t, page.Live, "there is nothing to try calls on")
	require.Len(t, page.Contracts, len(docs.documents))
	app := docsServer(t, docs, nil)
	for _, f := range docs.files {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.path)))
		require.NoError(t, err)
		require.True(t, bytes.Equal(send(t, app, "GET", "/"+f.path, nil).Body.Bytes(), data), f.path)
	}
	require.Error(t, docs.Write(filepath.Join(dir, "index.html")), "a file is in the way")
}

func TestADocumentWithoutItsTextIsRefused(t *testing.T) {
	t.Parallel()
	_, err := NewDocs(docsOf(t, "common").documents, os.DirFS(t.TempDir()))
	require.ErrorIs(t, err, fs.ErrNotExist)
}
