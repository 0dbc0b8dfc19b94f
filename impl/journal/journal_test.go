package journal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/generated/sandbox"
	"pinvault/impl/contract"
	"pinvault/impl/journal"
	"pinvault/impl/pin"
	"pinvault/openapi"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// reader reads entries of the contracts.
func reader(t testing.TB, contracts ...string) *journal.Reader {
	t.Helper()
	documents := map[string]*contract.Document{}
	for _, name := range contracts {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		documents[name] = d
	}
	return journal.NewReader(journal.Reading{Documents: documents,
		Docs:     func(contract, row string) string { return "/docs/" + contract + "#" + row },
		CardName: func(id string) string { return map[string]string{"c1": "normal"}[id] },
	})
}

func fresh(t testing.TB, contracts ...string) *journal.Journal {
	t.Helper()
	return journal.New(journal.Options{Reader: reader(t, contracts...), Now: func() time.Time { return noon }})
}

// call sends a request through the journal to a handler.
func call(t testing.TB, j *journal.Journal, h http.HandlerFunc, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	j.Handler(h).ServeHTTP(w, r)
	return w
}

// answer is a handler with one reply.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func numbers(all []sandbox.Entry) []int64 {
	var out []int64
	for _, e := range all {
		out = append(out, e.Number)
	}
	return out
}

func TestACallIsShownAsItWas(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	w := call(t, j, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e := journal.From(r.Context())
		e.NoteOperation("fax", "sendFax")
		e.NoteClient("fax-client")
		e.NoteRule("slow", "", "")
		contract.Opened(r.Context(), []byte(`{"pin":"7010","a":1}`))
		contract.Inside(r.Context(), []byte(`{"pin":"7010","b":2}`))
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body)
	}, http.MethodPost, "/fax?pan=9999990000000014", `{"pin": "7010"}`, "Content-Type", "application/json", "Authorization", "Bearer abc", "X-Twice", "1", "X-Twice", "2")
	require.Equal(t, `{"pin": "7010"}`, w.Body.String(), "the caller is told everything")
	got := j.List(journal.Filter{})
	require.Len(t, got, 1)
	got[0].Ms = 0
	require.Equal(t, sandbox.Entry{
		Number: 1, At: noon, Contract: new("fax"), Operation: new("sendFax"), Client: new("fax-client"), Rule: new("slow"),
		Request: sandbox.EntryRequest{Method: "POST", Path: "/fax?pan=999999******0014", Body: new(`{"pin": "****"}`), Opened: new(`{"pin":"****","a":1}`),
			Header: map[string]string{"Content-Type": "application/json", "Authorization": "Bearer ****", "X-Twice": "1, 2"}},
		Reply: sandbox.EntryReply{Status: new(int32(202)), Body: new(`{"pin": "****"}`), Opened: new(`{"pin":"****","b":2}`),
			Header: map[string]string{"Content-Type": "application/json", "Set-Cookie": "a=****"}},
		Cards: []sandbox.EntryCard{},
		Curl: `curl -X POST 'http://example.com/fax?pan=999999******0014' -H 'Authorization: Bearer ****' -H 'Content-Type: application/json' ` +
			`-H 'X-Twice: 1' -H 'X-Twice: 2' --data-raw '{"pin": "****"}'`,
	}, got[0])
}

func TestNobodyNeedsAnEntryToNote(t *testing.T) {
	t.Parallel()
	e := journal.From(context.Background())
	require.Nil(t, e)
	e.NoteOperation("", "")
	e.NoteClient("")
	e.NoteRule("", "", "")
	e.NoteCut()
	e.NoteOpened(nil)
	e.NoteInside(nil)
	e.NoteFound(pin.CardRow{})
	e.NoteChanged(pin.CardRow{}, pin.CardRow{})
}

func TestCallsOfTheSandboxItselfAndOfPagesAreNotKept(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	for _, path := range []string{"/", "/sandbox", "/sandbox/journal", "/docs", "/docs/thredd", "/openapi/thredd.yaml", "/metrics", "/favicon.ico", "/sandboxes", "/docsx", "/livez"} {
		call(t, j, func(w http.ResponseWriter, r *http.Request) {
			_, known := w.(*httptest.ResponseRecorder)
			assert.Equal(t, journal.From(r.Context()) == nil, known, path)
		}, http.MethodGet, path, "")
	}
	got := j.List(journal.Filter{})
	require.Len(t, got, 3)
	require.Equal(t, "/livez", got[0].Request.Path)
}

func TestBodiesAreKeptUpToABound(t *testing.T) {
	t.Parallel()
	const bound = 64 << 10
	for sent, more := range map[int]bool{0: false, 1: false, bound: false, bound + 1: true, 3 * bound: true} {
		for how, read := range map[string]http.HandlerFunc{
			"all is read": func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
			"a part is read": func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.CopyN(io.Discard, r.Body, 10)
				_, _ = io.WriteString(w, strings.Repeat("x", sent))
			},
			"nothing is read": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", sent))) },
		} {
			j := fresh(t)
			require.Equal(t, sent, call(t, j, read, http.MethodPost, "/a", strings.Repeat("x", sent)).Body.Len())
			e := j.List(journal.Filter{})[0]
			if sent == 0 {
				require.Nil(t, e.Request.Body)
				continue
			}
			require.Equal(t, more, e.Request.Truncated != nil, "%d, %s", sent, how)
			require.Equal(t, more, e.Reply.Truncated != nil, "%d, %s", sent, how)
			require.Len(t, *e.Reply.Body, min(sent, bound))
			if !more || how == "all is read" {
				require.Len(t, *e.Request.Body, min(sent, bound), "%d, %s", sent, how)
			}
		}
	}
}

