package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/oauth"
	"pinvault/impl/pin"
)

// lastLine is the last line of a log.
func lastLine(t *testing.T, log *bytes.Buffer) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &line))
	require.Equal(t, 1, strings.Count(log.String(), `"msg":"request"`), "an error is noted once")
	return line
}

func TestEveryErrorGoesOutByTheOneExit(t *testing.T) {
	t.Parallel()
	database := &pin.Error{Code: pin.Unavailable, Err: errors.New("connection refused")}
	for _, test := range []struct {
		name    string
		fixture fixture
		method  string
		path    string
		bearer  string

		status    int
		operation string // that the contract was told
		level     string
		code      string
		client    string
		text      string // of the error in the log
	}{
		{name: "an unknown path", method: "GET", path: "/fixture/x/y", status: 404, level: "INFO", code: "broken"},
		{name: "an unknown method", method: "PUT", path: "/fixture/x", status: 405, level: "INFO", code: "broken"},
		{name: "a broken contract", method: "POST", path: "/fixture/X", status: 400, operation: "shout", level: "INFO", code: "broken"},
		{name: "no token", method: "GET", path: "/fixture/x", status: 401, operation: "look", level: "INFO", code: "unauthorized"},
		{name: "a token without the scope", method: "GET", path: "/fixture/x", bearer: "no-scope",
			status: 403, operation: "look", level: "INFO", code: "forbidden", client: "c"},
		{name: "a token of another contract", method: "GET", path: "/fixture/x", bearer: "other-contract",
			status: 401, operation: "look", level: "INFO", code: "unauthorized", client: "c"},
		{name: "an error of a handler", fixture: fixture{err: database}, method: "POST", path: "/fixture/x",
			status: 503, operation: "shout", level: "ERROR", code: "unavailable", text: "unavailable: connection refused"},
		{name: "a wrong secret", fixture: fixture{err: &pin.Error{Code: pin.Unauthorized, Client: "partner"}}, method: "POST", path: "/fixture/x",
			status: 401, operation: "shout", level: "INFO", code: "unauthorized", client: "partner"},
		{name: "a panic", fixture: fixture{shout: func(*gin.Context) { panic("x") }}, method: "POST", path: "/fixture/x",
			status: 500, operation: "shout", level: "ERROR", code: "internal", text: "internal: panic"},
		{name: "an error without a row", fixture: fixture{err: errRowless}, method: "POST", path: "/fixture/x",
			status: 500, operation: "shout", level: "ERROR", code: "internal", text: "internal: contract fixture has no reply to: rowless"},
		{name: "words of generated code, which may quote the request", fixture: fixture{err: &gin.Error{Err: errors.New("4826"), Type: gin.ErrorTypeBind}},
			method: "POST", path: "/fixture/x", status: 400, operation: "shout", level: "INFO", code: "broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := &bytes.Buffer{}
			app := serverOf(t, log, func(o *Options) { o.Contracts[0].API = test.fixture })
			w := send(t, app, test.method, test.path, map[string]string{"Authorization": "Bearer " + test.bearer})
			require.Equal(t, test.status, w.Code)
			require.JSONEq(t, `{"fixture":true}`, w.Body.String())
			require.Equal(t, "application/fixture+json", w.Header().Get("Content-Type"))
			require.Equal(t, test.operation, w.Header().Get("X-Operation"))
			line := lastLine(t, log)
			require.Equal(t, test.level, line["level"])
			require.Equal(t, test.code, line["code"])
			require.Equal(t, test.client, line["client"])
			require.EqualValues(t, test.status, line["status"])
			if test.text == "" {
				require.NotContains(t, line, "error")
			} else {
				require.Equal(t, test.text, line["error"])
			}
		})
	}
}

// A contract that has not even a row for a fault of its own is answered for all the same, and never with a 200.
func TestAContractWithoutAnyRowIsA500(t *testing.T) {
	t.Parallel()
	log := &bytes.Buffer{}
	app := serverOf(t, log, func(o *Options) { o.Contracts[0].API = fixture{err: errors.New("any"), rowless: true} })
	w := send(t, app, "POST", "/fixture/x", nil)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, "internal: contract fixture has no reply to: any", lastLine(t, log)["error"])
}

// Nothing is added to a reply that has begun; the log says what came in between.
func TestNothingIsWrittenAfterAReplyHasBegun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fixture fixture
		level   string
	}{
		"an error":           {fixture{shout: func(c *gin.Context) { c.String(http.StatusOK, "half a rep") }, err: errors.New("connection reset")}, "WARN"},
		"a panic":            {fixture{shout: func(c *gin.Context) { c.String(http.StatusOK, "half a rep"); panic("x") }}, "WARN"},
		"no fault of anyone": {fixture{shout: func(c *gin.Context) { c.String(http.StatusOK, "half a rep") }, err: &pin.Error{Code: pin.Forbidden}}, "INFO"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &bytes.Buffer{}
			app := serverOf(t, log, func(o *Options) { o.Contracts[0].API = test.fixture })
			w := send(t, app, "POST", "/fixture/x", nil)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "half a rep", w.Body.String())
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			line := lastLine(t, log)
			require.Equal(t, test.level, line["level"])
			require.Equal(t, test.level == "WARN", line["error"] != nil)
		})
	}
}

// wrongSecret refuses every client, as the vault does.
type wrongSecret struct{ Tokens }

func (wrongSecret) Exchange(context.Context, oauth.Request, string, time.Duration) (oauth.Token, error) {
	return oauth.Token{}, &oauth.Error{Code: oauth.InvalidClient, Status: http.StatusUnauthorized, Err: &pin.Error{Code: pin.Unauthorized, Client: "partner"}}
}

func TestAWrongSecretIsLoggedAsSuchWithItsClient(t *testing.T) {
	t.Parallel()
	log := &bytes.Buffer{}
	app := serverOf(t, log, func(o *Options) { o.Tokens = wrongSecret{} })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth2/token", strings.NewReader("grant_type=client_credentials&client_id=partner&client_secret=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.JSONEq(t, `{"error":"invalid_client"}`, w.Body.String())
	require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
	line := lastLine(t, log)
	require.Equal(t, "unauthorized", line["code"])
	require.Equal(t, "partner", line["client"])
}

// What a contract has a row of its own for is named by the row's status.
func TestCodesOfErrorsThatAreNotTheVaults(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{400: "refused", 401: "unauthorized", 403: "forbidden", 404: "not_found", 200: "refused", 500: "internal", 503: "unavailable"} {
		o := observation{failed: errors.New("a row"), answer: status}
		require.Equal(t, want, o.code(), status)
		o.failed = &pin.Error{Code: pin.WrongPIN}
		require.Equal(t, "wrong_pin", o.code(), status)
		o.failed = contract.Broken{{In: contract.InPath, Rule: contract.RuleRoute}}
		require.Equal(t, "broken", o.code(), status)
	}
}
