// Package tracing sends what the server does as spans to an OpenTelemetry collector, by OTLP over HTTP. It is off unless an endpoint is
// named, and then costs nothing: nobody makes a span.
//
// What leaves is narrowed twice. Who makes a span puts no value of a request into it; and whatever a library puts there besides,
// paths and addresses among it, does not pass: attributes go out by a list of names, events and error texts not at all.
//
// The trace of a request is the one that its log line and its audit events name, and the span of the server has the id that they have.
// A caller's traceparent names the trace, so that a partner's request is found by the partner's own id; that a span becomes
// the child of the caller's, and recorded because the caller says so, is for trusted proxies alone (see impl/server). Any other
// request is a root, and whether it is recorded this server decides (OTEL_TRACES_SAMPLER).
//
// It knows OpenTelemetry and the trace that a caller's context has; nothing of what is traced.
package tracing

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/pin"
)

// Options say where spans go.
type Options struct {
	Endpoint string // the collector's URL, "": as OTEL_EXPORTER_OTLP_ENDPOINT and the other variables say
	Version  string
	Log      *slog.Logger
}

// Traces are spans on their way.
type Traces struct {
	to *collector
	*sdktrace.TracerProvider
}

// variables are those that name an endpoint in OpenTelemetry's own words.
var variables = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}

// wanted tells whether anybody wants spans.
func (o Options) wanted() bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	for _, name := range variables {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return o.Endpoint != ""
}

// Start begins to send. It is nil where nobody wants spans. A collector that does not answer is no reason not to start.
func Start(ctx context.Context, o Options) (*Traces, error) {
	if !o.wanted() {
		return nil, nil
	}
	to, err := newCollector(o)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, to)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "pinvault"), attribute.String("service.version", o.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return &Traces{to, sdktrace.NewTracerProvider(sdktrace.WithBatcher(&narrow{to: exporter, log: o.Log}), sdktrace.WithResource(about), sdktrace.WithIDGenerator(ids{}))}, nil
}

// Provider makes tracers, nil where there are none.
func (t *Traces) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.TracerProvider
}

// lastly is how long the last spans may take to be sent.
const lastly = 5 * time.Second

// Stop sends what is left, once.
func (t *Traces) Stop() error {
	if t == nil {
		return nil
	}
	t.to.hurry()
	ctx, cancel := context.WithTimeout(context.Background(), lastly)
	defer cancel()
	return t.Shutdown(ctx)
}

// ids are those of traces and spans: of a request those that its log line has.
type ids struct{}

// request are the ids of the request that a context is of.
func request(ctx context.Context) (t trace.TraceID, s trace.SpanID, ok bool) {
	parts := strings.Split(pin.CallerFrom(ctx).TraceID, "-") // 00-TRACE-SPAN-FLAGS
	if len(parts) != 4 {
		return t, s, false
	}
	t, err1 := trace.TraceIDFromHex(parts[1])
	s, err2 := trace.SpanIDFromHex(parts[2])
	return t, s, err1 == nil && err2 == nil
}

// NewIDs is sdktrace.IDGenerator's: of a span without a parent.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if t, s, ok := request(ctx); ok {
		return t, s
	}
	var t trace.TraceID
	_, _ = rand.Read(t[:]) // never fails
	return t, fresh()
}

// NewSpanID is sdktrace.IDGenerator's: of the child of a proxy's span, or of one of ours.
func (ids) NewSpanID(ctx context.Context, of trace.TraceID) trace.SpanID {
	if t, s, ok := request(ctx); ok && t == of && trace.SpanContextFromContext(ctx).IsRemote() {
		return s
	}
	return fresh()
}

func fresh() (s trace.SpanID) {
	_, _ = rand.Read(s[:])
	return s
}