// A caller who waits to be asked for a body, or sends it bit by bit, gets the answer first.
func TestABodyThatNobodyAsksForIsNotWaitedForWhereItMayNotCome(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
		func(r *http.Request) { r.ContentLength = -1 },
		func(r *http.Request) { r.ContentLength = 1 << 20 },
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/a", strings.NewReader("x"))
		r.Body = io.NopCloser(unread{t})
		change(r)
		j.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
	}
	require.Len(t, j.List(journal.Filter{}), 3)
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestACallThatWasCutIsKept(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		call(t, j, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, http.MethodGet, "/a", "")
	})
	call(t, j, func(http.ResponseWriter, *http.Request) {}, http.MethodGet, "/b", "")
	got := j.List(journal.Filter{})
	require.Nil(t, got[0].Cut)
	require.Equal(t, new(int32(200)), got[0].Reply.Status, "as net/http says where a handler says nothing")
	require.Equal(t, new(true), got[1].Cut)
	require.Nil(t, got[1].Reply.Status)
}

func TestTheLatestCallsAreKept(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	for range 1003 {
		call(t, j, answer(200, "text/plain", "x"), http.MethodGet, "/a", "")
	}
	all := numbers(j.List(journal.Filter{}))
	require.Len(t, all, 1000)
	require.Equal(t, int64(1003), all[0])
	require.Equal(t, int64(4), all[999])
	require.Equal(t, []int64{1003, 1002}, numbers(j.List(journal.Filter{Limit: 2})))
	require.Equal(t, []int64{5, 4}, numbers(j.List(journal.Filter{Limit: 2, Before: 6})))
	require.Empty(t, j.List(journal.Filter{Before: 4}))
	j.Clear()
	require.Empty(t, j.List(journal.Filter{}))
	call(t, j, answer(200, "text/plain", "x"), http.MethodGet, "/a", "")
	require.Equal(t, []int64{1004}, numbers(j.List(journal.Filter{})), "numbers go on")
	j.Reset()
	require.Empty(t, j.List(journal.Filter{}))
	call(t, j, answer(200, "text/plain", "x"), http.MethodGet, "/a", "")
	require.Equal(t, []int64{1}, numbers(j.List(journal.Filter{})))
}

func TestFewerAreKeptWhereTheyAreLarge(t *testing.T) {
	t.Parallel()
	j, large := fresh(t), `"`+strings.Repeat("x", 60<<10)+`"`
	for range 300 {
		call(t, j, answer(200, "text/plain", large), http.MethodPost, "/a", large)
	}
	all := numbers(j.List(journal.Filter{}))
	require.Equal(t, int64(300), all[0])
	require.InDelta(t, 4<<20/(120<<10), len(all), 2)
}

func TestCallsAreChosenByWhatTheyWere(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	for i, c := range []struct{ client, operation, row, card string }{
		{"a", "getPin", "getPin/read", "c1"}, {"b", "getPin", "getPin/lost", "c2"}, {"a", "setPin", "setPin/read", "c1"}, {},
	} {
		call(t, j, func(_ http.ResponseWriter, r *http.Request) {
			e := journal.From(r.Context())
			e.NoteClient(c.client)
			e.NoteOperation("fax", c.operation)
			e.NoteRule("header", c.row, "")
			if c.card != "" {
				e.NoteFound(pin.CardRow{ID: c.card})
				e.NoteFound(pin.CardRow{ID: c.card})
			}
		}, http.MethodGet, fmt.Sprint("/", i), "")
	}
	for _, c := range []struct {
		filter journal.Filter
		want   []int64
	}{
		{journal.Filter{}, []int64{4, 3, 2, 1}},
		{journal.Filter{Client: "a"}, []int64{3, 1}},
		{journal.Filter{Client: "c"}, nil},
		{journal.Filter{Operation: "getPin"}, []int64{2, 1}},
		{journal.Filter{Card: "c1"}, []int64{3, 1}},
		{journal.Filter{Row: "read"}, []int64{3, 1}},
		{journal.Filter{Row: "getPin/read"}, []int64{1}},
		{journal.Filter{Row: "getPin"}, nil},
		{journal.Filter{Client: "a", Operation: "getPin", Card: "c1", Row: "read"}, []int64{1}},
		{journal.Filter{Client: "a", Limit: 1}, []int64{3}},
	} {
		require.Equal(t, c.want, numbers(j.List(c.filter)), "%+v", c.filter)
	}
	first := j.List(journal.Filter{Before: 2})[0]
	require.Equal(t, new("/docs/fax#getPin/read"), first.Docs)
	require.Equal(t, []sandbox.EntryCard{{CardID: "c1", Name: new("normal"), Changes: []sandbox.EntryChange{}}}, first.Cards)
}

// What goes on after the reply, and in other goroutines meanwhile, cannot spoil an entry.
func TestWhatIsNotedAfterTheReplyIsOfNoCall(t *testing.T) {
	t.Parallel()
	j := fresh(t)
	var e *journal.Entry
	done := make(chan struct{})
	call(t, j, func(_ http.ResponseWriter, r *http.Request) {
		e = journal.From(r.Context())
		go func() {
			defer close(done)
			e.NoteFound(pin.CardRow{ID: "c1"})
		}()
		<-done
	}, http.MethodGet, "/a", "")
	e.NoteClient("late")
	got := j.List(journal.Filter{})[0]
	require.Nil(t, got.Client)
	require.Len(t, got.Cards, 1)
}
