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
	for name, test := range map[string]struct {
		settings string
		want     error
	}{
		"without what its headers say":       {``, contract.Missing("accosa")},
		"whose tokens have an IV each":       {`{"messageKeyIds":["k"]}`, nil},
		"whose tokens have one IV":           {`{"ivMode":"fixed","fixedIv":"` + iv + `"}`, nil},
		"whose one IV nobody knows":          {`{"ivMode":"fixed"}`, contract.Missing("accosa.fixedIv")},
		"whose one IV nobody uses":           {`{"ivMode":"prepended","fixedIv":"` + iv + `"}`, &pin.Error{Code: pin.InvalidField, Field: "accosa.ivMode"}},
		"whose one IV nobody uses by itself": {`{"fixedIv":"` + iv + `"}`, &pin.Error{Code: pin.InvalidField, Field: "accosa.ivMode"}},
	} {
		var c pin.Client
		if test.settings != "" {
			c.Settings = json.RawMessage(test.settings)
		}
		require.Equal(t, test.want, Settings().Suits(c), name)
	}
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
