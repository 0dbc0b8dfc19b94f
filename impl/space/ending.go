package space

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// ending is what is to become of a reply when it goes out. Rules say so while the request is served.
type ending struct {
	mu    sync.Mutex
	cut   bool
	delay time.Duration
}

func (e *ending) set(cut bool, delay time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut, e.delay = e.cut || cut, e.delay+delay
}

func (e *ending) get() (cut bool, delay time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cut, e.delay
}

// writer lets a reply go out as its ending says: late, or not at all.
type writer struct {
	http.ResponseWriter
	*ending
	r       *http.Request
	sleep   Sleep
	release func() // lets the database be put back: the call has done what it does
	begun   bool
}

// Sleep waits, unless ctx ends.
type Sleep func(ctx context.Context, d time.Duration)

// grace is what the reply itself may take to be written after it was held back.
const grace = 30 * time.Second

func (w *writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	cut, delay := w.get()
	if delay > 0 {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(delay + grace)) // a test's recorder has none
		w.release()
		w.sleep(w.r.Context(), delay)
	}
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// WriteHeader is http.ResponseWriter's.
func (w *writer) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (w *writer) Write(data []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is http.Flusher's, which gin asks for.
func (w *writer) Flush() {
	w.begin()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// wait is [Sleep] by the machine's clock.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
