// Package docs is what readers and their tools are handed of the contracts: each document in one piece, a landing page,
// a page for each contract with its errors and what makes them come out, one with what changed in it, the changelog, a page
// for each workflow through several of them, Scalar's page for all of them, and all of it as a static site. It knows
// documents and their rows, and nothing of clients, cards or what is inside a server.
package docs

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"pinvault"
	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// portal are the pages and what they load. scalar.js is Scalar's API reference and ciphers.js has the ciphers of noble, see
// scripts/docs/vendor.
//
//go:embed page
var portal embed.FS

// Site are the pages and their files. All URLs within are relative, so that the same files make a static site.
type Site struct {
	Files []*File

	templates *template.Template

	assets    map[string]string               // what the pages load, by what it is called in page/: its name, which changes with it
	chapters  []func() (*chapter, error)      // in the order of documents
	leads     []func() (template.HTML, error) // likewise; the reference shows them before anything is made of a document
	documents []*contract.Document            // by title

	told func() (*told, error) // what is sent, nil where there is no such document

	workflowNames []string
	workflows     []func() (*workflow, error) // in the order of workflowNames
}

// Credentials are those that the page fills in for a document, by security scheme, as Scalar takes them.
type Credentials map[string]any

// page is what the page is made from.
type page struct {
	Live      bool `json:"live"` // there is a server behind it to try calls on
	place     `json:"-"`
	Contracts []document `json:"contracts"`
}

type document struct {
	Name           string        `json:"name"`
	Title          string        `json:"title"`
	Lead           template.HTML `json:"-"` // shown until Scalar's script is there
	Authentication Credentials   `json:"authentication,omitempty"`
}

// spokenOf is a text that shows the address of the server at this URL.
func spokenOf(text, url string) string {
	return strings.ReplaceAll(text, bundle.ExampleServer, strings.TrimRight(url, "/"))
}

// New prepares documents, whose text stands in written as <name>.yaml, as the server at this URL shows them.
func New(documents []*contract.Document, written fs.FS, url string) (*Site, error) {
	all, err := template.ParseFS(portal, "page/*.html")
	if err != nil {
		return nil, err
	}
	s := &Site{templates: all, documents: slices.SortedFunc(slices.Values(documents), func(a, b *contract.Document) int {
		return cmp.Compare(title(a), title(b))
	})}
	if err := s.pageFiles(); err != nil {
		return nil, err
	}
	fates, err := allFates(documents)
	if err != nil {
		return nil, err
	}
	for _, d := range s.documents {
		if _, err := fs.Stat(written, d.Name()+".yaml"); err != nil {
			return nil, err
		}
		name, whole := d.Name(), inOnePiece(written, d.Name(), url)
		all := then(d.Whole, func(d *contract.Document) ([]rows.Row, error) { return rows.All(d.Spec()) })
		c := then(whole, func(document *bundle.Document) (*chapter, error) {
			all, err := all()
			d, err2 := d.Whole()
			err = errors.Join(err, err2)
			var c *chapter
			if err == nil {
				c, err = chapterOf(d, document, all, fates)
			}
			if err != nil {
				return nil, fmt.Errorf("document %s: %w", name, err)
			}
			return c, nil
		})
		served := then(whole, func(document *bundle.Document) (*bundle.Document, error) {
			return leaveToSchemes(describeUnsent(document), d.Spec()), nil
		})
		tools := func(withBroken bool) func() (*bundle.Document, error) {
			return then(served, func(document *bundle.Document) (*bundle.Document, error) {
				all, err := all()
				return forTools(document, all, withBroken), err
			})
		}
		plain, examples := tools(false), tools(true)
		s.chapters = append(s.chapters, c)
		s.leads = append(s.leads, then(d.Whole, func(d *contract.Document) (template.HTML, error) {
			return leadOf(spokenOf(d.Spec().Info.Description, url))
		}))
		s.Files = append(s.Files,
			made("docs/"+d.Name()+".rows.json", "application/json", then(c, func(c *chapter) ([]byte, error) {
				text, err := json.Marshal(c.calls)
				return []byte(spokenOf(string(text), url)), err
			})),
			made("docs/"+d.Name()+".yaml", yamlType, then(served, func(d *bundle.Document) ([]byte, error) { return tellOrigins(showMessages(d)).YAML() })),
			made("openapi/"+d.Name()+".yaml", yamlType, then(plain, (*bundle.Document).YAML)),
			made("openapi/"+d.Name()+".json", "application/json", then(plain, (*bundle.Document).JSON)),
			made("openapi/"+d.Name()+".examples.yaml", yamlType, then(examples, (*bundle.Document).YAML)),
			made("openapi/"+d.Name()+".examples.json", "application/json", then(examples, (*bundle.Document).JSON)))
		if seals(d.Spec()) {
			s.Files = append(s.Files, made("openapi/"+d.Name()+".clear.json", "application/json",
				then(served, func(d *bundle.Document) ([]byte, error) { return Clear(d).JSON() })))
		}
	}
	if err := s.tells(written, url); err != nil {
		return nil, err
	}
	return s, s.workflowsOf(written, url)
}

