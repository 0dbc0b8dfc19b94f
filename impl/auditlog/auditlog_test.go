package auditlog_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"pinvault/impl/auditlog"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

func TestEveryEventIsProvenFromTheFirstEntryAfterIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var notes []auditlog.Note
	for hour := range 5 {
		for card := range 7 {
			w.happen(t, fmt.Sprintf("card-%d", card), (card+hour)%4)
		}
		w.happen(t, "server", 1)
		notes = append(notes, w.hour(t))
	}
	last := notes[4]
	require.EqualValues(t, 5, last.Size)
	for chain, rows := range w.rows {
		for _, row := range rows {
			for _, held := range append(slices.Clone(notes), auditlog.Note{}) {
				link := &held
				if held.Size == 0 {
					link, held = nil, last
				}
				file, err := w.prove(t, row.ID, link)
				require.NoError(t, err, row.ID)
				proven, err := check(w.ring(t), file, held, nil)
				require.NoError(t, err, row.ID)
				require.Equal(t, row.ID, proven.Event.ID)
				require.Equal(t, chain, proven.Event.CardID)
				require.Equal(t, held.Size, proven.Size)
				require.False(t, proven.At.Before(proven.Event.At))
				require.LessOrEqual(t, proven.At.Sub(proven.Event.At), time.Hour, "the first one after it")
			}
		}
	}
}

// A proof tells of the event, and of no other.
func TestProofHoldsNothingOfOtherEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 5)
	w.happen(t, "card-2", 3)
	w.hour(t)
	file, err := w.prove(t, "card-1-0002", nil)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(file, []byte("pin.set")))
	for _, other := range []string{"card-2", "card-1-0001", "card-1-0003"} {
		require.NotContains(t, string(file), other)
	}
}

func TestProofOfALogThatHasGrownIsLinkedToTheNoteThatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 2)
	early := w.hour(t)
	file, err := w.prove(t, "card-1-0001", nil)
	require.NoError(t, err)
	w.happen(t, "card-1", 1)
	late := w.hour(t)

	_, err = check(w.ring(t), file, late, nil)
	var unlinked *auditlog.UnlinkedError
	require.ErrorAs(t, err, &unlinked)
	require.ErrorContains(t, err, "of 1 entries")
	tiles, err := auditlog.At(string(w.folder)+"/tiles", nil)
	require.NoError(t, err)
	_, err = check(w.ring(t), file, late, auditlog.LinkIn(t.Context(), tiles))
	require.NoError(t, err, "the log itself links them")

	linked, err := w.prove(t, "card-1-0003", &early)
	require.NoError(t, err)
	_, err = check(w.ring(t), linked, early, nil)
	require.NoError(t, err, "an event after the note that is held")
	_, err = check(w.ring(t), linked, late, nil)
	require.ErrorAs(t, err, &unlinked, "its link is to another note")
	_, err = w.prove(t, "card-1-0004", nil)
	require.ErrorIs(t, err, auditlog.ErrNoEvent)
	w.happen(t, "card-1", 1)
	_, err = w.prove(t, "card-1-0004", nil)
	require.ErrorIs(t, err, auditlog.ErrNotYet)
}

