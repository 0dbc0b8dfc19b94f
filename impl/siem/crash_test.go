package siem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// inode is a file: as processes see it, and as the disk has it.
type inode struct {
	now, kept []byte
	held      bool
}

// platter is a disk in memory. A fault strikes one of its steps; what of it was not told to stay a loss of power takes.
type platter struct {
	now, kept map[string]*inode
	step      int
	strikes   int                            // at this step, from 1; 0: never
	half      bool                           // it comes in the middle of a write
	fault     func(step string, n int) error // what happens then
	took      []string                       // the steps
}

func newPlatter() *platter { return &platter{now: map[string]*inode{}, kept: map[string]*inode{}} }

// does is a step.
func (p *platter) does(step string) error {
	p.step++
	p.took = append(p.took, step)
	if p.step == p.strikes {
		return p.fault(step, p.step)
	}
	return nil
}

func (p *platter) read(path string) ([]byte, error) {
	if i, ok := p.now[path]; ok {
		return slices.Clone(i.now), nil
	}
	return nil, fs.ErrNotExist
}

func (p *platter) open(path string) (handle, error) {
	if err := p.does("open"); err != nil {
		return nil, err
	}
	i, ok := p.now[path]
	if !ok {
		i = &inode{}
		p.now[path] = i
	}
	if i.held {
		return nil, ErrBusy
	}
	i.held = true
	return &onPlatter{p, i}, nil
}

func (p *platter) create(path string) (handle, error) {
	if err := p.does("create"); err != nil {
		return nil, err
	}
	p.now[path] = &inode{}
	return &onPlatter{p, p.now[path]}, nil
}

func (p *platter) rename(from, to string) error {
	if err := p.does("rename"); err != nil {
		return err
	}
	p.now[to] = p.now[from]
	delete(p.now, from)
	return nil
}

func (p *platter) remove(path string) error {
	if err := p.does("remove"); err != nil {
		return err
	}
	if _, ok := p.now[path]; !ok {
		return fs.ErrNotExist
	}
	delete(p.now, path)
	return nil
}

func (p *platter) sync(folder string) error {
	if err := p.does("sync folder"); err != nil {
		return err
	}
	maps.DeleteFunc(p.kept, func(path string, _ *inode) bool { return filepath.Dir(path) == folder })
	for path, i := range p.now {
		if filepath.Dir(path) == folder {
			p.kept[path] = i
		}
	}
	return nil
}

type onPlatter struct {
	p *platter
	i *inode
}

func (f *onPlatter) Write(b []byte) (int, error) {
	n := len(b)
	if f.p.step+1 == f.p.strikes {
		if n = 0; f.p.half {
			n = len(b) / 2
		}
	}
	f.i.now = append(f.i.now, b[:n]...)
	return n, f.p.does("write")
}

func (f *onPlatter) Truncate(size int64) error {
	if err := f.p.does("truncate"); err != nil {
		return err
	}
	f.i.now = slices.Clone(f.i.now[:size])
	return nil
}

func (f *onPlatter) Sync() error {
	if err := f.p.does("sync"); err != nil {
		return err
	}
	f.i.kept = slices.Clone(f.i.now)
	return nil
}

func (f *onPlatter) ReadAt(b []byte, at int64) (int, error) {
	return io.ReadFull(io.NewSectionReader(bytes.NewReader(f.i.now), at, 1<<40), b)
}
func (f *onPlatter) Size() (int64, error) { return int64(len(f.i.now)), nil }
func (f *onPlatter) Close() error         { f.i.held = false; return f.p.does("close") }

// A loss is what becomes of what was not told to stay.
type loss struct {
	names bool                          // they are as they were
	bytes func(now, kept []byte) []byte // what is in a file; nil: what is written
}

func asKept(_, kept []byte) []byte { return kept }

// zeroed has the length, and of what was added nothing else.
func zeroed(now, kept []byte) []byte {
	if len(now) < len(kept) {
		return now
	}
	return append(slices.Clone(kept), make([]byte, len(now)-len(kept))...)
}

// torn has zeros in the place of some of what was added.
func torn(now, kept []byte) []byte {
	out := slices.Clone(now)
	for i := len(kept); i < min(len(now), len(kept)+(len(now)-len(kept))/2); i++ {
		out[i] = 0
	}
	return out
}

