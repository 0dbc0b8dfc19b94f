package cards

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	one := Card{Token: "100000001", ID: "00000000-0000-7000-8000-000000000001", PIN: "0001", Block: "0A1B2C3D4E5F6071", PAN: "4000000000000010"}
	other := Card{Token: "100000002", ID: "00000000-0000-7000-8000-000000000002", PIN: "0002", Block: "1A1B2C3D4E5F6072", PAN: "4000000000000028"}
	for _, test := range []struct {
		name string
		text string
		want []Card
		says string
	}{
		{"two cards", one.Line() + "\n" + other.Line() + "\n", []Card{one, other}, ""},
		{"no card", "", nil, "has no cards"},
		{"a line that was cut off", one.Line() + "\n100000002 00000000", nil, "has a line of 2 fields"},
		{"requests", "/api/v1/cards {}\n", nil, "has a line of 2 fields"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "cards.txt")
			require.NoError(t, os.WriteFile(path, []byte(test.text), 0o600))
			got, err := Read(path)
			if test.says != "" {
				require.ErrorContains(t, err, test.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	_, err := Read(filepath.Join(t.TempDir(), "nowhere.txt"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// call.lua takes a line apart by its blanks.
func TestALineHasNoMoreThanOneBlankBetween(t *testing.T) {
	t.Parallel()
	require.Equal(t, "token id pin block pan", Card{"token", "id", "pin", "block", "pan"}.Line())
	require.Len(t, strings.Split(Card{"token", "id", "pin", "block", "pan"}.Line(), " "), 5)
}
