package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"pinvault/impl/contract"
	"pinvault/impl/oauth"
)

// portal is the page of /docs and what it loads. scalar.js is Scalar's API reference, see scripts/docs/vendor.
//
//go:embed docs
var portal embed.FS

// Docs are the contracts to read: a page that shows all of them, and each document as it was written
// (YAML), as JSON in one piece, and as the page shows it.
//
// All URLs within are relative to the page, so that the same files make a static site.
type Docs struct {
	page      *template.Template
	documents []*contract.Document // by title
	files     []docsFile
}

// docsFile is a file by its URL, relative to the page's.
type docsFile struct {
	path, contentType string
	data              []byte
}

// docsPage is what the page is made from. Live says that there is a server behind it to try calls on.
type docsPage struct {
	Live      bool           `json:"live"`
	Contracts []docsDocument `json:"contracts"`
}

type docsDocument struct {
	Name           string         `json:"name"`
	Title          string         `json:"title"`
	Authentication map[string]any `json:"authentication,omitempty"` // credentials by security scheme, as Scalar takes them
}

// docsPolicy lets the page load from its own server alone. Scalar puts its styles into the page; it
// evaluates no text as code.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// NewDocs prepares the documents, whose text stands in written as <name>.yaml.
func NewDocs(documents []*contract.Document, written fs.FS) (*Docs, error) {
	page, err := template.ParseFS(portal, "docs/index.html")
	if err != nil {
		return nil, err
	}
	d := &Docs{page: page, documents: slices.SortedFunc(slices.Values(documents), func(a, b *contract.Document) int {
		return cmp.Compare(title(a), title(b))
	})}
	for _, f := range []docsFile{
		{path: "docs/docs.js", contentType: "text/javascript; charset=utf-8"},
		{path: "docs/scalar.js", contentType: "text/javascript; charset=utf-8"},
		{path: "docs/scalar.LICENSE", contentType: "text/plain; charset=utf-8"},
	} {
		if f.data, err = portal.ReadFile(f.path); err != nil {
			return nil, err
		}
		d.files = append(d.files, f)
	}
	for _, document := range d.documents {
		asWritten, err := fs.ReadFile(written, document.Name()+".yaml")
		if err != nil {
			return nil, err
		}
		shown, err := tellOrigins(asWritten)
		if err != nil {
			return nil, err
		}
		bundle, err := contract.Bundle(written, document.Name())
		if err != nil {
			return nil, err
		}
		d.files = append(d.files,
			docsFile{"docs/" + document.Name() + ".yaml", "application/yaml", shown},
			docsFile{"openapi/" + document.Name() + ".yaml", "application/yaml", asWritten},
			docsFile{"openapi/" + document.Name() + ".json", "application/json", bundle})
	}
	return d, nil
}

func title(d *contract.Document) string { return d.Spec().Info.Title }

// Write writes the static site into a folder: the page as index.html, and all that it loads.
func (d *Docs) Write(dir string) error {
	index, err := d.render(false, nil)
	if err != nil {
		return err
	}
	for _, f := range append([]docsFile{{path: "index.html", data: index}}, d.files...) {
		name := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // a site is for everybody
			return err
		}
		if err := os.WriteFile(name, f.data, 0o644); err != nil { //nolint:gosec // a site is for everybody
			return err
		}
	}
	return nil
}

// render makes the page with the credentials of documents, by their names.
func (d *Docs) render(live bool, credentials map[string]map[string]any) ([]byte, error) {
	p := docsPage{Live: live}
	for _, document := range d.documents {
		p.Contracts = append(p.Contracts, docsDocument{document.Name(), title(document), credentials[document.Name()]})
	}
	var page bytes.Buffer
	err := d.page.Execute(&page, p)
	return page.Bytes(), err
}

// mount serves the page and its files. They are public: the credentials on a sandbox's page are those that
// /sandbox/fixtures tells everybody.
func (d *Docs) mount(r gin.IRouter, s *system, fail func(*gin.Context, error)) {
	r.GET("/docs", func(c *gin.Context) {
		credentials, err := s.fixtureCredentials(c.Request.Context(), d.documents)
		var page []byte
		if err == nil {
			page, err = d.render(true, credentials)
		}
		if err != nil {
			fail(c, err)
			return
		}
		c.Header("Content-Security-Policy", docsPolicy)
		c.Header("Referrer-Policy", "no-referrer")
		c.Data(http.StatusOK, "text/html; charset=utf-8", page)
	})
	for _, f := range d.files {
		sum := sha256.Sum256(f.data)
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		r.GET("/"+f.path, func(c *gin.Context) {
			c.Header("Content-Type", f.contentType)
			c.Header("Cache-Control", "no-cache") // kept, but asked for each time: it costs a 304
			c.Header("ETag", tag)
			http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(f.data))
		})
	}
}

// fixtureCredentials are those of each document's fixture client, by the document's name: none without a sandbox.
func (s *system) fixtureCredentials(ctx context.Context, documents []*contract.Document) (map[string]map[string]any, error) {
	if s.sandbox == nil {
		return nil, nil
	}
	clients, _, err := s.sandbox.Fixtures(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]any{}
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
func (s *system) credentials(ctx context.Context, document *contract.Document, client map[string]any) (map[string]any, error) {
	all := map[string]any{}
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