var losses = map[string]loss{
	"a process that was killed":                               {},
	"power that takes all":                                    {true, asKept},
	"power that takes names":                                  {true, nil},
	"power that takes bytes":                                  {false, asKept},
	"power that leaves a length":                              {false, zeroed},
	"power that leaves the end of what was written":           {false, torn},
	"power that takes names, and leaves the end of the rest":  {true, torn},
	"power that takes names, and of the rest leaves a length": {true, zeroed},
}

// strike has the disk as it is found by who comes next.
func (p *platter) strike(l loss) {
	if l.names {
		p.now = maps.Clone(p.kept)
	}
	for _, i := range p.now {
		if i.held = false; l.bytes != nil {
			i.now = slices.Clone(l.bytes(i.now, i.kept))
		}
		i.kept = slices.Clone(i.now)
	}
	p.kept = maps.Clone(p.now)
	p.strikes = 0
}

// events are so many, of which three are had at once.
type events int

func (n events) Events(_ context.Context, q pin.AuditQuery) (out []pin.EventRow, _ error) {
	for i := range int(n) {
		if id := fmt.Sprintf("event-%02d", i); id > q.After && len(out) < q.Limit {
			out = append(out, pin.EventRow{Chain: "card", Seq: int64(i + 1), ID: id, Body: []byte("{}")})
		}
	}
	return out, nil
}

var errKilled = errors.New("killed")

// killed ends a process there: what would come after it, in whatever has been deferred, changes no file.
func killed(string, int) error { panic(errKilled) }

// world is a disk, and a folder whose path the files on it have, in which locks are.
type world struct {
	*platter
	t                    *testing.T
	out, cursor, rotated string
}

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	return &world{newPlatter(), t, filepath.Join(dir, "logs", "out"), filepath.Join(dir, "cursor"), filepath.Join(dir, "logs", "out.1")}
}

// fresh has a disk that nothing was written to.
func (w *world) fresh() *world { w.platter = newPlatter(); return w }

// run exports what there is of so many events by a release of the program, and tells whether it lived.
func (w *world) run(n int, release string) (lived bool, err error) {
	w.t.Helper()
	defer func() {
		switch r := recover(); r {
		case nil:
		case errKilled:
			lived, err = false, nil
		default:
			panic(r)
		}
	}()
	o := Options{Output: w.out, Open: fileOn(w, w.out), Render: func(e pin.AuditEvent) ([]byte, error) { return []byte(release + e.ID), nil }}
	_, err = export(w.t.Context(), w, events(n), w.cursor, o)
	return true, err
}

// live is what is exported of a trail that grows: to a new file, further, and to another one where that was moved away.
func (w *world) live() (lived bool, err error) {
	w.t.Helper()
	for _, n := range []int{4, 7, 8} {
		if n == 8 {
			require.NoError(w.t, w.mv(w.out, w.rotated))
		}
		if lived, err := w.run(n, ""); !lived || err != nil {
			return lived, err
		}
	}
	return true, nil
}

// mv is somebody who moves a file away, for good.
func (p *platter) mv(from, to string) error {
	if _, ok := p.now[from]; !ok {
		return fs.ErrNotExist
	}
	p.now[to] = p.now[from]
	delete(p.now, from)
	p.kept[to] = p.now[to]
	delete(p.kept, from)
	return nil
}

// has wants all of so many events in the files, each once and in order, whichever release wrote it.
func (w *world) has(n int, about string) {
	w.t.Helper()
	var got, want []string
	for _, path := range []string{w.rotated, w.out} {
		if i, ok := w.now[path]; ok {
			for line := range strings.Lines(string(i.now)) {
				got = append(got, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "later "))
			}
		}
	}
	for i := range n {
		want = append(want, fmt.Sprintf("event-%02d", i))
	}
	require.Equal(w.t, want, got, about)
	for path, i := range w.now {
		require.Equal(w.t, string(i.now), string(i.kept), "%s: %s stays", about, path)
		require.Contains(w.t, []string{w.out, w.rotated, w.cursor}, path, about)
	}
}

// moment is one in which an export can end: before one of its steps, or within it where it writes.
type moment struct {
	step  int
	half  bool
	about string
}

