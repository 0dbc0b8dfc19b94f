package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/app/apptest"
	"pinvault/impl/checkpoint"
	"pinvault/impl/store/storetest"
)

const logOrigin = "pin.example.com/audit"

// logged is a vault whose checkpoints go to a log, and an outsider with a folder of their own.
type logged struct {
	*auditWorld
	log, outside string
	key          string // what the outsider was told
}

func newLogged(t testing.TB) *logged {
	t.Helper()
	return newLoggedIn(t, storetest.SQLite(t))
}

func newLoggedIn(t testing.TB, database string) *logged {
	t.Helper()
	w := &logged{auditWorld: newAuditWorldIn(t, database), log: filepath.Join(t.TempDir(), "log"), outside: t.TempDir()}
	code, out, complaint := w.run(t, "log-key", "--audit-log-origin", logOrigin)
	require.Zero(t, code, complaint)
	w.key = filepath.Join(w.outside, "log.key")
	require.NoError(t, os.WriteFile(w.key, []byte(out), 0o600))
	return w
}

// serve starts a server that makes a checkpoint a second.
func (w *logged) serve(t testing.TB) *apptest.Process {
	t.Helper()
	return apptest.Serve(t, w.env, "--no-docs", "--audit-log", w.log, "--audit-log-origin", logOrigin, "--audit-log-every", "1s")
}

// tiles is the log as a client of others fetches it.
func tiles(t testing.TB, p *apptest.Process) *client.HTTPFetcher {
	t.Helper()
	u, err := url.Parse(p.URL + "/audit/tiles")
	require.NoError(t, err)
	f, err := client.NewHTTPFetcher(u, nil)
	require.NoError(t, err)
	return f
}

// hold waits until the log has so many entries, and keeps its note as the outsider does.
func (w *logged) hold(t testing.TB, p *apptest.Process, entries uint64) (file string) {
	t.Helper()
	key, err := os.ReadFile(w.key)
	require.NoError(t, err)
	v, err := note.NewVerifier(strings.TrimSpace(string(key)))
	require.NoError(t, err)
	var raw []byte
	require.Eventually(t, func() bool {
		n, text, _, err := client.FetchCheckpoint(t.Context(), tiles(t, p).ReadCheckpoint, v, logOrigin)
		raw = text
		_, kept := os.Stat(filepath.Join(w.log, "newest"))
		return err == nil && n.Size >= entries && kept == nil
	}, time.Minute, 20*time.Millisecond, "%s", p.Log)
	file = filepath.Join(w.outside, fmt.Sprintf("held-%d-%d", entries, time.Now().UnixNano()))
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	return file
}

// size is that of a note in a file.
func size(t testing.TB, file string) (n uint64) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, err = fmt.Sscan(strings.Split(string(text), "\n")[1], &n)
	require.NoError(t, err)
	return n
}

// alone is a command of pinvault audit on a machine that has neither database nor keys.
func alone(t testing.TB, args ...string) (code int, out, complaint string) {
	t.Helper()
	return (&auditWorld{}).run(t, args...)
}

// event is the id of an event of a chain.
func (w *logged) event(t testing.TB, chain string, seq int) (id string) {
	t.Helper()
	rows, err := w.sql.QueryContext(t.Context(), `SELECT id, chain, seq FROM audit_events`)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var one, of string
		var at int
		require.NoError(t, rows.Scan(&one, &of, &at))
		if of == chain && at == seq {
			id = one
		}
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, id)
	return id
}