// A trail that somebody changes who has every right and no key: rows of events, whose heads stand under seals that 'audit verify'
// checks.
func TestRowThatWasChangedRemovedInsertedOrMovedIsNotProven(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(rows []pin.EventRow) []pin.EventRow{
		"changed": func(rows []pin.EventRow) []pin.EventRow {
			rows[2].Body = bytes.Replace(rows[2].Body, []byte("pin.set"), []byte("pin.reset"), 1)
			return rows
		},
		"changed in its id":  func(rows []pin.EventRow) []pin.EventRow { rows[1].ID = "card-1-0009"; return rows },
		"changed in its MAC": func(rows []pin.EventRow) []pin.EventRow { rows[0].MAC = []byte("x"); return rows },
		"removed":            func(rows []pin.EventRow) []pin.EventRow { return slices.Delete(rows, 1, 2) },
		"removed, and the gap closed": func(rows []pin.EventRow) []pin.EventRow {
			rows = slices.Delete(rows, 1, 2)
			for i := range rows {
				rows[i].Seq = int64(i + 1)
			}
			return rows
		},
		"inserted": func(rows []pin.EventRow) []pin.EventRow {
			rows = slices.Insert(rows, 1, rows[1])
			rows[1].ID = "card-1-forged"
			for i := range rows {
				rows[i].Seq = int64(i + 1)
			}
			return rows
		},
		"put in another's place": func(rows []pin.EventRow) []pin.EventRow {
			rows[1], rows[2] = rows[2], rows[1]
			rows[1].Seq, rows[2].Seq = 2, 3
			return rows
		},
		"the last ones removed": func(rows []pin.EventRow) []pin.EventRow { return rows[:3] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.happen(t, "card-1", 4)
			w.happen(t, "card-2", 4)
			w.hour(t)
			w.rows["card-1"] = tamper(w.rows["card-1"])
			_, err := w.prove(t, w.rows["card-1"][0].ID, nil)
			require.ErrorIs(t, err, auditlog.ErrTampered)
			_, err = w.prove(t, "card-2-0001", nil)
			require.NoError(t, err, "others are not touched")
		})
	}
}

// A database that was put back is not appended; and if the log was put back with it, what an outsider holds shows it.
func TestDatabaseThatWasPutBackIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		then func(t *testing.T, w *world) // after it was put back
		want error
	}{
		"as it was": {func(*testing.T, *world) {}, auditlog.ErrRolledBack},
		"used since": {func(t *testing.T, w *world) {
			w.now = w.now.Add(time.Minute)
			w.happen(t, "card-1", 3)
			w.happen(t, "card-2", 3)
		}, auditlog.ErrRolledBack},
		"used since for longer": {func(t *testing.T, w *world) {
			w.now = w.now.Add(time.Minute)
			w.happen(t, "card-1", 9)
			w.happen(t, "card-2", 9)
		}, auditlog.ErrRolledBack},
		"without one of its cards": {func(_ *testing.T, w *world) { delete(w.heads, "card-2"); delete(w.rows, "card-2") }, auditlog.ErrRolledBack},
		"without what is kept of the newest checkpoint": {func(t *testing.T, w *world) {
			require.NoError(t, os.Remove(string(w.folder)+"/newest"))
		}, auditlog.ErrRolledBack},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.happen(t, "card-1", 2)
			w.happen(t, "card-2", 2)
			w.hour(t)
			back := w.copied()
			w.happen(t, "card-1", 2)
			w.happen(t, "card-2", 1)
			held := w.hour(t)
			proof, err := w.prove(t, "card-1-0004", nil)
			require.NoError(t, err)

			back()
			test.then(t, w)
			w.now = w.now.Add(time.Hour)
			appended, err := w.log(t, nil).Round(t.Context(), w, w)
			require.False(t, appended)
			require.ErrorIs(t, err, test.want)
			require.Equal(t, held.Size, w.note(t).Size)
			_, err = check(w.ring(t), proof, held, nil)
			require.NoError(t, err, "what was proven stays proven")
		})
	}
}

