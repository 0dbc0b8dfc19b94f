package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"pinvault/generated/sandbox"
	"pinvault/impl/pin"
)

// slot is where a replay finds the entry that it made.
type slot struct{ entry *Entry }

type slotKey struct{}

// Replay sends the request of an entry again to the space's handler, which has the journal's, and returns the entry that
// it makes: NotFound for one that is not kept. Of a body that is longer than what is kept, that is sent.
func (j *Journal) Replay(ctx context.Context, number int64, space http.Handler) (sandbox.Entry, error) {
	e := j.entry(number)
	if e == nil {
		return sandbox.Entry{}, &pin.Error{Code: pin.NotFound}
	}
	made := &slot{}
	own, cancel := context.WithCancel(context.WithValue(context.Background(), slotKey{}, made)) // a call of its own, which ends with this one
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	r, err := e.again(own)
	if err != nil {
		return sandbox.Entry{}, err
	}
	deliver(space, r)
	if made.entry == nil { // a handler without a journal
		return sandbox.Entry{}, &pin.Error{Code: pin.Internal}
	}
	return j.reader.Entry(made.entry), nil
}

// again is the request as it came.
func (e *Entry) again(ctx context.Context) (*http.Request, error) {
	at, err := url.ParseRequestURI(e.path)
	if err != nil {
		return nil, &pin.Error{Code: pin.Internal, Err: errors.New("a path that cannot be read")}
	}
	r := (&http.Request{Method: e.method, URL: at, Host: e.host, RequestURI: e.target, RemoteAddr: e.remote,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody}).WithContext(ctx)
	for _, f := range e.header {
		r.Header[f.name] = append(r.Header[f.name], f.value)
	}
	if len(e.sent.kept) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(e.sent.kept)), int64(len(e.sent.kept))
	}
	return r, nil
}

// deliver has a request answered to nobody, be it that the connection is cut.
func deliver(h http.Handler, r *http.Request) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is panicked as it is
			panic(p)
		}
	}()
	h.ServeHTTP(&nobody{header: http.Header{}}, r)
}

// nobody is a caller who does not listen.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header            { return n.header }
func (n *nobody) Write(data []byte) (int, error) { return len(data), nil }
func (n *nobody) WriteHeader(int)                {}
