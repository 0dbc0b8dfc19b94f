package metrics_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"pinvault/impl/metrics"
	"pinvault/impl/pin"
)

// shown is what of a registry Prometheus would read, without help and types.
func shown(t *testing.T, r *prometheus.Registry, accept string) string {
	t.Helper()
	asked := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	asked.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, asked)
	require.Equal(t, http.StatusOK, w.Code)
	return regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(w.Body.String(), "")
}

// counted are the series that are not zero.
func counted(t *testing.T, r *prometheus.Registry) (series []string) {
	t.Helper()
	for line := range strings.Lines(shown(t, r, "")) {
		if line = strings.TrimSpace(line); !strings.HasSuffix(line, " 0") {
			series = append(series, line)
		}
	}
	slices.Sort(series)
	return series
}

func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	issuer := pin.Caller{Contract: "issuer", ClientID: "client-1", TraceID: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	for name, test := range map[string]struct {
		caller pin.Caller
		told   pin.Outcome
		want   []string
	}{
		"a right PIN": {issuer, pin.Outcome{Result: pin.Match, Events: []pin.EventType{pin.EventPINVerified}},
			[]string{`pinvault_pin_verifications_total{contract="issuer",outcome="match"} 1`}},
		"the last wrong one": {issuer, pin.Outcome{Result: pin.Mismatch, Events: []pin.EventType{pin.EventPINFailed, pin.EventPINBlocked}},
			[]string{`pinvault_pin_blocks_total{contract="issuer"} 1`, `pinvault_pin_verifications_total{contract="issuer",outcome="mismatch"} 1`}},
		"a change that the policy refuses": {issuer, pin.Outcome{Result: pin.Rejected, Refused: pin.RecentPIN, Events: []pin.EventType{pin.EventPINVerified, pin.EventPINRefused}},
			[]string{`pinvault_pin_refusals_total{contract="issuer",rule="recent"} 1`, `pinvault_pin_verifications_total{contract="issuer",outcome="rejected"} 1`}},
		"a reset that unblocks": {issuer, pin.Outcome{Events: []pin.EventType{pin.EventPINReset, pin.EventPINUnblocked}},
			[]string{`pinvault_pin_changes_total{contract="issuer",kind="reset"} 1`, `pinvault_pin_unblocks_total{contract="issuer"} 1`}},
		"a PIN that is read back": {issuer, pin.Outcome{Events: []pin.EventType{pin.EventPINRevealed}},
			[]string{`pinvault_pin_reveals_total{contract="issuer"} 1`}},
		"a session that nobody has ended": {pin.Caller{}, pin.Outcome{Events: []pin.EventType{pin.EventSessionExpired}},
			[]string{`pinvault_pin_sessions_total{state="expired"} 1`}},
		"somebody else was faster": {issuer, pin.Outcome{Overtaken: 3}, []string{`pinvault_card_conflicts_total 3`}},
		"what calls itself a contract": {pin.Caller{Contract: "9999990000000014"}, pin.Outcome{Result: pin.Match},
			[]string{`pinvault_pin_verifications_total{contract="none",outcome="match"} 1`}},
		"an event that nobody counts": {issuer, pin.Outcome{Events: []pin.EventType{pin.EventCardCreated}}, nil},
	} {
		r := prometheus.NewRegistry()
		metrics.NewDomain(r, []string{"issuer", "thredd"}).Outcome(pin.WithCaller(t.Context(), test.caller), test.told)
		require.Equal(t, test.want, counted(t, r), name)
	}
}

// Whoever asks for OpenMetrics gets the trace by which log, trail and spans of a request are found.
func TestExemplarsAreTheTraceOfARequest(t *testing.T) {
	t.Parallel()
	const trace = `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.0`
	r := prometheus.NewRegistry()
	d := metrics.NewDomain(r, []string{"issuer"})
	of := pin.WithCaller(t.Context(), pin.Caller{Contract: "issuer", TraceID: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
	d.Outcome(of, pin.Outcome{Result: pin.Mismatch})
	d.Outcome(t.Context(), pin.Outcome{Result: pin.Match})
	require.NotContains(t, shown(t, r, ""), trace)
	text := shown(t, r, "application/openmetrics-text;version=1.0.0")
	require.Regexp(t, `pinvault_pin_verifications_total\{contract="issuer",outcome="mismatch"\} 1.0 `+regexp.QuoteMeta(trace), text)
	require.Equal(t, 1, strings.Count(text, "trace_id"))
}

// database is one that counts how often it is asked.
type database struct {
	asked int
	err   error
}

func (*database) Stats() sql.DBStats {
	return sql.DBStats{MaxOpenConnections: 8, OpenConnections: 3, InUse: 1, Idle: 2, WaitCount: 4}
}
func (*database) Retries() int64 { return 5 }
func (d *database) WaitingDeliveries(context.Context) ([]pin.Waiting, error) {
	d.asked++
	return []pin.Waiting{{WebhookID: "a", Count: 2, Oldest: 60e6}, {WebhookID: "b", Count: 1, Oldest: 90e6}}, d.err
}
func (*database) LiveSessions(context.Context, time.Time) (map[pin.SessionState]int64, error) {
	return map[pin.SessionState]int64{pin.SessionOpen: 7}, nil
}
func (*database) Marked(context.Context, string) (time.Time, error) { return time.Unix(40, 0), nil }

func TestTheDatabaseIsReadOnceWhoeverAsks(t *testing.T) {
	t.Parallel()
	db, r := &database{}, prometheus.NewRegistry()
	metrics.ReadDatabase(r, db, func() time.Time { return time.Unix(100, 0) })
	want := []string{
		"pinvault_checkpoint_timestamp_seconds 40", "pinvault_database_connection_waits_total 4", "pinvault_database_connections_idle 2",
		"pinvault_database_connections_in_use 1", "pinvault_database_connections_max 8", "pinvault_database_connections_open 3",
		`pinvault_pin_sessions{state="open"} 7`, "pinvault_store_retries_total 5", "pinvault_webhook_lag_seconds 40", "pinvault_webhook_waiting 3",
	}
	for range 3 {
		require.Equal(t, want, counted(t, r))
	}
	require.Equal(t, 1, db.asked)
}

func TestADatabaseThatDoesNotAnswerTellsNothingOld(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	metrics.ReadDatabase(r, &database{err: errors.New("gone")}, time.Now)
	text := shown(t, r, "")
	require.Contains(t, text, "pinvault_database_reading_failed 1\n")
	require.NotContains(t, text, "pinvault_webhook_waiting")
}

func TestWhatIsAroundTheVaultIsCounted(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	d, b := metrics.NewDeliveries(r), metrics.NewBackend(r)
	d.Attempt(metrics.Delivered, 2*time.Second)
	d.Attempt("failed", time.Hour)
	b.Call("openbao", "decrypt", time.Millisecond, nil)
	b.Call("openbao", "decrypt", time.Second, errors.New("away"))
	text := shown(t, r, "")
	for _, line := range []string{
		`pinvault_webhook_attempts_total{outcome="delivered"} 1`, `pinvault_webhook_attempts_total{outcome="failed"} 1`, `pinvault_webhook_delivery_seconds_count 1`,
		`pinvault_webhook_delivery_seconds_sum 2`, `pinvault_key_backend_failures_total{backend="openbao",operation="decrypt"} 1`,
		`pinvault_key_backend_duration_seconds_count{backend="openbao",operation="decrypt"} 2`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Contains(t, shown(t, metrics.New("v1"), ""), `version="v1"`)
}