func TestLogThatWasPutBackWithTheDatabaseIsFoundByWhoHoldsANote(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 2)
	first := w.hour(t)
	database, folder := w.copied(), t.TempDir()
	require.NoError(t, os.CopyFS(folder, os.DirFS(string(w.folder))))
	w.happen(t, "card-1", 2)
	held := w.hour(t)
	proof, err := w.prove(t, "card-1-0003", nil)
	require.NoError(t, err)

	database()
	require.NoError(t, os.RemoveAll(string(w.folder)))
	require.NoError(t, os.CopyFS(string(w.folder), os.DirFS(folder)))
	follow := func(held auditlog.Note) error {
		tiles, err := auditlog.At(string(w.folder)+"/tiles", nil)
		require.NoError(t, err)
		_, err = auditlog.Follow(t.Context(), w.ring(t), held, tiles)
		return err
	}
	require.ErrorIs(t, follow(held), auditlog.ErrFork, "the log has become shorter")
	_, err = w.prove(t, "card-1-0002", &held)
	require.ErrorIs(t, err, auditlog.ErrFork)
	w.now = w.now.Add(time.Minute)
	w.happen(t, "card-1", 5)
	for range 3 {
		other := w.hour(t)
		require.ErrorIs(t, follow(held), auditlog.ErrFork, "and is another one, %d entries long", other.Size)
		require.NoError(t, follow(first), "which who kept no note since cannot know")
		file, err := w.prove(t, "card-1-0003", nil)
		require.NoError(t, err)
		tiles, err := auditlog.At(string(w.folder)+"/tiles", nil)
		require.NoError(t, err)
		_, err = check(w.ring(t), file, held, auditlog.LinkIn(t.Context(), tiles))
		require.ErrorIs(t, err, auditlog.ErrFork)
		_, err = check(w.ring(t), proof, other, auditlog.LinkIn(t.Context(), tiles))
		require.ErrorIs(t, err, auditlog.ErrFork)
	}
}

// Whoever follows the log sees an entry that tells of less than the one before.
func TestFollowerReadsEveryEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tiles, err := auditlog.At(string(w.folder)+"/tiles", nil)
	require.NoError(t, err)
	var held auditlog.Note
	for range 5 {
		w.happen(t, "card-1", 1)
		newest := w.hour(t)
		got, err := auditlog.Follow(t.Context(), w.ring(t), held, tiles)
		require.NoError(t, err)
		require.Equal(t, newest, got)
		held = got
	}
	bundles, err := filepath.Glob(string(w.folder) + "/tiles/tile/entries/000.p/*")
	require.NoError(t, err)
	for _, bundle := range bundles {
		text, err := os.ReadFile(bundle)
		require.NoError(t, err)
		text[10] ^= 1
		require.NoError(t, os.WriteFile(bundle, text, 0o600))
	}
	_, err = auditlog.Follow(t.Context(), w.ring(t), auditlog.Note{}, tiles)
	require.ErrorIs(t, err, auditlog.ErrEntry)
}

func TestEntryIsMadeWhenItIsDueAndByOneProcessAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 1)
	w.hour(t)
	other := w.log(t, nil)
	w.now = w.now.Add(59 * time.Minute)
	appended, err := other.Round(t.Context(), w, w)
	require.NoError(t, err)
	require.False(t, appended, "it is not due")
	w.now = w.now.Add(time.Minute)
	lock := flock.New(string(w.folder) + "/lock")
	require.NoError(t, lock.Lock())
	appended, err = other.Round(t.Context(), w, w)
	require.NoError(t, err)
	require.False(t, appended, "another process does it")
	require.NoError(t, lock.Unlock())
	appended, err = other.Round(t.Context(), w, w)
	require.NoError(t, err)
	require.True(t, appended)
	require.EqualValues(t, 2, w.note(t).Size, "though nothing has happened")

	second := auditlog.Folder(t.TempDir())
	appended, err = w.log(t, func(o *auditlog.Options) { o.Folder = second }).Round(t.Context(), w, w)
	require.ErrorIs(t, err, auditlog.ErrElsewhere, "two logs of one name would be a fork")
	require.False(t, appended)
	appended, err = w.log(t, func(o *auditlog.Options) { o.Folder, o.Origin = second, "other.example.com" }).Round(t.Context(), w, w)
	require.NoError(t, err)
	require.True(t, appended)
}

