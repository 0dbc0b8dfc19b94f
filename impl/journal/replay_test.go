package journal_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/impl/journal"
	"pinvault/impl/pin"
)

func TestACallIsSentAgainAsItCame(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	type arrived struct {
		method, target, host, remote, body string
		length                             int64
		header                             http.Header
	}
	var came []arrived
	space := j.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		came = append(came, arrived{r.Method, r.URL.RequestURI(), r.Host, r.RemoteAddr, string(body), r.ContentLength, r.Header})
		if r.Method == http.MethodDelete {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
	}))
	for _, c := range []struct{ method, target, body string }{{"POST", "/a%2Fb?c=d", `{"pin":"7010"}`}, {"GET", "/a", ""}, {"POST", "/a", strings.Repeat("x", 70<<10)}} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.target, strings.NewReader(c.body))
		r.Header.Add("X-Twice", "1")
		r.Header.Add("X-Twice", "2")
		r.Header.Set("Authorization", "Bearer secret")
		space.ServeHTTP(httptest.NewRecorder(), r)
		number := j.List(journal.Filter{Limit: 1})[0].Number
		made, err := j.Replay(t.Context(), number, space)
		require.NoError(t, err)
		require.Equal(t, number+1, made.Number)
		require.Equal(t, new(int32(http.StatusTeapot)), made.Reply.Status)
		first, second := came[len(came)-2], came[len(came)-1]
		if len(c.body) > 64<<10 { // what is kept
			first.body, first.length = first.body[:64<<10], 64<<10
		}
		require.Equal(t, first, second)
	}
	require.Panics(t, func() {
		space.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "DELETE", "/a", http.NoBody))
	})
	cut, err := j.Replay(t.Context(), 7, space)
	require.NoError(t, err)
	require.Equal(t, new(true), cut.Cut)
}

func TestWhatIsNotKeptIsNotSentAgain(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	space := j.Handler(answer(200, "text/plain", "x"))
	for _, number := range []int64{0, 1, 2, -1} {
		_, err := j.Replay(t.Context(), number, space)
		require.Equal(t, pin.NotFound, pin.CodeOf(err))
	}
	call(t, j, answer(200, "text/plain", "x"), "GET", "/a", "")
	_, err := j.Replay(t.Context(), 1, answer(200, "text/plain", "x"))
	require.Equal(t, pin.Internal, pin.CodeOf(err), "a handler without a journal")
	require.PanicsWithValue(t, "a fault", func() {
		_, _ = j.Replay(t.Context(), 1, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }))
	})
}

// What the call that asks for it has of its own is not of the call that is sent again; but both end together.
func TestACallThatIsSentAgainIsACallOfItsOwn(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	type key struct{}
	call(t, j, answer(200, "text/plain", "x"), "GET", "/a", "")
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "asks"))
	_, err := j.Replay(ctx, 1, j.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Nil(t, r.Context().Value(key{}))
		assert.NoError(t, r.Context().Err())
		cancel()
		<-r.Context().Done()
	})))
	require.NoError(t, err)
}
