package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

// gin's mode is the process's, and tests make engines side by side.
func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

const document = `
openapi: 3.0.3
info: {title: Fixture, version: '1'}
x-prefixes: [/fixture]
paths:
  /fixture/{id}:
    parameters:
      - {name: id, in: path, required: true, x-label: id, schema: {type: string, pattern: '^[a-z]+$'}}
    get:
      operationId: look
      security: [{oauth2: [things:read]}]
      responses: {'200': {description: ok}}
    post:
      operationId: shout
      security: []
      x-public: a test
      responses: {'200': {description: ok}}
components:
  securitySchemes:
    oauth2: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {'things:read': look}}}}
`

// fixture is a contract of two operations: look answers who called, shout does as it is told.
type fixture struct {
	shout   func(c *gin.Context)
	err     error // that shout fails with then
	rowless bool  // has no row for anything
}

func (f fixture) Mount(r gin.IRouter, fail func(*gin.Context, error)) {
	r.GET("/fixture/:id", func(c *gin.Context) { c.JSON(http.StatusOK, pin.CallerFrom(c.Request.Context())) })
	r.POST("/fixture/:id", func(c *gin.Context) {
		if f.shout != nil {
			f.shout(c)
		}
		if f.err != nil {
			fail(c, f.err)
		}
	})
}

// errRowless is an error that the fixture has no row for.
var errRowless = errors.New("rowless")

func (f fixture) Render(_ *http.Request, op *contract.Operation, err error) contract.Reply {
	status := http.StatusInternalServerError
	switch b, broken := errors.AsType[contract.Broken](err); {
	case f.rowless || errors.Is(err, errRowless):
		status = 0
	case broken:
		status = b.Status()
	case pin.CodeOf(err) != pin.Internal:
		status = map[pin.Code]int{pin.Unauthorized: 401, pin.Forbidden: 403, pin.Unavailable: 503}[pin.CodeOf(err)]
	}
	reply := contract.JSON(status, "application/fixture+json", map[string]any{"fixture": true})
	if op != nil {
		reply = reply.With("X-Operation", op.ID)
	}
	return reply
}

// tokens knows four.
type tokens struct{ Tokens }

func (tokens) Verify(_ context.Context, bearer string) (pin.Caller, error) {
	switch bearer {
	case "good":
		return pin.Caller{ClientID: "c", Contract: "fixture", Scopes: []string{"things:read"}}, nil
	case "other-contract":
		return pin.Caller{ClientID: "c", Contract: "other", Scopes: []string{"things:read"}}, nil
	case "no-scope":
		return pin.Caller{ClientID: "c", Contract: "fixture", Scopes: []string{"things:write"}}, nil
	case "database-gone":
		return pin.Caller{}, &pin.Error{Code: pin.Unavailable}
	}
	return pin.Caller{}, &pin.Error{Code: pin.Unauthorized}
}

func (tokens) Exchange(context.Context, oauth.Request, string, time.Duration) (oauth.Token, error) {
	return oauth.Token{}, &pin.Error{Code: pin.Unavailable}
}

func newServer(t *testing.T, shout func(*gin.Context)) (app http.Handler, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	return serverOf(t, log, func(o *Options) { o.Contracts[0].API = fixture{shout: shout} }), log
}

// serverOf is a server of the fixture contract with other options.
func serverOf(t *testing.T, log *bytes.Buffer, change func(*Options)) http.Handler {
	t.Helper()
	common, err := contract.Load(openapi.Documents, "common")
	require.NoError(t, err)
	own, err := contract.Load(fstest.MapFS{"fixture.yaml": {Data: []byte(document)}}, "fixture")
	require.NoError(t, err)
	o := Options{Common: common, Contracts: []Contract{{Document: own, API: fixture{}}}, Tokens: tokens{},
		Ready: func(context.Context) []string { return nil }, Log: NewLogger(log, slog.LevelInfo), Metrics: prometheus.NewRegistry(), RequestTimeout: time.Minute}
	change(&o)
	app, err := New(o)
	require.NoError(t, err)
	return app
}

