package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// New is a registry with what is known of the process.
func New(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	built := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pinvault_build_info", Help: "1, with the version that runs."}, []string{"version", "go"})
	built.WithLabelValues(version, runtime.Version()).Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), built)
	return r
}

// Deliveries counts attempts to deliver events to webhooks.
type Deliveries struct {
	attempts *prometheus.CounterVec
	took     prometheus.Histogram
}

// Delivered is the outcome of an attempt that a receiver has taken.
const Delivered = "delivered"

// NewDeliveries registers them.
func NewDeliveries(r prometheus.Registerer) *Deliveries {
	d := &Deliveries{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_webhook_attempts_total", Help: "Attempts to deliver an event to a webhook, by outcome: delivered, failed, parked.",
		}, []string{"outcome"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pinvault_webhook_delivery_seconds", Help: "From the moment an event happened until a webhook had it.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400},
		}),
	}
	for _, outcome := range []string{Delivered, "failed", "parked"} {
		d.attempts.WithLabelValues(outcome)
	}
	r.MustRegister(d.attempts, d.took)
	return d
}

// Attempt counts one: since is how long ago its event happened.
func (d *Deliveries) Attempt(outcome string, since time.Duration) {
	d.attempts.WithLabelValues(outcome).Inc()
	if outcome == Delivered {
		d.took.Observe(since.Seconds())
	}
}

// Backend counts calls of what has keys outside of this process.
type Backend struct {
	took   *prometheus.HistogramVec
	failed *prometheus.CounterVec
}

// NewBackend registers them.
func NewBackend(r prometheus.Registerer) *Backend {
	b := &Backend{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pinvault_key_backend_duration_seconds", Help: "Calls of a key backend outside of this process, by backend and operation.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"backend", "operation"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinvault_key_backend_failures_total", Help: "Those of them that failed.",
		}, []string{"backend", "operation"}),
	}
	r.MustRegister(b.took, b.failed)
	return b
}

// Call counts a call.
func (b *Backend) Call(backend, operation string, took time.Duration, err error) {
	b.took.WithLabelValues(backend, operation).Observe(took.Seconds())
	failures := b.failed.WithLabelValues(backend, operation)
	if err != nil {
		failures.Inc()
	}
}
