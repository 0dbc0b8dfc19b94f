package app_test

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/config"
	"pinvault/impl/pin"
	"pinvault/impl/rows"
	"pinvault/impl/store/storetest"
)

// production is a server that is no sandbox, over a database that holds nothing yet.
func production(t *testing.T) http.Handler {
	t.Helper()
	return wiredForProduction(t).Public
}

func wiredForProduction(t *testing.T, change ...func(*config.Serve)) *app.App {
	t.Helper()
	db := apptest.OpenStore(t, storetest.SQLite(t))
	require.NoError(t, db.Migrate(t.Context()))
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	c := config.Serve{PublicURL: "http://production", Docs: true, Keys: keysOf(t)}
	for _, change := range change {
		change(&c)
	}
	wired, err := app.New(t.Context(), c,
		app.Surroundings{Database: db, Store: db, Log: slog.New(slog.DiscardHandler), Documents: documents})
	require.NoError(t, err)
	require.Nil(t, wired.Spaces)
	return wired
}

func TestInProductionNoPINHasAFate(t *testing.T) {
	t.Parallel()
	vault, operator := wiredForProduction(t).Vault, apptest.Operating(t)
	program := pin.NewProgram("Production")
	program.Policy = pin.PolicyOff
	program, err := vault.CreateProgram(operator, program, pin.Memo{})
	require.NoError(t, err)
	card, err := vault.CreateCard(operator, pin.NewCard{ProgramID: program.ID}, pin.Memo{})
	require.NoError(t, err)
	fates, err := rows.Fates(apptest.Documents(t)["sandbox"])
	require.NoError(t, err)
	pins := 0
	for _, f := range fates {
		if f.PIN == "" {
			continue
		}
		pins++
		chosen, err := pin.New([]byte(f.PIN))
		require.NoError(t, err)
		require.NoError(t, vault.SetPIN(operator, pin.Query{CardID: card.ID}, pin.Plain(chosen), pin.Memo{}), f.Text)
		v, err := vault.Verify(operator, pin.Query{CardID: card.ID}, pin.Plain(chosen), pin.Memo{})
		require.NoError(t, err, f.Text)
		require.Equal(t, pin.Match, v.Result, f.Text)
	}
	require.Equal(t, 5, pins)
}

// asDocumented sends the request of a row, as nobody, with more headers.
func asDocumented(t *testing.T, to http.Handler, row rows.Row, more http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), row.Method, row.Path, bytes.NewReader(row.Body))
	if row.ContentType != "" {
		r.Header.Set("Content-Type", row.ContentType)
	}
	for _, headers := range []http.Header{row.Header, row.Override, more} {
		maps.Copy(r.Header, headers)
	}
	w := httptest.NewRecorder()
	to.ServeHTTP(w, r)
	return w
}

// drawn is what differs between two replies that are the same: traces, times and nonces.
var drawn = regexp.MustCompile(`[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|20\d\d-\d\d-\d\d[T ][0-9:.+Z]+|nonce(="|-)[A-Za-z0-9_-]+`)

func shown(w *httptest.ResponseRecorder) string {
	return drawn.ReplaceAllString(w.Body.String(), "…")
}

func TestInProductionThereIsNothingOfTheSandboxsContract(t *testing.T) {
	t.Parallel()
	server := production(t)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		return w
	}
	nothing := get("/nowhere")
	require.Equal(t, http.StatusNotFound, nothing.Code)

	all, err := rows.All(apptest.Documents(t)["sandbox"])
	require.NoError(t, err)
	operations := map[string]bool{}
	for _, row := range all {
		operations[row.Operation] = true
		w := asDocumented(t, server, row, nil)
		require.Equal(t, http.StatusNotFound, w.Code, row.String())
		require.Equal(t, nothing.Header().Get("Content-Type"), w.Header().Get("Content-Type"), row.String())
		require.Equal(t, shown(nothing), shown(w), row.String())
	}
	for _, o := range rows.Operations(apptest.Documents(t)["sandbox"]) {
		require.True(t, operations[o.Op.OperationID], "%s was not called", o.Op.OperationID)
	}
	for _, path := range []string{
		"/sandbox", "/sandbox/", "/spaces/first/livez", "/spaces/first/sandbox/fixtures", "/docs/sandbox", "/docs/sandbox/changes",
		"/docs/sandbox.yaml", "/docs/sandbox.rows.json", "/openapi/sandbox.yaml", "/openapi/sandbox.json", "/openapi/sandbox.examples.json",
	} {
		require.Equal(t, http.StatusNotFound, get(path).Code, path)
	}
	title := apptest.Documents(t)["sandbox"].Info.Title
	for _, path := range []string{"/", "/docs"} {
		shown := get(path)
		require.Equal(t, http.StatusOK, shown.Code, path)
		require.NotContains(t, shown.Body.String(), title, path)
		require.NotContains(t, shown.Body.String(), `href="openapi/sandbox`, path)
	}
}

// Every operation is called as each row of its document has it, with headers that ask a sandbox for something else.
func TestInProductionNoHeaderHasAnEffectThatASandboxGivesIt(t *testing.T) {
	t.Parallel()
	// Who asks for every row has more refused than a client may, and would learn nothing but that.
	server := wiredForProduction(t, func(c *config.Serve) {
		c.Limits = map[string]int64{"requestsPerMinute": 0, "failedAuthenticationsPerMinute": 0}
	}).Public
	for name, doc := range apptest.Documents(t) {
		if name == "sandbox" {
			continue
		}
		all, err := rows.All(doc)
		require.NoError(t, err)
		for _, row := range all {
			plain := asDocumented(t, server, row, nil)
			for _, asked := range []http.Header{
				{"Pinvault-Row": {row.String()}}, {"Pinvault-Row": {"no/such-row"}},
				{"Pinvault-Space": {"nowhere"}}, {"Prefer": {"code=503, example=" + row.Example}},
			} {
				w := asDocumented(t, server, row, asked)
				require.Equal(t, plain.Code, w.Code, "%s %s: %v", name, row, asked)
				require.Equal(t, shown(plain), shown(w), "%s %s: %v", name, row, asked)
				require.Equal(t, headersOf(plain), headersOf(w), "%s %s: %v", name, row, asked)
			}
		}
	}
}

// headersOf are a reply's, without traces.
func headersOf(w *httptest.ResponseRecorder) string {
	var all strings.Builder
	_ = w.Header().Write(&all)
	return drawn.ReplaceAllString(all.String(), "…")
}
