package tracing

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	service "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// answering is a collector that gives its answers in turn, the last for ever, and keeps what it was asked.
type answering struct {
	*httptest.Server
	answers []http.HandlerFunc
	asked   []*http.Request
	sent    []*service.ExportTraceServiceRequest
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		from, _ = gzip.NewReader(r.Body)
	}
	body, _ := io.ReadAll(from)
	var sent service.ExportTraceServiceRequest
	if proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.asked, a.sent = append(a.asked, r), append(a.sent, &sent)
	a.answers[min(len(a.asked), len(a.answers))-1](w, r)
}

func answers(t *testing.T, each ...http.HandlerFunc) *answering {
	t.Helper()
	a := &answering{answers: each}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// partly takes a request and throws some of its spans away.
func partly(rejected int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, _ := proto.Marshal(&service.ExportTraceServiceResponse{PartialSuccess: &service.ExportTracePartialSuccess{ErrorMessage: "too many", RejectedSpans: rejected}})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(text)
	}
}

// alone has no variable name a collector besides those given.
func alone(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, value) // so that it comes back
			require.NoError(t, os.Unsetenv(name))
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

var oneSpan = []*otlp.ResourceSpans{{ScopeSpans: []*otlp.ScopeSpans{{Spans: []*otlp.Span{{Name: "one"}}}}}}

func TestWhatACollectorAnswers(t *testing.T) {
	alone(t, nil)
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc
		asked   int
		fails   string // "": it does not
	}{
		{"taken", []http.HandlerFunc{status(200)}, 1, ""},
		{"taken, with an answer that says nothing", []http.HandlerFunc{partly(0)}, 1, ""},
		{"taken in part", []http.HandlerFunc{partly(2)}, 1, "threw 2 spans away"},
		{"busy, then taken", []http.HandlerFunc{status(503), status(429), status(502), status(504), status(200)}, 5, ""},
		{"busy until a time that is over", []http.HandlerFunc{status(503, "Retry-After", "Thu, 26 Nov 2026 10:00:00 GMT"), status(200)}, 2, ""},
		{"refused", []http.HandlerFunc{status(400), status(200)}, 1, "400 Bad Request"},
		{"broken", []http.HandlerFunc{status(500), status(200)}, 1, "500 Internal Server Error"},
		{"somewhere else", []http.HandlerFunc{status(301, "Location", "/v1/traces"), status(200)}, 1, "301 Moved Permanently"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := answers(t, test.answers...)
			c, err := newCollector(Options{Endpoint: a.URL, Version: "1.2.3"})
			require.NoError(t, err)
			c.first = time.Millisecond
			err = c.UploadTraces(t.Context(), oneSpan)
			if test.fails == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.fails)
			}
			require.Len(t, a.asked, test.asked)
			for i, r := range a.asked {
				require.Equal(t, "POST /v1/traces", r.Method+" "+r.URL.Path)
				require.Equal(t, "application/x-protobuf", r.Header.Get("Content-Type"))
				require.Equal(t, "pinvault/1.2.3", r.Header.Get("User-Agent"))
				require.True(t, proto.Equal(&service.ExportTraceServiceRequest{ResourceSpans: oneSpan}, a.sent[i]))
			}
		})
	}
}

// A collector that asks for patience gets it, until nobody wants to wait any more.
func TestACollectorIsGivenTheTimeThatItAsksFor(t *testing.T) {
	alone(t, nil)
	a := answers(t, status(503, "Retry-After", "3600"))
	c, err := newCollector(Options{Endpoint: a.URL})
	require.NoError(t, err)
	c.first = time.Millisecond
	patient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, c.UploadTraces(patient, oneSpan), "503")
	require.Len(t, a.asked, 1)

	c.hurry()
	require.ErrorContains(t, c.UploadTraces(t.Context(), oneSpan), "503")
	require.Len(t, a.asked, 2)
}

