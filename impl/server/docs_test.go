package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/docs"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// docsOf prepares the named documents alone, which takes less time than all.
func docsOf(t *testing.T, names ...string) *docs.Site {
	t.Helper()
	var documents []*contract.Document
	for _, name := range names {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		documents = append(documents, d)
	}
	site, err := docs.New(documents, openapi.Documents, "http://127.0.0.1:8080")
	require.NoError(t, err)
	return site
}

// namedTokens issues tokens that tell for whom.
type namedTokens struct{ Tokens }

func (namedTokens) Exchange(_ context.Context, r oauth.Request, _ string, _ time.Duration) (oauth.Token, error) {
	return oauth.Token{AccessToken: "token of " + r.ClientID}, nil
}

// fixtures are a sandbox's of three clients, or an error.
func fixtures(err error) Fixtures {
	return func(context.Context) (clients, cards map[string]map[string]any, _ error) {
		clients = map[string]map[string]any{}
		for _, name := range []string{"accosa", "hashdt", "thredd"} {
			clients[name] = map[string]any{"client_id": name, "client_secret": name + "-secret", "x-api-key": name + ".key"}
		}
		return clients, nil, err
	}
}

func docsServer(t *testing.T, site *docs.Site, sandbox Fixtures) http.Handler {
	t.Helper()
	common, err := contract.Load(openapi.Documents, "common")
	require.NoError(t, err)
	app, err := New(Options{Common: common, Tokens: namedTokens{}, Fixtures: sandbox, Docs: site,
		Ready: func(context.Context) []string { return nil }, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	return app
}

// shownTo is what the page shows of each document's credentials.
func shownTo(t *testing.T, app http.Handler) (live bool, credentials map[string]map[string]any) {
	t.Helper()
	w := send(t, app, "GET", "/docs", nil)
	require.Equal(t, 200, w.Code)
	found := regexp.MustCompile(`(?s)<script type="application/json" id="page">(.*?)</script>`).FindStringSubmatch(w.Body.String())
	require.NotNil(t, found)
	var page struct {
		Live      bool
		Contracts []struct {
			Name           string
			Authentication map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(found[1]), &page))
	credentials = map[string]map[string]any{}
	for _, d := range page.Contracts {
		credentials[d.Name] = d.Authentication
	}
	return page.Live, credentials
}

func TestThePageHasTheFixturesCredentialsInASandboxAlone(t *testing.T) {
	t.Parallel()
	site := docsOf(t, "accosa", "hashdt", "thredd", "common")
	_, found := shownTo(t, docsServer(t, site, nil))
	for name, credentials := range found {
		require.Empty(t, credentials, name)
	}
	live, found := shownTo(t, docsServer(t, site, fixtures(nil)))
	require.True(t, live)
	require.Equal(t, map[string]any{"apiKey": map[string]any{"value": "accosa.key"}}, found["accosa"])
	require.Equal(t, map[string]any{"apiKey": map[string]any{"value": "hashdt.key"}, "bearer": map[string]any{"token": "token of hashdt"}}, found["hashdt"])
	require.Equal(t, map[string]any{"basic": map[string]any{"username": "thredd", "password": "thredd-secret"}, "oauth2": map[string]any{"flows": map[string]any{"clientCredentials": map[string]any{
		"token": "token of thredd", "x-scalar-client-id": "thredd", "clientSecret": "thredd-secret"}}}}, found["thredd"])
	require.Empty(t, found["common"], "nobody's document")

	for status, err := range map[int]error{503: &pin.Error{Code: pin.Unavailable}, 500: errors.New("broken")} {
		w := send(t, docsServer(t, site, fixtures(err)), "GET", "/docs", nil)
		require.Equal(t, status, w.Code)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
}

func TestThePageLoadsFromItsOwnServerAlone(t *testing.T) {
	t.Parallel()
	app := docsServer(t, docsOf(t, "common", "issuer"), nil)
	w := send(t, app, "GET", "/docs", nil)
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; script-src 'self';")
	require.NotContains(t, policy, "unsafe-eval")
	require.NotContains(t, policy, "http")
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "it may hold a token")
	require.NotContains(t, w.Header(), "Etag", "what nobody may keep")
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
	site := docsOf(t, "common", "issuer")
	for _, test := range []struct {
		site         *docs.Site
		method, path string
		status       int
	}{
		{site, "GET", "/docs/index.html", 404},
		{site, "GET", "/openapi/common.cfg.yaml", 404},
		{site, "GET", "/openapi/..%2fopenapi.go", 404},
		{site, "POST", "/docs", 405},
		{site, "PUT", "/openapi/common.yaml", 405},
		{site, "POST", "/", 405},
		{nil, "GET", "/", 404},
		{nil, "GET", "/docs", 404},
		{nil, "GET", "/docs/", 404},
		{nil, "GET", "/openapi/", 404},
		{nil, "GET", "/docs/issuer", 404},
		{nil, "GET", "/openapi/common.yaml", 404},
	} {
		w := send(t, docsServer(t, test.site, nil), test.method, test.path, nil)
		require.Equal(t, test.status, w.Code, test.method+" "+test.path)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	}
}

func TestABrowserIsShownAPageWhereThereIsNone(t *testing.T) {
	t.Parallel()
	browser := map[string]string{"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
	app := docsServer(t, docsOf(t, "common", "issuer"), nil)
	for path, root := range map[string]string{"/nothing": "./", "/docs/nothing": "../", "/docs/issuer/nothing": "../../", "/docs/a%2Fb": "../"} {
		w := send(t, app, "GET", path, browser)
		require.Equal(t, 404, w.Code, path)
		require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, w.Body.String(), `<h1>Nothing here</h1>`)
		style := regexp.MustCompile(`<link rel="stylesheet" href="([^"]*)">`).FindStringSubmatch(w.Body.String())
		require.NotNil(t, style)
		require.True(t, strings.HasPrefix(style[1], root+"docs/"), "%s: %s", path, style[1])
		require.Equal(t, 200, send(t, app, "GET", strings.Replace(style[1], root, "/", 1), nil).Code)
	}
	w := send(t, docsServer(t, nil, nil), "GET", "/nothing", browser)
	require.Equal(t, 404, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), "no pages are served")
	require.Equal(t, 405, send(t, app, "DELETE", "/docs", browser).Code)
}

func TestFilesGoOutCompressedToWhomTheySuit(t *testing.T) {
	t.Parallel()
	app := docsServer(t, docsOf(t, "common"), nil)
	for accepted, zipped := range map[string]bool{
		"": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip ; q=0.000, identity": false, "deflate, br": false, "x-gzip2": false,
	} {
		w := send(t, app, "GET", "/openapi/common.json", map[string]string{"Accept-Encoding": accepted})
		require.Equal(t, 200, w.Code)
		require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
		require.Equal(t, zipped, w.Header().Get("Content-Encoding") == "gzip", accepted)
		require.Equal(t, zipped, !json.Valid(w.Body.Bytes()), accepted)
		require.Equal(t, 304, send(t, app, "GET", "/openapi/common.json", map[string]string{
			"Accept-Encoding": accepted, "If-None-Match": w.Header().Get("ETag")}).Code)
	}
}

func TestWhatCarriesItsHashInItsNameIsKeptForGood(t *testing.T) {
	t.Parallel()
	app := docsServer(t, docsOf(t, "common"), nil)
	scalar := regexp.MustCompile(`docs/scalar\.[0-9a-f]{16}\.js`).FindString(send(t, app, "GET", "/docs", nil).Body.String())
	require.NotEmpty(t, scalar)
	require.Equal(t, "public, max-age=31536000, immutable", send(t, app, "GET", "/"+scalar, nil).Header().Get("Cache-Control"))
	require.Equal(t, "no-cache", send(t, app, "GET", "/openapi/common.yaml", nil).Header().Get("Cache-Control"))
}

func TestPagesHaveButtonsWhereThereIsASandboxAlone(t *testing.T) {
	t.Parallel()
	site := docsOf(t, "common", "thredd")
	for live, app := range map[bool]http.Handler{true: docsServer(t, site, fixtures(nil)), false: docsServer(t, site, nil)} {
		for _, path := range []string{"/", "/docs/thredd", "/docs/common"} {
			w := send(t, app, "GET", path, nil)
			require.Equal(t, 200, w.Code, path)
			require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
			require.Contains(t, w.Header().Get("Content-Security-Policy"), "script-src 'self';")
			require.NotContains(t, w.Body.String(), "-secret</code>", "credentials are loaded when a call is tried")
			require.Equal(t, live && path != "/", strings.Contains(w.Body.String(), "data-try"), path)
		}
	}
}

func TestPathsThatAreNearlyThoseOfPagesLeadToThem(t *testing.T) {
	t.Parallel()
	app := docsServer(t, docsOf(t, "common"), nil)
	for path, to := range map[string]string{
		"/docs/": "../#contracts", "/openapi": "./#documents", "/openapi/": "../#documents",
		"/docs/workflows": "../#workflows", "/docs/workflows/": "../../#workflows",
		"/docs/common/": "../common", "/docs/common/changes/": "../changes",
	} {
		w := send(t, app, "GET", path, nil)
		require.Equal(t, 302, w.Code, path)
		require.Equal(t, to, w.Header().Get("Location"))
	}
}
