package journal_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pinvault/impl/journal"
	"pinvault/impl/pin"
)

// nobody is a caller who does not listen.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header            { return n.header }
func (n *nobody) Write(data []byte) (int, error) { return len(data), nil }
func (n *nobody) WriteHeader(int)                {}

// What a call pays: a body read, a reply written, and a card changed, with the journal and without.
func BenchmarkACall(b *testing.B) {
	j := journal.New(journal.Options{Reader: journal.NewReader(journal.Reading{})})
	row := pin.CardRow{ID: "c", Details: make([]byte, 600), Value: make([]byte, 300)}
	reply := []byte(`{"pin":"7010"}`)
	scratch := make([]byte, 512)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := r.Body.Read(scratch); err != nil {
				break
			}
		}
		e := journal.From(r.Context())
		e.NoteOperation("thredd", "setCardPin")
		e.NoteClient("thredd-sandbox")
		e.NoteFound(row)
		e.NoteChanged(row, row)
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(reply)
	})
	body := strings.NewReader(`{"pin":"7010","description":"a reason"}`)
	for name, h := range map[string]http.Handler{"with": j.Handler(inner), "without": inner} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/cards/103169946/pin", body)
			r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer x"}, "Accept": {"*/*"}, "User-Agent": {"x"}, "Idempotencykey": {"k"}}
			w := &nobody{header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(`{"pin":"7010","description":"a reason"}`)
				r.Body = io.NopCloser(body)
				h.ServeHTTP(w, r)
			}
		})
	}
}
