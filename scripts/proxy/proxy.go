// Package proxy is what commands have in common that stand between a tool and a server, to change what the tool meets.
// It knows HTTP, and nothing of contracts.
package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Main serves, on a free port of this machine, what a handler makes of the server whose URL is the command's argument.
// It prints its own URL, and does not return.
func Main(command string, before func(server *url.URL) http.Handler) {
	if len(os.Args) != 2 { //nolint:mnd // the program and a URL
		fmt.Fprintf(os.Stderr, "usage: %s URL\n", command)
		os.Exit(2)
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", command, serve(os.Args[1], before))
	os.Exit(1)
}

func serve(to string, before func(*url.URL) http.Handler) error {
	server, err := url.Parse(to)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // until the process ends
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(os.Stdout, "http://%s\n", listener.Addr())
	return (&http.Server{Handler: before(server), ReadHeaderTimeout: time.Minute}).Serve(listener)
}
