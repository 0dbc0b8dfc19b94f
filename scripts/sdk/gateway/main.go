// Command gateway is a server on the way to another that loses the first reply of every call that may be repeated: the
// call has had its effect, and the caller hears 503. A package that does not repeat, repeats otherwise than the contract
// says, or repeats what it may not, does not get through the scenario. It prints its own URL.
//
//	go run ./scripts/sdk/gateway SERVER
package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"pinvault/scripts/proxy"
)

// once are the calls that must arrive once: no document says that they may be repeated.
var once = []string{"POST /connect/token", "POST /hosted/", "POST /sandbox/rules", "POST /sandbox/clock", "POST /sandbox/spaces", "POST /sandbox/snapshots", "POST /sandbox/journal/", "GET /docs", "GET /openapi/"}

// space is what stands before the path of a call in a space.
var space = regexp.MustCompile(`^/spaces/[^/]+`)

// keys are the headers that belong to a call's identity. Others may differ between attempts.
var keys = []string{"Idempotency-Key", "IdempotencyKey", "X-Request-Id"}

func main() {
	proxy.Main("gateway", func(server *url.URL) http.Handler {
		return &losing{next: httputil.NewSingleHostReverseProxy(server), known: map[[sha256.Size]byte]bool{}}
	})
}

// losing forwards calls, and loses the first reply of each.
type losing struct {
	next  http.Handler
	mutex sync.Mutex
	known map[[sha256.Size]byte]bool
}

func (l *losing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !l.loses(r, body) {
		l.next.ServeHTTP(w, r)
		return
	}
	l.next.ServeHTTP(nowhere{http.Header{}}, r)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// loses tells whether a call is one that comes for the first time. One that never comes again stays known, and so
// its caller has to give up.
func (l *losing) loses(r *http.Request, body []byte) bool {
	for _, start := range once {
		if strings.HasPrefix(r.Method+" "+space.ReplaceAllString(r.URL.Path, ""), start) {
			return false
		}
	}
	call := []string{r.Method, r.URL.String(), string(body)}
	for _, key := range keys {
		call = append(call, r.Header.Get(key))
	}
	sum := sha256.Sum256([]byte(strings.Join(call, "\n")))
	l.mutex.Lock()
	defer l.mutex.Unlock()
	lost := !l.known[sum]
	l.known[sum] = lost // the call after the next is another that happens to look the same
	return lost
}

// nowhere is where a lost reply goes.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header          { return n.header }
func (nowhere) Write(text []byte) (int, error) { return len(text), nil }
func (nowhere) WriteHeader(int)                {}