// The library of those who made the log's format reads the log of a running server, whichever of two processes has appended.
func TestLogIsReadByAnothersClient(t *testing.T) {
	t.Parallel()
	w := newLogged(t)
	one, two := w.serve(t), w.serve(t)
	held := w.hold(t, one, 3)
	key, err := os.ReadFile(w.key)
	require.NoError(t, err)
	v, err := note.NewVerifier(strings.TrimSpace(string(key)))
	require.NoError(t, err)
	text, err := os.ReadFile(held)
	require.NoError(t, err)
	tracker, err := client.NewLogStateTracker(t.Context(), tiles(t, two).ReadTile, text, v, logOrigin, client.UnilateralConsensus(tiles(t, two).ReadCheckpoint))
	require.NoError(t, err)
	w.hold(t, two, size(t, held)+1)
	_, _, _, err = tracker.Update(t.Context())
	require.NoError(t, err, "what the other process serves goes on from it")
	at := tracker.Latest()
	require.Greater(t, at.Size, size(t, held))

	b, err := client.NewProofBuilder(t.Context(), at.Size, tiles(t, one).ReadTile)
	require.NoError(t, err)
	bundles := client.EntryBundles(t.Context(), 1, func(context.Context) (uint64, error) { return at.Size, nil }, tiles(t, one).ReadEntryBundle, 0, at.Size)
	seen := uint64(0)
	for e, err := range client.Entries(bundles, func(b []byte) ([][]byte, error) {
		var bundle api.EntryBundle
		err := bundle.UnmarshalText(b)
		return bundle.Entries, err
	}) {
		require.NoError(t, err)
		path, err := b.InclusionProof(t.Context(), e.Index)
		require.NoError(t, err)
		require.NoError(t, proof.VerifyInclusion(rfc6962.DefaultHasher, e.Index, at.Size, rfc6962.DefaultHasher.HashLeaf(e.Entry), path, at.Hash))
		said, err := checkpoint.Peek(string(e.Entry))
		require.NoError(t, err)
		require.EqualValues(t, 3, said.Chains)
		seen++
	}
	require.Equal(t, at.Size, seen)

	for path, want := range map[string]int{"checkpoint": http.StatusOK, "tile/0/000": http.StatusNotFound, ".state/treeState": http.StatusNotFound, "": http.StatusNotFound} {
		reply, err := http.Get(one.URL + "/audit/tiles/" + path)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		require.Equal(t, want, reply.StatusCode, path)
	}
}

// A proof is checked where there is neither database nor key, and is worth nothing with another log's key.
func TestProofIsCheckedWithoutADatabase(t *testing.T) {
	t.Parallel()
	w := newLogged(t)
	p := w.serve(t)
	early := w.hold(t, p, 1)
	late := w.hold(t, p, size(t, early)+2)
	file := filepath.Join(w.outside, "event.proof")
	args := []string{"prove", "--audit-log", w.log, "--key", w.key, "--event", w.event(t, "card", 2), "--out", file}
	database := "--database-url=" + w.url
	code, _, complaint := alone(t, append(args, database, "--checkpoint", early)...)
	require.Zero(t, code, "it takes no secret: %s", complaint)
	code, out, complaint := alone(t, "check", file, "--checkpoint", early, "--key", w.key)
	require.Zero(t, code, complaint)
	require.Contains(t, out, `"type": "pin.unblocked"`)
	require.Contains(t, out, "proven: the event is in entry 0 of the log")
	require.NotContains(t, out, "9999990000000014")

	code, _, complaint = alone(t, append(args, database)...)
	require.Equal(t, 1, code)
	require.Contains(t, complaint, "exists already")
	code, _, complaint = alone(t, "check", file, "--checkpoint", late, "--key", w.key)
	require.Equal(t, 1, code, "it leads to another note")
	require.Contains(t, complaint, "--checkpoint")
	code, plain, complaint := alone(t, append(args[:len(args)-2], database)...)
	require.Zero(t, code, complaint)
	require.NoError(t, os.WriteFile(file, []byte(plain), 0o600))
	newer := filepath.Join(w.outside, "newer")
	code, out, complaint = alone(t, "check", file, "--checkpoint", early, "--key", w.key, "--log", p.URL+"/audit/tiles", "--out", newer)
	require.Zero(t, code, complaint)
	require.Contains(t, out, "the log goes on from your checkpoint")
	require.GreaterOrEqual(t, size(t, newer), size(t, late))

	other := newLogged(t)
	for says, args := range map[string][]string{
		"not signed by this key":     {"check", file, "--checkpoint", early, "--key", other.key},
		"not cosigned":               {"check", file, "--checkpoint", early, "--key", w.key, "--witness", "witness.example.com+c7b7d0f4+BK1e7dGf8UYWVXLvKgTzkx9ZUWYr7yk6n8JCDxqGDIcJ"},
		"not a signed note":          {"check", file, "--checkpoint", file, "--key", w.key},
		"this is not a proof":        {"check", early, "--checkpoint", early, "--key", w.key},
		"there is nothing to check":  {"check", "--checkpoint", early, "--key", w.key},
		"--out needs --log":          {"check", file, "--checkpoint", early, "--key", w.key, "--out", newer},
		"no such event":              {"prove", "--audit-log", w.log, "--key", w.key, "--event", "none", database},
		"not that of a log":          {"check", file, "--checkpoint", early, "--key", "a+b+c"},
		"name such as pin.example.c": {"log-key", "--audit-log-origin", "a b", "--keyset", "x", "--master-key-file", "x"},
	} {
		code, _, complaint := alone(t, args...)
		require.NotZero(t, code, says)
		require.Contains(t, complaint, says)
	}
}

