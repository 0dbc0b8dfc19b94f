package app_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// What the next release adds to the schema, and what the one after it takes away: the next one changes cards by a function of its own,
// beside the one that this release calls, and a column is new.
const (
	addition = `
		ALTER TABLE cards ADD COLUMN later text NOT NULL DEFAULT '';
		DO $$ BEGIN EXECUTE regexp_replace(pg_get_functiondef('swap_card'::regproc), 'swap_card', 'swap_card_later'); END $$;`
	removal = `DROP FUNCTION swap_card; ALTER TABLE cards ALTER COLUMN later DROP DEFAULT, ALTER COLUMN later DROP NOT NULL;`
)

// Servers of one release after the other serve one database, each is told to stop and replaced while calls keep coming through a load
// balancer that never sends a call twice. No call fails, and what was answered is what the trail tells.
//
// The short form has this release alone, on its own schema and then on what the next one adds to it; the long one builds the next two,
// and goes back from one to the other.
func TestServersAreReplacedOneByOneAcrossASchemaChangeWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	at := storetest.Postgres(t)
	this := apptest.Released(t)
	f := newFleet(t, at, this)
	if !long() {
		f.run(t, addition+"INSERT INTO goose_db_version (version_id, is_applied) VALUES (90001, true)")
		f.replace(t, this)
		f.settle(t, this)
		return
	}
	next, last := later(t, "next", false), later(t, "last", true)
	refused, err := apptest.CommandOf(t, last, "migrate", "--database-url", at).CombinedOutput()
	require.Error(t, err, "%s", refused)
	require.Contains(t, string(refused), "--stopped")

	backup := f.backup(t)
	migrated := make(chan struct{})
	go func() { defer close(migrated); f.migrate(t, next) }() //nolint:testifylint // where it fails the rest waits for a schema that never comes, and says so
	f.progress(t)
	backup() // which a change of the schema waits for
	<-migrated
	for range 5 {
		f.replace(t, next)
		f.replace(t, this) // back again
	}
	f.replace(t, next)
	f.migrate(t, last)
	f.replace(t, last)
	stale, err := apptest.CommandOf(t, this, "serve", "--sandbox", "--listen", "127.0.0.1:0", "--database-url", at).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(stale), "newer than")
	f.settle(t, last)
}

// later is a release after this one: the next, or the last of the two.
func later(t *testing.T, name string, last bool) string {
	t.Helper()
	read := func(file string) string {
		text, err := os.ReadFile(filepath.Join("../..", file))
		require.NoError(t, err)
		return string(text)
	}
	migration := func(text string) string {
		return "-- +goose Up\n-- +goose StatementBegin\n" + text + "\n-- +goose StatementEnd\n"
	}
	const hot, oldest = "impl/store/hot.go", "models/migrations.go"
	files := map[string]string{"models/migrations/postgres/90001_expand.sql": migration(addition),
		hot: strings.Replace(read(hot), "SELECT swap_card(", "SELECT swap_card_later(", 1)}
	require.NotEqual(t, read(hot), files[hot])
	if last {
		files["models/migrations/postgres/90002_contract.sql"] = migration(removal)
		files[oldest] = regexp.MustCompile(`const Oldest = \d+`).ReplaceAllString(read(oldest), "const Oldest = 90001")
		require.NotEqual(t, read(oldest), files[oldest])
	}
	return apptest.Changed(t, name, files)
}

// fleet is two servers behind a balancer, and who calls them all the time.
type fleet struct {
	database string
	balancer *balancer
	servers  []*apptest.Process
	users    *users
	answered atomic.Int64
	failed   atomic.Bool
	stop     context.CancelFunc
	calling  sync.WaitGroup
}

func newFleet(t *testing.T, database, program string) *fleet {
	t.Helper()
	f := &fleet{database: database, balancer: newBalancer(t)}
	for range 2 {
		f.servers = append(f.servers, f.start(t, program))
	}
	f.users = newUsers(t, database, f.balancer.URL)
	var ctx context.Context
	ctx, f.stop = context.WithCancel(t.Context())
	t.Cleanup(func() { f.stop(); f.calling.Wait() })
	for _, h := range f.users.holders {
		f.calling.Go(func() { f.call(ctx, t, h) })
	}
	f.progress(t)
	return f
}

// start adds a server.
func (f *fleet) start(t *testing.T, program string) *apptest.Process {
	t.Helper()
	p := apptest.ServeBy(t, apptest.CommandOf(t, program, "serve", "--sandbox", "--listen", "127.0.0.1:0", "--public-url", "http://pinvault.localhost",
		"--database-url", f.database, "--drain", (10*askEvery).String()))
	f.balancer.add(t, p.URL)
	return p
}

