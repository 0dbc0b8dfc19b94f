package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"pinvault/impl/config"
	"pinvault/impl/keylife"
	"pinvault/impl/pin"
	"pinvault/impl/seed"
	"pinvault/impl/server"
	"pinvault/impl/store"
	"pinvault/impl/tracing"
)

// Serving is what Serve needs besides its configuration.
type Serving struct {
	Version string
	Seed    string                 // a file with what a sandbox holds besides the fixtures; "": nothing
	Log     io.Writer              // takes the log, a line of JSON each
	Reload  <-chan os.Signal       // asks for a look at the keyset file, which is looked at every few seconds anyway
	Begins  func(publicURL string) // called once all is ready, before the first request is answered
}

// Serve serves until ctx ends and for as long as it drains, then lets requests under way end.
func Serve(ctx context.Context, c config.Serve, s Serving) (err error) {
	log := server.NewLogger(s.Log, c.LogLevel)
	documents, err := documentsFor(c.Sandbox)
	if err != nil {
		return err
	}
	var seeds *seed.File
	if s.Seed != "" {
		if seeds, err = readSeed(ctx, s.Seed, documents); err != nil {
			return err
		}
	}
	traces, err := tracing.Start(ctx, tracing.Options{Endpoint: c.OTLPEndpoint, Version: s.Version, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, traces.Stop()) }()
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{LockWait: min(maxLockWait, c.RequestTimeout/2), Tracer: tracerOf(traces.Provider(), "pinvault/store")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := ReadySchema(ctx, db, c.Sandbox || c.Embedded()); err != nil {
		return err
	}
	clock := db.Clock()
	for _, weak := range c.WeakSettings() {
		log.Warn("weak setting", "setting", weak.Setting, "why", weak.Why)
	}
	sides, err := listen(ctx, &c, log)
	if err != nil {
		return err
	}
	app, err := New(ctx, c, Surroundings{Database: db, Store: db, Log: log, Now: clock.Now, Documents: documents, Stopping: ctx.Done(), Seed: seeds, Version: s.Version, Traces: traces.Provider()})
	if err != nil {
		return errors.Join(err, closed(sides))
	}
	if app.Spaces != nil {
		sides[0].server.RegisterOnShutdown(app.Spaces.Quiet)
		defer func() { err = errors.Join(err, app.Spaces.Close()) }()
	}
	told := []any{"listen", sides[0].listener.Addr().String(), "sandbox", c.Sandbox, "version", s.Version}
	sides[0].server.Handler = app.Public
	for _, admin := range sides[1:] {
		admin.server.Handler = app.Admin
		told = append(told, "admin", admin.listener.Addr().String())
	}
	if app.Spaces == nil {
		defer begin(ctx, app.background.run)()
	}
	s.Begins(c.PublicURL)
	log.Info("serving", told...)
	upkeep := []func(context.Context){
		func(ctx context.Context) { purge(ctx, db, app, log) },
		func(ctx context.Context) { clock.Follow(ctx, log) },
	}
	if app.Keyset != nil {
		upkeep = append(upkeep, func(ctx context.Context) {
			tick := time.NewTicker(keylife.LookEvery)
			defer tick.Stop()
			app.Keyset.Watch(ctx, tick.C, s.Reload)
		})
	}
	return serve(ctx, sides, stopping{c.Drain, c.Shutdown}, upkeep, log)
}

// How long a reply may take to be written: one to a caller, and a profile.
const (
	maxReply   = 30 * time.Second
	maxProfile = 5 * time.Minute
)

// maxLockWait is how long a request waits at most for another program's lock on SQLite; half its time, where that is
// less, so that an answer can still be given.
const maxLockWait = 5 * time.Second

// maxAdmin is how many connections operators may have.
const maxAdmin = 64

// side is a listener and what answers on it.
type side struct {
	listener net.Listener
	server   *http.Server
}

// listen opens the callers' side and, where they are to have one, the operators'. It completes the public URL.
func listen(ctx context.Context, c *config.Serve, log *slog.Logger) ([]side, error) {
	public, err := server.Listen(ctx, server.Listening{Address: c.Listen, MaxConnections: c.MaxConnections,
		Certificate: c.TLSCertificate, Key: c.TLSKey, Log: log})
	if err != nil {
		return nil, err
	}
	c.PublicURL = c.Public(public.Addr().String())
	sides := []side{{listener: public, server: httpServer(log, maxReply)}}
	if c.AdminListen == "" {
		return sides, nil
	}
	admin, err := server.Listen(ctx, server.Listening{Address: c.AdminListen, MaxConnections: maxAdmin, Log: log})
	if err != nil {
		return nil, errors.Join(err, closed(sides))
	}
	return append(sides, side{listener: admin, server: httpServer(log, maxProfile)}), nil
}

// closed ends listeners on which nobody was answered.
func closed(sides []side) (err error) {
	for _, s := range sides {
		err = errors.Join(err, s.listener.Close())
	}
	return err
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

// stopping is how a server stops: it goes on answering while load balancers find another, then waits for what is under way.
type stopping struct{ drain, grace time.Duration }

// serve answers on all sides until ctx ends, and a little longer.
func serve(ctx context.Context, sides []side, stops stopping, upkeep []func(context.Context), log *slog.Logger) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	for _, work := range upkeep {
		go work(serving)
	}
	failed := make(chan error, len(sides))
	for _, s := range sides {
		go func() { failed <- s.server.Serve(s.listener) }()
	}
	told, drained := ctx.Done(), (<-chan time.Time)(nil)
	for draining := true; draining; {
		select {
		case err := <-failed:
			for _, s := range sides {
				err = errors.Join(err, s.server.Close())
			}
			return err
		case <-told:
			log.Info("stopping", "drain", stops.drain.String())
			told, drained = nil, time.After(stops.drain)
		case <-drained:
			draining = false
		}
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stops.grace)
	defer cancel()
	for _, s := range sides { // the operators' last
		if err := s.server.Shutdown(ending); err != nil {
			return errors.Join(fmt.Errorf("requests still running after %s were cut off: %w", stops.grace, err), s.server.Close())
		}
	}
	log.Info("stopped")
	return nil
}

// deliveriesAreKept is how long it can be seen what was sent to a webhook, and deliveriesWait how long something waits for one that is
// paused.
const (
	deliveriesAreKept = 7 * 24 * time.Hour
	deliveriesWait    = 30 * 24 * time.Hour
)

// sessionsAreKept is how long it can be asked how a PIN session that has expired has ended.
const sessionsAreKept = 24 * time.Hour

// approvalsAreKept is how long an approval can be seen after it has expired. The trail tells of it for ever.
const approvalsAreKept = 30 * 24 * time.Hour

// purge removes replay records that have expired, deliveries, PIN sessions and approvals that have some time ago, what was entered for
// ceremonies of keys whose time is over, and a sandbox's spaces whose time is, once an hour.
func purge(ctx context.Context, db *store.Store, app *App, log *slog.Logger) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if app.Spaces != nil {
				app.Spaces.Sweep()
			}
			for what, purge := range map[string]func(context.Context, time.Time) (int64, error){
				"replay records": db.PurgeReplays,
				"deliveries": func(ctx context.Context, now time.Time) (int64, error) {
					return db.PurgeDeliveries(ctx, now.Add(-deliveriesAreKept), now.Add(-deliveriesWait))
				},
				"counts of verifications": func(ctx context.Context, now time.Time) (int64, error) {
					return db.PurgeVerifications(ctx, now.Add(-time.Hour))
				},
				"PIN sessions": func(ctx context.Context, now time.Time) (int64, error) {
					return db.PurgeSessions(ctx, now.Add(-sessionsAreKept))
				},
				"approvals": func(ctx context.Context, now time.Time) (int64, error) {
					return db.PurgeApprovals(ctx, now.Add(-approvalsAreKept))
				},
				"ceremonies of keys": func(ctx context.Context, _ time.Time) (int64, error) {
					return app.Keys.Sweep(pin.WithCaller(ctx, pin.Operator("pinvault serve")))
				},
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
