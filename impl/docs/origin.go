package docs

import (
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
)

// origins are what x-origin's values are told by: at the end of a summary, and in front of a description.
var origins = map[string]struct{ summary, description string }{
	"sibling": {" (sibling)", "*Sibling.* "},
	"local":   {" (local)", "*Local.* "},
}

// originsTold explains them, at the end of a document's introduction.
const originsTold = `

**Origin.** What bears no mark is in the partner's document to the letter. *Sibling* is what another public
document or library of the same partner says. *Local* is what both leave open and PinVault decided.
`

// tellOrigins is a document in which x-origin is told in the descriptions and summaries: a reader is
// shown those, and no extensions.
func tellOrigins(d *bundle.Document) *bundle.Document {
	marked := false
	return d.Edited(func(n *yaml.Node) {
		marked = mark(n) || marked
		if about := bundle.Member(bundle.Member(n, "info"), "description"); about != nil && marked && bundle.Member(n, "openapi") != nil {
			about.Value += originsTold
		}
	})
}

// mark tells a node's own origin, and says whether there was one to tell.
func mark(n *yaml.Node) bool {
	origin := bundle.Member(n, "x-origin")
	if origin == nil {
		return false
	}
	told := origins[origin.Value]
	if summary := bundle.Member(n, "summary"); summary != nil {
		summary.Value += told.summary
	}
	if description := bundle.Member(n, "description"); description != nil {
		description.Value = told.description + description.Value
	}
	return true
}
