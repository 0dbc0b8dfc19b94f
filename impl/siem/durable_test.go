package siem

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pipe takes what is written, and nothing can be made to stay in it.
func TestWhatDoesNotStayIsNotHandedOver(t *testing.T) {
	t.Parallel()
	from, to, err := os.Pipe()
	require.NoError(t, err)
	s := &file{f: to}
	require.Error(t, s.Put(t.Context(), []Record{{Line: []byte("line")}}))
	require.EqualValues(t, len("line\n"), s.Size())
	require.NoError(t, s.Close())
	text, err := io.ReadAll(from)
	require.NoError(t, err)
	require.Equal(t, "line\n", string(text))
	require.NoError(t, from.Close())
}
