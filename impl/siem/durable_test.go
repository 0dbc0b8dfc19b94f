package siem

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pipe takes what is written, and nothing can be made to stay in it.
func TestWhatDoesNotStayIsNotHandedOver(t *testing.T) {
	t.Parallel()
	from, to, err := os.Pipe()
	require.NoError(t, err)
	s := &file{handle: opened{File: to}}
	require.Error(t, s.Put(t.Context(), []Record{{Line: []byte("line")}}))
	size, known := s.Size()
	require.True(t, known)
	require.EqualValues(t, len("line\n"), size)
	require.NoError(t, s.Close())
	text, err := io.ReadAll(from)
	require.NoError(t, err)
	require.Equal(t, "line\n", string(text))
	require.NoError(t, from.Close())
}

// Some systems keep the names in a folder by themselves, and say so by EINVAL.
func TestFolderIsToldToStayWhereTheSystemCanBeTold(t *testing.T) {
	t.Parallel()
	require.NoError(t, machine{}.sync(t.TempDir()))
	require.NoError(t, machine{}.sync("/proc/self"))
	require.ErrorIs(t, machine{}.sync(filepath.Join(t.TempDir(), "none")), fs.ErrNotExist)
}

// What a process that was killed left of a cursor is replaced, and what somebody else has put in its place is not followed anywhere.
func TestCursorIsMadeInAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cursor, others := filepath.Join(dir, "cursor"), filepath.Join(dir, "others")
	require.NoError(t, os.WriteFile(others, []byte("another's"), 0o600))
	require.NoError(t, os.Symlink(others, cursor+".new"))
	require.NoError(t, Cursor{After: "id"}.write(machine{}, cursor))
	c, err := readCursor(machine{}, cursor)
	require.NoError(t, err)
	require.Equal(t, Cursor{After: "id"}, c)
	text, err := os.ReadFile(others) //nolint:gosec // the test's own
	require.NoError(t, err)
	require.Equal(t, "another's", string(text))

	require.NoError(t, os.MkdirAll(filepath.Join(cursor+".new", "full"), 0o700))
	require.Error(t, Cursor{After: "next"}.write(machine{}, cursor))
	c, err = readCursor(machine{}, cursor)
	require.NoError(t, err)
	require.Equal(t, Cursor{After: "id"}, c)
}
