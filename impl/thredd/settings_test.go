package thredd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

func TestAClientThatCouldNeverWorkIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		client pin.Client
		want   error
	}{
		"that makes cards in a program":               {pin.Client{ProgramID: "p", Scopes: []string{"cards:write"}}, nil},
		"of the whole server that makes no cards":     {pin.Client{Scopes: []string{"pins:read", "pins:write"}}, nil},
		"of the whole server that is to make cards":   {pin.Client{Scopes: []string{"pins:read", "cards:write"}}, contract.Missing("programId")},
		"of the whole server that may do nothing yet": {pin.Client{}, nil},
	} {
		require.Equal(t, test.want, Settings().Suits(test.client), name)
	}
	require.True(t, Settings().Carries(4))
	require.False(t, Settings().Carries(5))
}