// metricsOnly is a registry of one counter.
func metricsOnly(t *testing.T) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "test_total"})
	r.MustRegister(c)
	c.Inc()
	return r
}

func send(t *testing.T, app http.Handler, method, path string, headers map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w
}

func TestBearersAreHeldToContractAndScope(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, nil)
	for _, test := range []struct {
		authorization string
		status        int
		challenge     string
	}{
		{"Bearer good", 200, ""},
		{"bearer good", 200, ""},
		{"", 401, `Bearer realm="fixture"`},
		{"Basic Z29vZA==", 401, `Bearer realm="fixture"`},
		{"Bearer bad", 401, `Bearer realm="fixture", error="invalid_token"`},
		{"Bearer other-contract", 401, `Bearer realm="fixture", error="invalid_token"`},
		{"Bearer no-scope", 403, `Bearer realm="fixture", error="insufficient_scope", scope="things:read"`},
		{"Bearer database-gone", 503, ""},
	} {
		w := send(t, app, "GET", "/fixture/x", map[string]string{"Authorization": test.authorization})
		require.Equal(t, test.status, w.Code, test.authorization)
		require.Equal(t, test.challenge, w.Header().Get("WWW-Authenticate"), test.authorization)
	}
}

// Whoever may do something is known to its handler with all that it may do. Whoever may not is known by name alone, and
// who was forbidden an operation is told of.
func TestWhoIsRefusedHasNothingInReach(t *testing.T) {
	t.Parallel()
	type refusal struct {
		operation string
		caller    pin.Caller
	}
	var told []refusal
	app := serverOf(t, &bytes.Buffer{}, func(o *Options) {
		o.Contracts[0].API = fixture{err: &pin.Error{Code: pin.Forbidden}}
		o.Refused = func(ctx context.Context, operation string) {
			caller := pin.CallerFrom(ctx)
			caller.TraceID, caller.RemoteAddr = "", ""
			told = append(told, refusal{operation, caller})
		}
	})
	get := func(bearer string) *httptest.ResponseRecorder {
		return send(t, app, "GET", "/fixture/x", map[string]string{"Authorization": "Bearer " + bearer})
	}
	var caller pin.Caller
	require.NoError(t, json.Unmarshal(get("good").Body.Bytes(), &caller))
	require.Equal(t, []string{"things:read"}, caller.Scopes)
	require.Equal(t, "c", caller.ClientID)
	for _, bearer := range []string{"bad", "other-contract", "database-gone"} {
		get(bearer)
	}
	require.Empty(t, told, "they were not forbidden anything")
	require.Equal(t, http.StatusForbidden, get("no-scope").Code)
	require.Equal(t, http.StatusForbidden, send(t, app, "POST", "/fixture/x", nil).Code)
	require.Equal(t, []refusal{{"look", pin.Caller{ClientID: "c", Contract: "fixture"}}, {"shout", pin.Caller{}}}, told)
}