// ends are all of them.
func (w *world) ends() (out []moment) {
	lived, err := w.fresh().live()
	require.NoError(w.t, err)
	require.True(w.t, lived)
	for i, step := range w.took {
		out = append(out, moment{i + 1, false, fmt.Sprintf("before step %d, %s", i+1, step)})
		if step == "write" {
			out = append(out, moment{i + 1, true, fmt.Sprintf("within step %d, %s", i+1, step)})
		}
	}
	return out
}

func TestExportThatEndsAtAnyStepIsGoneOnWith(t *testing.T) {
	t.Parallel()
	for name, l := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, m := range w.ends() {
				for again := 1; ; again++ {
					w.fresh()
					w.strikes, w.half, w.fault = m.step, m.half, killed
					lived, err := w.live()
					require.NoError(t, err)
					require.False(t, lived, m.about)
					w.strike(l)

					// The next one, of a later release, ends too, and the one after it has all steps that it needs.
					about := fmt.Sprintf("%s, and before step %d of the next one", m.about, again)
					w.step, w.strikes, w.half = 0, again, again%2 == 0
					lived, err = w.run(9, "later ")
					require.NoError(t, err, about)
					if !lived {
						w.strike(l)
						_, err = w.run(9, "")
						require.NoError(t, err, about)
					}
					w.has(9, about)
					if lived {
						break
					}
				}
			}
		})
	}
}

func TestExportThatFailsAtAnyStepIsGoneOnWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, m := range w.ends() {
		w.fresh()
		w.strikes, w.half = m.step, m.half
		w.fault = func(string, int) error { return syscall.ENOSPC }
		_, err := w.live()
		require.ErrorIs(t, err, syscall.ENOSPC, m.about)
		require.NotContains(t, w.now, w.cursor+".new", "%s: nothing is left to fill the disk", m.about)
		w.strikes = 0
		_, err = w.run(9, "later ")
		require.NoError(t, err, m.about)
		w.has(9, m.about)
	}
}

func TestWhatAnotherHasWrittenStaysWhereverAnExportEnds(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string]func([]byte) []byte{
		"added":              func(is []byte) []byte { return append(is, "another's\n"...) },
		"added, and like it": func(is []byte) []byte { return append(is, "event-00\n"...) },
		"in its place": func([]byte) []byte {
			return []byte("another's file, which is quite long, longer than all that an export has ever written\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, m := range w.ends() {
				w.fresh()
				w.strikes, w.half, w.fault = m.step, m.half, killed
				_, err := w.live()
				require.NoError(t, err)
				w.strike(losses["a process that was killed"])
				i, ok := w.now[w.out]
				if !ok {
					i = &inode{}
					w.now[w.out] = i
				}
				c, err := readCursor(w, w.cursor)
				require.NoError(t, err)
				is := alter(slices.Clone(i.now))
				if int64(len(is)) > c.Size && begun(is[c.Size:], c.Ahead) {
					continue // this export was about to write it, to the byte
				}
				i.now = slices.Clone(is)
				_, err = w.run(9, "")
				require.Error(t, err, m.about)
				require.Equal(t, string(is), string(w.now[w.out].now), m.about)
			}
		})
	}
}

func TestWhatAnotherWritesMeanwhileStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.run(4, "")
	require.NoError(t, err)
	c, err := readCursor(w, w.cursor)
	require.NoError(t, err)
	s, err := fileOn(w, w.out)(c)
	require.NoError(t, err)
	_, err = w.run(5, "")
	require.ErrorIs(t, err, ErrBusy, "two do not write to one file")
	w.now[w.out].now = append(w.now[w.out].now, "another's\n"...)
	require.ErrorContains(t, s.Put(t.Context(), []Record{{Line: []byte("line")}}), "was changed while it was written to")
	require.True(t, bytes.HasSuffix(w.now[w.out].now, []byte("another's\n")))
}

func TestBeginningOfWhatWasAboutToBeWrittenIsKnown(t *testing.T) {
	t.Parallel()
	for is, want := range map[string]bool{
		"": true, "a": true, "ab": true, "abc\n": true, "abc\n\x00": false, "abc\nd": false, "b": false, "aB": false, "\x00\x00c": true, "a\x00\x00\x00": true,
	} {
		require.Equal(t, want, begun([]byte(is), []byte("abc\n")), "%q", is)
	}
}
