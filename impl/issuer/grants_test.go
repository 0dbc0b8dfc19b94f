package issuer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract"
	"pinvault/impl/issuer"
)

// Whoever adds a scope to a document must say who may grant it, or nothing starts.
func TestEveryScopeOfEveryContractHasItsLine(t *testing.T) {
	t.Parallel()
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	require.NoError(t, issuer.CheckGrants(documents))

	own := documents["issuer"].Scopes()
	for name := range documents {
		for _, scope := range documents[name].Scopes() {
			needed, ok := issuer.Granted(name, scope)
			require.True(t, ok, "%s %s", name, scope)
			require.Contains(t, own, needed, "%s %s: it takes a scope that somebody can have", name, scope)
			if name == "issuer" {
				require.Equal(t, scope, needed, "nobody gives of this contract more than they have")
			}
		}
	}
	_, ok := issuer.Granted("thredd", "a:b")
	require.False(t, ok)
	_, ok = issuer.Granted("fax", "pins:write")
	require.False(t, ok)

	require.ErrorContains(t, issuer.CheckGrants(map[string]*contract.Document{"hosted": documents["thredd"]}), "may grant []", "a contract of which nothing is said")
	require.ErrorContains(t, issuer.CheckGrants(map[string]*contract.Document{"thredd": documents["hosted"]}), "has the scopes []", "one that has no scopes any more")
}
