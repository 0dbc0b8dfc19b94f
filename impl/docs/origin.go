package docs

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
)

// origins are what x-origin's values are told by.
var origins = map[string]string{
	"sibling": "From another document of the partner",
	"local":   "Not in the partner's public document",
}

// originsTold explains them, at the end of a document's introduction.
const originsTold = `

## Origin

What bears no mark is in the partner's document to the letter. *From another document of the partner* is what another
public document or library of the same partner says. *Not in the partner's public document* is what both leave open and
PinVault decided.
`

// origin is what extensions say of it, in words, "" where the partner's document has what bears them.
func origin(extensions map[string]any) string {
	value, _ := extensions["x-origin"].(string)
	return origins[value]
}

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

// mark tells a node's own origin, and says whether there was one to tell. A summary bears the mark where there is no
// description that could: summaries are what navigation shows.
func mark(n *yaml.Node) bool {
	value := bundle.Member(n, "x-origin")
	if value == nil {
		return false
	}
	words := origins[value.Value]
	if description := bundle.Member(n, "description"); description != nil {
		description.Value = "*" + words + ".* " + description.Value
	} else if summary := bundle.Member(n, "summary"); summary != nil {
		summary.Value += " (" + strings.ToLower(words[:1]) + words[1:] + ")"
	}
	return true
}
