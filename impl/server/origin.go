package server

import "go.yaml.in/yaml/v3"

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
// shown those, and no extensions. The order of everything stays, since it is the document's.
func tellOrigins(document []byte) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	if markOrigins(&root) {
		if told := member(member(root.Content[0], "info"), "description"); told != nil {
			told.Value += originsTold
		}
	}
	return yaml.Marshal(&root)
}

// markOrigins marks all that is inside, and says whether there was anything to mark.
func markOrigins(node *yaml.Node) bool {
	marked := false
	if origin := member(node, "x-origin"); origin != nil {
		mark := origins[origin.Value]
		marked = true
		if summary := member(node, "summary"); summary != nil {
			summary.Value += mark.summary
		}
		if description := member(node, "description"); description != nil {
			description.Value = mark.description + description.Value
		}
	}
	for _, inner := range node.Content {
		marked = markOrigins(inner) || marked
	}
	return marked
}

// member is a mapping's value by its name, nil where there is none.
func member(node *yaml.Node, name string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	return nil
}
