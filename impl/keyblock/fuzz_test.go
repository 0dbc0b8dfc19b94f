package keyblock_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyblock"
)

// A text opens or is refused for one of the reasons; a header that is read can be written, and means the same then.
func FuzzUnwrap(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.block)
	}
	f.Add("B0096P0TE00E0100LB00040010AAAAAA94B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E")
	f.Add("D0032P0AE00E0200LB04PB0C00000000")
	keys := []*keyblock.Key{protection(f, "B", tdes24), protection(f, "D", aes32)}
	f.Fuzz(func(t *testing.T, block string) {
		h, err := keyblock.Parse(block)
		if err != nil {
			require.Equal(t, keyblock.ErrHeader, err)
		}
		for _, k := range keys {
			opened, key, unwrapErr := k.Unwrap(block)
			switch {
			case err != nil:
				require.Equal(t, keyblock.ErrHeader, unwrapErr)
			case unwrapErr == nil:
				require.Equal(t, h, opened)
				require.Contains(t, []int{16, 24, 32}, len(key))
			default:
				require.Contains(t, []error{keyblock.ErrVersion, keyblock.ErrAlgorithm, keyblock.ErrUnwrap, keyblock.ErrStrength}, unwrapErr)
			}
		}
		if err != nil || len(block) > 9000 || len(h.Blocks) > 98 || !slices.Contains([]keyblock.Version{"B", "D"}, h.Version) {
			return
		}
		h.Usage, h.Algorithm, h.Mode = "P0", "T", "B"
		k := keys[0]
		if h.Version == "D" {
			k = keys[1]
		}
		again, err := k.Wrap(h, unhex(tdes16), noise())
		require.NoError(t, err)
		read, key, err := k.Unwrap(again)
		require.NoError(t, err)
		require.Equal(t, h, read)
		require.Equal(t, tdes16, upper(key))
	})
}
