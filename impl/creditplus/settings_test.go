package creditplus

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

func TestAClientThatCouldNeverWorkIsRefused(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]error{
		`{}`:                            contract.Missing("creditplus.messageKeyIds"), // it must encrypt unless it is said
		`{"encryptionRequired":true}`:   contract.Missing("creditplus.messageKeyIds"),
		`{"encryptionRequired":false}`:  nil,
		`{"messageKeyIds":["k"]}`:       nil,
		`{"messageKeyIds":["k"],"x":1}`: nil,
	} {
		require.Equal(t, want, Settings().Suits(pin.Client{Settings: json.RawMessage(settings)}), settings)
	}
	require.Equal(t, contract.Missing("creditplus.messageKeyIds"), Settings().Suits(pin.Client{}))
	require.Equal(t, pin.Internal, pin.CodeOf(Settings().Suits(pin.Client{Settings: json.RawMessage(`[`)})))
	own, err := ofClients.Read(nil)
	require.NoError(t, err)
	require.Equal(t, clientSettings{EncryptionRequired: true, TimestampWindowSeconds: 900}, own, "unless it is given")
	require.True(t, Settings().Carries(pin.MaxLength), "no PIN goes through Credit+")
}
