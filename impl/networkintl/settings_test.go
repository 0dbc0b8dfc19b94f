package networkintl

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

func TestAClientThatCouldNeverWorkIsRefused(t *testing.T) {
	t.Parallel()
	settings := json.RawMessage(`{"bankId":"NIC"}`)
	for name, test := range map[string]struct {
		client pin.Client
		want   error
	}{
		"with a bank, in a program": {pin.Client{ProgramID: "p", Settings: settings}, nil},
		"without a bank":            {pin.Client{ProgramID: "p"}, contract.Missing("networkintl")},
		"of the whole server":       {pin.Client{Settings: settings}, contract.Missing("programId")},
		"with neither":              {pin.Client{}, contract.Missing("networkintl", "programId")},
	} {
		require.Equal(t, test.want, Settings().Suits(test.client), name)
	}
	require.True(t, Settings().Carries(6))
	require.False(t, Settings().Carries(7))
}
