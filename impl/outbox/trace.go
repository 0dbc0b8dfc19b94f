package outbox

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/pin"
)

// span begins the span of an attempt, which is a trace of its own: it may be days after the request that the event is of, to whose
// trace it is linked. It tells which webhook, and not its URL, which may be a secret.
func (d *Dispatcher) span(ctx context.Context, w pin.Webhook, e pin.AuditEvent) (context.Context, func(answer)) {
	if d.Tracer == nil {
		return ctx, func(answer) {}
	}
	of := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": e.TraceID})
	ctx, span := d.Tracer.Start(ctx, "webhook", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(trace.LinkFromContext(of)),
		trace.WithAttributes(attribute.String("pinvault.event", e.Announced()), attribute.String("pinvault.webhook", w.ID)))
	return ctx, func(a answer) {
		span.SetAttributes(attribute.Int("http.response.status_code", a.status))
		if !a.taken() {
			span.SetStatus(codes.Error, "")
			span.SetAttributes(attribute.String("error.type", a.failure))
		}
		span.End()
	}
}
