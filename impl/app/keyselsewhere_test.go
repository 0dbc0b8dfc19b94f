package app_test

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/config"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// calls are how many calls of a key backend a server has measured, and how many failed, by operation.
func calls(t *testing.T, server *app.App, backend string) (took, failed map[string]int) {
	t.Helper()
	w := httptest.NewRecorder()
	server.Admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(w.Body)
	require.NoError(t, err)
	labels := func(m *dto.Metric) map[string]string {
		of := map[string]string{}
		for _, l := range m.GetLabel() {
			of[l.GetName()] = l.GetValue()
		}
		return of
	}
	took, failed = map[string]int{}, map[string]int{}
	for _, m := range all["pinvault_key_backend_duration_seconds"].GetMetric() {
		of, h := labels(m), m.GetHistogram()
		require.Equal(t, backend, of["backend"])
		require.Positive(t, h.GetSampleSum())
		buckets := h.GetBucket()
		require.Equal(t, h.GetSampleCount(), buckets[len(buckets)-1].GetCumulativeCount())
		took[of["operation"]] = int(h.GetSampleCount())
	}
	for _, m := range all["pinvault_key_backend_failures_total"].GetMetric() {
		failed[labels(m)["operation"]] = int(m.GetCounter().GetValue())
	}
	return took, failed
}

func sum(of map[string]int) (all int) {
	for _, n := range of {
		all += n
	}
	return all
}

// Of keys in a token or in OpenBao each call is measured and is a span, with nothing of what was sealed; those are counted that fail
// while it is away. A keyset file that OpenBao has opened goes on without it.
func TestKeysElsewhereAreMeasured(t *testing.T) {
	for _, backend := range keyringtest.All {
		t.Run(backend, func(t *testing.T) {
			way := keyringtest.NewWay(t, backend)
			keys := config.Keys{KeysURL: way.URL}
			_, err := app.InitKeys(keys, rand.Reader, time.Now())
			require.NoError(t, err)
			to, spans, end := newCollector(t)
			db := apptest.OpenStore(t, storetest.SQLite(t))
			require.NoError(t, db.Migrate(t.Context()))
			documents, err := apptest.Contracts()
			require.NoError(t, err)
			server, err := app.New(t.Context(), config.Serve{PublicURL: "http://production", Keys: keys},
				app.Surroundings{Database: db, Store: db, Log: slog.New(slog.DiscardHandler), Documents: documents, Traces: to})
			require.NoError(t, err)
			scheme, _, _ := strings.Cut(way.URL, ":")

			operator := apptest.Operating(t)
			program, err := server.Vault.CreateProgram(operator, pin.NewProgram("Gift cards"), pin.Memo{})
			require.NoError(t, err)
			digits, err := pin.New([]byte("7010"))
			require.NoError(t, err)
			card, err := server.Vault.CreateCard(operator, pin.NewCard{ProgramID: program.ID, PAN: "9999990000000014", PIN: digits}, pin.Memo{})
			require.NoError(t, err)
			verify := func() error {
				offered, err := pin.New([]byte("7010"))
				require.NoError(t, err)
				v, err := server.Vault.Verify(operator, pin.Query{CardID: card.ID}, pin.Plain(offered), pin.Memo{})
				if err == nil {
					require.Equal(t, pin.Match, v.Result)
				}
				return err
			}
			require.NoError(t, verify())
			took, failed := calls(t, server, scheme)
			require.Positive(t, took["decrypt"])
			require.Zero(t, sum(failed), failed)
			if backend != keyringtest.OpenBao {
				require.Positive(t, took["encrypt"])
			}

			way.Take()
			err = verify()
			again, lost := calls(t, server, scheme)
			way.Give()
			if backend == keyringtest.OpenBao {
				require.NoError(t, err)
				require.Equal(t, took, again, "it was not asked")
			} else {
				require.Equal(t, pin.Unavailable, pin.CodeOf(err))
				require.Positive(t, sum(lost))
				require.Equal(t, sum(took)+sum(lost), sum(again), "a call that fails has a duration too")
			}
			require.Eventually(t, func() bool { return verify() == nil }, 20*time.Second, 50*time.Millisecond)

			end()
			total, broken := calls(t, server, scheme)
			made := map[string]int{}
			wrong := 0
			for _, s := range spans.spans {
				operation, ours := strings.CutPrefix(s.GetName(), "key backend ")
				if !ours {
					continue
				}
				made[operation]++
				want := map[string]string{"pinvault.backend": scheme, "pinvault.operation": operation}
				if s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
					wrong++
					want["error.type"] = string(pin.Unavailable)
				}
				require.Equal(t, want, attributes(s))
			}
			require.Equal(t, total, made, "each call that was measured is a span")
			require.Equal(t, sum(broken), wrong)
			for _, hidden := range []string{"7010", "9999990000000014", way.URL, way.Secret, keyringtest.PIN} {
				require.NotContains(t, spans.text.String(), hidden)
			}
		})
	}
}
