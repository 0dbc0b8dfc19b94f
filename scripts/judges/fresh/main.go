// Command fresh passes calls on to a sandbox, and resets it before each: every row of a document is about a sandbox
// as it is after a reset, and a tool that sends them one after the other resets nothing.
//
//	go run ./scripts/judges/fresh URL
//
// It prints the URL at which it listens, and takes one call at a time.
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

func main() {
	if len(os.Args) != 2 { //nolint:mnd // the program and a URL
		fmt.Fprintln(os.Stderr, "usage: fresh URL")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "fresh:", err)
		os.Exit(1)
	}
}

func serve(to string) error {
	sandbox, err := url.Parse(to)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // until the process ends
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(os.Stdout, "http://%s\n", listener.Addr())
	return (&http.Server{Handler: fresh(sandbox), ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// fresh resets the sandbox, then passes the call on.
func fresh(sandbox *url.URL) http.Handler {
	var one sync.Mutex
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(sandbox)
		r.Out.Host = r.In.Host
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		if err := reset(r, sandbox); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

func reset(r *http.Request, sandbox *url.URL) error {
	call, err := http.NewRequestWithContext(r.Context(), http.MethodPost, sandbox.JoinPath("sandbox", "reset").String(), nil) //nolint:gosec // whoever starts it says where the sandbox is
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(call) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the sandbox was not reset: %s", reply.Status)
	}
	return nil
}
