package accosa

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

func TestAClientThatCouldNeverWorkIsRefused(t *testing.T) {
	t.Parallel()
	iv := strings.Repeat("A1", 16)
	const headers = `"clientId":"2000","bankId":"7000","entityId":"100"`
	for name, test := range map[string]struct {
		settings string
		want     error
	}{
		"without anything":                    {``, contract.Missing("accosa")},
		"without what its headers say":        {`{"messageKeyIds":["k"]}`, contract.Missing("accosa.clientId", "accosa.bankId", "accosa.entityId")},
		"without message keys":                {`{` + headers + `}`, contract.Missing("accosa.messageKeyIds")},
		"whose list of message keys is empty": {`{` + headers + `,"messageKeyIds":[]}`, contract.Missing("accosa.messageKeyIds")},
		"whose tokens have an IV each":        {`{` + headers + `,"messageKeyIds":["k"]}`, nil},
		"whose tokens have one IV":            {`{` + headers + `,"messageKeyIds":["k"],"ivMode":"fixed","fixedIv":"` + iv + `"}`, nil},
		"whose one IV nobody knows":           {`{` + headers + `,"messageKeyIds":["k"],"ivMode":"fixed"}`, contract.Missing("accosa.fixedIv")},
		"whose one IV nobody uses":            {`{` + headers + `,"messageKeyIds":["k"],"ivMode":"prepended","fixedIv":"` + iv + `"}`, &pin.Error{Code: pin.InvalidField, Field: "accosa.ivMode"}},
		"whose one IV nobody uses by itself":  {`{` + headers + `,"messageKeyIds":["k"],"fixedIv":"` + iv + `"}`, &pin.Error{Code: pin.InvalidField, Field: "accosa.ivMode"}},
	} {
		c := pin.Client{Secrets: map[string][]byte{"secureCode": []byte("mac")}}
		if test.settings != "" {
			c.Settings = json.RawMessage(test.settings)
		}
		require.Equal(t, test.want, Settings().Suits(c), name)
	}
	require.Equal(t, contract.Missing("accosa.secureCode"), Settings().Suits(pin.Client{Settings: json.RawMessage(`{` + headers + `,"messageKeyIds":["k"]}`)}))
	require.Equal(t, pin.Internal, pin.CodeOf(Settings().Suits(pin.Client{Settings: json.RawMessage(`[`)})))
	require.True(t, Settings().Carries(6))
	require.False(t, Settings().Carries(7))
}

func TestTheSecureCodeIsNotKept(t *testing.T) {
	t.Parallel()
	kept, secrets, err := Settings().Client.Set(nil, json.RawMessage(`{"clientId":"2000","secureCode":"open-sesame"}`))
	require.NoError(t, err)
	require.Equal(t, `{"clientId":"2000"}`, string(kept))
	require.Equal(t, map[string]string{"secureCode": "open-sesame"}, secrets)
}