// A collector that is away comes back to all that it missed.
func TestACollectorThatIsAwayIsTriedAgain(t *testing.T) {
	alone(t, nil)
	a := answers(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, status(200))
	c, err := newCollector(Options{Endpoint: a.URL})
	require.NoError(t, err)
	c.first = time.Millisecond
	require.NoError(t, c.UploadTraces(t.Context(), oneSpan))
	require.Len(t, a.asked, 2)
}

func TestTheVariablesOfACollector(t *testing.T) {
	for _, test := range []struct {
		name   string
		flag   string
		env    map[string]string
		url    string
		header map[string]string
		gzip   bool
	}{
		{"the flag comes first", "http://flag:4318/", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318/in"}, "http://flag:4318/v1/traces", nil, false},
		{"of all signals: the collector", "", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://all:4318/otlp"}, "https://all:4318/otlp/v1/traces", nil, false},
		{"of traces: the whole URL", "", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:4318/in"}, "http://traces:4318/in", nil, false},
		{"headers", "http://c", map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "x-token = a%20b%3D , x-tenant=9"}, "http://c/v1/traces", map[string]string{"X-Token": "a b=", "X-Tenant": "9"}, false},
		{"headers of traces", "http://c", map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "x-token=all", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-token=traces"}, "http://c/v1/traces", map[string]string{"X-Token": "traces"}, false},
		{"packed", "http://c", map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://c/v1/traces", map[string]string{"Content-Encoding": "gzip"}, true},
		{"not packed after all", "http://c", map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none"}, "http://c/v1/traces", map[string]string{"Content-Encoding": ""}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			alone(t, test.env)
			c, err := newCollector(Options{Endpoint: test.flag})
			require.NoError(t, err)
			require.Equal(t, test.url, c.url)
			require.Equal(t, test.gzip, c.gzip)
			for name, value := range test.header {
				require.Equal(t, value, c.header.Get(name))
			}
		})
	}
}

func TestSettingsOfACollectorThatCannotBeMeant(t *testing.T) {
	for _, test := range []struct{ name, value, says string }{
		{"ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"},
		{"PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent as http/protobuf"},
		{"TRACES_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{"COMPRESSION", "zstd", "OTEL_EXPORTER_OTLP_COMPRESSION must be gzip or none"},
		{"TIMEOUT", "10s", "OTEL_EXPORTER_OTLP_TIMEOUT must be a number of milliseconds"},
		{"HEADERS", "s3cret", "OTEL_EXPORTER_OTLP_HEADERS must be name=value"},
		{"CERTIFICATE", "/nowhere", "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		{"CLIENT_KEY", "/nowhere", "OTEL_EXPORTER_OTLP_CLIENT_KEY"},
	} {
		t.Run(test.name, func(t *testing.T) {
			alone(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_" + test.name: test.value})
			_, err := Start(t.Context(), Options{})
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestSpansArePackedAndTimed(t *testing.T) {
	a := answers(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, status(200))
	alone(t, map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TIMEOUT": "50"})
	c, err := newCollector(Options{Endpoint: a.URL})
	require.NoError(t, err)
	c.first = time.Millisecond
	require.NoError(t, c.UploadTraces(t.Context(), oneSpan))
	require.Equal(t, "one", a.sent[len(a.sent)-1].GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0].GetName())
	require.Equal(t, "gzip", a.asked[0].Header.Get("Content-Encoding"))
}

// Only the certificates that are named are believed.
func TestACollectorByTLS(t *testing.T) {
	taken := 0
	a := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { taken++ }))
	t.Cleanup(a.Close)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}), 0o600))
	for takes, name := range []string{"", authority} {
		alone(t, map[string]string{"OTEL_EXPORTER_OTLP_CERTIFICATE": name})
		c, err := newCollector(Options{Endpoint: a.URL})
		require.NoError(t, err)
		c.hurry()
		err = c.UploadTraces(t.Context(), oneSpan)
		require.Equal(t, takes == 0, err != nil, err)
		require.Equal(t, takes, taken)
	}
}