// workflowsOf adds the workflows that stand beside the documents.
func (s *Site) workflowsOf(written fs.FS, url string) (err error) {
	s.workflowNames, err = workflowNames(written)
	for _, name := range s.workflowNames {
		whole := inOnePiece(written, "workflows/"+name+".arazzo", url)
		s.workflows = append(s.workflows, then(whole, func(document *bundle.Document) (*workflow, error) {
			documents, err := wholes(s.documents)
			var w *workflow
			if err == nil {
				w, err = workflowOf(name, document, documents)
			}
			if err != nil {
				return nil, fmt.Errorf("workflow %s: %w", name, err)
			}
			return w, nil
		}))
		s.Files = append(s.Files, made("openapi/workflows/"+name+workflowExt, yamlType, then(whole, (*bundle.Document).YAML)))
	}
	return err
}

// wholes are documents with all that is for readers.
func wholes(documents []*contract.Document) ([]*contract.Document, error) {
	all := make([]*contract.Document, len(documents))
	var errs error
	for i, d := range documents {
		var err error
		all[i], err = d.Whole()
		errs = errors.Join(errs, err)
	}
	return all, errs
}

// inOnePiece is a document as the server at the URL has it. It is made when somebody asks: to make all of them would be
// most of a start.
func inOnePiece(written fs.FS, name, url string) func() (*bundle.Document, error) {
	return sync.OnceValues(func() (*bundle.Document, error) {
		read, err := bundle.Of(written, name)
		if err != nil {
			return nil, err
		}
		return read.At(url), nil
	})
}

// then is what is made of something once that is there, and once.
func then[T, U any](source func() (T, error), build func(T) (U, error)) func() (U, error) {
	return sync.OnceValues(func() (made U, err error) {
		from, err := source()
		if err != nil {
			return made, err
		}
		return build(from)
	})
}

const (
	scriptType = "text/javascript; charset=utf-8"
	yamlType   = "application/yaml"
	textType   = "text/plain; charset=utf-8"
	pageType   = "text/html; charset=utf-8"
)

// pageFiles adds what the pages load.
func (s *Site) pageFiles() error {
	s.assets = map[string]string{}
	lasting := func(name string, content []byte, of func(path string) *File) {
		sum := sha256.Sum256(content)
		stem, ext, _ := strings.Cut(name, ".")
		s.assets[name] = stem + "." + hex.EncodeToString(sum[:8]) + "." + ext
		f := of("docs/" + s.assets[name])
		f.Lasting = true
		s.Files = append(s.Files, f)
	}
	for name, contentType := range map[string]string{
		"docs.js": scriptType, "try.js": scriptType, "ciphers.js": scriptType, "portal.css": "text/css; charset=utf-8", "ciphers.LICENSE": textType, "scalar.LICENSE": textType,
	} {
		text, err := portal.ReadFile("page/" + name)
		if err != nil {
			return err
		}
		if contentType == textType { // which nothing loads, and which is found by its name
			s.Files = append(s.Files, plain("docs/"+name, contentType, text))
			continue
		}
		lasting(name, text, func(path string) *File { return plain(path, contentType, text) })
	}
	picture, err := pinvault.Texts.ReadFile("docs/contracts.svg")
	if err != nil {
		return err
	}
	zipped, err := portal.ReadFile("page/scalar.js.gz")
	if err != nil {
		return err
	}
	lasting("scalar.js", zipped, func(path string) *File { return packed(path, scriptType, zipped) })
	s.Files = append(s.Files, plain("docs/contracts.svg", "image/svg+xml", picture))
	return nil
}

func title(d *contract.Document) string { return d.Spec().Info.Title }

// Documents are those that are shown, by title.
func (s *Site) Documents() []*contract.Document { return s.documents }

// Page is the page, with the credentials of documents, by their names. It is live where calls can be tried on the
// server that it comes from.
func (s *Site) Page(live bool, credentials map[string]Credentials) (*File, error) {
	p := page{Live: live, place: place{Assets: s.assets}}
	if !live {
		p.Ext = staticExt
	}
	for i, d := range s.documents {
		lead, err := s.leads[i]()
		if err != nil {
			return nil, err
		}
		p.Contracts = append(p.Contracts, document{d.Name(), title(d), lead, credentials[d.Name()]})
	}
	html, err := s.execute("scalar.html", p)
	f := plain("docs"+p.Ext, pageType, html)
	f.Passing = true
	return f, err
}

// staticExt is what pages' names end with where they are files.
const staticExt = ".html"

// Write writes the static site into a folder: the landing page as index.html, Scalar's as docs.html, and the rest.
func (s *Site) Write(dir string) error {
	reader, err := s.Page(false, nil)
	if err != nil {
		return err
	}
	for _, f := range slices.Concat([]*File{reader}, s.pages(place{Ext: staticExt, Assets: s.assets}), s.Files) {
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
