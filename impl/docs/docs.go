// Package docs is what readers and their tools are handed of the contracts: each document in one piece, a page that
// shows all of them, and both as a static site. It knows documents, and nothing of clients, cards or requests.
package docs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
)

// portal is the page and what it loads. scalar.js is Scalar's API reference, see scripts/docs/vendor.
//
//go:embed page
var portal embed.FS

// Site is the page and its files. All URLs within are relative to the page, so that the same files make a static site.
type Site struct {
	Files []*File

	page      *template.Template
	scalar    string               // the path of Scalar's script
	documents []*contract.Document // by title
}

// Credentials are those that the page fills in for a document, by security scheme, as Scalar takes them.
type Credentials map[string]any

// page is what the page is made from.
type page struct {
	Live      bool       `json:"live"` // there is a server behind it to try calls on
	Scalar    string     `json:"-"`
	Contracts []document `json:"contracts"`
}

type document struct {
	Name           string      `json:"name"`
	Title          string      `json:"title"`
	Authentication Credentials `json:"authentication,omitempty"`
}

// New prepares documents, whose text stands in written as <name>.yaml, as the server at this URL shows them.
func New(documents []*contract.Document, written fs.FS, url string) (*Site, error) {
	index, err := template.ParseFS(portal, "page/index.html")
	if err != nil {
		return nil, err
	}
	s := &Site{page: index, documents: slices.SortedFunc(slices.Values(documents), func(a, b *contract.Document) int {
		return cmp.Compare(title(a), title(b))
	})}
	if err := s.pageFiles(); err != nil {
		return nil, err
	}
	for _, d := range s.documents {
		if _, err := fs.Stat(written, d.Name()+".yaml"); err != nil {
			return nil, err
		}
		whole := sync.OnceValues(func() (*bundle.Document, error) {
			document, err := bundle.Of(written, d.Name())
			if err != nil {
				return nil, err
			}
			return describeUnsent(document.At(url)), nil
		})
		s.Files = append(s.Files,
			made("docs/"+d.Name()+".yaml", yamlType, of(whole, func(d *bundle.Document) ([]byte, error) { return tellOrigins(d).YAML() })),
			made("openapi/"+d.Name()+".yaml", yamlType, of(whole, (*bundle.Document).YAML)),
			made("openapi/"+d.Name()+".json", "application/json", of(whole, (*bundle.Document).JSON)))
	}
	return s, nil
}

// of is what is made of a document once it is there: most of a start would go into documents that nobody asks for.
func of(document func() (*bundle.Document, error), text func(*bundle.Document) ([]byte, error)) func() ([]byte, error) {
	return func() ([]byte, error) {
		d, err := document()
		if err != nil {
			return nil, err
		}
		return text(d)
	}
}

const (
	scriptType = "text/javascript; charset=utf-8"
	yamlType   = "application/yaml"
)

// pageFiles adds what the page loads.
func (s *Site) pageFiles() error {
	var texts [3][]byte
	for i, name := range []string{"docs.js", "scalar.LICENSE", "scalar.js.gz"} {
		var err error
		if texts[i], err = portal.ReadFile("page/" + name); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(texts[2])
	scalar := packed("docs/scalar."+hex.EncodeToString(sum[:8])+".js", scriptType, texts[2])
	scalar.Lasting, s.scalar = true, scalar.Path
	s.Files = append(s.Files, plain("docs/docs.js", scriptType, texts[0]), plain("docs/scalar.LICENSE", "text/plain; charset=utf-8", texts[1]), scalar)
	return nil
}

func title(d *contract.Document) string { return d.Spec().Info.Title }

// Documents are those that are shown, by title.
func (s *Site) Documents() []*contract.Document { return s.documents }

// Page is the page, with the credentials of documents, by their names. It is live where calls can be tried on the
// server that it comes from.
func (s *Site) Page(live bool, credentials map[string]Credentials) ([]byte, error) {
	p := page{Live: live, Scalar: s.scalar}
	for _, d := range s.documents {
		p.Contracts = append(p.Contracts, document{d.Name(), title(d), credentials[d.Name()]})
	}
	var out bytes.Buffer
	err := s.page.Execute(&out, p)
	return out.Bytes(), err
}

// Write writes the static site into a folder: the page as index.html, and all that it loads.
func (s *Site) Write(dir string) error {
	index, err := s.Page(false, nil)
	if err != nil {
		return err
	}
	for _, f := range append([]*File{plain("index.html", "", index)}, s.Files...) {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // a site is for everybody
			return err
		}
		data, err := f.Data()
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o644); err != nil { //nolint:gosec // a site is for everybody
			return err
		}
	}
	return nil
}
