package apptest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/store/storetest"
)

// Database is a fresh database for a benchmark: on the PostgreSQL server of scripts/with-postgres where there is one, and
// otherwise SQLite.
func Database(b testing.TB) string {
	if os.Getenv("PINVAULT_TEST_DATABASE_URL") == "" {
		return storetest.SQLite(b)
	}
	return storetest.Postgres(b)
}

// Writes measures, in turns, how many of a contract's writes and of Thredd's PIN sets one caller makes of the card "normal"
// in a second, through all of the server but the network. request makes the i-th request; whatever seals it is not measured.
func (s *Server) Writes(b *testing.B, request func(i int) *http.Request) {
	b.Helper()
	const each = 200
	token := s.Mint(b, "thredd-sandbox", 24*time.Hour)
	set := func(int) *http.Request {
		return Request(b, "/api/v1/cards/103169946/pin", "application/json", `{"pin":"7010"}`, map[string]string{"Authorization": "Bearer " + token})
	}
	made := 0
	turn := func(of func(int) *http.Request) float64 {
		requests := make([]*http.Request, each)
		for i := range requests {
			requests[i] = of(made + i)
		}
		made += each
		began := time.Now()
		for _, r := range requests {
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			require.Less(b, w.Code, 300, "%s", w.Body)
		}
		return each / time.Since(began).Seconds()
	}
	var sets, own, ratios []float64
	for b.Loop() {
		t, o := turn(set), turn(request)
		sets, own, ratios = append(sets, t), append(own, o), append(ratios, o/t)
	}
	middle := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	b.ReportMetric(middle(sets), "sets/s")
	b.ReportMetric(middle(own), "writes/s")
	b.ReportMetric(middle(ratios), "ratio")
}

// Request is a POST with these headers.
func Request(b testing.TB, path, contentType, body string, headers map[string]string) *http.Request {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r
}
