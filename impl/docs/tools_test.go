package docs

import (
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/rows"
)

func loaded(t *testing.T, text []byte) *openapi3.T {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return spec
}

// asStrangers reads a served document as a tool does that knows nothing of our extensions on requests.
func asStrangers(t *testing.T, text []byte) *openapi3.T {
	t.Helper()
	var document any
	require.NoError(t, json.Unmarshal(text, &document))
	var forget func(v any)
	forget = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "x-request")
			for _, inner := range v {
				forget(inner)
			}
		case []any:
			for _, inner := range v {
				forget(inner)
			}
		}
	}
	forget(document)
	left, err := json.Marshal(document)
	require.NoError(t, err)
	return loaded(t, left)
}

// unsentOf is what each operation says of the rows that its examples do not show.
func unsentOf(t *testing.T, spec *openapi3.T) map[rows.Step]string {
	t.Helper()
	all := map[rows.Step]string{}
	for _, o := range rows.Operations(spec) {
		var unsent map[string]string
		require.NoError(t, rows.Extension(o.Op.Extensions, "x-unsent", &unsent))
		for name, needs := range unsent {
			all[rows.Step{Operation: o.Op.OperationID, Example: name}] = needs
		}
	}
	return all
}

// headersOf are those that a row sends, except for the key, which tools send by the security scheme.
func headersOf(row rows.Row) http.Header {
	all := row.Header.Clone()
	maps.Copy(all, row.Override)
	maps.DeleteFunc(all, func(name string, values []string) bool { return values == nil || name == "X-Api-Key" })
	return all
}

func TestAToolReadsTheRowsOfTheSourceFromExamplesAlone(t *testing.T) {
	t.Parallel()
	documents := everyDocument(t)
	s := everything(t)
	for _, d := range documents {
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			served := asStrangers(t, data(t, s, "openapi/"+d.Name()+".examples.json"))
			unsent := unsentOf(t, served)
			read, _ := rows.All(served) // the error is about those that are not shown
			shown := map[rows.Step]rows.Row{}
			for _, row := range read {
				shown[row.Step] = row
			}
			all, err := rows.All(d.Spec())
			require.NoError(t, err)
			for _, row := range all {
				require.Equal(t, slices.Contains(ofOthers, row.Reply.Status), unsent[row.Step] != "", "%s: a sandbox can be asked for all others", row.Step)
				if needed(row, true) != "" || len(row.Arguments) == 0 && row.Body == nil {
					continue
				}
				if slices.ContainsFunc(row.Of.Parameters(), func(p *openapi3.Parameter) bool {
					return p.Required && !slices.ContainsFunc(row.Arguments, func(a rows.Argument) bool { return a.Parameter == p })
				}) {
					require.NotContains(t, shown, row.Step, "its row is that a parameter is missing")
					continue
				}
				got := shown[row.Step]
				require.Equal(t, row.Method+" "+row.Path, got.Method+" "+got.Path, row.Step)
				require.Equal(t, headersOf(row), headersOf(got), row.Step)
				require.Equal(t, row.ContentType, got.ContentType, row.Step)
				want := string(row.Body)
				if row.Raw { // which no JSON is, so that the example is a text
					encoded, err := json.Marshal(want)
					require.NoError(t, err)
					want = string(encoded)
				}
				require.Equal(t, want, string(got.Body), row.Step)
			}
		})
	}
}

// askedFor are the rows that a document's examples ask a sandbox for, each of its own operation.
func askedFor(spec *openapi3.T) map[rows.Step]bool {
	all := map[rows.Step]bool{}
	for _, o := range rows.Operations(spec) {
		if p := o.Op.Parameters.GetByInAndName(openapi3.ParameterInHeader, rows.AskHeader); p != nil {
			for name, example := range p.Examples {
				all[rows.Step{Operation: o.Op.OperationID, Example: name}] = example.Value.Value == o.Op.OperationID+"/"+name
			}
		}
	}
	return all
}

// headersOfReplies are all headers that a document describes, which its own validation leaves out, each with its name.
func headersOfReplies(spec *openapi3.T) iter.Seq2[string, *openapi3.Header] {
	return func(yield func(string, *openapi3.Header) bool) {
		for _, o := range rows.Operations(spec) {
			for _, response := range o.Op.Responses.Map() {
				for name, header := range response.Value.Headers {
					if !yield(name, header.Value) {
						return
					}
				}
			}
		}
	}
}

