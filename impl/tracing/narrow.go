package tracing

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// passing are the attributes that leave. None has a value that came with a request: no path but the route, no address, no header.
var passing = []attribute.Key{
	"http.request.method", "http.route", "http.response.status_code", "network.protocol.version",
	"db.system.name", "db.query.summary", "pinvault.statement", "pinvault.backend", "pinvault.operation", "pinvault.outcome", "pinvault.event", "pinvault.webhook", "error.type",
}

// narrow is an exporter that lets little pass.
type narrow struct {
	to   sdktrace.SpanExporter
	log  *slog.Logger
	told atomic.Int64 // when it was last told that the collector does not answer, seconds since 1970
}

// tellEvery is how often it is told.
const tellEvery = time.Minute

// ExportSpans is sdktrace.SpanExporter's. What the collector does not take is lost, which is told and nothing else.
func (n *narrow) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	narrowed := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		narrowed[i] = narrowedSpan{s}
	}
	err := n.to.ExportSpans(ctx, narrowed)
	now, last := time.Now().Unix(), n.told.Load()
	if err != nil && now-last >= int64(tellEvery.Seconds()) && n.told.CompareAndSwap(last, now) && n.log != nil {
		n.log.WarnContext(ctx, "the collector of traces takes nothing", "spans", len(spans), "error", err)
	}
	return nil
}

// Shutdown is sdktrace.SpanExporter's.
func (n *narrow) Shutdown(ctx context.Context) error { return n.to.Shutdown(ctx) }

// narrowedSpan is what of a span may leave.
type narrowedSpan struct{ sdktrace.ReadOnlySpan }

// Attributes are those that pass.
func (s narrowedSpan) Attributes() []attribute.KeyValue {
	return slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(kv attribute.KeyValue) bool { return !slices.Contains(passing, kv.Key) })
}

// Events are none: libraries write errors there, whose texts may hold anything.
func (narrowedSpan) Events() []sdktrace.Event { return nil }

// Status has no words.
func (s narrowedSpan) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}
