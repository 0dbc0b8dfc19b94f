// Command fresh passes calls on to a sandbox, and resets it before each: every row of a document is about a sandbox
// as it is after a reset, without spaces and snapshots, and a tool that sends them one after the other resets nothing.
//
//	go run ./scripts/judges/fresh URL
//
// It prints the URL at which it listens, and takes one call at a time.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"pinvault/scripts/proxy"
)

func main() { proxy.Main("fresh", fresh) }

// fresh resets the sandbox, then passes the call on.
func fresh(sandbox *url.URL) http.Handler {
	var one sync.Mutex
	next := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
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
		next.ServeHTTP(w, r)
	})
}

func reset(r *http.Request, sandbox *url.URL) error {
	if err := call(r.Context(), http.MethodPost, sandbox.JoinPath("sandbox", "reset"), nil); err != nil {
		return err
	}
	for _, kind := range []string{"spaces", "snapshots"} {
		all := sandbox.JoinPath("sandbox", kind)
		listed := map[string][]struct{ ID string }{}
		if err := call(r.Context(), http.MethodGet, all, &listed); err != nil {
			return err
		}
		for _, one := range listed[kind] {
			if err := call(r.Context(), http.MethodDelete, all.JoinPath(one.ID), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// call calls the sandbox, and reads its reply into a value where one is given.
func call(ctx context.Context, method string, at *url.URL, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, at.String(), nil) //nolint:gosec // whoever starts it says where the sandbox is
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the sandbox was not reset: %s %s: %s", method, at.Path, reply.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(reply.Body).Decode(into)
}