func TestTraceContinuesTheCallersOrBeginsAnew(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, nil)
	trace := func(parent string) string {
		w := send(t, app, "GET", "/fixture/x", map[string]string{"Authorization": "Bearer good", "traceparent": parent})
		var caller pin.Caller
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &caller))
		require.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$`, caller.TraceID)
		require.Equal(t, "192.0.2.1", caller.RemoteAddr)
		return caller.TraceID
	}
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	require.Equal(t, good[:36], trace(good)[:36])
	require.Equal(t, "-00", trace(good)[52:], "flags stay")
	require.NotEqual(t, good[36:52], trace(good)[36:52], "a span of its own")
	one, two := trace(good), trace(good)
	require.NotEqual(t, one[36:52], two[36:52], "each request has its own")
	one, two = trace(""), trace("")
	require.NotEqual(t, one[3:35], two[3:35], "nobody's trace is another's")
	for _, bad := range []string{"", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", good + "x", "ff" + good[2:]} {
		require.NotEqual(t, good[:36], trace(bad)[:36], bad)
	}
}

// A panic is answered in the contract's shape, and what it says is not logged: it may hold anything.
func TestPanicsAreAnsweredAndTellNoSecrets(t *testing.T) {
	t.Parallel()
	for name, panics := range map[string]func(*gin.Context){
		"a text":      func(*gin.Context) { panic("planted-secret") },
		"an error":    func(*gin.Context) { panic(errors.New("planted-secret")) },
		"the runtime": func(c *gin.Context) { _ = c.Keys["none"].(string) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, log := newServer(t, panics)
			w := send(t, app, "POST", "/fixture/x", nil)
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.JSONEq(t, `{"fixture":true}`, w.Body.String())
			require.NotContains(t, log.String(), "planted-secret")
			require.Contains(t, log.String(), `"msg":"panic"`)
			require.Contains(t, log.String(), "TestPanicsAreAnsweredAndTellNoSecrets.func", "the place is named")
			metrics := send(t, app, "GET", "/metrics", nil).Body.String()
			require.Contains(t, metrics, "pinvault_panics_total 1")
			require.Contains(t, metrics, `pinvault_http_faults_total{code="internal",contract="fixture",operation="shout"} 1`)
			require.Contains(t, metrics, `pinvault_http_requests_total{contract="fixture",method="POST",operation="shout",status="500"} 1`)
		})
	}
}

// What is the server's own fault is counted whatever status the contract has for it, from zero on.
func TestFaultsAreCountedApartFromStatuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want map[pin.Code]int
	}{
		{"our own fault", &pin.Error{Code: pin.Internal}, map[pin.Code]int{pin.Internal: 1}},
		{"a database that is gone", &pin.Error{Code: pin.Unavailable, Err: context.DeadlineExceeded}, map[pin.Code]int{pin.Unavailable: 1}},
		{"a caller who has hung up", &pin.Error{Code: pin.Unavailable, Err: context.Canceled}, nil},
		{"a caller's mistake", &pin.Error{Code: pin.NotFound}, nil},
		{"a row of the contract's own", errors.New("documented"), nil},
	} {
		m := newMetrics(prometheus.NewRegistry())
		m.count(t.Context(), observation{contract: "fixture", operation: "shout", failed: test.err, answer: http.StatusInternalServerError}, http.MethodPost, http.StatusOK, time.Millisecond)
		for _, code := range faults {
			var got dto.Metric
			require.NoError(t, m.faults.WithLabelValues("fixture", "shout", string(code)).Write(&got))
			require.Equal(t, float64(test.want[code]), got.GetCounter().GetValue(), "%s: %s", test.name, code)
		}
	}
	app, _ := newServer(t, nil)
	require.Contains(t, send(t, app, "GET", "/metrics", nil).Body.String(), `pinvault_http_faults_total{code="unavailable",contract="fixture",operation="shout"} 0`)
}

// The trace of a request is the exemplar of how long it took, for who asks for OpenMetrics.
func TestTracesAreExemplars(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, nil)
	send(t, app, http.MethodPost, "/fixture/x", map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
	const exemplar = `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"}`
	w := send(t, app, http.MethodGet, "/metrics", map[string]string{"Accept": "application/openmetrics-text; version=1.0.0"})
	require.Contains(t, w.Header().Get("Content-Type"), "application/openmetrics-text")
	require.Contains(t, w.Body.String(), exemplar)
	require.NotContains(t, send(t, app, http.MethodGet, "/metrics", nil).Body.String(), exemplar)
}

