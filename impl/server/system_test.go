package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

// What a server cannot do without is given three seconds to answer: load balancers do not wait longer.
func TestReadinessIsAskedForInTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failing []string
		status  int
		body    string
	}{
		{nil, http.StatusOK, `{"status":"ok"}`},
		{[]string{"database"}, http.StatusServiceUnavailable, `{"status":"unavailable","failing":["database"]}`},
	} {
		var deadline time.Time
		app := serverOf(t, &bytes.Buffer{}, func(o *Options) {
			o.Ready = func(ctx context.Context) []string { deadline, _ = ctx.Deadline(); return test.failing }
		})
		began := time.Now()
		w := send(t, app, "GET", "/readyz", nil)
		require.Equal(t, test.status, w.Code)
		require.JSONEq(t, test.body, w.Body.String())
		require.WithinDuration(t, began.Add(3*time.Second), deadline, 2*time.Second)
	}
}

// A server that has been told to stop says so to load balancers, goes on answering, and has callers find another one.
func TestAServerThatWasToldToStopIsNotReadyAndAnswers(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	app := serverOf(t, &bytes.Buffer{}, func(o *Options) { o.Stopping = stopping })
	for path, want := range map[string]int{"/readyz": http.StatusOK, "/livez": http.StatusOK} {
		w := send(t, app, "GET", path, nil)
		require.Equal(t, want, w.Code, path)
		require.Empty(t, w.Header().Get("Connection"), path)
	}
	close(stopping)
	for path, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/livez": http.StatusOK, "/nowhere": http.StatusNotFound} {
		w := send(t, app, "GET", path, nil)
		require.Equal(t, want, w.Code, path)
		require.Equal(t, "close", w.Header().Get("Connection"), path)
	}
	require.JSONEq(t, `{"status":"unavailable","failing":["stopping"]}`, send(t, app, "GET", "/readyz", nil).Body.String())
}

// issuing are tokens that come, or do not.
type issuing struct {
	Tokens
	keys string
	err  error
}

func (i issuing) JWKS() ([]byte, error) { return []byte(i.keys), i.err }

func (i issuing) Exchange(context.Context, oauth.Request, string, time.Duration) (oauth.Token, error) {
	return oauth.Token{}, i.err
}

func TestFaultsOfTokensAreToldInTheirShapes(t *testing.T) {
	t.Parallel()
	gone := &pin.Error{Code: pin.Unavailable}
	for _, test := range []struct {
		name        string
		tokens      issuing
		keys, token int
		reason      string
	}{
		{"a database that is gone", issuing{err: gone}, 503, 503, "temporarily_unavailable"},
		{"a fault", issuing{err: errors.New("a fault")}, 500, 500, "server_error"},
		{"keys that cannot be read", issuing{keys: "{", err: nil}, 500, 0, ""},
		{"keys", issuing{keys: `{"keys":[]}`}, 200, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := serverOf(t, &bytes.Buffer{}, func(o *Options) { o.Tokens = test.tokens })
			keys := send(t, app, "GET", "/oauth2/jwks", nil)
			require.Equal(t, test.keys, keys.Code)
			if test.keys == http.StatusOK {
				require.JSONEq(t, test.tokens.keys, keys.Body.String())
			} else {
				require.Equal(t, "application/problem+json", keys.Header().Get("Content-Type"))
			}
			if test.token == 0 {
				return
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth2/token", strings.NewReader("grant_type=client_credentials&client_id=partner&client_secret=x"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			require.Equal(t, test.token, w.Code)
			require.JSONEq(t, `{"error":"`+test.reason+`"}`, w.Body.String())
		})
	}
}
