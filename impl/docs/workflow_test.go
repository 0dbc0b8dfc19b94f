package docs

import (
	"html/template"
	"regexp"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/bundle"
	"pinvault/impl/rows"
	"pinvault/openapi"
)

func TestEveryStepIsAnOperationOfADocument(t *testing.T) {
	t.Parallel()
	s := everything(t)
	require.NotEmpty(t, s.workflows)
	used := map[string]bool{}
	for _, read := range s.workflows {
		w, err := read()
		require.NoError(t, err)
		for _, c := range w.Courses {
			for _, step := range c.Steps {
				require.NotEmpty(t, step.Called.Contract, "%s calls nothing that there is", step.ID)
				require.NotEmpty(t, step.About, step.ID)
				require.NotEmpty(t, step.Demanded, step.ID)
				used[step.Called.Contract] = true
			}
		}
	}
	for _, d := range everyDocument(t) {
		require.True(t, used[d.Name()], "no workflow goes through %s", d.Name())
	}
}

// An envelope that a runner cannot make itself is one that stands in the contract's document.
func TestASealedRequestOfAStepIsADocumentedOne(t *testing.T) {
	t.Parallel()
	names, err := workflowNames(openapi.Documents)
	require.NoError(t, err)
	sealed := 0
	for _, name := range names {
		whole, err := bundle.Of(openapi.Documents, "workflows/"+name+".arazzo")
		require.NoError(t, err)
		var read arazzo
		require.NoError(t, whole.Decode(&read))
		for _, w := range read.Workflows {
			for _, s := range w.Steps {
				if s.RequestBody.ContentType != "application/jose" {
					continue
				}
				sealed++
				source := regexp.MustCompile(`^\$sourceDescriptions\.(\w+)\.`).FindStringSubmatch(s.OperationID)
				require.NotNil(t, source, s.OperationID)
				document, err := openapi.Documents.ReadFile(source[1] + ".yaml")
				require.NoError(t, err)
				require.Contains(t, string(document), s.RequestBody.Payload.Value, s.StepID)
			}
		}
	}
	require.Positive(t, sealed)
}

const twoCalls = `
arazzo: 1.0.1
info: {title: Two calls, summary: A token and a PIN, description: '## Why'}
workflows:
  - workflowId: two
    summary: Both
    steps:
      - stepId: token
        description: Asks.
        operationId: $sourceDescriptions.thredd.issueToken
        requestBody: {contentType: application/x-www-form-urlencoded, payload: {grant_type: client_credentials}}
        successCriteria: [{condition: $statusCode == 200}]
        outputs: {token: $response.body#/access_token}
      - stepId: set
        operationId: $sourceDescriptions.thredd.setCardPin
        parameters: [{name: Authorization, in: header, value: 'Bearer {$steps.token.outputs.token}'}]
        requestBody: {contentType: application/json, payload: {z: '<1>', a: 7}, x-decrypted: {pin: '2468'}}
        successCriteria:
          - condition: $response.body#/items/0/id == 'a & b'
          - condition: $response.body#/id == $steps.token.outputs.token
          - condition: $response.header.Allow == 'GET'
      - stepId: elsewhere
        operationId: $sourceDescriptions.accosa.resetPin
`

func htmls(texts ...string) (all []template.HTML) {
	for _, text := range texts {
		all = append(all, template.HTML(text)) //nolint:gosec // of this test
	}
	return all
}

func TestAStepIsToldInWords(t *testing.T) {
	t.Parallel()
	documents := documents(t, "thredd")
	whole, err := bundle.Of(fstest.MapFS{"two.yaml": {Data: []byte(twoCalls)}}, "two")
	require.NoError(t, err)
	w, err := workflowOf("two", whole, documents)
	require.NoError(t, err)
	require.Equal(t, []string{"two", "Two calls", "A token and a PIN"}, []string{w.Name, w.Title, w.Summary})
	require.Contains(t, string(w.About), "<h2")
	steps := w.Courses[0].Steps
	require.Equal(t, step{
		ID: "two.token", Number: 1, About: "<p>Asks.</p>\n", Type: rows.MediaForm,
		Called:   called{"thredd", title(documents[0]), "issueToken", "POST", "/connect/token", "Get a bearer token"},
		Sent:     []sent{{"grant_type", "form field", "client_credentials"}},
		Demanded: htmls("Status 200 OK"),
		Kept:     htmls("<code>token</code>, which is the reply's <code>access_token</code>"),
	}, steps[0])
	const token = `<a href="#two.token">token of step 1</a>`
	require.Equal(t, []sent{{"Authorization", "header", "Bearer " + token}}, steps[1].Sent)
	require.Equal(t, htmls("{\n  &#34;z&#34;: &#34;&lt;1&gt;&#34;,\n  &#34;a&#34;: 7\n}")[0], steps[1].Body)
	require.Contains(t, string(steps[1].Inside), "2468")
	conditions := htmls("the reply's <code>items.0.id</code> is <code>a &amp; b</code>", "the reply's <code>id</code> is "+token,
		"<code>$response.header.Allow == &#39;GET&#39;</code>")
	require.Equal(t, conditions, steps[1].Demanded)
	require.Equal(t, called{Summary: "accosa.resetPin"}, steps[2].Called, "its document is not shown")
}
