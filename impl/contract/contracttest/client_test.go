package contracttest

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

const (
	pinPath  = "/api/v1/cards/103169946/pin"
	pinQuery = pinPath + "?fields=pin&fields=tries"
)

func TestClientAcceptsWhatIsDocumented(t *testing.T) {
	s := &sandbox{}
	s.reset(t)
	c := New(t, serve(t, s), load(t, "cards.yaml"))

	c.Do("POST", pinPath, Bearer("abc"), Header("X-Trace", "trace 7"), JSON(map[string]string{"pin": "1234"})).
		ExpectStatus(http.StatusNoContent)
	reply := c.Do("GET", pinQuery, Bearer("abc")).ExpectStatus(http.StatusOK)
	require.Equal(t, "1234", reply.Text("/pin"))
	require.EqualValues(t, 1, reply.JSON("/changes"))

	token := c.Do("POST", "/connect/token", Form(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"the client & co"}, "scope": {"pins", "cards"},
	}))
	require.Equal(t, "xyz", token.ExpectStatus(http.StatusOK).Text("/access_token"))

	c.Do("POST", pinPath, Bearer("abc"), Raw("application/json", `{"pin":`)).ExpectStatus(http.StatusBadRequest)
	c.Do("POST", pinPath, Bearer("abc"), Raw("", "pin")).ExpectStatus(http.StatusUnsupportedMediaType)
	c.Do("GET", "/api/v1/certificate", Bearer("abc")).ExpectStatus(http.StatusOK)
	c.Do("PUT", pinPath, Bearer("abc")).ExpectStatus(http.StatusMethodNotAllowed)
	c.Do("GET", "/connect/unknown").ExpectStatus(http.StatusNotFound)
	c.Do("HEAD", "/connect/unknown").ExpectStatus(http.StatusNotFound)
}

func TestClientRefusesWhatIsNot(t *testing.T) {
	withBody := func(body string) func(*Reply) {
		return func(r *Reply) { r.Body = []byte(body) }
	}
	withHeader := func(name, value string) func(*Reply) {
		return func(r *Reply) { r.Header.Set(name, value) }
	}
	withStatus := func(status int) func(*Reply) {
		return func(r *Reply) { r.Status = status }
	}
	tests := []struct {
		name   string
		method string
		path   string
		lie    func(*Reply)
		want   string
	}{
		{"an undocumented status", "GET", pinQuery, withStatus(418), "getCardPin: status is not documented"},
		{"an undocumented redirect", "GET", pinQuery, withStatus(308), "getCardPin: status is not documented"},
		{"an undocumented content type", "GET", pinQuery, withHeader("Content-Type", "text/plain"),
			`getCardPin: content type "text/plain" is not documented (application/json)`},
		{"no content type", "GET", pinQuery, func(r *Reply) { r.Header["Content-Type"] = nil },
			`content type "" is not documented`},
		{"a missing field", "GET", pinQuery, withBody(`{"pin":"1234"}`),
			`GET /api/v1/cards/103169946/pin: 200: getCardPin: rule "required" at "/changes"`},
		{"a wrong type", "GET", pinQuery, withBody(`{"pin":1234,"changes":0}`), `rule "type" at "/pin"`},
		{"a broken pattern", "GET", pinQuery, withBody(`{"pin":"12a4","changes":0}`), `rule "pattern" at "/pin"`},
		{"a broken format", "GET", pinQuery, withBody(`{"pin":"1234","changes":0,"changedAt":"today"}`),
			`rule "format" at "/changedAt"`},
		{"a broken UUID", "GET", pinQuery, withBody(`{"pin":"1234","changes":0,"cardId":"1"}`), `rule "format" at "/cardId"`},
		{"a field of requests only", "GET", pinQuery, withBody(`{"pin":"1234","changes":0,"secret":"s"}`),
			`rule "writeOnly" at "/secret"`},
		{"the second of two faults", "GET", pinQuery, withBody(`{"pin":1,"changes":"0"}`), `rule "type" at "/pin"`},
		{"the first of two faults", "GET", pinQuery, withBody(`{"pin":1,"changes":"0"}`), `rule "type" at "/changes"`},
		{"a second JSON value", "GET", pinQuery, withBody(`{"pin":"1234","changes":0}{}`), "body is not JSON"},
		{"bad UTF-8", "GET", pinQuery, withBody("{\"pin\":\"1234\",\"changes\":0,\"x\":\"\xff\"}"), "body is not JSON"},
		{"no body", "GET", pinQuery, withBody(""), "body is not JSON"},
		{"a missing header", "GET", pinQuery, func(r *Reply) { r.Header.Del("X-Tries") }, `"X-Tries" missing`},
		{"a header of another type", "GET", pinQuery, withHeader("X-Tries", "three"), `"X-Tries"`},
		{"a header against its pattern", "POST", pinPath, func(r *Reply) {
			*r = *text(401, "application/problem+json", `{"title":"Unauthorized","status":401,"traceId":"00-1"}`)
			r.Header.Set("WWW-Authenticate", "Basic")
		}, `response header "WWW-Authenticate" doesn't match schema: rule "pattern"`},
		{"a text against its pattern", "GET", "/api/v1/certificate", withBody("none"), `getCertificate: rule "pattern" at ""`},
		{"another body for an unknown path", "GET", "/api/v1/unknown", withBody(`{"title":"Not Found"}`),
			`GET /api/v1/unknown: 404: rule "required" at "/status"`},
		{"another content type for an unknown path", "GET", "/api/v1/unknown", withHeader("Content-Type", "text/html"),
			`content type "text/html" is not documented (application/problem+json)`},
		{"success on an unknown path", "GET", "/api/v1/unknown", withStatus(200), "no document has the operation"},
		{"another body for a wrong method", "PUT", pinPath, withBody(`{}`), `PUT /api/v1/cards/103169946/pin: 405: rule "required"`},
		{"a wrong method without Allow", "PUT", pinPath, func(r *Reply) { r.Header.Del("Allow") }, "405: no header Allow"},
		{"a path outside every prefix", "GET", "/api/v10", nil, "the path is in no document and under no x-prefixes"},
	}
	doc := load(t, "cards.yaml")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sandbox{lie: tt.lie}
			s.reset(t)
			url := serve(t, s)
			got := failures(t, func(r *recorder) {
				New(r, url, doc).Do(tt.method, tt.path, Bearer("abc"), Header("X-Trace", "trace 7"),
					Raw("application/json", `{"pin":"1234"}`))
			})
			require.NotEmpty(t, got)
			require.Contains(t, strings.Join(got, "\n"), tt.want)
		})
	}
}

