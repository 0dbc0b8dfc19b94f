package keylife

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pinvault/impl/keyring"
)

var (
	keyAge = prometheus.NewDesc("pinvault_key_age_seconds",
		"How old the oldest key of each use and state is: since it was made, and of an active one since it is active.", []string{"use", "state"}, nil)
	keyCount = prometheus.NewDesc("pinvault_keys",
		"Keys of the vault's own, by use and state.", []string{"use", "state"}, nil)
	keysetStale = prometheus.NewDesc("pinvault_keyset_stale",
		"1 while the keyset file cannot be taken, so that keys that are no longer the file's are in use.", nil, nil)
	keysetFailures = prometheus.NewDesc("pinvault_keyset_reload_failures_total",
		"How often the keyset file was looked at and could not be taken.", nil, nil)
)

// Metrics tells of the keys at work by a clock, and of the file where there is a watcher.
type Metrics struct {
	Live    *keyring.Live
	Watcher *Watcher // nil: there is no file
	Now     func() time.Time
}

// Describe is prometheus.Collector's.
func (Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{keyAge, keyCount, keysetStale, keysetFailures} {
		to <- d
	}
}

// Collect is prometheus.Collector's.
func (m Metrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count, oldest := map[[2]string]int{}, map[[2]string]time.Duration{}
	now := m.Now()
	for _, k := range m.Live.Keyset().Keys(now) {
		of := [2]string{string(k.Use), string(k.State)}
		since := k.CreatedAt
		if k.State == keyring.Active {
			since = k.ActiveFrom
		}
		count[of]++
		oldest[of] = max(oldest[of], now.Sub(since))
	}
	for of, n := range count {
		gauge(keyCount, float64(n), of[0], of[1])
		gauge(keyAge, oldest[of].Seconds(), of[0], of[1])
	}
	if m.Watcher == nil {
		return
	}
	stale, failures := m.Watcher.health()
	gauge(keysetStale, map[bool]float64{true: 1}[stale])
	to <- prometheus.MustNewConstMetric(keysetFailures, prometheus.CounterValue, float64(failures))
}
