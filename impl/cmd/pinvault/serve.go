package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/term"

	"pinvault/impl/app"
	"pinvault/impl/config"
)

type serveCommand struct{ config.Serve }

// How much the heap may grow between two collections, in per cent of what is in use, unless GOGC says otherwise. At Go's
// 100 a start spends a quarter of its time on them, and a server whose heap is some 20 MB a tenth.
const (
	whileStarting = 200
	whileServing  = 400
)

// collectAt has a server spend less time on garbage.
func collectAt(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// giveBack gives the memory back that starting took and serving does not: reading the documents leaves several times of
// what is kept of them. What is in a pool outlives one collection. Only then are collections rare: a heap that grew large while it
// was filled keeps what is left all over it, and so cannot be given back.
func giveBack() {
	go func() {
		runtime.GC()
		debug.FreeOSMemory()
		collectAt(whileServing)
	}()
}

// Run serves until the process is told to stop, then lets requests under way end. SIGHUP asks for a look at the keyset
// file; where there is a terminal, it says that this was closed and stops the process.
func (c *serveCommand) Run(ctx context.Context) error {
	collectAt(whileStarting)
	reload := make(chan os.Signal, 1)
	if !c.Sandbox && !term.IsTerminal(int(os.Stdin.Fd())) {
		signal.Reset(syscall.SIGHUP) // which would end the process, but there is no terminal here that could be closed
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
	}
	return app.Serve(ctx, c.Serve, app.Serving{Version: version, Log: os.Stderr, Reload: reload, Begins: func(publicURL string) {
		giveBack()
		if c.Sandbox {
			greet(os.Stdout, publicURL, c.Docs)
		}
	}})
}

// greet prints what a newcomer can paste.
func greet(w io.Writer, base string, docs bool) {
	text := greeting
	if !docs {
		text = strings.Replace(text, greetingDocs, "", 1)
	}
	_, _ = fmt.Fprintln(w, strings.ReplaceAll(text, "{base}", base))
}

const greetingDocs = `  start here, with calls to try:              {base}/
  all contracts in Scalar:                    {base}/docs
`

const greeting = `
PinVault sandbox on {base}
` + greetingDocs + `  cards, rules, clock, journal to look at:    {base}/sandbox
  clients and cards, with all their secrets:  {base}/sandbox/fixtures
  reset everything:                           curl -X POST {base}/sandbox/reset
  the hosted PIN page, embedded:              {base}/sandbox/iframe

A token, a card's PIN, and how many tries are left. Paste these:

  TOKEN=$(curl -s {base}/connect/token -d grant_type=client_credentials -d client_id=thredd-sandbox -d client_secret=thredd-sandbox-secret | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s -H "Authorization: Bearer $TOKEN" {base}/api/v1/cards/103169946/pin
  curl -s -H "Authorization: Bearer $TOKEN" {base}/api/v1/cards/103169946/pin/status

Ctrl-C stops the server; what was changed stays.
`
