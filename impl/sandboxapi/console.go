package sandboxapi

import (
	"embed"
	"io/fs"
	"sync"

	"pinvault/impl/docs"
)

// page is the console: what its index.html says is shown over the API of openapi/sandbox.yaml, and nothing else. preact.js
// has Preact and htm, see scripts/docs/vendor.
//
//go:embed page
var page embed.FS

// Console are the page /sandbox and what it loads: the same for every space, whose page asks the space that its URL names.
var Console = sync.OnceValues(func() ([]*docs.File, error) {
	folder, err := fs.Sub(page, "page")
	if err != nil {
		return nil, err
	}
	return docs.Own(folder, "sandbox")
})
