package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// script is a rehearsal that has every call come to the same.
type script struct {
	end    error
	asked  *[]string
	called *[]string
}

type scripted struct{}

func (s script) Rehearse(r *http.Request, d *contract.Document, op *contract.Operation) (context.Context, error) {
	*s.asked = append(*s.asked, d.Name()+" "+op.ID)
	return context.WithValue(r.Context(), scripted{}, true), s.end
}

func (s script) Admit(r *http.Request) error {
	if r.Header.Get("Nowhere") != "" {
		return &contract.Told{Reply: contract.JSON(http.StatusGone, "application/json", "nowhere"), Outside: true}
	}
	return nil
}

func (s script) Called(ctx context.Context, client string) {
	if ctx.Value(scripted{}) != true {
		panic("another context than the rehearsal's")
	}
	*s.called = append(*s.called, client)
}

// Who is not admitted gets nowhere: not to an operation, nor to what no document has.
func TestNobodyPassesARehearsalThatDoesNotAdmit(t *testing.T) {
	t.Parallel()
	var asked, called []string
	app := serverOf(t, &bytes.Buffer{}, func(o *Options) { o.Rehearsal = script{nil, &asked, &called} })
	for _, path := range []string{"/livez", "/metrics", "/nowhere", "/"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.Header.Set("Nowhere", "yes")
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		require.Equal(t, http.StatusGone, w.Code, path)
		require.JSONEq(t, `"nowhere"`, w.Body.String(), path)
	}
	require.Empty(t, asked)
}

// sealing is the fixture contract, which seals what is inside of replies for callers whom it knows.
type sealing struct{ fixture }

var errNoKey = errors.New("no key")

func (sealing) Seal(r *http.Request, message []byte) ([]byte, error) {
	who := pin.CallerFrom(r.Context()).ClientID
	if who == "" {
		return nil, errNoKey
	}
	return []byte("sealed for " + who + ": " + string(message)), nil
}

func TestARehearsalDecidesHowACallEnds(t *testing.T) {
	t.Parallel()
	plain := &contract.Told{Reply: contract.JSON(http.StatusTeapot, "application/json", "told")}
	good := &contract.Told{Reply: contract.JSON(http.StatusOK, "application/json", "told")}
	sealed := &contract.Told{Reply: contract.Reply{Status: http.StatusConflict, Header: http.Header{}, Message: []byte("inside")}}
	for _, test := range []struct {
		name           string
		api            API
		end            error
		method, bearer string

		status int
		body   string
		called []string
	}{
		{"nothing else", fixture{}, nil, "GET", "good", 200, `{"ClientID":"c"`, []string{"c"}},
		{"nothing else, of a public operation", fixture{}, nil, "POST", "", 200, "", nil},
		{"a reply that it was told", fixture{}, plain, "GET", "good", 418, `"told"`, []string{"c"}},
		{"the same for nobody", fixture{}, plain, "GET", "", 418, `"told"`, []string{""}},
		{"the same of a public operation", fixture{}, plain, "POST", "", 418, `"told"`, nil},
		{"a success", fixture{}, good, "GET", "", 200, `"told"`, []string{""}},
		{"a sealed reply", sealing{}, sealed, "GET", "good", 409, "sealed for c: inside", []string{"c"}},
		{"a sealed reply for nobody", sealing{}, sealed, "GET", "", 500, `{"fixture":true}`, []string{""}},
		{"a sealed reply of a contract that seals none", fixture{}, sealed, "GET", "good", 500, `{"fixture":true}`, []string{"c"}},
		{"an error of the vault", fixture{}, &pin.Error{Code: pin.Unavailable}, "GET", "good", 503, `{"fixture":true}`, []string{"c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var asked, called []string
			app := serverOf(t, &bytes.Buffer{}, func(o *Options) {
				o.Contracts[0].API, o.Rehearsal = test.api, script{test.end, &asked, &called}
			})
			r := httptest.NewRequestWithContext(t.Context(), test.method, "/fixture/x", http.NoBody)
			if test.bearer != "" {
				r.Header.Set("Authorization", "Bearer "+test.bearer)
			}
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code, w.Body)
			require.Contains(t, w.Body.String(), test.body)
			require.Equal(t, []string{"fixture " + map[string]string{"GET": "look", "POST": "shout"}[test.method]}, asked)
			require.Equal(t, test.called, called)
		})
	}
}

func TestACutConnectionGetsNoReply(t *testing.T) {
	t.Parallel()
	var asked, called []string
	app := serverOf(t, &bytes.Buffer{}, func(o *Options) { o.Rehearsal = script{contract.Cut, &asked, &called} })
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/fixture/x", http.NoBody)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { app.ServeHTTP(httptest.NewRecorder(), r) })
	require.Len(t, asked, 1)
}
