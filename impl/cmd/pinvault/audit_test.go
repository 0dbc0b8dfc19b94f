package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// auditWorld is a database under keys of its own, and how a command is told of both.
type auditWorld struct {
	url string
	env []string
	sql *sql.DB
	old string // a copy of the database before one more event: in SQLite a file, in PostgreSQL a database
}

// newAuditWorld makes a vault in SQLite with one card, whose events can be changed.
func newAuditWorld(t testing.TB) *auditWorld {
	t.Helper()
	return newAuditWorldIn(t, storetest.SQLite(t))
}

func newAuditWorldIn(t testing.TB, url string) *auditWorld {
	t.Helper()
	ctx := apptest.Operating(t)
	ks, err := keyring.Generate(rand.Reader, time.Now())
	require.NoError(t, err)
	master := make([]byte, 32)
	_, err = rand.Read(master)
	require.NoError(t, err)
	kek, err := keyring.MasterKey(master)
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, ks.Write(&text, kek))
	file := filepath.Join(t.TempDir(), "keyset.json")
	require.NoError(t, os.WriteFile(file, text.Bytes(), 0o600))

	w := &auditWorld{url: url}
	w.env = []string{"PINVAULT_KEYSET=" + file, "PINVAULT_MASTER_KEY=" + base64.StdEncoding.EncodeToString(master), "PINVAULT_DATABASE_URL=" + w.url}
	with := func(work func(v *pin.Vault)) {
		db, err := store.Open(ctx, w.url, store.Options{})
		require.NoError(t, err)
		require.NoError(t, db.Migrate(ctx))
		work(pin.NewVault(db, keyring.Open(ks, db, nil), nil, nil))
		require.NoError(t, db.Close())
	}
	with(func(v *pin.Vault) {
		require.NoError(t, v.Initialize(ctx))
		program, err := v.CreateProgram(ctx, pin.NewProgram("test"), pin.Memo{})
		require.NoError(t, err)
		_, err = v.CreateCard(ctx, pin.NewCard{ID: "card", ProgramID: program.ID, PAN: "9999990000000014", References: []pin.Reference{{Kind: pin.KindURN, Value: "71"}}}, pin.Memo{})
		require.NoError(t, err)
	})
	w.copy(t)
	with(func(v *pin.Vault) { require.NoError(t, v.Unblock(ctx, pin.Query{CardID: "card"}, pin.Memo{})) })
	return w
}

// copy lets the trail be changed, as who owns it can, and keeps the database as it is.
func (w *auditWorld) copy(t testing.TB) {
	t.Helper()
	var err error
	if path, embedded := strings.CutPrefix(w.url, "sqlite://"); embedded {
		w.sql, err = sql.Open("sqlite", path)
		require.NoError(t, err)
		w.old = filepath.Join(t.TempDir(), "old.db")
		w.exec(t, `DROP TRIGGER audit_events_no_update`, `DROP TRIGGER audit_events_no_delete`, `VACUUM INTO '`+w.old+`'`)
	} else {
		w.sql, err = sql.Open("pgx", w.url)
		require.NoError(t, err)
		w.sql.SetMaxIdleConns(0) // a database that somebody is connected to is not copied
		w.old = w.name(t) + "_old"
		w.exec(t, `DROP TRIGGER audit_events_append_only ON audit_events`)
		w.server(t, fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q`, w.old, w.name(t)))
		t.Cleanup(func() { w.server(t, fmt.Sprintf(`DROP DATABASE %q`, w.old)) })
	}
	t.Cleanup(func() { require.NoError(t, w.sql.Close()) })
}

// putBack puts the whole database back to what it was before the newest event.
func (w *auditWorld) putBack(t testing.TB) {
	t.Helper()
	require.NoError(t, w.sql.Close())
	path, embedded := strings.CutPrefix(w.url, "sqlite://")
	if !embedded {
		w.server(t, fmt.Sprintf(`DROP DATABASE %q WITH (FORCE)`, w.name(t)), fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q`, w.name(t), w.old))
		return
	}
	old, err := os.ReadFile(w.old)
	require.NoError(t, err)
	for _, file := range []string{path + "-wal", path + "-shm"} {
		require.NoError(t, os.RemoveAll(file))
	}
	require.NoError(t, os.WriteFile(path, old, 0o600))
}

