package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pinvault/impl/metrics"
	"pinvault/impl/pin"
)

// requestMetrics are those of the HTTP side. Labels come from the documents, never from a request.
type requestMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	faults   *prometheus.CounterVec
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
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_http_faults_total",
			Help: "Requests that failed for a reason that is not the caller's, by contract, operation and code: internal, unavailable. Statuses do not tell: a contract may answer callers' mistakes by 500.",
		}, []string{"contract", "operation", "code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pinvault_panics_total", Help: "Panics in handlers, each answered by a 500.",
		}),
		broken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_response_violations_total", Help: "Replies that broke their document, where replies are checked.",
		}, []string{"contract"}),
	}
	r.MustRegister(m.requests, m.duration, m.faults, m.panics, m.broken)
	return m
}

// faults are the codes of what is not the caller's fault.
var faults = []pin.Code{pin.Internal, pin.Unavailable}

// expect has what may go wrong in the operations of contracts counted from zero on, so that the first one shows.
func (m *requestMetrics) expect(all []Contract) {
	for _, ct := range all {
		for _, op := range ct.Document.Operations() {
			for _, code := range faults {
				m.faults.WithLabelValues(ct.Document.Name(), op.ID, string(code))
			}
		}
	}
}

// count counts a request. Its trace is the exemplar of how long it took.
func (m *requestMetrics) count(ctx context.Context, o observation, verb string, status int, took time.Duration) {
	m.requests.WithLabelValues(o.contract, o.operation, method(verb), strconv.Itoa(status)).Inc()
	if failed, ok := errors.AsType[*pin.Error](o.failed); ok && slices.Contains(faults, failed.Code) && !errors.Is(failed, context.Canceled) { // by a caller who has hung up
		m.faults.WithLabelValues(o.contract, o.operation, string(failed.Code)).Inc()
	}
	metrics.Observe(ctx, m.duration.WithLabelValues(o.contract, o.operation), took.Seconds())
}

// metricsHandler answers in the format that is asked for. Exemplars are in that of OpenMetrics alone.
func metricsHandler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
