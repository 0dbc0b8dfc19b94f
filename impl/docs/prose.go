package docs

import (
	"bytes"
	"html/template"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// prose is Markdown as a page shows it, and its headings for navigation.
type prose struct {
	HTML     template.HTML
	Headings []heading
}

type heading struct{ ID, Text string }

// converter is CommonMark with tables. HTML in a text is left out.
var converter = goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

func markdown(source string) (prose, error) {
	var p prose
	written := []byte(source)
	root := converter.Parser().Parse(text.NewReader(written))
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			id, _ := h.AttributeString("id")
			named, _ := id.([]byte)
			p.Headings = append(p.Headings, heading{string(named), string(h.Lines().Value(written))})
		}
	}
	var out bytes.Buffer
	err := converter.Renderer().Render(&out, written, root)
	p.HTML = template.HTML(out.String()) //nolint:gosec // goldmark escapes, and the texts are our own documents'
	return p, err
}