// call makes errands until it is told to stop, or one comes to something else than it has to.
func (f *fleet) call(ctx context.Context, t *testing.T, h *holder) {
	t.Helper()
	for ctx.Err() == nil {
		e := h.errand(t)
		answer, err := h.send(context.WithoutCancel(ctx), f.balancer.URL, e.request)
		switch {
		case err != nil:
			h.wrong = e.path + ": " + err.Error()
		case answer != e.answer:
			h.wrong = e.path + ": " + http.StatusText(answer.status) + " " + answer.outcome
		default:
			h.state, h.acknowledged = e.after, append(h.acknowledged, e)
			f.answered.Add(1)
			continue
		}
		f.failed.Store(true)
		return
	}
}

// progress waits until calls have gone on for a while.
func (f *fleet) progress(t *testing.T) {
	t.Helper()
	from := f.answered.Load()
	require.Eventually(t, func() bool { return f.failed.Load() || f.answered.Load() >= from+25 }, time.Minute, 10*time.Millisecond)
	if f.failed.Load() {
		f.told(t)
	}
}

// told fails the test with what went wrong.
func (f *fleet) told(t *testing.T) {
	t.Helper()
	f.stop()
	f.calling.Wait()
	for _, h := range f.users.holders {
		require.Empty(t, h.wrong)
	}
	require.Empty(t, f.balancer.wrong())
}

// replace replaces each server by one of a program: the new one first, then the old one is told to stop.
func (f *fleet) replace(t *testing.T, program string) {
	t.Helper()
	for i, old := range f.servers {
		f.servers[i] = f.start(t, program)
		f.progress(t)
		require.NoError(t, old.Process.Signal(syscall.SIGTERM))
		f.progress(t)
		require.NoError(t, old.Wait(), "%s", old.Log)
		require.Contains(t, old.Log.String(), `"msg":"stopped"`)
		f.progress(t)
	}
}

// migrate has a program change the schema.
func (f *fleet) migrate(t *testing.T, program string) {
	t.Helper()
	out, err := apptest.CommandOf(t, program, "migrate", "--database-url", f.database).CombinedOutput()
	require.NoError(t, err, "%s", out)
	f.progress(t)
}

// run runs SQL.
func (f *fleet) run(t *testing.T, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), statements)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	f.progress(t)
}

// backup reads the cards, as a backup does, until it is over.
func (f *fleet) backup(t *testing.T) (over func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE cards IN ACCESS SHARE MODE")
	require.NoError(t, err)
	return func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }
}

// settle ends the calls and holds what was answered against the trail.
func (f *fleet) settle(t *testing.T, program string) {
	t.Helper()
	f.told(t)
	f.users.look(t, f.database, f.balancer.URL)
	out, err := apptest.CommandOf(t, program, "audit", "verify", "--sandbox", "--database-url", f.database).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "all whole")
	t.Logf("%d calls were answered while %d servers came and went", f.answered.Load(), f.balancer.added)
}

// askEvery is how often a balancer asks a server whether it is ready.
const askEvery = 50 * time.Millisecond

// balancer is a load balancer of the plainest kind: it hands each call to the next server that said it is ready when it was last asked,
// and never sends one twice.
type balancer struct {
	*httptest.Server
	mu     sync.Mutex
	ready  []*url.URL
	turn   int
	added  int
	failed []string
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.next()) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.failed = append(b.failed, r.Method+" "+r.URL.Path+": "+err.Error())
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(func() { b.Close(); transport.CloseIdleConnections() })
	return b
}

// next is whose turn it is.
func (b *balancer) next() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // which is a failed call
	}
	b.turn++
	return b.ready[b.turn%len(b.ready)]
}

// wrong are the calls that found no answer.
func (b *balancer) wrong() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// add has a server take part whenever it is ready, and waits until it is.
func (b *balancer) add(t *testing.T, server string) {
	t.Helper()
	at, err := url.Parse(server)
	require.NoError(t, err)
	first := make(chan struct{})
	ready := sync.OnceFunc(func() { close(first) })
	go func() {
		asking := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
		tick := time.NewTicker(askEvery)
		defer tick.Stop()
		for {
			is := b.ask(t.Context(), asking, server)
			b.set(at, is)
			if is {
				ready()
			}
			select {
			case <-tick.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	<-first
	b.added++
}

func (*balancer) ask(ctx context.Context, client *http.Client, server string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	reply, err := client.Do(r)
	return err == nil && reply.Body.Close() == nil && reply.StatusCode == http.StatusOK
}

// set notes whether a server is ready.
func (b *balancer) set(server *url.URL, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ready []*url.URL
	for _, other := range b.ready {
		if other != server {
			ready = append(ready, other)
		}
	}
	if is {
		ready = append(ready, server)
	}
	b.ready = ready
}