func TestWhoAnswersForPathsThatNobodyHas(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, nil)
	for _, test := range []struct {
		method, path string
		status       int
		fixture      bool
	}{
		{"GET", "/fixture", 404, true}, {"GET", "/fixture/a/b", 404, true}, {"GET", "/fixtures", 404, false}, {"GET", "/", 404, false},
		{"PUT", "/fixture/x", 405, true}, {"PUT", "/livez", 405, false}, {"GET", "/sandbox/fixtures", 404, false}, {"POST", "/sandbox/reset", 404, false},
		{"GET", "/fixture/X", 401, true}, {"POST", "/fixture/X", 400, true},
	} {
		w := send(t, app, test.method, test.path, nil)
		require.Equal(t, test.status, w.Code, "%s %s", test.method, test.path)
		require.Equal(t, test.fixture, bytes.Contains(w.Body.Bytes(), []byte("fixture\":true")), "%s %s", test.method, test.path)
		if test.status == http.StatusMethodNotAllowed {
			require.NotEmpty(t, w.Header().Get("Allow"))
		}
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
}

// A path without parameters is not one of a template's: it has its own methods and no others.
func TestAConcretePathHasItsOwnMethods(t *testing.T) {
	t.Parallel()
	e := gin.New()
	e.HandleMethodNotAllowed = true
	done := func(c *gin.Context) { c.String(http.StatusOK, c.FullPath()) }
	e.GET("/cards/:cardId", done)
	e.DELETE("/cards/:cardId", done)
	e.POST("/cards/search", done)
	noMethod := func(c *gin.Context) { c.AbortWithStatus(http.StatusMethodNotAllowed) }
	e.NoMethod(concrete(e, noMethod), noMethod)
	for _, test := range []struct {
		method, path string
		status       int
		answer       string // of an operation its path, else what is allowed
	}{
		{"GET", "/cards/x", 200, "/cards/:cardId"}, {"DELETE", "/cards/x", 200, "/cards/:cardId"}, {"POST", "/cards/search", 200, "/cards/search"},
		{"GET", "/cards/search", 405, "POST"}, {"DELETE", "/cards/search", 405, "POST"}, {"PUT", "/cards/search", 405, "POST"},
	} {
		w := send(t, e, test.method, test.path, nil)
		require.Equal(t, test.status, w.Code, "%s %s", test.method, test.path)
		require.Equal(t, test.answer, w.Body.String()+w.Header().Get("Allow"), "%s %s", test.method, test.path)
	}
}

func TestWhichPathsATemplateHolds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		template, path string
		want           bool
	}{
		{"/cards/:cardId", "/cards/search", true}, {"/cards/:cardId/pin", "/cards/search/pin", true}, {"/cards/search", "/cards/search", true},
		{"/cards/:cardId", "/cards/", false}, {"/cards/:cardId", "/cards", false}, {"/cards/:cardId", "/cards/search/pin", false},
		{"/cards/:cardId", "/programs/search", false}, {"/livez", "/readyz", false},
	} {
		require.Equal(t, test.want, holds(test.template, test.path), "%s of %s", test.path, test.template)
	}
}

// An encoded slash is data and parts nothing; what else is encoded is the same character.
func TestAnEncodedSlashIsData(t *testing.T) {
	t.Parallel()
	var got string
	app, _ := newServer(t, func(c *gin.Context) { got = c.Param("id") })
	for path, want := range map[string]int{
		"/fixture/a": 200, "/fixture/%61": 200, "/%66ixture/%61": 200,
		"/fixture%2Fa": 404, "/fixture%2fa": 404, "/%2Ffixture/a": 404, "/fixture/a/%2F": 404,
		"/fixture/a%2Fb": 400, "/%66ixture/%61%2fb": 400, "/fixture/%2F": 400, "/fixture/a+b%2F%20%25": 400, // the id has no such pattern
	} {
		require.Equal(t, want, send(t, app, "POST", path, nil).Code, path)
	}
	require.Equal(t, "a", got)
	for sent, want := range map[string]string{
		"/a%2Fb+c%20d%25/e": "/a%2Fb%2Bc%20d%25/e", "/%61%2f%ff": "/a%2F%FF", "/a%252Fb": "", "/%61/b": "", "/": "",
	} {
		u, err := url.Parse(sent)
		require.NoError(t, err)
		require.Equal(t, want, segments(u), sent)
	}
}