// name is the database's on a PostgreSQL server.
func (w *auditWorld) name(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(w.url)
	require.NoError(t, err)
	return strings.TrimPrefix(u.Path, "/")
}

// server runs statements on the PostgreSQL server, outside of the database.
func (w *auditWorld) server(t testing.TB, statements ...string) {
	t.Helper()
	u, err := url.Parse(w.url)
	require.NoError(t, err)
	u.Path = "/postgres"
	db, err := sql.Open("pgx", u.String())
	require.NoError(t, err)
	for _, s := range statements {
		_, err = db.ExecContext(context.WithoutCancel(t.Context()), s)
		require.NoError(t, err, s)
	}
	require.NoError(t, db.Close())
}

func (w *auditWorld) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := w.sql.Exec(s)
		require.NoError(t, err, s)
	}
}

// run is a command of pinvault audit: its exit code, and what it printed.
func (w *auditWorld) run(t testing.TB, args ...string) (code int, out, complaint string) {
	t.Helper()
	c := apptest.Command(t, append([]string{"audit"}, args...)...)
	c.Env = append(c.Env, w.env...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		_, ended := errors.AsType[*exec.ExitError](err)
		require.True(t, ended, "%v", err)
	}
	return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// checkpoint makes one.
func (w *auditWorld) checkpoint(t testing.TB) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "checkpoint")
	code, _, complaint := w.run(t, "checkpoint", "--out", file)
	require.Zero(t, code, complaint)
	return file
}

func TestAuditVerifySaysWhatIsBrokenAndFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tamper []string
		says   string
	}{
		"nothing was done": {nil, "all whole: events 4, chains 3, cards 1, other rows 1, look-ups 3\n"},
		"an event was changed": {[]string{`UPDATE audit_events SET body = replace(body, 'unblocked', 'revealed')`},
			"BROKEN: an event was changed, or another one stands in its place: chain \"card\", place 2\n"},
		"two rows were changed": {[]string{`UPDATE cards SET seal = x'00'`, `UPDATE programs SET seal = x'00'`},
			"BROKEN: a row was changed: its seal is broken: cards, id \"card\"\n        2 of this kind in all\n"},
		"the trail was deleted": {[]string{`DELETE FROM audit_events`},
			"        3 of this kind in all\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAuditWorld(t)
			w.exec(t, test.tamper...)
			code, out, complaint := w.run(t, "verify")
			require.Contains(t, out, test.says)
			if test.tamper == nil {
				require.Zero(t, code, complaint)
				require.Empty(t, complaint)
				return
			}
			require.Equal(t, 1, code)
			require.Contains(t, complaint, "pinvault: the database is not as PinVault wrote it")
			require.NotContains(t, out, "all whole")
			require.Contains(t, out, "looked at: ")
		})
	}
}

func TestAuditCheckpointIsSignedAndWritten(t *testing.T) {
	t.Parallel()
	w := newAuditWorld(t)
	code, line, complaint := w.run(t, "checkpoint")
	require.Zero(t, code, complaint)
	require.Empty(t, complaint)
	code, public, complaint := w.run(t, "checkpoint", "--print-key")
	require.Zero(t, code, complaint)
	set, err := jwk.Parse([]byte(public))
	require.NoError(t, err)
	payload, err := jws.Verify([]byte(strings.TrimSpace(line)), jws.WithKeySet(set))
	require.NoError(t, err)
	var claims struct {
		Time           time.Time
		Chains, Events int
		Root           []byte
	}
	require.NoError(t, json.Unmarshal(payload, &claims))
	require.Equal(t, []int{3, 4, 32}, []int{claims.Chains, claims.Events, len(claims.Root)})
	require.WithinDuration(t, time.Now(), claims.Time, time.Minute)

	file := filepath.Join(t.TempDir(), "checkpoint")
	code, line, complaint = w.run(t, "checkpoint", "--out", file)
	require.Zero(t, code, complaint)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	require.Len(t, lines, 1+3+1)
	require.Equal(t, line, lines[0])
	beside, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, beside, 1, "nothing else is left")

	code, _, complaint = w.run(t, "checkpoint", "--out", file)
	require.Equal(t, 1, code, "what is there stays")
	require.Contains(t, complaint, "exists already, and a checkpoint is never overwritten")
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, again)
}