// The name is signed with each note: a server that was started with another one would sign the same log under both, and whoever holds
// the key of the first could not check it any more.
func TestALogKeepsItsName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.log(t, func(o *auditlog.Options) { o.Origin = "other.example.com" }) // before there was a log
	w.happen(t, "card-1", 1)
	w.hour(t)
	published, err := os.ReadFile(string(w.folder) + "/tiles/checkpoint")
	require.NoError(t, err)

	_, err = auditlog.Open(auditlog.Options{Folder: w.folder, Origin: "other.example.com", Every: time.Hour}, w.keys)
	require.ErrorIs(t, err, auditlog.ErrRenamed)
	require.ErrorContains(t, err, origin)
	w.now = w.now.Add(time.Hour)
	appended, err := began.Round(t.Context(), w, w)
	require.ErrorIs(t, err, auditlog.ErrRenamed)
	require.False(t, appended)
	after, err := os.ReadFile(string(w.folder) + "/tiles/checkpoint")
	require.NoError(t, err)
	require.Equal(t, string(published), string(after))
	require.EqualValues(t, 2, w.hour(t).Size, "under its own name it goes on")
}

// What a process leaves behind that is killed while it makes an entry is gone with the next look, and does not keep the log from growing.
func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 1)
	require.NoError(t, os.MkdirAll(string(w.folder)+"/moved", 0o700))
	require.NoError(t, os.WriteFile(string(w.folder)+"/id", nil, 0o600))
	for _, left := range []string{"/.making-1", "/.making-2", "/moved/.making-3"} {
		require.NoError(t, os.WriteFile(string(w.folder)+left, []byte("half of a checkpoint"), 0o600))
	}
	require.EqualValues(t, 1, w.hour(t).Size)
	for _, place := range []string{"/.making-*", "/moved/.making-*"} {
		left, err := filepath.Glob(string(w.folder) + place)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	second := auditlog.Folder(t.TempDir())
	_, err := w.log(t, func(o *auditlog.Options) { o.Folder = second }).Round(t.Context(), w, w)
	require.ErrorIs(t, err, auditlog.ErrElsewhere, "a folder whose name was not written is given one")
}

// Wherever the process ended, the next entry covers what the one before did not keep.
func TestWhatWasNotKeptOfAnEntryIsInTheNext(t *testing.T) {
	t.Parallel()
	for _, lost := range [][]string{{"moved/1", "newest"}, {"newest"}} {
		w := newWorld(t)
		w.happen(t, "card-1", 1)
		w.hour(t)
		before, err := os.ReadFile(string(w.folder) + "/newest")
		require.NoError(t, err)
		w.happen(t, "card-1", 1)
		w.hour(t)
		for _, name := range lost {
			require.NoError(t, os.Remove(string(w.folder)+"/"+name))
		}
		require.NoError(t, os.WriteFile(string(w.folder)+"/newest", before, 0o600))
		w.happen(t, "card-1", 1)
		held := w.hour(t)
		for _, row := range w.rows["card-1"] {
			file, err := w.prove(t, row.ID, nil)
			require.NoError(t, err)
			_, err = check(w.ring(t), file, held, nil)
			require.NoError(t, err)
		}
	}
}

// While the log's key is rotated, notes are under both: who knows one of them goes on.
func TestRotatedKeySignsBesideTheFormer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 1)
	w.hour(t)
	ks, _, err := keyring.Sandbox().Rotated([]pin.Use{keyring.UseAuditLog}, w.now, true, rand.Reader, w.now)
	require.NoError(t, err)
	w.keys = ks
	w.hour(t)
	names := w.verifiers(t)
	require.Len(t, names, 2)
	text, err := os.ReadFile(string(w.folder) + "/tiles/checkpoint")
	require.NoError(t, err)
	for _, name := range names {
		k, err := auditlog.NewKeyring(name, nil)
		require.NoError(t, err)
		held, err := k.Note(text)
		require.NoError(t, err)
		v, err := note.NewVerifier(name)
		require.NoError(t, err)
		p, err := auditlog.Prove(t.Context(), w.folder, w, "card-1-0001", v, nil)
		require.NoError(t, err)
		_, err = p.Check(k, held, nil)
		require.NoError(t, err)
	}
	stranger, err := auditlog.NewKeyring("stranger.example.com+8a0fed2b+Acpb+MnwZT2gbVXFg8DfXA0cgAgD0iSOzgXu9kA2Jtzd", nil)
	if err == nil {
		_, err = stranger.Note(text)
	}
	require.Error(t, err)
}

func TestServedAreTheTilesAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.happen(t, "card-1", 1)
	w.hour(t)
	for _, name := range []string{"checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"} {
		f, err := w.folder.Tile(name)
		require.NoError(t, err, name)
		require.NoError(t, f.Close())
	}
	for _, name := range []string{"", ".state/treeState", "../newest", "tile/../../newest", "tile/0/000.p", "tile", "/checkpoint", "tile/0/000", "moved/0",
		"tile/64/000", "tile/0/x000/../000", "checkpoint/"} {
		_, err := w.folder.Tile(name)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
	}
}

func TestOriginIsANameForANote(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "a b", "a+b", "a\nb", "a\tb"} {
		require.Error(t, auditlog.CheckOrigin(bad), bad)
		_, err := auditlog.Open(auditlog.Options{Folder: auditlog.Folder(t.TempDir()), Origin: bad}, keyring.Sandbox())
		require.Error(t, err)
	}
	require.NoError(t, auditlog.CheckOrigin(origin))
	_, err := auditlog.Open(auditlog.Options{Folder: auditlog.Folder(t.TempDir()), Origin: origin}, older{})
	require.ErrorContains(t, err, "pinvault keys rotate --use audit-log")
	_, err = auditlog.Open(auditlog.Options{Folder: auditlog.Folder(t.TempDir()), Origin: origin, Witnesses: []byte("quorum nobody")}, keyring.Sandbox())
	require.ErrorContains(t, err, "policy of witnesses")
}

// older is a keyset from before there were keys for the log.
type older struct{}

func (older) CheckpointKeys() []keyring.SigningKey { return nil }
func (older) LogKeys() []keyring.SigningKey        { return nil }

// Any byte of a proof that is another one makes it no proof.
func TestProofWithAnyByteChangedFails(t *testing.T) {
	t.Parallel()
	w, file, held := aProof(t)
	for i := range file {
		for _, change := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= change
			_, err := check(w.ring(t), bad, held, nil)
			require.Error(t, err, "byte %d of %q", i, file[max(0, i-20):min(len(file), i+20)])
		}
	}
	for _, cut := range []int{0, 1, len(file) / 2, len(file) - 1} {
		_, err := check(w.ring(t), file[:cut], held, nil)
		require.Error(t, err)
	}
	_, err := check(w.ring(t), append(bytes.Clone(file), '\n'), held, nil)
	require.ErrorIs(t, err, auditlog.ErrNoProof)
}

// A proof whose members are changed so that it is well-formed is none either.
func TestProofOfOtherThingsFails(t *testing.T) {
	t.Parallel()
	w, file, held := aProof(t)
	other, err := w.prove(t, "card-1-0005", &held)
	require.NoError(t, err)
	var a, b map[string]any
	require.NoError(t, json.Unmarshal(file, &a))
	require.NoError(t, json.Unmarshal(other, &b))
	for _, member := range []string{"event", "before", "after", "mac", "head", "entry", "log"} {
		mixed := maps.Clone(a)
		mixed[member] = b[member]
		if b[member] == nil {
			delete(mixed, member)
		}
		text, err := json.Marshal(mixed)
		require.NoError(t, err)
		var p auditlog.Proof
		require.NoError(t, json.Unmarshal(text, &p))
		_, err = p.Check(w.ring(t), held, nil)
		require.Error(t, err, member)
	}
}

