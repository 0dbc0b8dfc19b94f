package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestCallerIsTheAddressBehindTrustedProxies(t *testing.T) {
	t.Parallel()
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, test := range []struct {
		name, connection string
		forwarded        []string
		want             string
	}{
		{"no proxy", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"no proxy that is trusted", "192.0.2.1:1234", []string{"203.0.113.7"}, "192.0.2.1"},
		{"a proxy", "10.0.0.1:1234", []string{"203.0.113.7"}, "203.0.113.7"},
		{"a proxy that adds the port", "10.0.0.1:1234", []string{"203.0.113.7:4567"}, "203.0.113.7"},
		{"IPv6", "10.0.0.1:1234", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "10.0.0.1:1234", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with the port", "10.0.0.1:1234", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:1234", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"a proxy of IPv6", "[2001:db8:1::1]:1234", []string{"203.0.113.7"}, "203.0.113.7"},
		{"what the caller wrote itself", "10.0.0.1:1234", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"what the caller wrote itself, in a header of its own", "10.0.0.1:1234", []string{"198.51.100.1", "203.0.113.7"}, "203.0.113.7"},
		{"two proxies", "10.0.0.1:1234", []string{"198.51.100.1, 203.0.113.7 ,10.0.0.2:80"}, "203.0.113.7"},
		{"proxies alone", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no address", "10.0.0.1:1234", []string{"unknown"}, "10.0.0.1"},
		{"no address, and one that the caller may have written before it", "10.0.0.1:1234", []string{"203.0.113.7, unknown"}, "10.0.0.1"},
		{"no address behind the second proxy", "10.0.0.1:1234", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		{"nothing", "10.0.0.1:1234", []string{""}, "10.0.0.1"},
		{"a connection without an address", "@", []string{"203.0.113.7"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = test.connection, test.forwarded
			r.Header.Set("X-Real-IP", "198.51.100.99")
			r.Header.Set("Forwarded", "for=198.51.100.98")
			require.Equal(t, test.want, trusted.caller(r))
		})
	}
}

func TestRealIPIsNotBelieved(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, func(c *gin.Context) { c.String(http.StatusOK, pin.CallerFrom(c.Request.Context()).RemoteAddr) })
	w := send(t, app, http.MethodPost, "/fixture/x", map[string]string{"X-Real-IP": "198.51.100.99", "X-Forwarded-For": "198.51.100.98"})
	require.Equal(t, "192.0.2.1", w.Body.String())
}

func TestRepeatedCredentialsAreNobodys(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, nil)
	for name, values := range map[string][]string{
		"the good one first":   {"Bearer good", "Bearer bad"},
		"the good one last":    {"Bearer bad", "Bearer good"},
		"the good one twice":   {"Bearer good", "Bearer good"},
		"an empty one besides": {"Bearer good", ""},
		"an empty one before":  {"", "Bearer good"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/fixture/x", http.NoBody)
		r.Header["Authorization"] = values
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		require.Equal(t, `Bearer realm="fixture"`, w.Header().Get("WWW-Authenticate"), name)
	}
}

// HEAD is answered wherever GET is, as GET except for the body, and counted as what it is.
func TestHeadIsWhereverGetIs(t *testing.T) {
	t.Parallel()
	app, log := newServer(t, nil)
	s := httptest.NewServer(app)
	t.Cleanup(s.Close)
	for _, test := range []struct {
		path   string
		status int
		allow  string
	}{
		{"/fixture/x", 200, ""}, {"/livez", 200, ""}, {"/readyz", 200, ""}, {"/metrics", 200, ""},
		{"/nowhere", 404, ""}, {"/oauth2/token", 405, "POST"},
	} {
		var head http.Header
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, s.URL+test.path, http.NoBody)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer good")
			reply, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(reply.Body)
			require.NoError(t, err)
			require.NoError(t, reply.Body.Close())
			require.Equal(t, test.status, reply.StatusCode, "%s %s", method, test.path)
			require.Equal(t, test.allow, reply.Header.Get("Allow"))
			require.Equal(t, method == http.MethodGet, len(body) > 0)
			for _, h := range []http.Header{reply.Header} {
				h.Del("Date")
				h.Del("Content-Length")
			}
			if method == http.MethodHead {
				require.Equal(t, head, reply.Header, test.path)
			}
			head = reply.Header
		}
	}
	require.Contains(t, log.String(), `"method":"HEAD","route":"/fixture/:id","status":200`)
	require.Contains(t, send(t, app, "GET", "/metrics", nil).Body.String(),
		`pinvault_http_requests_total{contract="fixture",method="HEAD",operation="look",status="200"} 1`)
	w := send(t, app, http.MethodPut, "/livez", nil)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

func TestOperatorsHaveAListenerOfTheirOwn(t *testing.T) {
	t.Parallel()
	app, _ := newServer(t, nil)
	admin := Admin(app, metricsOnly(t))
	for _, test := range []struct {
		method, path string
		status       int
		inside       string
	}{
		{"GET", "/metrics", 200, "test_total 1"}, {"GET", "/livez", 200, `"ok"`}, {"GET", "/readyz", 200, `"ok"`},
		{"GET", "/debug/pprof/", 200, "goroutine"}, {"GET", "/debug/pprof/heap", 200, ""}, {"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"GET", "/debug/pprof/symbol", 200, ""}, {"HEAD", "/livez", 200, ""},
		{"GET", "/debug/pprof/cmdline", 404, ""}, {"POST", "/metrics", 405, ""}, {"GET", "/fixture/x", 404, ""}, {"GET", "/", 404, ""},
	} {
		w := send(t, admin, test.method, test.path, nil)
		require.Equal(t, test.status, w.Code, test.path)
		require.Contains(t, w.Body.String(), test.inside)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
	require.Equal(t, http.StatusNotFound, send(t, app, "GET", "/debug/pprof/", nil).Code, "profiles are never public")
}

func TestMetricsArePublicUnlessOperatorsHaveThem(t *testing.T) {
	t.Parallel()
	for private, status := range map[bool]int{false: http.StatusOK, true: http.StatusNotFound} {
		app := serverOf(t, &bytes.Buffer{}, func(o *Options) { o.PrivateMetrics = private })
		require.Equal(t, status, send(t, app, "GET", "/metrics", nil).Code)
		require.Equal(t, http.StatusOK, send(t, app, "GET", "/livez", nil).Code)
	}
}

func TestBrowsersAreToldToStayWithTLS(t *testing.T) {
	t.Parallel()
	for hsts, want := range map[bool]string{false: "", true: "max-age=31536000"} {
		app := serverOf(t, &bytes.Buffer{}, func(o *Options) { o.HSTS = hsts })
		for _, path := range []string{"/livez", "/nowhere", "/fixture/x"} {
			require.Equal(t, want, send(t, app, "GET", path, nil).Header().Get("Strict-Transport-Security"))
		}
	}
}
