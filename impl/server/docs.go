package server

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"path"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/impl/contract"
	"pinvault/impl/docs"
	"pinvault/impl/oauth"
)

// docsPolicy lets the pages load from their own server alone. Scalar puts its styles into its page; it
// evaluates no text as code.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mountDocs serves the pages and their files. They are public: the credentials on a sandbox's page are those that
// /sandbox/fixtures tells everybody.
func mountDocs(r gin.IRouter, site *docs.Site, s *system, fail func(*gin.Context, error)) {
	r.GET("/docs", func(c *gin.Context) {
		credentials, err := s.fixtureCredentials(c.Request.Context(), site.Documents())
		var page *docs.File
		if err == nil {
			page, err = site.Page(true, credentials)
		}
		if err == nil {
			c.Header("Content-Security-Policy", docsPolicy)
			c.Header("Referrer-Policy", "no-referrer")
			err = serveFile(c.Writer, c.Request, page)
		}
		if err != nil {
			fail(c, err)
		}
	})
	pages := site.Pages(s.sandbox != nil)
	elsewhere := map[string]string{
		"/docs/": "../#contracts", "/openapi": "./#documents", "/openapi/": "../#documents",
		"/docs/workflows": "../#workflows", "/docs/workflows/": "../../#workflows",
	}
	for _, page := range pages {
		if page.Path != "" {
			elsewhere["/"+page.Path+"/"] = "../" + path.Base(page.Path)
		}
	}
	for path, to := range elsewhere {
		r.GET(path, func(c *gin.Context) {
			c.Header("Location", to) // relative, and so right behind any prefix
			c.Status(http.StatusFound)
		})
	}
	for _, f := range slices.Concat(pages, site.Files) {
		r.GET("/"+f.Path, func(c *gin.Context) {
			c.Header("Content-Security-Policy", docsPolicy)
			c.Header("Referrer-Policy", "no-referrer")
			if err := serveFile(c.Writer, c.Request, f); err != nil {
				fail(c, err)
			}
		})
	}
}

// serveFile answers with a file, compressed for whoever takes that.
func serveFile(w http.ResponseWriter, r *http.Request, f *docs.File) error {
	h, form, tagOf := w.Header(), f.Data, f.DataTag
	zipped := contract.TakesGzip(r.Header)
	if zipped {
		form, tagOf = f.Gzip, f.GzipTag
	}
	data, err := form()
	if err != nil {
		return err
	}
	if !f.Passing { // what nobody may keep is asked for whole each time
		tag, err := tagOf()
		if err != nil {
			return err
		}
		h.Set("ETag", tag)
	}
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.Type)
	switch {
	case f.Lasting:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	case f.Passing:
		h.Set("Cache-Control", "no-store")
	default:
		h.Set("Cache-Control", "no-cache") // kept, but asked for each time: it costs a 304
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}

// fixtureCredentials are those of each document's fixture client, by the document's name: none without a sandbox.
func (s *system) fixtureCredentials(ctx context.Context, documents []*contract.Document) (map[string]docs.Credentials, error) {
	if s.sandbox == nil {
		return nil, nil
	}
	clients, _, err := s.sandbox.Fixtures(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]docs.Credentials{}
	for _, document := range documents {
		name, _ := document.Spec().Extensions["x-fixture-client"].(string)
		if client := clients[name]; client != nil && document.Spec().Components != nil {
			if all[document.Name()], err = s.credentials(ctx, document, client); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// credentials are a client's, for each security scheme of the document. A key is listed under the name of
// its header; HTTP Basic takes id and secret; for everything else the client gets a token.
func (s *system) credentials(ctx context.Context, document *contract.Document, client map[string]any) (docs.Credentials, error) {
	all := docs.Credentials{}
	for name, scheme := range document.Spec().Components.SecuritySchemes {
		if scheme.Value.Scheme == "basic" {
			all[name] = map[string]any{"username": client["client_id"], "password": client["client_secret"]}
			continue
		}
		if scheme.Value.Type == "apiKey" {
			all[name] = map[string]any{"value": client[scheme.Value.Name]}
			continue
		}
		token, err := s.token(ctx, client)
		if err != nil {
			return nil, err
		}
		if scheme.Value.Type == "oauth2" {
			all[name] = map[string]any{"flows": map[string]any{"clientCredentials": map[string]any{
				"token": token, "x-scalar-client-id": client["client_id"], "clientSecret": client["client_secret"]}}}
		} else {
			all[name] = map[string]any{"token": token}
		}
	}
	return all, nil
}

// token is a fresh bearer token with all of the client's scopes.
func (s *system) token(ctx context.Context, client map[string]any) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for _, name := range []string{"client_id", "client_secret"} {
		value, _ := client[name].(string)
		form.Set(name, value)
	}
	request, err := oauth.ParseRequest("", form)
	if err != nil {
		return "", err
	}
	token, err := s.tokens.Exchange(ctx, request, "", tokenTTL)
	return token.AccessToken, err
}
