package auditlog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/auditlog"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

const origin = "pin.example.com/audit"

// world is a trail in memory: rows, which somebody may change, and heads, which stand under seals.
type world struct {
	rows     map[string][]pin.EventRow
	heads    map[string]pin.Head
	settings map[string]string
	now      time.Time
	folder   auditlog.Folder
	keys     auditlog.Keys
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{rows: map[string][]pin.EventRow{}, heads: map[string]pin.Head{}, settings: map[string]string{},
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), folder: auditlog.Folder(t.TempDir()), keys: keyring.Sandbox()}
}

// happen appends so many events to a chain.
func (w *world) happen(t testing.TB, chain string, times int) {
	t.Helper()
	for range times {
		head := w.heads[chain]
		body, err := json.Marshal(map[string]any{"type": "pin.set", "cardId": chain, "at": w.now})
		require.NoError(t, err)
		mac := sha256.Sum256(fmt.Append(nil, chain, head.Seq, "keyed"))
		row := pin.EventRow{Chain: chain, Seq: head.Seq + 1, ID: fmt.Sprintf("%s-%04d", chain, head.Seq+1), ProgramID: "program", Body: body, MAC: mac[:]}
		w.rows[chain] = append(w.rows[chain], row)
		w.heads[chain] = pin.Head{Seq: row.Seq, MAC: row.MAC, Digest: pin.Extended(head.Digest, row.Hash())}
	}
}

// copied is the database as it is, to be put back.
func (w *world) copied() func() {
	rows, heads := map[string][]pin.EventRow{}, maps.Clone(w.heads)
	for chain, all := range w.rows {
		rows[chain] = slices.Clone(all)
	}
	return func() {
		w.rows, w.heads = map[string][]pin.EventRow{}, maps.Clone(heads)
		for chain, all := range rows {
			w.rows[chain] = slices.Clone(all)
		}
	}
}

func (w *world) Heads(context.Context) iter.Seq2[pin.ChainHead, error] {
	return func(yield func(pin.ChainHead, error) bool) {
		for _, chain := range slices.Sorted(maps.Keys(w.heads)) {
			if !yield(pin.ChainHead{Chain: chain, Head: w.heads[chain]}, nil) {
				return
			}
		}
	}
}

func (w *world) ChainEvents(_ context.Context, chain string, seq int64, limit int) (page []pin.EventRow, err error) {
	for _, c := range slices.Sorted(maps.Keys(w.rows)) {
		for _, r := range w.rows[c] {
			if (c > chain || c == chain && r.Seq > seq) && len(page) < limit {
				page = append(page, r)
			}
		}
	}
	return page, nil
}

func (w *world) ChainRows(ctx context.Context, chain string, after, upTo int64) iter.Seq2[pin.EventRow, error] {
	return pin.ChainRows(ctx, w, chain, after, upTo)
}

func (w *world) Events(_ context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	for _, all := range w.rows {
		for _, r := range all {
			if r.ID == q.ID {
				return []pin.EventRow{r}, nil
			}
		}
	}
	return nil, nil
}

func (w *world) Setting(_ context.Context, key string) (string, error) {
	if value, ok := w.settings[key]; ok {
		return value, nil
	}
	return "", &pin.Error{Code: pin.NotFound}
}

func (w *world) PutSetting(_ context.Context, key, value string) error {
	w.settings[key] = value
	return nil
}

func (w *world) log(t testing.TB, change func(*auditlog.Options)) *auditlog.Log {
	t.Helper()
	o := auditlog.Options{Folder: w.folder, Origin: origin, Every: time.Hour, Now: func() time.Time { return w.now }}
	if change != nil {
		change(&o)
	}
	l, err := auditlog.Open(o, w.keys)
	require.NoError(t, err)
	return l
}

// hour lets an hour pass, after which an entry is appended.
func (w *world) hour(t testing.TB) auditlog.Note {
	t.Helper()
	w.now = w.now.Add(time.Hour)
	appended, err := w.log(t, nil).Round(t.Context(), w, w)
	require.NoError(t, err)
	require.True(t, appended)
	return w.note(t)
}

// verifiers are the names of the log's keys.
func (w *world) verifiers(t testing.TB) []string {
	t.Helper()
	names, err := auditlog.Verifiers(origin, w.keys.LogKeys())
	require.NoError(t, err)
	return names
}

// ring is what an outsider verifies by.
func (w *world) ring(t testing.TB) *auditlog.Keyring {
	t.Helper()
	k, err := auditlog.NewKeyring(w.verifiers(t)[0], nil)
	require.NoError(t, err)
	return k
}

// note is the log's newest, as an outsider keeps it.
func (w *world) note(t testing.TB) auditlog.Note {
	t.Helper()
	text, err := os.ReadFile(string(w.folder) + "/tiles/checkpoint")
	require.NoError(t, err)
	n, err := w.ring(t).Note(text)
	require.NoError(t, err)
	return n
}

// prove makes the file of a proof.
func (w *world) prove(t testing.TB, event string, held *auditlog.Note) ([]byte, error) {
	t.Helper()
	v, err := note.NewVerifier(w.verifiers(t)[0])
	require.NoError(t, err)
	p, err := auditlog.Prove(t.Context(), w.folder, w, event, v, held)
	if err != nil {
		return nil, err
	}
	text, err := p.Marshal()
	require.NoError(t, err)
	return text, nil
}

// check is what an outsider does, who has the file, a note and the key, and nothing else.
func check(k *auditlog.Keyring, file []byte, held auditlog.Note, link auditlog.Link) (auditlog.Proven, error) {
	p, err := auditlog.Unmarshal(bytes.Clone(file))
	if err != nil {
		return auditlog.Proven{}, err
	}
	return p.Check(k, held, link)
}
