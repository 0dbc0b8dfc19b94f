package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pinvault/impl/metrics"
)

// requestMetrics are those of the HTTP side. Labels come from the documents, never from a request.
type requestMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
	broken   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_http_requests_total", Help: "Requests by contract, operation, method and status.",
		}, []string{"contract", "operation", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pinvault_http_request_duration_seconds", Help: "Time to answer by contract and operation.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"contract", "operation"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pinvault_panics_total", Help: "Panics in handlers, each answered by a 500.",
		}),
		broken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_response_violations_total", Help: "Replies that broke their document, where replies are checked.",
		}, []string{"contract"}),
	}
	r.MustRegister(m.requests, m.duration, m.panics, m.broken)
	return m
}

// count counts a request. Its trace is the exemplar of how long it took.
func (m *requestMetrics) count(ctx context.Context, o observation, verb string, status int, took time.Duration) {
	m.requests.WithLabelValues(o.contract, o.operation, method(verb), strconv.Itoa(status)).Inc()
	metrics.Observe(ctx, m.duration.WithLabelValues(o.contract, o.operation), took.Seconds())
}

// metricsHandler answers in the format that is asked for. Exemplars are in that of OpenMetrics alone.
func metricsHandler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