// databases are those that a trail may be in, by name.
var databases = map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres}

// What somebody does to a database who has every right there and no key is found by 'audit verify', with a checkpoint and without; no proof is
// made of it any more, and the one that an outsider has goes on saying what there was.
func TestTamperedTrailIsFound(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"changed":  {`UPDATE audit_events SET body = replace(body, 'unblocked', 'revealed') WHERE chain = 'card'`},
		"removed":  {`DELETE FROM audit_events WHERE chain = 'card' AND seq = 1`},
		"inserted": {`UPDATE audit_events SET seq = 3 WHERE chain = 'card' AND seq = 2`, `INSERT INTO audit_events SELECT chain, 2, id || 'x', program_id, body, mac FROM audit_events WHERE chain = 'card' AND seq = 1`},
		"moved":    {`UPDATE audit_events SET seq = 9 WHERE chain = 'card' AND seq = 1`, `UPDATE audit_events SET seq = 1 WHERE chain = 'card' AND seq = 2`, `UPDATE audit_events SET seq = 2 WHERE chain = 'card' AND seq = 9`},
	} {
		for database, in := range databases {
			t.Run(name+" in "+database, func(t *testing.T) {
				t.Parallel()
				w := newLoggedIn(t, in(t))
				p := w.serve(t)
				held := w.hold(t, p, 1)
				event := w.event(t, "card", 2)
				p.Kill(t)
				prove := []string{"prove", "--audit-log", w.log, "--key", w.key, "--event", event, "--checkpoint", held}
				file := filepath.Join(w.outside, "event.proof")
				code, out, complaint := w.run(t, append(prove, "--out", file)...)
				require.Zero(t, code, "%s%s", out, complaint)

				w.exec(t, statements...)
				for _, with := range [][]string{nil, {"--checkpoint", filepath.Join(w.log, "newest")}} {
					code, out, complaint = w.run(t, append([]string{"verify"}, with...)...)
					require.Equal(t, 1, code, complaint)
					require.Contains(t, out, "BROKEN")
				}
				code, _, complaint = w.run(t, prove...)
				require.Equal(t, 1, code)
				require.Regexp(t, "not what the log says of it|no entry of the log covers the event", complaint)
				code, out, complaint = alone(t, "check", file, "--checkpoint", held, "--key", w.key)
				require.Zero(t, code, complaint)
				require.Contains(t, out, `"type": "pin.unblocked"`)
			})
		}
	}
}

// A database that was put back to yesterday is found by the server, by 'audit verify' and, where the log was put back as well, by who
// holds a note of it.
func TestDatabasePutBackToYesterdayIsFound(t *testing.T) {
	t.Parallel()
	for name, in := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			yesterdayIsFound(t, newLoggedIn(t, in(t)))
		})
	}
}

