package docs

import (
	"encoding/json"
	"html/template"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault"
)

func TestAFieldThatBecameRequiredIsShownWithItsReason(t *testing.T) {
	t.Parallel()
	operations := []operation{{ID: "setCardPin", Method: "POST", Path: "/pin", Summary: "Set a PIN"}}
	all := []found{
		{"compatible", "", "", "removed the schema `A`"},
		{"breaking", "POST", "/pin", "the request property `pin` became required"},
		{"compatible", "POST", "/pin", "the response header `vary` was added for the status `200`"},
		{"compatible", "POST", "/pin", "the response header `vary` was added for the status `400`"},
		{"breaking", "GET", "/gone", "endpoint removed"},
	}
	shown, err := grouped(all, operations, []string{"POST /other the request property `pin` became required: no", "POST /pin the request property `pin` became required; `x` too: nobody sent none: ever"})
	require.NoError(t, err)
	require.Len(t, shown, 2, "nothing is unclear")
	require.Equal(t, []string{"breaking", "compatible"}, []string{shown[0].ID, shown[1].ID})
	require.Equal(t, []changed{
		{"setCardPin", "Set a PIN", "POST", "/pin", []reasoned{{"nobody sent none: ever", []template.HTML{"The request property <code>pin</code> became required"}}}},
		{"", "", "GET", "/gone", []reasoned{{"", []template.HTML{"Endpoint removed"}}}},
	}, shown[0].Operations)
	require.Equal(t, 2, shown[1].Count)
	require.Equal(t, []reasoned{{"", []template.HTML{"The response header <code>vary</code> was added for the status <code>200</code>, <code>400</code>"}}},
		shown[1].Operations[1].Reasons)
}

func TestEveryChangeIsOnItsContractsPageAndEveryBreakHasAReason(t *testing.T) {
	t.Parallel()
	chapters, pages := everyChapter(t)
	breaks := map[string]int{}
	for name, c := range chapters {
		page := pages[name+"/changes"]
		require.Contains(t, page, "<h1>")
		require.Contains(t, pages[name], `href="`+name+`/changes"`)
		require.Contains(t, pages[""], `href="docs/`+name+`/changes"`)
		text, err := pinvault.Texts.ReadFile("generated/changes/" + name + ".json")
		require.NoError(t, err)
		var all []found
		require.NoError(t, json.Unmarshal(text, &all))
		require.Equal(t, len(all) == 0, len(c.Changes) == 0, name)
		for _, level := range c.Changes {
			require.Contains(t, page, `<h2 id="`+level.ID+`">`)
			for _, o := range level.Operations {
				if o.ID != "" {
					require.Contains(t, page, `href="../`+name+"#"+o.ID+`"`)
					require.Contains(t, pages[name], `id="`+o.ID+`"`)
				}
				for _, reason := range o.Reasons {
					for _, text := range reason.Texts {
						require.Contains(t, page, string(text))
					}
					if level.ID == "breaking" || level.ID == "unnoticed" {
						breaks[level.ID]++
						require.NotEmpty(t, reason.Why, "%s %s %s", o.Method, o.Path, reason.Texts)
						require.NotContains(t, reason.Why, "media type", "a reason is what comes after what oasdiff says")
					}
				}
			}
		}
	}
	require.Len(t, breaks, 2, "those that callers notice, and those that they do not")
}
