package contract_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
)

// A handler has the request's own context, by which it reaches the request as it was checked and the headers
// of its reply. gin's context, which another request is given next, is not behind it.
func TestAHandlersContextLeadsToItsRequest(t *testing.T) {
	e := gin.New()
	e.Use(load(t).Middleware(func(_ *gin.Context, err error) { t.Error(err) }, nil))
	var kept []context.Context
	e.POST("/zeta/:publicToken/pin", func(c *gin.Context) {
		kept = append(kept, c.Request.Context())
		contract.ReplyHeader(c.Request.Context()).Set("Idempotent-Replayed", "true")
		c.Status(http.StatusNoContent)
	})
	first := serve(e, "POST", "/zeta/103169946/pin", `{"pin":"1234"}`)
	require.Equal(t, "true", first.Header().Get("Idempotent-Replayed"))
	require.Equal(t, http.StatusNoContent, serve(e, "POST", "/zeta/103169947/pin", `{"pin":"5678"}`).Code)

	of := kept[0]
	require.Equal(t, "/zeta/103169946/pin", contract.Request(of).URL.Path)
	data, value := contract.Sent(contract.Request(of))
	require.Equal(t, `{"pin":"1234"}`, string(data))
	require.Equal(t, map[string]any{"pin": "1234"}, value)
	require.Nil(t, of.Value(gin.ContextKey))

	require.Nil(t, contract.Request(t.Context()))
	contract.ReplyHeader(t.Context()).Set("Of", "nobody")
}

func TestAReplyIsSentWithItsHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Allow", "GET")
	w.Header().Set("Content-Type", "text/plain")
	plain := contract.JSON(http.StatusUnauthorized, "application/problem+json", map[string]string{"a": "<b>"})
	require.NoError(t, plain.With("Www-Authenticate", "Key").With("X-None", "").Send(w))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, `{"a":"\u003cb\u003e"}`, strings.TrimSpace(w.Body.String()))
	require.Equal(t, http.Header{"Allow": {"GET"}, "Content-Type": {"application/problem+json"}, "Www-Authenticate": {"Key"}}, w.Header())
	require.NotContains(t, plain.Header, "Www-Authenticate", "the reply that it was made from is as before")

	none := contract.JSON(http.StatusOK, "application/json", func() {})
	require.Equal(t, contract.Reply{}, none, "what cannot be written is no reply")
	require.Equal(t, "Key", none.With("Www-Authenticate", "Key").Header.Get("WWW-Authenticate"))
}
