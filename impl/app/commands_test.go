package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

func TestAnOperatorSeesWhatTheVaultHolds(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	var names []string
	for p, err := range app.Operator(s.Vault, keyring.Open(keyring.Sandbox(), s.Store, s.Clock.Now), true).Programs(apptest.Operating(t)) {
		require.NoError(t, err)
		names = append(names, p.Name)
	}
	require.ElementsMatch(t, []string{"Sandbox", "Sandbox without aliases", "Sandbox with approvals"}, names)
}

func TestTokenKeysAreThoseOfAClientOfAccosasContract(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, "")
	ring := keyring.Open(keyring.Sandbox(), s.Store, s.Clock.Now)
	for _, test := range []struct {
		client string
		keys   int
		says   string
	}{
		{"accosa-sandbox", 2, ""},
		{"accosa_fixed_iv-sandbox", 1, ""},
		{"thredd-sandbox", 0, "no active client"},
		{"nobody", 0, "no active client"},
	} {
		keys, err := app.TokenKeys(t.Context(), s.Vault, ring, test.client)
		require.Len(t, keys, test.keys, test.client)
		if test.says != "" {
			require.ErrorContains(t, err, test.says, test.client)
			continue
		}
		require.NoError(t, err, test.client)
	}
	defer s.Faults.Fail(t, "database")()
	_, err := app.TokenKeys(t.Context(), s.Vault, ring, "accosa-sandbox")
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
}

func TestASchemaIsTheOperatorsToChangeUnlessTheDatabaseIsOurs(t *testing.T) {
	t.Parallel()
	db := apptest.OpenStore(t, storetest.SQLite(t))
	require.ErrorContains(t, app.ReadySchema(t.Context(), db, false), "run 'pinvault migrate'")
	require.NoError(t, app.ReadySchema(t.Context(), db, true))
	require.NoError(t, app.ReadySchema(t.Context(), db, false))
}

func TestADatabaseSuitsASandboxOrProduction(t *testing.T) {
	t.Parallel()
	db := apptest.OpenStore(t, storetest.SQLite(t))
	require.NoError(t, db.Migrate(t.Context()))
	require.NoError(t, app.Suits(t.Context(), db, false))
	require.ErrorContains(t, app.Suits(t.Context(), db, true), "does not belong to a sandbox")
	boxed := apptest.Start(t, "").Store
	require.ErrorContains(t, app.Suits(t.Context(), boxed, false), "made by a sandbox")
	require.NoError(t, app.Suits(t.Context(), boxed, true))
}

func TestAKeysetOpensUnderItsMasterKeyOnly(t *testing.T) {
	t.Parallel()
	at := keysOf(t)
	ks, err := app.Engine(false, at)
	require.NoError(t, err)
	require.NotEmpty(t, ks.SigningKeys())
	other := at
	other.MasterKey = "QWxsIHlvdXIgUElOcyBhcmUgYmVsb25nIHRvIHVzISE="
	_, err = app.Engine(false, other)
	require.Error(t, err)
	require.NotContains(t, err.Error(), other.MasterKey)
	sandboxed, err := app.Engine(true, config.Keys{})
	require.NoError(t, err)
	require.Equal(t, keyring.Sandbox().SigningKeys()[0].KID, sandboxed.SigningKeys()[0].KID)
}
