package app_test

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/store/storetest"
	"pinvault/impl/tracing"
)

// collecting is a collector in this process: all that it was sent, as text and as spans.
type collecting struct {
	mu    sync.Mutex
	text  strings.Builder
	spans []*otlp.Span
}

func (r *collecting) ServeHTTP(w http.ResponseWriter, asked *http.Request) {
	var from io.Reader = asked.Body
	if asked.Header.Get("Content-Encoding") == "gzip" {
		from, _ = gzip.NewReader(asked.Body)
	}
	body, _ := io.ReadAll(from)
	var sent collector.ExportTraceServiceRequest
	if proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(protojson.Format(&sent))
	r.text.Write(body)
	for _, of := range sent.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			r.spans = append(r.spans, in.GetSpans()...)
		}
	}
}

// traced is a server whose spans are received once end was called.
func tracedServer(t *testing.T, database string) (h *apptest.Server, r *collecting, end func()) {
	t.Helper()
	r = &collecting{}
	listening := httptest.NewServer(r)
	t.Cleanup(listening.Close)
	traces, err := tracing.Start(t.Context(), tracing.Options{Endpoint: listening.URL, Version: "v1"})
	require.NoError(t, err)
	return apptest.StartTraced(t, database, traces.Provider()), r, func() { require.NoError(t, traces.Stop()) }
}

// What is planted in requests leaves in no span.
func TestNoSpanHasASecret(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, r, end := tracedServer(t, database(t))
			secrets, _ := plant(t, h)
			end()
			require.Greater(t, len(r.spans), 50)
			apptest.RequireNowhere(t, secrets, "the spans", r.text.String())
			require.NotContains(t, r.text.String(), "url.path")
			require.NotContains(t, r.text.String(), "127.0.0.1", "no address")
		})
	}
}

// A caller's trace is that of log line and spans; the span above it, and whether it is recorded, is not the caller's to say.
func TestSpansAreOfTheTraceThatTheLogNames(t *testing.T) {
	t.Parallel()
	const trace, above = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	h, r, end := tracedServer(t, "")
	h.Client.For(t).Do(http.MethodGet, "/api/v1/cards/103169946/pin/status", contracttest.Bearer(h.Mint(t, "thredd-sandbox", time.Hour)),
		contracttest.Header("traceparent", "00-"+trace+"-"+above+"-00")).ExpectStatus(http.StatusOK)
	end()
	var server *otlp.Span
	statements := 0
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) != trace {
			continue
		}
		if s.GetKind() == otlp.Span_SPAN_KIND_SERVER {
			server = s
		}
	}
	require.NotNil(t, server, "although the caller says that it is not to be recorded")
	require.Empty(t, server.GetParentSpanId())
	require.Equal(t, "GET /api/v1/cards/:publicToken/pin/status", server.GetName())
	require.Contains(t, h.Log.String(), "00-"+trace+"-"+hex.EncodeToString(server.GetSpanId()))
	for _, s := range r.spans {
		if string(s.GetParentSpanId()) == string(server.GetSpanId()) {
			statements++
			require.Contains(t, []string{"SELECT card_lookup", "SELECT clients", "SELECT programs", "TRANSACTION"}, s.GetName())
		}
	}
	require.Positive(t, statements)
}

func TestWithoutAnEndpointThereAreNoTraces(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	traces, err := tracing.Start(t.Context(), tracing.Options{})
	require.NoError(t, err)
	require.Nil(t, traces.Provider())
	require.NoError(t, traces.Stop())
}