func TestExamplesForLintersKeepTheContract(t *testing.T) {
	t.Parallel()
	documents := everyDocument(t)
	s := everything(t)
	for _, d := range documents {
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			plain := loaded(t, data(t, s, "openapi/"+d.Name()+".json"))
			require.NoError(t, plain.Validate(t.Context()), "every example is as its schema says")
			for name, header := range headersOfReplies(plain) {
				for row, example := range header.Examples {
					require.NoError(t, header.Schema.Value.VisitJSON(example.Value.Value), "%s of %s", name, row)
				}
			}
			all := loaded(t, data(t, s, "openapi/"+d.Name()+".examples.json"))
			asked, unsent := askedFor(all), unsentOf(t, all)
			for step, needs := range unsentOf(t, plain) {
				require.Equal(t, needs != broken, asked[step] || unsent[step] == needs, "%s: %s", step, needs)
				delete(asked, step)
			}
			require.Empty(t, asked, "rows that need nothing")
		})
	}
}

func TestRowsThatNoExampleCanSayTellWhatTheyNeed(t *testing.T) {
	t.Parallel()
	s := siteOf(t, documents(t, "thredd", "hashdt", "common", "creditplus", "hosted"))
	for path, want := range map[string]map[rows.Step]string{
		"openapi/thredd.json": {
			{Operation: "setCardPin", Example: "bearer-missing"}:         credentials,
			{Operation: "setCardPin", Example: "database-gone"}:          "a fault inside the server",
			{Operation: "setCardPin", Example: "pin-too-short"}:          broken,
			{Operation: "unblockCardPin", Example: "unblocked-null"}:     tolerated,
			{Operation: "getCardPinStatus", Example: "status-after-set"}: "other calls before it",
			{Operation: "setCardPin", Example: "set-to-0000"}:            "",
		},
		"openapi/hashdt.json": {
			{Operation: "setPin", Example: "url-fetched"}:          "",
			{Operation: "setPin", Example: "content-type-other"}:   "another content type, or none",
			{Operation: "setPin", Example: "api-key-missing"}:      credentials,
			{Operation: "setPin", Example: "api-key-unknown"}:      credentials,
			{Operation: "setPin", Example: "api-key-malformed"}:    credentials,
			{Operation: "setPin", Example: "api-key-secret-wrong"}: credentials,
			{Operation: "setPin", Example: "product-missing"}:      broken,
		},
		"openapi/creditplus.json": {
			{Operation: "resetPinRetryCounterV2", Example: "sealed"}:                "",
			{Operation: "resetPinRetryCounterV2", Example: "sealed-with-algorithm"}: "a parameter beside a body of one media type of several",
		},
		"openapi/hosted.json": {
			{Operation: "exchangeSecret", Example: "secret-exchanged"}: "a session, whose secrets are drawn",
			{Operation: "exchangeSecret", Example: "session-unknown"}:  "",
		},
	} {
		unsent := unsentOf(t, loaded(t, data(t, s, path)))
		for step, needs := range want {
			require.Equal(t, needs, unsent[step], "%s %s", path, step)
		}
	}
}

// The request that asks a sandbox for a row is one that is answered without the header too, as far as the document has one.
func TestWhatARowIsAskedForWithIsAPlainRequest(t *testing.T) {
	t.Parallel()
	s := siteOf(t, documents(t, "thredd", "creditplus", "issuer", "hosted"))
	served := func(name string) *openapi3.T { return loaded(t, data(t, s, "openapi/"+name+".examples.json")) }
	require.Contains(t, served("thredd").Info.Description, "`PinVault-Row`")

	set := served("thredd").Paths.Value("/api/v1/cards/{publicToken}/pin").Post
	token := set.Parameters.GetByInAndName("path", "publicToken").Examples
	require.Equal(t, token["optional-null"].Value.Value, token["database-gone"].Value.Value)
	body := set.RequestBody.Value.Content["application/json"].Examples
	require.Equal(t, body["optional-null"].Value.Value, body["database-gone"].Value.Value)
	require.Equal(t, "The database is gone", body["database-gone"].Value.Summary)

	for name, media := range served("creditplus").Paths.Value("/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter").Post.RequestBody.Value.Content {
		require.Contains(t, media.Examples, "sealed-with-algorithm", "tools look for it under %s too", name)
	}

	listed := served("issuer").Paths.Value("/issuer/v1/audit-events").Get
	for _, p := range listed.Parameters {
		require.Equal(t, p.Value.Name == rows.AskHeader, p.Value.Examples["events-listed"] != nil, "%s is not required", p.Value.Name)
	}
	page := served("hosted").Paths.Value("/hosted/pin/{sessionId}").Get
	require.NotEmpty(t, page.Parameters.GetByInAndName("path", "sessionId").Examples["page-shown"].Value.Value)
}

