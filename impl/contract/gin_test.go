package contract_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/runtime"
	"github.com/stretchr/testify/require"
)

// gin's mode is the process's, and tests make engines side by side.
func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// engine serves the routes of cards.yaml as a partner package does. reached takes the operations
// whose handlers ran.
func engine(t testing.TB, configure func(*gin.Engine)) (*gin.Engine, *[]string) {
	t.Helper()
	reached := &[]string{}
	e := gin.New()
	if configure != nil {
		configure(e)
	}
	e.HandleMethodNotAllowed = true
	d := load(t)
	e.Use(d.Middleware(func(c *gin.Context, err error) { c.String(http.StatusBadRequest, err.Error()) }, nil))
	for _, op := range d.Operations() {
		e.Handle(op.Method, op.GinPath, func(c *gin.Context) {
			*reached = append(*reached, op.ID)
			var bound setPinBody
			if op.ID == "setPin" {
				// As the generated handler takes it.
				value := c.Request.Body.(interface{ ValidatedValue() any }).ValidatedValue()
				require.NoError(t, runtime.BindJSONValue(value, &bound))
			}
			c.String(http.StatusOK, c.Param("publicToken")+" "+bound.Pin)
		})
	}
	e.GET("/undescribed/:id", func(*gin.Context) { *reached = append(*reached, "undescribed") })
	return e, reached
}

func serve(e *gin.Engine, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", jsonType)
	}
	e.ServeHTTP(w, r)
	return w
}

func TestMiddlewareLetsOnlyWhatKeepsTheContractReachAHandler(t *testing.T) {
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		reply                      string
	}{
		{"kept", "POST", "/zeta/103169946/pin", `{"pin":"1234","PIN":"0"}`, 200, "103169946 1234"},
		{"a bad body", "POST", "/zeta/103169946/pin", `{"pin":"1"}`, 400, "body /pin: minLength 4; body /pin: pattern ^[0-9]{4}$"},
		{"kept, without parameters in the path", "GET", "/search?kind=pan", "", 200, " "},
		{"a bad path", "GET", "/zeta/x/pin", "", 400, "path publicToken: pattern ^[0-9]{9}$"},
		{"NUL in the path", "GET", "/zeta/10316994%00/pin", "", 400, "path publicToken: characters"},
		{"bad UTF-8 in the path", "GET", "/zeta/10316994%ff/pin", "", 400, "path publicToken: characters"},
		{"an escaped percent sign, which is decoded once", "GET", "/zeta/10316994%2536/pin", "", 400, "path publicToken: pattern ^[0-9]{9}$"},
		{"an escaped digit", "GET", "/zeta/10316994%36/pin", "", 200, "103169946 "},
		{"an escaped slash, which gin takes for one", "GET", "/zeta/1031%2F946/pin", "", 404, "404 page not found"},
		{"no such route", "GET", "/nowhere", "", 404, "404 page not found"},
		{"no such method", "DELETE", "/zeta/103169946/pin", "", 405, "405 method not allowed"},
		{"a route that the document does not describe", "GET", "/undescribed/1", "", 400, "path: operation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, reached := engine(t, nil)
			w := serve(e, c.method, c.target, c.body)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.reply, w.Body.String())
			require.Equal(t, c.status == http.StatusOK, len(*reached) == 1)
		})
	}
}

func TestAnEscapedSlashIsCheckedAsTheHandlerWouldGetIt(t *testing.T) {
	e, reached := engine(t, func(e *gin.Engine) { e.UseRawPath, e.UnescapePathValues = true, true })
	w := serve(e, "GET", "/zeta/1031%2F9946/pin", "")
	require.Equal(t, "path publicToken: pattern ^[0-9]{9}$", w.Body.String())
	require.Empty(t, *reached)
	require.Equal(t, http.StatusOK, serve(e, "GET", "/zeta/10316994%36/pin", "").Code)
}
