package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"pinvault/impl/pin"
)

// Inc counts one, with the request's trace as exemplar.
func Inc(ctx context.Context, c prometheus.Counter) {
	if labels := exemplar(ctx); labels != nil {
		c.(prometheus.ExemplarAdder).AddWithExemplar(1, labels) //nolint:forcetypeassert // every counter of the library is one
		return
	}
	c.Inc()
}

// Observe observes a value, with the request's trace as exemplar.
func Observe(ctx context.Context, o prometheus.Observer, value float64) {
	if labels := exemplar(ctx); labels != nil {
		o.(prometheus.ExemplarObserver).ObserveWithExemplar(value, labels) //nolint:forcetypeassert // every histogram of the library is one
		return
	}
	o.Observe(value)
}

// exemplar is the trace by which log lines, audit events and spans of a request are found, nil for what is of no request.
func exemplar(ctx context.Context) prometheus.Labels {
	trace := pin.CallerFrom(ctx).TraceID // 00-TRACE-SPAN-FLAGS
	if len(trace) < len("00-")+traceDigits {
		return nil
	}
	return prometheus.Labels{"trace_id": trace[len("00-"):][:traceDigits]}
}

// traceDigits are the hex digits of a trace's id (W3C Trace Context, 3.2.2.3).
const traceDigits = 32
