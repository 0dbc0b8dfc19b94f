package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/pin"
)

func TestWhoWantsTraces(t *testing.T) {
	for _, test := range []struct {
		name     string
		endpoint string
		env      map[string]string
		wanted   bool
	}{
		{"nobody", "", nil, false},
		{"the flag", "http://collector:4318", nil, true},
		{"the variable of all signals", "", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, true},
		{"the variable of traces", "", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, true},
		{"a disabled SDK", "http://collector:4318", map[string]string{"OTEL_SDK_DISABLED": "true"}, false},
		{"no exporter", "http://collector:4318", map[string]string{"OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range append([]string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"}, variables...) {
				t.Setenv(name, test.env[name])
			}
			traces, err := Start(t.Context(), Options{Endpoint: test.endpoint})
			require.NoError(t, err)
			require.Equal(t, test.wanted, traces.Provider() != nil)
			require.NoError(t, traces.Stop())
		})
	}
}

// A request's span has the ids of its log line; what is below it, and what is of no request, ids of its own.
func TestSpansHaveTheIdsOfTheRequest(t *testing.T) {
	t.Parallel()
	const traceID, spanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	recorded := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorded), sdktrace.WithIDGenerator(ids{})).Tracer("")
	of := pin.WithCaller(t.Context(), pin.Caller{TraceID: "00-" + traceID + "-" + spanID + "-00"})
	ctx, server := tracer.Start(of, "server")
	_, statement := tracer.Start(ctx, "statement")
	require.Equal(t, []string{traceID, spanID}, []string{server.SpanContext().TraceID().String(), server.SpanContext().SpanID().String()})
	require.Equal(t, traceID, statement.SpanContext().TraceID().String())
	require.NotEqual(t, spanID, statement.SpanContext().SpanID().String())

	above := trace.NewSpanContext(trace.SpanContextConfig{TraceID: server.SpanContext().TraceID(), SpanID: statement.SpanContext().SpanID(), TraceFlags: trace.FlagsSampled, Remote: true})
	_, below := tracer.Start(trace.ContextWithRemoteSpanContext(of, above), "below a proxy's")
	require.Equal(t, spanID, below.SpanContext().SpanID().String())

	_, one := tracer.Start(t.Context(), "of no request")
	_, other := tracer.Start(t.Context(), "of no request")
	require.NotEqual(t, one.SpanContext().TraceID(), other.SpanContext().TraceID())
}

// What a library puts into a span beyond the list does not leave.
func TestLittlePasses(t *testing.T) {
	t.Parallel()
	sent := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(&narrow{to: sent})).Tracer("")
	_, span := tracer.Start(t.Context(), "GET /cards/:cardId")
	span.SetAttributes(attribute.String("url.path", "/cards/9999990000000014"), attribute.String("http.route", "/cards/:cardId"), attribute.String("client.address", "192.0.2.1"))
	span.RecordError(errors.New("about 9999990000000014"))
	span.SetStatus(codes.Error, "about 9999990000000014")
	span.End()
	require.Len(t, sent.GetSpans(), 1)
	got := sent.GetSpans()[0]
	require.Equal(t, []attribute.KeyValue{attribute.String("http.route", "/cards/:cardId")}, got.Attributes)
	require.Empty(t, got.Events)
	require.Equal(t, sdktrace.Status{Code: codes.Error}, got.Status)
}

// A collector that takes nothing is told of once a minute, and nobody waits for it.
func TestACollectorThatTakesNothingIsToldOfOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	n := &narrow{to: refusing{}, log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		require.NoError(t, n.ExportSpans(t.Context(), nil))
	}
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("the collector of traces takes nothing")))
}

type refusing struct{}

func (refusing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New("away")
}
func (refusing) Shutdown(context.Context) error { return nil }

func TestTheFlagNamesTheCollector(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(collector.Close)
	traces, err := Start(t.Context(), Options{Endpoint: collector.URL + "/", Version: "v1"})
	require.NoError(t, err)
	_, span := traces.Tracer("").Start(t.Context(), "one")
	span.End()
	require.NoError(t, traces.Stop())
	require.Equal(t, "/v1/traces", <-asked)
}
