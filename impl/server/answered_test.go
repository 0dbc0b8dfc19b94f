package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"testing/fstest"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

// A reply that breaks its own document is logged and counted, without what was in it.
func TestAReplyThatBreaksItsDocumentIsToldOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, path string
		shout      func(c *gin.Context)
		logged     string // "" where nothing is wrong
	}{
		{"as documented", "/fixture/x", func(c *gin.Context) { c.Status(http.StatusOK) }, ""},
		{"an undocumented status", "/fixture/x", func(c *gin.Context) { c.Status(http.StatusTeapot) }, "status: status 200"},
		{"an undocumented body", "/fixture/x", func(c *gin.Context) { c.String(http.StatusOK, "4826") }, "body: additionalBody"},
		{"an undocumented body that is streamed", "/fixture/x", func(c *gin.Context) { _, _ = c.Writer.Write([]byte("4826")) }, "body: additionalBody"},
		{"a panic where no 500 is documented", "/fixture/x", func(*gin.Context) { panic("4826") }, "status: status 200"},
		{"an unknown path, not in the shape for that", "/fixture/x/y", nil, "media-type: mediaType application/problem+json"},
		{"an unknown path of nobody's", "/nowhere", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := &bytes.Buffer{}
			app := checkingServer(t, log, test.shout)
			before := metric(t, app)
			require.Contains(t, before, `pinvault_response_violations_total{contract="fixture"} 0`)
			send(t, app, http.MethodPost, test.path, nil)
			if test.logged == "" {
				require.NotContains(t, log.String(), "reply breaks its document")
				require.Contains(t, metric(t, app), `pinvault_response_violations_total{contract="fixture"} 0`)
				return
			}
			require.Contains(t, log.String(), `"level":"ERROR","msg":"reply breaks its document","violations":"`+test.logged+`"`)
			require.NotContains(t, said(log), "4826")
			require.Contains(t, metric(t, app), `pinvault_response_violations_total{contract="fixture"} 1`)
		})
	}
}

// said is a log without times and trace ids, in which any digits may stand by chance.
func said(log *bytes.Buffer) string { return chance.ReplaceAllString(log.String(), "") }

var chance = regexp.MustCompile(`"time":"[^"]*"|"trace":"[^"]*"|"ms":[0-9.]+`)

func TestRepliesAreCheckedOnlyWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	app, log := newServer(t, func(c *gin.Context) { c.Status(http.StatusTeapot) })
	send(t, app, http.MethodPost, "/fixture/x", nil)
	require.NotContains(t, log.String(), "reply breaks its document")
	require.NotContains(t, metric(t, app), "pinvault_response_violations_total{")
}

func checkingServer(t *testing.T, log *bytes.Buffer, shout func(*gin.Context)) http.Handler {
	t.Helper()
	common, err := contract.Load(openapi.Documents, "common")
	require.NoError(t, err)
	own, err := contract.Load(fstest.MapFS{"fixture.yaml": {Data: []byte(document + `
  responses: {Problem: {description: no, content: {application/problem+json: {schema: {type: object}}}}}
x-error-response: Problem
`)}}, "fixture")
	require.NoError(t, err)
	app, err := New(Options{Common: common, Contracts: []Contract{{Document: own, API: fixture{shout: shout}}}, Tokens: tokens{}, CheckReplies: true,
		Ready: func(context.Context) []string { return nil }, Log: NewLogger(log, slog.LevelInfo), Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	return app
}

func metric(t *testing.T, app http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	return w.Body.String()
}

// What no document describes is not kept for a check; what one does is.
func TestRepliesThatNoDocumentDescribesAreNotKept(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		described bool
		status    int
		kept      string
	}{
		{"a reply of an operation", true, http.StatusOK, "reply, reply"},
		{"a path that nobody has", false, http.StatusNotFound, "reply, reply"},
		{"a method that nobody has", false, http.StatusMethodNotAllowed, "reply, reply"},
		{"a file", false, http.StatusOK, ""},
		{"a part of a file", false, http.StatusPartialContent, ""},
	} {
		c, _ := gin.CreateTestContext(httptest.NewRecorder())
		k := &keptReply{ResponseWriter: c.Writer, described: func() bool { return test.described }}
		k.WriteHeader(test.status)
		_, err := k.Write([]byte("reply, "))
		require.NoError(t, err)
		_, err = k.WriteString("reply")
		require.NoError(t, err)
		require.Equal(t, test.kept, k.body.String(), test.name)
	}
}
