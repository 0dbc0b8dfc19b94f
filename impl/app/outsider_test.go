package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/app/apptest"
	"pinvault/impl/auditlog"
	"pinvault/impl/pin"
)

const logOrigin = "pin.example.com/audit"

// outsider follows the audit log of servers: somebody who has its public key and every note that it ever published, and neither
// the database nor a secret. What is published is verified by the libraries of those who made the log's format.
type outsider struct {
	folder   string // the log's, which the operator has
	own      string // the outsider's own
	key      string // a file
	verifier note.Verifier
	mu       sync.Mutex
	notes    []string // as they were published, each once
}

// newOutsider begins to follow a log before there is one.
func (p *premises) newOutsider(t *testing.T) *outsider {
	t.Helper()
	o := &outsider{folder: filepath.Join(t.TempDir(), "log"), own: t.TempDir()}
	name := p.run(t, "audit", "log-key", "--audit-log-origin", logOrigin)
	o.key = filepath.Join(o.own, "log.key")
	require.NoError(t, os.WriteFile(o.key, []byte(name), 0o600))
	var err error
	o.verifier, err = note.NewVerifier(strings.TrimSpace(name))
	require.NoError(t, err)
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for again := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-again.C:
				o.look()
			case <-over:
				again.Stop()
				return
			}
		}
	})
	t.Cleanup(func() { close(over); watching.Wait() })
	return o
}

// look keeps the note that is published now.
func (o *outsider) look() {
	text, err := os.ReadFile(filepath.Join(o.folder, "tiles/checkpoint"))
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil && !slices.Contains(o.notes, string(text)) {
		o.notes = append(o.notes, string(text))
	}
}

// held are the notes, in the order in which they were published.
func (o *outsider) held() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.notes)
}

// log has a server make a checkpoint a second.
func (o *outsider) log() []string {
	return []string{"--audit-log", o.folder, "--audit-log-origin", logOrigin, "--audit-log-every", "1s"}
}

// appending tells whether a server is making a checkpoint, or was when it was killed.
func (o *outsider) appending() bool {
	files, err := filepath.Glob(filepath.Join(o.folder, ".making-*"))
	return err == nil && len(files) > 0
}

// cutOff tells whether the server that was killed last was making a checkpoint: what it made it of is left, and no other server is at
// work.
func (o *outsider) cutOff(t *testing.T) bool {
	t.Helper()
	lock := flock.New(filepath.Join(o.folder, "lock"))
	free, err := lock.TryLock()
	require.NoError(t, err)
	left := free && o.appending()
	require.NoError(t, lock.Unlock())
	return left
}

// parsed is a note, verified.
func (o *outsider) parsed(t *testing.T, text string) *log.Checkpoint {
	t.Helper()
	n, _, _, err := log.ParseCheckpoint([]byte(text), logOrigin, o.verifier)
	require.NoError(t, err)
	return n
}

// followsOneLog waits until all that has happened is in the log which a server serves, and demands that it goes on from every note that
// was ever published.
func (o *outsider) followsOneLog(t *testing.T, server string) {
	t.Helper()
	newest := func() *log.Checkpoint {
		all := o.held()
		return o.parsed(t, all[len(all)-1])
	}
	has := newest().Size
	require.Eventually(t, func() bool { return newest().Size >= has+2 }, time.Minute, 10*time.Millisecond, "the next but one was begun after all had happened")
	tiles, err := auditlog.At(server+"/audit/tiles", nil)
	require.NoError(t, err)
	all, last := o.held(), newest()
	b, err := client.NewProofBuilder(t.Context(), last.Size, tiles.ReadTile)
	require.NoError(t, err)
	sizes := map[uint64]bool{}
	for _, text := range all {
		n := o.parsed(t, text)
		if n.Size > last.Size { // published since
			continue
		}
		path, err := b.ConsistencyProof(t.Context(), n.Size, last.Size)
		require.NoError(t, err)
		require.NoError(t, proof.VerifyConsistency(rfc6962.DefaultHasher, n.Size, last.Size, path, n.Hash, last.Hash), "a fork: of %d entries and of %d", n.Size, last.Size)
		sizes[n.Size] = true
	}
	require.Len(t, sizes, len(all), "nothing was published twice in two ways")
	first := slices.IndexFunc(all, func(text string) bool { return o.parsed(t, text).Size > 0 })
	out, err := apptest.Command(t, "audit", "check", "--checkpoint", o.keep(t, all[first]), "--key", o.key, "--log", server+"/audit/tiles").CombinedOutput()
	require.NoError(t, err, "%s", out)
	kept, err := filepath.Glob(filepath.Join(o.folder, "moved/*"))
	require.NoError(t, err)
	t.Logf("the log has %d entries, of %d of which a killed server kept nothing, and goes on from each of %d notes", last.Size, int(last.Size)-len(kept), len(all))
}

