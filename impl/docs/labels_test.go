package docs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A reader picks a row by its label: those of one operation's replies differ.
func TestRepliesAreToldApartByTheirLabels(t *testing.T) {
	t.Parallel()
	for _, d := range documents(t, "accosa", "common", "creditplus", "hashdt", "hosted", "issuer", "networkintl", "sandbox", "thredd") {
		for path, item := range d.Spec().Paths.Map() {
			for method, op := range item.Operations() {
				seen := map[string]string{}
				for status, reply := range op.Responses.Map() {
					for _, content := range reply.Value.Content {
						for name, example := range content.Examples {
							label, here := example.Value.Summary, status+" "+name
							require.Emptyf(t, seen[label], "%s: %s %s: %s has the label %q too", d.Name(), method, path, here, label)
							seen[label] = here
						}
					}
				}
			}
		}
	}
}