func TestClientRefusesABodyWhereNoneIsDocumented(t *testing.T) {
	doc := load(t, "cards.yaml", "'204':", "'202':")
	s := &sandbox{lie: func(r *Reply) { r.Status, r.Body = http.StatusAccepted, []byte("done") }}
	url := serve(t, s)
	got := failures(t, func(r *recorder) {
		New(r, url, doc).Do("POST", pinPath, Bearer("abc"), Header("X-Trace", "trace 7"), JSON(map[string]string{"pin": "1234"}))
	})
	require.Len(t, got, 1)
	require.Contains(t, got[0], "setCardPin: no body is documented; body: done")
}

func TestClientNamesTheBranchesOfABrokenOneOf(t *testing.T) {
	doc := parse(t, `{openapi: 3.0.3, info: {title: t, version: "1"}, paths: {/a: {get: {operationId: a, responses: {"200":
		{description: d, content: {application/json: {schema: {type: object, properties: {b: {oneOf: [
			{type: string, maxLength: 1}, {type: integer}]}}}}}}}}}}}`)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"b":"long"}`))
	}))
	got := failures(t, func(r *recorder) { New(r, url, doc).Do("GET", "/a") })
	require.Len(t, got, 3)
	require.Contains(t, got[0], `rule "oneOf" at "/b"`)
	require.Contains(t, got[1], `rule "maxLength" at "/b"`)
	require.Contains(t, got[2], `rule "type" at "/b"`)
}

func TestClientDoesNotFollowRedirects(t *testing.T) {
	doc := parse(t, `{openapi: 3.0.3, info: {title: t, version: "1"}, paths: {/a: {get: {operationId: a, responses: {"308":
		{description: d, headers: {X-Reason: {required: true, schema: {type: string}}}}}}}}}`)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			w.Header().Set("Location", "/b")
			w.WriteHeader(http.StatusPermanentRedirect)
		}
	}))
	got := failures(t, func(r *recorder) {
		require.Equal(r, http.StatusPermanentRedirect, New(r, url, doc).Do("GET", "/a").Status)
	})
	require.Equal(t, []string{`contract broken: GET /a: 308: a: response header "X-Reason" missing`}, got)
}

func TestClientFindsTheOperationOverAllDocuments(t *testing.T) {
	answering := func(id, path, method, status string) *openapi3.T {
		return parse(t, `{openapi: 3.0.3, info: {title: t, version: "1"}, paths: {"`+path+`": {`+method+
			`: {operationId: `+id+`, responses: {"`+status+`": {description: d}}}}}}`)
	}
	tests := []struct {
		name string
		docs []*openapi3.T
		want string // what fails when the server answers 404 to /a/b, without a body
	}{
		{"the path with fewer parameters, in whichever order the documents come", []*openapi3.T{
			answering("any", "/a/{x}", "get", "200"), answering("one", "/a/b", "get", "404"),
		}, ""},
		{"the path with fewer parameters first", []*openapi3.T{
			answering("one", "/a/b", "get", "404"), answering("any", "/a/{x}", "get", "200"),
		}, ""},
		{"the path that has the method", []*openapi3.T{
			answering("one", "/a/b", "post", "200"), answering("any", "/a/{x}", "get", "404"),
		}, ""},
		{"every document that has the path", []*openapi3.T{
			answering("one", "/a/b", "get", "404"), answering("other", "/a/b", "get", "200"),
		}, "contract broken: GET /a/b: 404: other: status is not documented; body: "},
		{"none with more segments", []*openapi3.T{
			answering("any", "/a/b/{x}", "get", "404"),
		}, "contract broken: GET /a/b: 404: the path is in no document and under no x-prefixes"},
	}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := failures(t, func(r *recorder) { New(r, url, tt.docs...).Do("GET", "/a/b") })
			require.Equal(t, tt.want, strings.Join(got, "\n"))
		})
	}
}

func TestAPathParameterIsOneSegmentThatIsNotEmpty(t *testing.T) {
	for path, want := range map[string]bool{
		"/cards/103169946/pin": true,
		"/cards/a%2Fb/pin":     true,
		"/cards//pin":          false,
		"/cards/a/b/pin":       false,
		"/cards/a/pins":        false,
	} {
		require.Equal(t, want, matches("/cards/{publicToken}/pin", path), path)
	}
}

func TestClientTakesTheDocumentWithTheLongestPrefix(t *testing.T) {
	with := func(prefixes, header string) *openapi3.T {
		return parse(t, `{openapi: 3.0.3, info: {title: t, version: "1"}, paths: {}, x-prefixes: `+prefixes+
			`, x-error-response: E, components: {responses: {E: {description: d, headers: {`+header+
			`: {required: true, schema: {type: string}}}}}}}`)
	}
	url := serve(t, http.NotFoundHandler())
	docs := []*openapi3.T{with("[/a/b]", "X-Long"), with("[/, /a]", "X-Short")}
	for path, want := range map[string]string{
		"/a/b":   "X-Long",
		"/a/b/c": "X-Long",
		"/a/bc":  "X-Short",
		"/z":     "X-Short",
	} {
		t.Run(path, func(t *testing.T) {
			got := failures(t, func(r *recorder) { New(r, url, docs...).Do("GET", path) })
			require.Contains(t, strings.Join(got, "\n"), `"`+want+`" missing`)
		})
	}
}

func TestNewRefusesDocumentsThatItCannotRead(t *testing.T) {
	for name, change := range map[string][2]string{
		"x-error-response names no response": {"x-error-response: Problem", "x-error-response: Trouble"},
		"x-prefixes is no list":              {"x-prefixes: [/api/v1, /connect]", "x-prefixes: /api/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := load(t, "cards.yaml", change[0], change[1])
			got := failures(t, func(r *recorder) { New(r, "http://localhost", doc) })
			require.Len(t, got, 1)
		})
	}
}

func TestClientIsARoundTripper(t *testing.T) {
	s := &sandbox{lie: func(r *Reply) { r.Status = http.StatusTeapot }}
	url := serve(t, s)
	doc := load(t, "cards.yaml")
	got := failures(t, func(r *recorder) {
		sdk := http.Client{Transport: New(r, url, doc)}
		response, err := sdk.Get(url + "/api/v1/certificate")
		require.NoError(r, err)
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		require.NoError(r, err)
		require.Contains(r, string(body), "Unauthorized", "the caller still gets the body")
	})
	require.Len(t, got, 1)
	require.Contains(t, got[0], "418: getCertificate: status is not documented")
}

func TestNoReplyFailsTheTest(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	got := failures(t, func(r *recorder) {
		require.Zero(r, New(r, url).Do("GET", "/a").Status)
	})
	require.Len(t, got, 1)
	require.Contains(t, got[0], "GET /a: no reply: ")
}

func TestReplyAccessorsEndTheTest(t *testing.T) {
	reply := Reply{Status: 200, Body: []byte(`{"a/b":[{"~":"deep"}],"n":1}`), t: t, request: "GET /"}
	require.Equal(t, "deep", reply.Text("/a~1b/0/~0"))
	require.Equal(t, map[string]any{"~": "deep"}, reply.JSON("/a~1b/0"))

	tests := []struct {
		name string
		call func(*Reply)
		want string
	}{
		{"another status", func(r *Reply) { r.ExpectStatus(204) }, "GET /: status 200, want 204; body: {"},
		{"no such member", func(r *Reply) { r.JSON("/x") }, `GET /: nothing at "/x"`},
		{"no such item", func(r *Reply) { r.JSON("/a~1b/1") }, `GET /: nothing at "/a~1b/1"`},
		{"a pointer without its slash", func(r *Reply) { r.JSON("n") }, `GET /: nothing at "n"`},
		{"nothing below a number", func(r *Reply) { r.JSON("/n/0") }, `GET /: nothing at "/n/0"`},
		{"no string", func(r *Reply) { r.Text("/n") }, `GET /: no string at "/n"`},
		{"no JSON", func(r *Reply) { r.Body = nil; r.JSON("") }, "GET /: body is not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := failures(t, func(r *recorder) {
				failing := reply
				failing.t = r
				tt.call(&failing)
			})
			require.Len(t, got, 1)
			require.Contains(t, got[0], tt.want)
		})
	}
}