// keep writes a note into a file of the outsider's.
func (o *outsider) keep(t *testing.T, text string) string {
	t.Helper()
	file, err := os.CreateTemp(o.own, "held-")
	require.NoError(t, err)
	_, err = file.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return file.Name()
}

// checksProofs has the operator prove events, each to another of the notes that the outsider holds, who checks them; and demands that a proof
// of which a byte was changed, or in which another event stands, is refused.
func (o *outsider) checksProofs(t *testing.T, at string, kills []time.Time) {
	t.Helper()
	var notes []string
	for _, text := range o.held() {
		if o.parsed(t, text).Size > 0 {
			notes = append(notes, text)
		}
	}
	events := sample(t, at, kills)
	var file, held string // of the event before
	for i, e := range events {
		before, beforeHeld := file, held
		held = o.keep(t, notes[len(notes)-1-i*len(notes)/len(events)])
		file = filepath.Join(o.own, e+".proof")
		out, err := apptest.Command(t, "audit", "prove", "--database-url", at, "--audit-log", o.folder, "--key", o.key,
			"--event", e, "--checkpoint", held, "--out", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		out, err = apptest.Command(t, "audit", "check", file, "--checkpoint", held, "--key", o.key).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), `"id": "`+e+`"`)
		require.Contains(t, string(out), "proven: the event is in entry")
		if i == 0 || i > repetitions(1, 20) {
			continue
		}
		whole, err := os.ReadFile(file)
		require.NoError(t, err)
		changed := bytes.Clone(whole)
		changed[(i*7919)%len(whole)] ^= 1
		o.refuses(t, changed, held)
		one, err := auditlog.Unmarshal(whole)
		require.NoError(t, err)
		text, err := os.ReadFile(before)
		require.NoError(t, err)
		other, err := auditlog.Unmarshal(text)
		require.NoError(t, err)
		one.Event, other.Event = other.Event, one.Event
		for file, p := range map[string]auditlog.Proof{held: one, beforeHeld: other} {
			text, err := p.Marshal()
			require.NoError(t, err)
			o.refuses(t, text, file)
		}
	}
	t.Logf("%d events were proven to somebody without a secret", len(events))
}

// refuses demands that something is no proof.
func (o *outsider) refuses(t *testing.T, text []byte, held string) {
	t.Helper()
	file := o.keep(t, string(text))
	out, err := apptest.Command(t, "audit", "check", file, "--checkpoint", held, "--key", o.key).CombinedOutput()
	require.Error(t, err, "%s", out)
	require.NotContains(t, string(out), "proven: ")
	require.True(t, slices.ContainsFunc([]error{auditlog.ErrNoProof, auditlog.ErrNoNote, auditlog.ErrForeign, auditlog.ErrEvent, auditlog.ErrEntry, auditlog.ErrFork},
		func(why error) bool { return strings.Contains(string(out), why.Error()) }), "%s", out)
}

// sample are events of the trail: the oldest and the newest, those on either side of kills, and the first, the middle and the newest one of
// chains.
func sample(t *testing.T, at string, kills []time.Time) (ids []string) {
	t.Helper()
	rows, err := apptest.OpenStore(t, at).Events(t.Context(), pin.AuditQuery{Page: pin.Page{Limit: 1_000_000}})
	require.NoError(t, err)
	type moment struct {
		id string
		at time.Time
	}
	all, chains := make([]moment, len(rows)), map[string][]string{}
	for i, r := range rows {
		e, err := r.Event()
		require.NoError(t, err)
		all[i] = moment{r.ID, e.At}
		chains[r.Chain] = append(chains[r.Chain], r.ID)
	}
	slices.SortFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	ids = append(ids, all[0].id, all[len(all)-1].id)
	for i := range repetitions(1, 10) {
		after, _ := slices.BinarySearchFunc(all, kills[i*len(kills)/repetitions(1, 10)], func(m moment, t time.Time) int { return m.at.Compare(t) })
		ids = append(ids, all[max(after-1, 0)].id, all[min(after, len(all)-1)].id)
	}
	for _, events := range chains {
		if len(ids) >= repetitions(7, 60) {
			break
		}
		slices.Sort(events)
		ids = append(ids, events[0], events[len(events)/2], events[len(events)-1])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
