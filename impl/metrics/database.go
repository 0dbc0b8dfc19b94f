package metrics

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pinvault/impl/pin"
)

// Database is what is read of one. impl/store's Store is one.
type Database interface {
	// Stats are the connection pool's figures.
	Stats() sql.DBStats
	// Retries is how often a statement was sent again because the failure was one that passes.
	Retries() int64
	// WaitingDeliveries are the webhooks, except for those that are paused, that something waits for.
	WaitingDeliveries(ctx context.Context) ([]pin.Waiting, error)
	// LiveSessions counts the PIN-entry sessions whose time is not over, by state.
	LiveSessions(ctx context.Context, now time.Time) (map[pin.SessionState]int64, error)
	// Marked is when something was last done that is done now and then: zero for never.
	Marked(ctx context.Context, what string) (time.Time, error)
}

// CheckpointMade is what [Database].Marked is asked about: a checkpoint of the audit trail.
const CheckpointMade = "checkpoint"

// What a reading of the database may cost: it is made at most so often, whoever asks and however many do, and given up after
// so long. What waits is counted to a bound by the database itself.
const (
	readEvery = 10 * time.Second
	readFor   = 2 * time.Second
)

// sessionStates are those of sessions that go on.
var sessionStates = []pin.SessionState{pin.SessionOpen, pin.SessionExchanged, pin.SessionVerified}

var (
	openConns  = prometheus.NewDesc("pinvault_database_connections_open", "Database connections of this process.", nil, nil)
	busyConns  = prometheus.NewDesc("pinvault_database_connections_in_use", "Those of them that are in use.", nil, nil)
	idleConns  = prometheus.NewDesc("pinvault_database_connections_idle", "Those of them that are not.", nil, nil)
	mostConns  = prometheus.NewDesc("pinvault_database_connections_max", "How many database connections this process may have.", nil, nil)
	connWaits  = prometheus.NewDesc("pinvault_database_connection_waits_total", "How often a request waited for a database connection.", nil, nil)
	retries    = prometheus.NewDesc("pinvault_store_retries_total", "Statements that were sent again after a failure that passes: a lost connection, a serialization failure.", nil, nil)
	waiting    = prometheus.NewDesc("pinvault_webhook_waiting", "Events that wait to be delivered to webhooks that are not paused; at most 10000 are counted for each.", nil, nil)
	lag        = prometheus.NewDesc("pinvault_webhook_lag_seconds", "How long the oldest of them has waited.", nil, nil)
	sessions   = prometheus.NewDesc("pinvault_pin_sessions", "PIN-entry sessions whose time is not over, by state: open, exchanged, verified.", []string{"state"}, nil)
	checkpoint = prometheus.NewDesc("pinvault_checkpoint_timestamp_seconds", "When the last checkpoint of the audit trail was made, 0 for never.", nil, nil)
	readFailed = prometheus.NewDesc("pinvault_database_reading_failed", "1 while the metrics that are read from the database cannot be.", nil, nil)
)

// reading is a collector of what stands in the database, and of the connections to it.
type reading struct {
	db  Database
	now func() time.Time

	mu   sync.Mutex
	at   time.Time // by this machine's clock
	last []prometheus.Metric
}

// ReadDatabase registers what is read of a database whenever somebody asks, at most every ten seconds.
func ReadDatabase(r prometheus.Registerer, db Database, now func() time.Time) {
	r.MustRegister(&reading{db: db, now: now})
}

// Describe is prometheus.Collector's.
func (*reading) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openConns, busyConns, idleConns, mostConns, connWaits, retries, waiting, lag, sessions, checkpoint, readFailed} {
		to <- d
	}
}

// Collect is prometheus.Collector's.
func (r *reading) Collect(to chan<- prometheus.Metric) {
	pool := r.db.Stats()
	to <- gauge(openConns, float64(pool.OpenConnections))
	to <- gauge(busyConns, float64(pool.InUse))
	to <- gauge(idleConns, float64(pool.Idle))
	to <- gauge(mostConns, float64(pool.MaxOpenConnections))
	to <- counter(connWaits, float64(pool.WaitCount))
	to <- counter(retries, float64(r.db.Retries()))
	for _, m := range r.read() {
		to <- m
	}
}

// read asks the database, unless that was just done. Who asks meanwhile waits for the one answer.
func (r *reading) read() []prometheus.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < readEvery {
		return r.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), readFor)
	defer cancel()
	found, err := r.ask(ctx)
	if err != nil {
		found = []prometheus.Metric{gauge(readFailed, 1)} // and nothing that may be no longer true
	}
	r.last, r.at = found, time.Now()
	return r.last
}

func (r *reading) ask(ctx context.Context) ([]prometheus.Metric, error) {
	all, err := r.db.WaitingDeliveries(ctx)
	if err != nil {
		return nil, err
	}
	live, err := r.db.LiveSessions(ctx, r.now())
	if err != nil {
		return nil, err
	}
	made, err := r.db.Marked(ctx, CheckpointMade)
	if err != nil {
		return nil, err
	}
	count, late := Waiting(all, r.now())
	found := []prometheus.Metric{gauge(readFailed, 0), gauge(waiting, float64(count)), gauge(lag, late.Seconds()), gauge(checkpoint, seconds(made))}
	for _, state := range sessionStates {
		found = append(found, gauge(sessions, float64(live[state]), string(state)))
	}
	return found, nil
}

// Waiting is how many events wait for all of the webhooks, and how long the oldest has.
func Waiting(all []pin.Waiting, now time.Time) (count int64, lag time.Duration) {
	for _, one := range all {
		count, lag = count+one.Count, max(lag, now.Sub(time.UnixMicro(one.Oldest)))
	}
	return count, lag
}

func seconds(at time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return float64(at.UnixMilli()) / 1000
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(d *prometheus.Desc, value float64) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
}