func TestRequestsEndInTime(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute} {
		var deadline time.Time
		app := serverOf(t, &bytes.Buffer{}, func(o *Options) {
			o.RequestTimeout = given
			o.Contracts[0].API = fixture{shout: func(c *gin.Context) { deadline, _ = c.Request.Context().Deadline() }}
		})
		began := time.Now()
		send(t, app, "POST", "/fixture/x", nil)
		require.WithinDuration(t, began.Add(want), deadline, 5*time.Second)
	}
}

// A stream has no end, is not kept for its check, and reaches the connection through every writer before it.
func TestAStreamLastsAsLongAsItsCallerWants(t *testing.T) {
	t.Parallel()
	own, err := contract.Load(fstest.MapFS{"fixture.yaml": {Data: []byte(strings.Replace(document, "200': {description: ok}}\ncomponents",
		"200': {description: ok, content: {text/event-stream: {schema: {type: string}}}}}\ncomponents", 1))}}, "fixture")
	require.NoError(t, err)
	endless, kept := false, 0
	app := serverOf(t, &bytes.Buffer{}, func(o *Options) {
		o.CheckReplies = true
		o.Contracts[0] = Contract{Document: own, API: fixture{shout: func(c *gin.Context) {
			_, bound := c.Request.Context().Deadline()
			endless = !bound
			c.Writer.Header().Set("Content-Type", "text/event-stream")
			_, _ = c.Writer.WriteString("data: 1\n\n")
			require.NoError(t, http.NewResponseController(c.Writer).Flush())
			kept = c.Writer.(*keptReply).body.Len()
		}}}
	})
	w := send(t, app, "POST", "/fixture/x", nil)
	require.True(t, endless)
	require.True(t, w.Flushed)
	require.Zero(t, kept)
	require.Equal(t, "data: 1\n\n", w.Body.String())
}

func TestLogLineNamesRouteAndNotPath(t *testing.T) {
	t.Parallel()
	app, log := newServer(t, func(c *gin.Context) { _, _ = io.Copy(io.Discard, c.Request.Body); c.Status(http.StatusOK) })
	send(t, app, "POST", "/fixture/secretreference", nil)
	send(t, app, "POST", "/fixture/x?secretreference;4826&a=%zz4826", nil)
	send(t, app, "POST", "/fixture/x%2Fsecretreference", nil)
	send(t, app, "GUESS4826", "/4826/secretreference", nil)
	require.NotContains(t, log.String(), "secretreference")
	require.NotContains(t, said(log), "4826")
	require.Contains(t, log.String(), `"route":"/fixture/:id"`)
	require.Contains(t, log.String(), `"operation":"shout"`)
}

func TestLogLineSaysHowLongItTookInMilliseconds(t *testing.T) {
	t.Parallel()
	app, log := newServer(t, nil)
	began := time.Now()
	send(t, app, "POST", "/fixture/x", nil)
	took := time.Since(began)
	require.LessOrEqual(t, lastLine(t, log)["ms"], float64(took.Microseconds())/1000)
}

// What holds a request's context after its end, as database/sql does, never meets another request's. The
// race detector tells.
func TestContextsAreNotReused(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	var looking sync.WaitGroup
	app, _ := newServer(t, func(c *gin.Context) {
		ctx := c.Request.Context()
		looking.Go(func() {
			<-ended
			_ = ctx.Done()
			_ = pin.CallerFrom(ctx).TraceID
		})
		c.Status(http.StatusOK)
	})
	for range 20 {
		send(t, app, "POST", "/fixture/x", nil)
	}
	close(ended)
	for range 20 {
		send(t, app, "GET", "/fixture/x", map[string]string{"Authorization": "Bearer good"})
	}
	looking.Wait()
}