// aProof is one that has something of everything: events before and after, paths, and a link.
func aProof(t testing.TB) (*world, []byte, auditlog.Note) {
	t.Helper()
	w := newWorld(t)
	for card := range 5 {
		w.happen(t, fmt.Sprintf("card-%d", card), 4)
	}
	w.hour(t)
	w.happen(t, "card-0", 1)
	held := w.hour(t)
	w.happen(t, "card-1", 1)
	w.hour(t)
	file, err := w.prove(t, "card-1-0002", &held)
	require.NoError(t, err)
	_, err = check(w.ring(t), file, held, nil)
	require.NoError(t, err)
	return w, file, held
}

// A witness cosigns what goes on from what it has seen (C2SP tlog-witness), and no other thing.
func TestWitnessCosignsBeforeANoteIsPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	witness := newWitness(t, w)
	policy := []byte(fmt.Sprintf("witness w %s %s\nquorum w\n", witness.name, witness.URL))
	patience := time.Minute
	round := func() error {
		w.now = w.now.Add(time.Hour)
		_, err := w.log(t, func(o *auditlog.Options) { o.Witnesses, o.Client, o.Patience = policy, witness.Client(), patience }).Round(t.Context(), w, w)
		return err
	}
	w.happen(t, "card-1", 2)
	require.NoError(t, round())
	w.happen(t, "card-1", 2)
	require.NoError(t, round())
	text, err := os.ReadFile(string(w.folder) + "/tiles/checkpoint")
	require.NoError(t, err)
	k, err := auditlog.NewKeyring(w.verifiers(t)[0], []string{witness.name})
	require.NoError(t, err)
	held, err := k.Note(text)
	require.NoError(t, err)
	require.EqualValues(t, 2, held.Size)
	file, err := w.prove(t, "card-1-0003", nil)
	require.NoError(t, err)
	_, err = check(k, file, held, nil)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(text), "\n")
	_, err = k.Note([]byte(strings.Join(lines[:len(lines)-2], "")))
	require.ErrorIs(t, err, auditlog.ErrUnwitness)

	witness.refuses, patience = true, 100*time.Millisecond
	w.happen(t, "card-1", 1)
	require.ErrorIs(t, round(), auditlog.ErrUnpublished)
	require.EqualValues(t, 2, w.note(t).Size, "what nobody cosigned is not shown")
	witness.refuses = false
	_, err = w.log(t, func(o *auditlog.Options) { o.Witnesses, o.Client = policy, witness.Client() }).Round(t.Context(), w, w)
	require.NoError(t, err, "the next look publishes it")
	require.EqualValues(t, 3, w.note(t).Size)
}

// witness is a witness that keeps the newest note of one log.
type witness struct {
	*httptest.Server
	name    string
	refuses bool
}

func newWitness(t *testing.T, w *world) *witness {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, "witness.example.com")
	require.NoError(t, err)
	signer, name := cosigner(t, secret, public)
	out := &witness{name: name}
	var seen auditlog.Note
	out.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, text, found := bytes.Cut(body, []byte("\n\n"))
		if err != nil || !found || r.URL.Path != "/add-checkpoint" || out.refuses {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		n, err := w.ring(t).Note(text)
		var old uint64
		_, scanErr := fmt.Sscanf(string(body), "old %d\n", &old)
		switch {
		case err != nil || scanErr != nil:
			rw.WriteHeader(http.StatusForbidden)
			return
		case old != seen.Size:
			rw.Header().Set("Content-Type", "text/x.tlog.size")
			rw.WriteHeader(http.StatusConflict)
			_, _ = fmt.Fprintf(rw, "%d\n", seen.Size)
			return
		}
		opened, err := note.Open(text, note.VerifierList(verifierOf(t, w)))
		if err != nil {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		signed, err := note.Sign(opened, signer)
		if err != nil {
			rw.WriteHeader(http.StatusInternalServerError)
			return
		}
		seen = n
		lines := strings.SplitAfter(string(signed), "\n")
		_, _ = io.WriteString(rw, lines[len(lines)-2])
	}))
	t.Cleanup(out.Close)
	return out
}

func verifierOf(t *testing.T, w *world) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(w.verifiers(t)[0])
	require.NoError(t, err)
	return v
}
