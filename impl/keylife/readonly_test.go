package keylife

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatCannotBeReplacedIsSaidToBeReadOnly(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{fs.ErrPermission, syscall.EROFS, syscall.EBUSY, syscall.EXDEV, syscall.EACCES} {
		err := readOnly(fmt.Errorf("keyset: %w", &os.PathError{Op: "rename", Path: "keyset.json", Err: cause}))
		require.ErrorIs(t, err, ErrReadOnly)
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, "pinvault keys")
	}
	full := &os.PathError{Op: "write", Path: "keyset.json", Err: syscall.ENOSPC}
	require.Equal(t, error(full), readOnly(full))
	require.NoError(t, readOnly(nil))
}