func yesterdayIsFound(t *testing.T, w *logged) {
	t.Helper()
	p := w.serve(t)
	first := w.hold(t, p, 1)
	p.Kill(t)
	yesterday := t.TempDir()
	require.NoError(t, os.CopyFS(yesterday, os.DirFS(w.log)))
	p = w.serve(t)
	held := w.hold(t, p, size(t, first)+2)
	p.Kill(t)
	var made string
	require.NoError(t, w.sql.QueryRow("SELECT value FROM settings WHERE key = 'last checkpoint'").Scan(&made), "what the metric shows")
	w.putBack(t)

	code, out, complaint := w.run(t, "verify")
	require.Zero(t, code, "nothing in it shows it: %s%s", out, complaint)
	code, out, _ = w.run(t, "verify", "--checkpoint", filepath.Join(w.log, "newest"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "BROKEN: a chain has not what the checkpoint says: it was rolled back, or replaced: chain \"card\", place 2")

	p = w.serve(t)
	require.Eventually(t, func() bool { return strings.Contains(p.Log.String(), "the database was put back") }, time.Minute, 20*time.Millisecond)
	require.Contains(t, p.Log.String(), `"level":"ERROR"`)
	require.Equal(t, size(t, held), size(t, w.hold(t, p, 1)), "nothing is appended")
	reply, err := http.Get(p.URL + "/metrics")
	require.NoError(t, err)
	metrics, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	require.Regexp(t, `pinvault_audit_log_rounds_total\{outcome="failed"\} [1-9]`, string(metrics))
	p.Kill(t)

	require.NoError(t, os.RemoveAll(w.log))
	require.NoError(t, os.CopyFS(w.log, os.DirFS(yesterday)))
	require.NoError(t, os.Remove(filepath.Join(w.log, "newest"))) // so that nothing at home knows better
	require.NoError(t, os.RemoveAll(filepath.Join(w.log, "tiles")))
	p = w.serve(t)
	w.hold(t, p, size(t, held)+1)
	code, _, complaint = alone(t, "check", "--checkpoint", held, "--key", w.key, "--log", p.URL+"/audit/tiles")
	require.Equal(t, 1, code)
	require.Contains(t, complaint, "is not the one of the checkpoint that you hold")
}

// The page for auditors, pasted: its commands do what it says.
func TestAuditPageWorksAsPasted(t *testing.T) {
	t.Parallel()
	readmeLines(t, "Try it") // for the tools
	page, err := os.ReadFile("../../../docs/audit/README.md")
	require.NoError(t, err)
	var script strings.Builder
	script.WriteString(`
export PINVAULT_MASTER_KEY="$(openssl rand -base64 32)" PINVAULT_KEYSET=keyset.json PINVAULT_DATABASE_URL=sqlite://pinvault.db
export PINVAULT_LISTEN=127.0.0.1:PORT PINVAULT_AUDIT_LOG_EVERY=1s
bin/pinvault keys init
bin/pinvault migrate
bin/pinvault programs create --name 'Gift cards'
bin/pinvault audit export --cursor first > /dev/null
`)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 7)
	for i, block := range blocks {
		script.WriteString(block[1])
		if i == 0 {
			script.WriteString(`
until curl -sf http://127.0.0.1:PORT/audit/tiles/checkpoint | sed -n 2p | grep -q '[1-9]'; do sleep 0.1; done
sleep 7
bin/pinvault audit export --cursor second > events
EVENT=$(tail -n 1 events | jq -r .id)
`)
		}
	}
	port := freePort(t)
	out := asPasted(t, strings.NewReplacer("https://pin.example.com", "http://127.0.0.1:"+port, "PORT", port).Replace(script.String())+"\nwc -l < events.ndjson\n")
	for _, says := range []string{logOrigin + "\n", "— " + logOrigin + " ", "the log goes on from your checkpoint", `"type": "program.created"`, "proven: the event is in entry", "all whole: "} {
		require.Contains(t, out, says)
	}
	require.Regexp(t, `(?m)^[2-9]$`, out, "the events of the SIEM's file")
}
