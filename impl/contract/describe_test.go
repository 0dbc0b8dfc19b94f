package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/contract"
	"pinvault/openapi"
)

func TestDocumentSaysWhichScopesItsContractHas(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		scopes []string
		apiKey bool
	}{
		"thredd":      {[]string{"cards:write", "pins:read", "pins:reveal", "pins:write"}, false},
		"creditplus":  {[]string{"tries:reset"}, false},
		"networkintl": {[]string{"pins:change"}, false},
		"accosa":      {[]string{"pins:write"}, true},
		"hashdt":      {[]string{"pins:write"}, true},
		"hosted":      {nil, false},
	} {
		d, err := contract.Load(openapi.Documents, name)
		require.NoError(t, err)
		require.Equal(t, want.scopes, d.Scopes(), name)
		require.Equal(t, want.apiKey, d.ByAPIKey(), name)
	}
}

func TestDocumentSaysWhichMembersASchemaHas(t *testing.T) {
	t.Parallel()
	d, err := contract.Load(openapi.Documents, "issuer")
	require.NoError(t, err)
	byName := map[string]contract.Member{}
	for _, m := range d.Members("ClientRequest") {
		byName[m.Name] = m
	}
	require.Contains(t, byName["contract"].Enum, "thredd")
	require.Equal(t, "array", byName["scopes"].Type)
	var names, secrets []string
	for _, m := range byName["accosa"].Members() {
		if names = append(names, m.Name); m.Sensitive {
			secrets = append(secrets, m.Name)
		}
	}
	require.Equal(t, []string{"clientId", "bankId", "entityId"}, names[:3], "in the document's order")
	require.Equal(t, []string{"secureCode"}, secrets)
	require.Empty(t, byName["name"].Members())
	require.Empty(t, d.Members("Nothing"))
	byName = map[string]contract.Member{}
	for _, m := range load(t).Members("EveryType") {
		byName[m.Name] = m
	}
	require.Equal(t, "boolean", byName["flag"].Type)
	require.Empty(t, byName["either"].Type, "a text or a number")
}
