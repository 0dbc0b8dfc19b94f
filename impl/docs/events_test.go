package docs

import (
	"html/template"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// What is sent has a document of its own, in one piece as the others, and a page that has every event with its message.
func TestTheDocumentOfEventsIsServedAndShown(t *testing.T) {
	t.Parallel()
	s := everything(t)
	text := string(data(t, s, "openapi/events.yaml"))
	require.NotContains(t, text, "127.0.0.1:8080")
	spec, err := openapi3.NewLoader().LoadFromData(data(t, s, "openapi/events.json"))
	require.NoError(t, err)
	require.Equal(t, "3.1.0", spec.OpenAPI)
	require.NotEmpty(t, spec.Webhooks)
	for _, f := range s.Pages(true) {
		page, err := f.Data()
		require.NoError(t, err)
		switch f.Path {
		case "":
			require.Contains(t, string(page), `href="docs/events"`)
		case "docs/events":
			for name, webhook := range spec.Webhooks {
				require.Contains(t, string(page), "<code>"+name+"</code>")
				require.Contains(t, string(page), template.HTMLEscapeString(webhook.Post.Summary))
			}
			require.Contains(t, string(page), "&#34;remainingTries&#34;: 2")
		}
	}
}
