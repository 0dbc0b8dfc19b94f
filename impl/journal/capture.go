package journal

import (
	"context"
	"io"
	"net/http"
	"time"

	"pinvault/impl/contract"
)

// Handler keeps the calls that next answers. A call whose handler panics was cut.
func (j *Journal) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !watched(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		j.capture(next, w, r)
	})
}

func (j *Journal) capture(next http.Handler, w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	e := &Entry{at: j.now(), method: r.Method, host: r.Host, path: r.URL.RequestURI(), target: r.RequestURI, remote: r.RemoteAddr, secure: r.TLS != nil, header: fields(r.Header)}
	if e.target == "" || e.target[0] != '/' {
		e.target = e.path
	}
	t := &tap{reply: reply{ResponseWriter: w, entry: e}, request: request{entry: e, length: r.ContentLength}}
	if slot, _ := r.Context().Value(slotKey{}).(*slot); slot != nil {
		slot.entry = e
	}
	ctx := contract.Listen(context.WithValue(r.Context(), entryKey{}, e), e)
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		t.request.ReadCloser, r.Body = r.Body, &t.request
	}
	returned := false
	defer func() { // in a panic too, which goes on
		if !returned {
			e.NoteCut()
		} else if e.status == 0 {
			e.status = http.StatusOK // as net/http says where a handler says nothing
		}
		if returned && r.Header.Get("Expect") == "" {
			t.request.rest()
		}
		e.replied, e.took = fields(w.Header()), time.Since(began)
		j.keep(e)
	}()
	next.ServeHTTP(&t.reply, r)
	returned = true
}

// tap is what a call's body and its reply go through.
type tap struct {
	reply   reply
	request request
}

// request keeps what is read of a body.
type request struct {
	io.ReadCloser
	entry  *Entry
	length int64 // as it was said, -1 where it was not
	ended  bool
}

func (q *request) Read(p []byte) (int, error) {
	n, err := q.ReadCloser.Read(p)
	if n > 0 {
		if q.entry.sent.kept == nil && q.length > 0 {
			q.entry.sent.kept = make([]byte, 0, min(q.length, maxBody))
		}
		q.entry.sent.add(p[:n])
	}
	q.ended = q.ended || err != nil
	return n, err
}

// rest reads what nobody asked for, such as the body of a call that was not admitted. One that is longer than what is
// kept, or whose length is not known, is not waited for.
func (q *request) rest() {
	if q.ReadCloser == nil || q.ended {
		return
	}
	q.entry.sent.more = q.entry.sent.more || q.length > maxBody
	if q.length <= maxBody && q.length > int64(len(q.entry.sent.kept)) {
		_, _ = io.Copy(io.Discard, q) // what cannot be read was not sent
	}
}

// reply keeps what is answered.
type reply struct {
	http.ResponseWriter
	entry *Entry
}

func (p *reply) WriteHeader(status int) {
	if p.entry.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		p.entry.status = status
	}
	p.ResponseWriter.WriteHeader(status)
}

func (p *reply) Write(data []byte) (int, error) {
	p.wrote()
	p.entry.answer.add(data)
	return p.ResponseWriter.Write(data)
}

func (p *reply) WriteString(text string) (int, error) {
	p.wrote()
	p.entry.answer.add([]byte(text))
	return io.WriteString(p.ResponseWriter, text)
}

func (p *reply) wrote() {
	if p.entry.status == 0 {
		p.entry.status = http.StatusOK
	}
}

// Flush sends what is written so far.
func (p *reply) Flush() {
	p.wrote()
	_ = http.NewResponseController(p.ResponseWriter).Flush() // a writer that cannot keeps it
}

// Unwrap is for [http.ResponseController].
func (p *reply) Unwrap() http.ResponseWriter { return p.ResponseWriter }
