package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"pinvault/impl/config"
	"pinvault/impl/server"
	"pinvault/impl/store"
)

type serveCommand struct{ config.Serve }

// collectAt is how much the heap may grow between two collections, in per cent of what is in use, unless
// GOGC says otherwise: a server whose heap is some 20 MB collects with a tenth of its time at Go's 100.
const collectAt = 400

// Run serves until the process is told to stop, then lets requests under way end.
func (c *serveCommand) Run(ctx context.Context) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	log := server.NewLogger(os.Stderr, c.LogLevel)
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := readySchema(ctx, db, c.Sandbox || c.Embedded()); err != nil {
		return err
	}
	for _, weak := range c.WeakSettings() {
		log.Warn("weak setting", "setting", weak.Setting, "why", weak.Why)
	}
	listener, err := server.Listen(ctx, server.Listening{Address: c.Listen, MaxConnections: c.MaxConnections,
		Certificate: c.TLSCertificate, Key: c.TLSKey, Log: log})
	if err != nil {
		return err
	}
	c.PublicURL = c.Public(listener.Addr().String())
	sides := []side{{listener: listener, server: httpServer(log, maxReply)}}
	surroundings := surroundings{db: db, store: db, log: log, documents: loadDocuments}
	if c.AdminListen != "" {
		admin, err := server.Listen(ctx, server.Listening{Address: c.AdminListen, MaxConnections: maxAdmin, Log: log})
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		sides = append(sides, side{listener: admin, server: httpServer(log, maxProfile)})
		surroundings.admin = func(h http.Handler) { sides[1].server.Handler = h }
	}
	if sides[0].server.Handler, err = build(ctx, c.Serve, surroundings); err != nil {
		for _, s := range sides {
			err = errors.Join(err, s.listener.Close())
		}
		return err
	}
	if c.Sandbox {
		greet(os.Stdout, c.PublicURL, c.Docs)
	}
	told := []any{"listen", listener.Addr().String(), "sandbox", c.Sandbox, "version", version}
	if c.AdminListen != "" {
		told = append(told, "admin", sides[1].listener.Addr().String())
	}
	log.Info("serving", told...)
	return serve(ctx, sides, c.Shutdown, db, log)
}

// How long a reply may take to be written: one to a caller, and a profile.
const (
	maxReply   = 30 * time.Second
	maxProfile = 5 * time.Minute
)

// maxAdmin is how many connections operators may have.
const maxAdmin = 64

// side is a listener and what answers on it.
type side struct {
	listener net.Listener
	server   *http.Server
}

func httpServer(log *slog.Logger, write time.Duration) *http.Server {
	return &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      write,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve answers on all sides until ctx ends.
func serve(ctx context.Context, sides []side, grace time.Duration, db *store.Store, log *slog.Logger) error {
	upkeep, stop := context.WithCancel(ctx)
	defer stop()
	go purge(upkeep, db, log)
	failed := make(chan error, len(sides))
	for _, s := range sides {
		go func() { failed <- s.server.Serve(s.listener) }()
	}
	select {
	case err := <-failed:
		for _, s := range sides {
			err = errors.Join(err, s.server.Close())
		}
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for _, s := range sides { // the operators' last
		if err := s.server.Shutdown(ending); err != nil {
			return errors.Join(fmt.Errorf("requests still running after %s were cut off: %w", grace, err), s.server.Close())
		}
	}
	log.Info("stopped")
	return nil
}

// purge removes replay records and PIN sessions that have expired, once an hour.
func purge(ctx context.Context, db *store.Store, log *slog.Logger) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for what, purge := range map[string]func(context.Context, time.Time) (int64, error){
				"replay records": db.PurgeReplays, "PIN sessions": db.PurgeSessions,
			} {
				if n, err := purge(ctx, now); err != nil {
					log.Warn("purging", "what", what, "error", err)
				} else if n > 0 {
					log.Info("purged", "what", what, "count", n)
				}
			}
		}
	}
}

// greet prints what a newcomer can paste.
func greet(w io.Writer, base string, docs bool) {
	text := greeting
	if !docs {
		text = strings.Replace(text, greetingDocs, "", 1)
	}
	_, _ = fmt.Fprintln(w, strings.ReplaceAll(text, "{base}", base))
}

const greetingDocs = `  docs, with calls to try:                    {base}/docs
`

const greeting = `
PinVault sandbox on {base}
` + greetingDocs + `  clients and cards, with all their secrets:  {base}/sandbox/fixtures
  reset everything:                           curl -X POST {base}/sandbox/reset
  the hosted PIN page, embedded:              {base}/sandbox/iframe

A token, a card's PIN, and how many tries are left. Paste these:

  TOKEN=$(curl -s {base}/connect/token -d grant_type=client_credentials -d client_id=thredd-sandbox -d client_secret=thredd-sandbox-secret | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s -H "Authorization: Bearer $TOKEN" {base}/api/v1/cards/103169946/pin
  curl -s -H "Authorization: Bearer $TOKEN" {base}/api/v1/cards/103169946/pin/status

Ctrl-C stops the server; what was changed stays.
`
