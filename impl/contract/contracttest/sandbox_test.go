package contracttest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// sandbox is a server that keeps to rows/testdata/cards.yaml, until it is told to lie.
type sandbox struct {
	pin     string
	changes int
	broken  bool
	lie     func(*Reply) // changes a reply on its way out; nil for the truth
	served  []string     // "METHOD /path status"
}

func (s *sandbox) reset(testing.TB) {
	s.pin, s.changes = "0000", 0
}

func (s *sandbox) fault(_ testing.TB, word string) func() {
	s.broken = word == "internal"
	return func() { s.broken = false }
}

// authorize is the Env.Authorize of the sandbox.
func authorize(_ testing.TB, r *http.Request, word string) {
	if word != "none" {
		r.Header.Set("Authorization", "Bearer abc")
	}
}

func (s *sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := s.answer(r)
	if s.lie != nil {
		s.lie(reply)
	}
	maps.Copy(w.Header(), reply.Header)
	s.served = append(s.served, fmt.Sprintf("%s %s %d", r.Method, r.URL.RequestURI(), reply.Status))
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

func (s *sandbox) answer(r *http.Request) *Reply {
	body, _ := io.ReadAll(r.Body)
	switch path := r.URL.EscapedPath(); {
	case path == "/connect/token":
		return s.token(r, string(body))
	case path != "/api/v1/certificate" && !strings.HasPrefix(path, "/api/v1/cards/"):
		return s.problem(http.StatusNotFound)
	case r.Header.Get("Authorization") != "Bearer abc":
		reply := s.problem(http.StatusUnauthorized)
		reply.Header.Set("WWW-Authenticate", "Bearer")
		return reply
	case path == "/api/v1/certificate":
		return text(http.StatusOK, "application/x-pem-file", "-----BEGIN CERTIFICATE-----\n")
	case path != "/api/v1/cards/103169946/pin":
		return s.problem(http.StatusNotFound)
	case r.Method == http.MethodPost:
		return s.setPIN(r, body)
	case r.Method == http.MethodGet:
		return s.getPIN(r)
	}
	reply := s.problem(http.StatusMethodNotAllowed)
	reply.Header.Set("Allow", "GET, POST")
	return reply
}

func (s *sandbox) token(r *http.Request, form string) *Reply {
	if form != "client_id=the+client+%26+co&grant_type=client_credentials&scope=pins&scope=cards" ||
		r.Header.Get("Authorization") != "" {
		return s.problem(http.StatusBadRequest)
	}
	reply := text(http.StatusOK, "application/json; charset=utf-8", `{"expires_in":14400,"access_token":"xyz"}`)
	reply.Header.Set("Cache-Control", "no-store")
	return reply
}

func (s *sandbox) setPIN(r *http.Request, body []byte) *Reply {
	var request struct{ PIN string }
	switch {
	case r.Header.Get("Content-Type") != "application/json":
		return s.problem(http.StatusUnsupportedMediaType)
	case len(body) > 1000:
		return s.problem(http.StatusRequestEntityTooLarge)
	case s.broken:
		return s.problem(http.StatusInternalServerError)
	case json.Unmarshal(body, &request) != nil:
		return text(http.StatusBadRequest, "application/problem+json",
			`{"title":"Bad Request","status":400,"traceId":"00-7","errors":{"pin":["unreadable"]}}`)
	case r.Header.Get("X-Trace") != "trace 7":
		return s.problem(http.StatusBadRequest)
	}
	s.pin = request.PIN
	s.changes++
	return &Reply{Status: http.StatusNoContent, Header: http.Header{}}
}

func (s *sandbox) getPIN(r *http.Request) *Reply {
	if r.URL.RawQuery != "fields=pin&fields=tries" {
		return s.problem(http.StatusBadRequest)
	}
	changedAt := ""
	if s.changes > 0 {
		changedAt = `,"changedAt":"2026-01-02T03:04:05Z"`
	}
	reply := text(http.StatusOK, "application/json", fmt.Sprintf(`{"pin":%q,"changes":%d%s}`, s.pin, s.changes, changedAt))
	reply.Header.Set("X-Tries", "3")
	return reply
}

func (s *sandbox) problem(status int) *Reply {
	return text(status, "application/problem+json",
		fmt.Sprintf(`{"title":%q,"status":%d,"traceId":"00-%p"}`, http.StatusText(status), status, s))
}

func text(status int, contentType, body string) *Reply {
	return &Reply{Status: status, Header: http.Header{"Content-Type": {contentType}}, Body: []byte(body)}
}

// serve starts a handler for the time of the test.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// load reads a document, each old text in it replaced by the new one after it.
func load(t *testing.T, file string, oldnew ...string) *openapi3.T {
	t.Helper()
	source, err := os.ReadFile("../../rows/testdata/" + file)
	require.NoError(t, err)
	document := string(source)
	for i := 0; i < len(oldnew); i += 2 {
		require.Equal(t, 1, strings.Count(document, oldnew[i]), "%q has to stand in the document once", oldnew[i])
		document = strings.Replace(document, oldnew[i], oldnew[i+1], 1)
	}
	return parse(t, document)
}

// parse loads a document, however wrong its examples are.
func parse(t *testing.T, document string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
	require.NoError(t, err)
	return doc
}

// recorder is a test that is allowed to fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) FailNow() { runtime.Goexit() }

// failures returns what a test complained of, each on its own.
func failures(t *testing.T, test func(r *recorder)) []string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.failures
}
