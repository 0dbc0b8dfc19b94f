package docs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"path"
)

// Own makes the files of a page at a path that is of no document, and looks like those that are: index.html of the
// folder, which has {{template "head"}} and is given the folder of what it loads, relative to itself; and all else of the
// folder, which is served below the path in a folder whose name changes with any of it, so that the files may be kept for
// good and load each other by their names. A style sheet goes on from the one of the documents' pages.
func Own(folder fs.FS, at string) ([]*File, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	style, err := portal.ReadFile("page/portal.css")
	if err != nil {
		return nil, err
	}
	texts, sum := map[string][]byte{}, sha256.New()
	for _, e := range entries {
		text, err := fs.ReadFile(folder, e.Name())
		if err != nil {
			return nil, err
		}
		if path.Ext(e.Name()) == ".css" {
			text = append(bytes.Clone(style), text...)
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(text), text)
		texts[e.Name()] = text
	}
	loaded := path.Base(at) + "/page." + hex.EncodeToString(sum.Sum(nil)[:8]) + "/"
	page, err := template.ParseFS(portal, "page/head.html")
	if err == nil {
		page, err = page.New("index.html").Parse(string(texts["index.html"]))
	}
	var html bytes.Buffer
	if err == nil {
		err = page.Execute(&html, loaded)
	}
	if err != nil {
		return nil, err
	}
	files := []*File{plain(at, pageType, html.Bytes())}
	delete(texts, "index.html")
	for name, text := range texts {
		f := plain(path.Join(path.Dir(at), loaded, name), mediaType(name), text)
		f.Lasting = true
		files = append(files, f)
	}
	return files, nil
}

// mediaType is a file's type by what its name ends with.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return scriptType
	case ".LICENSE":
		return textType
	}
	return mime.TypeByExtension(path.Ext(name))
}