func TestNoCheckpointIsWrittenOfATamperedDatabase(t *testing.T) {
	t.Parallel()
	w := newAuditWorld(t)
	w.exec(t, `UPDATE cards SET seal = x'00'`)
	file := filepath.Join(t.TempDir(), "checkpoint")
	code, out, complaint := w.run(t, "checkpoint", "--out", file)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, complaint, "run 'pinvault audit verify'")
	require.NoFileExists(t, file)
	beside, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Empty(t, beside)
}

func TestAuditVerifyHoldsTheDatabaseAgainstACheckpoint(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tamper func(testing.TB, *auditWorld)
		says   []string // "": it is content
	}{
		"nothing was done": {func(testing.TB, *auditWorld) {}, nil},
		"a card was put back with its chain": {func(t testing.TB, w *auditWorld) {
			w.exec(t, `ATTACH DATABASE '`+w.old+`' AS old`, `DELETE FROM cards`, `INSERT INTO cards SELECT * FROM old.cards`,
				`DELETE FROM audit_events`, `INSERT INTO audit_events SELECT * FROM old.audit_events`)
		}, []string{"BROKEN: a chain has not what the checkpoint says: it was rolled back, or replaced: chain \"card\", place 2\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAuditWorld(t)
			w.sql.SetMaxOpenConns(1) // which attaches
			file := w.checkpoint(t)
			test.tamper(t, w)
			code, out, complaint := w.run(t, "verify")
			require.Zero(t, code, "nothing else shows it: %s%s", out, complaint)
			code, out, complaint = w.run(t, "verify", "--checkpoint", file)
			if test.says == nil {
				require.Zero(t, code, complaint)
				require.Contains(t, out, "all whole: events 4, chains 3, cards 1, other rows 1, look-ups 3, chains of the checkpoint of 20")
				return
			}
			require.Equal(t, 1, code, complaint)
			for _, s := range test.says {
				require.Contains(t, out, s)
			}
		})
	}
}

func TestAuditVerifyRefusesAFileThatIsNoCheckpointOfThisVault(t *testing.T) {
	t.Parallel()
	w := newAuditWorld(t)
	whole, err := os.ReadFile(w.checkpoint(t))
	require.NoError(t, err)
	foreign, err := os.ReadFile(newAuditWorld(t).checkpoint(t))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		text string
		says string
	}{
		"an empty one":             {"", "this is not a checkpoint"},
		"another vault's":          {string(foreign), "signed by a key that is not in this keyset"},
		"one that was cut":         {string(whole[:bytes.LastIndexByte(whole[:len(whole)-1], '\n')+1]), "the checkpoint was cut: it was signed with 3 chains and has 2"},
		"one that was changed":     {strings.Replace(string(whole), "card 2 ", "card 1 ", 1), "not those that were signed"},
		"one with another's lines": {string(whole[:bytes.IndexByte(whole, '\n')]) + string(foreign[bytes.IndexByte(foreign, '\n'):]), "not those that were signed"},
	} {
		file := filepath.Join(t.TempDir(), "checkpoint")
		require.NoError(t, os.WriteFile(file, []byte(test.text), 0o600))
		code, out, complaint := w.run(t, "verify", "--checkpoint", file)
		require.Equal(t, 1, code, name)
		require.Contains(t, complaint, test.says, name)
		require.Empty(t, out, name)
	}
	code, _, complaint := w.run(t, "verify", "--checkpoint", filepath.Join(t.TempDir(), "none"))
	require.Equal(t, 1, code)
	require.Contains(t, complaint, "no such file")
}

func TestAuditAsksForKeysAndForASchema(t *testing.T) {
	t.Parallel()
	w := newAuditWorld(t)
	for _, command := range []string{"verify", "checkpoint"} {
		code, _, complaint := (&auditWorld{}).run(t, command)
		require.Equal(t, 2, code)
		require.Contains(t, complaint, "PINVAULT_KEYSET")
		database := storetest.SQLite(t)
		code, _, complaint = w.run(t, command, "--database-url", database)
		require.Equal(t, 1, code)
		require.Contains(t, complaint, "no such file", "a name that was mistyped makes no database")
		require.NoFileExists(t, strings.TrimPrefix(database, "sqlite://"))
		require.NoError(t, os.WriteFile(strings.TrimPrefix(database, "sqlite://"), nil, 0o600))
		code, _, complaint = w.run(t, command, "--database-url", database)
		require.Equal(t, 1, code)
		require.Contains(t, complaint, "run 'pinvault migrate'")
	}
}
