package scratch

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func folders(t *testing.T) (names []string) {
	t.Helper()
	all, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	for _, one := range all {
		names = append(names, filepath.Join(os.TempDir(), one.Name()))
	}
	return names
}

func TestAFolderIsThereUntilItIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := New()
	require.NoError(t, err)
	info, err := os.Stat(f.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.NoError(t, os.WriteFile(filepath.Join(f.Path, "a.db"), nil, 0o600))
	other, err := New()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{f.Path, other.Path}, folders(t), "of a process that is there nothing is removed")
	require.NoError(t, f.Remove())
	require.NoError(t, other.Remove())
	require.Empty(t, folders(t))
}

func TestWhatAKilledProcessHasLeftIsRemovedByTheNextOne(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left, err := New()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(left.Path, "a.db"), nil, 0o600))
	require.NoError(t, left.lock.Close(), "as the system does with a process that ends")
	foreign := filepath.Join(os.TempDir(), prefix+"of-something-else")
	require.NoError(t, os.Mkdir(foreign, 0o700))
	f, err := New()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{foreign, f.Path}, folders(t))
}

func TestManyAtOnceHaveOneEach(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			f, err := New()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(f.Path, "mine"), nil, 0o600))
			require.FileExists(t, filepath.Join(f.Path, "mine"))
			require.NoError(t, f.Remove())
		})
	}
	all.Wait()
	require.Empty(t, folders(t))
}

func TestWithoutAPlaceForItThereIsNoFolder(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nowhere"))
	_, err := New()
	require.Error(t, err)
}