func TestAParameterThatOperationsShareHasOneSchema(t *testing.T) {
	t.Parallel()
	documents := everyDocument(t)
	s := everything(t)
	shared := 0
	for _, d := range documents {
		served := loaded(t, data(t, s, "openapi/"+d.Name()+".json"))
		for path, item := range d.Spec().Paths.Map() {
			for method, o := range item.Operations() {
				for _, p := range slices.Concat(o.Parameters, item.Parameters) {
					_, name, isShared := strings.Cut(p.Ref, "#/components/parameters/")
					if !isShared || isKey(d.Spec(), p.Value.In, p.Value.Name) {
						continue
					}
					shared++
					got := served.Paths.Value(path).GetOperation(method).Parameters.GetByInAndName(p.Value.In, p.Value.Name)
					require.Equal(t, "#/components/schemas/"+name, got.Schema.Ref, "%s %s", d.Name(), o.OperationID)
					require.Equal(t, p.Value.Description, got.Schema.Value.Description)
				}
			}
		}
	}
	require.NotZero(t, shared)
}

func TestWhatASecuritySchemeSendsIsNoParameterBesides(t *testing.T) {
	t.Parallel()
	s := everything(t)
	described := 0
	for _, d := range everyDocument(t) {
		for _, o := range rows.Operations(d.Spec()) {
			for _, p := range o.Parameters() {
				if isKey(d.Spec(), p.In, p.Name) {
					described++
				}
			}
		}
		for _, path := range []string{"openapi/" + d.Name() + ".json", "openapi/" + d.Name() + ".examples.yaml", "docs/" + d.Name() + ".yaml"} {
			served := loaded(t, data(t, s, path))
			for _, o := range rows.Operations(served) {
				for _, p := range o.Parameters() {
					require.False(t, isKey(served, p.In, p.Name), "%s: %s", path, p.Name)
				}
			}
		}
	}
	require.Equal(t, 3, described, "the Issuing API's three operations have rules for its key")
}

// A tool that sends one call of an operation takes the first example of each parameter, as Postman's import does.
func TestTheFirstExampleOfAParameterIsNotRefused(t *testing.T) {
	t.Parallel()
	documents := everyDocument(t)
	s := everything(t)
	own := 0
	for _, d := range documents {
		all, err := rows.All(d.Spec())
		require.NoError(t, err)
		status := map[rows.Step]int{}
		for _, row := range all {
			status[row.Step] = row.Reply.Status
		}
		var served yaml.Node
		require.NoError(t, yaml.Unmarshal(data(t, s, "openapi/"+d.Name()+".json"), &served))
		for _, item := range bundle.Values(bundle.Member(served.Content[0], "paths")) {
			for _, operation := range bundle.Values(item) {
				if bundle.Member(operation, "requestBody") != nil {
					continue // a body would need a "default" too
				}
				for _, p := range bundle.Values(bundle.Member(operation, "parameters")) {
					names := bundle.Names(bundle.Member(p, "examples"))
					switch {
					case len(names) == 0:
					case names[0] == "default":
						own++
					default:
						step := rows.Step{Operation: bundle.Member(operation, "operationId").Value, Example: names[0]}
						require.Contains(t, status, step)
						require.Less(t, status[step], http.StatusBadRequest, "%s, %s", step, bundle.Member(p, "name").Value)
					}
				}
			}
		}
	}
	require.NotZero(t, own, "the partner's x-client-id, which only rows send that are refused for it")
}

func TestNoSuccessOfASessionIsForToolsToTake(t *testing.T) {
	t.Parallel()
	spec := loaded(t, data(t, siteOf(t, documents(t, "hosted")), "openapi/hosted.json"))
	media := spec.Paths.Value("/hosted/pin/{sessionId}/exchange").Post.Responses.Value("200").Value.Content["application/json"]
	require.Empty(t, media.Examples)
	require.Contains(t, media.Extensions["x-examples"], "secret-exchanged")
}

func TestNothingUnusedIsServed(t *testing.T) {
	t.Parallel()
	documents := everyDocument(t)
	s := everything(t)
	for _, d := range documents {
		text := string(data(t, s, "openapi/"+d.Name()+".json"))
		spec := loaded(t, []byte(text))
		for name := range spec.Components.Schemas {
			require.Contains(t, text, `"$ref": "#/components/schemas/`+name+`"`, d.Name())
		}
		require.NotContains(t, text, `"x-decrypted-schema": "`, "a message stands where it is sealed")
	}
}
