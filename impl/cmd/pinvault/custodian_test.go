package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// Two custodians, each from a machine without database and keyset.
func TestCustodiansMakeAKeyFromTheirOwnMachines(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	h.Client.For(t).Do(http.MethodPost, "/issuer/v1/keys", issuer, contracttest.JSON(map[string]any{"keyId": "zpk-2",
		"usage": "zone-pin", "algorithm": "TDES", "components": 2})).ExpectStatus(http.StatusCreated)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	run := func(client string, args ...string) (string, error) {
		args = append([]string{"keys", "partner"}, args...)
		args = append(args, "--server", h.URL, "--client-id", client+"-sandbox", "--client-secret-file", file(client, client+"-sandbox-secret\n", 0o600))
		out, err := exec.CommandContext(t.Context(), apptest.Released(t), args...).CombinedOutput()
		return string(out), err
	}
	first, second := file("first", "2C5D 8A31 F07E 94B6 C81A 43E5 907B D6F2\n", 0o600), file("second", "91E6A7D3B4580F2C3DAE6B94F1C7028A", 0o600)
	out, err := run("issuer", "component", "zpk-2", "--number", "1", "--component-file", file("shared", "2C5D8A31F07E94B6C81A43E5907BD6F2", 0o644))
	require.Error(t, err)
	require.Contains(t, out, "chmod 600 it")
	out, err = run("issuer", "component", "zpk-2", "--number", "1", "--component-file", file("typo", "2C5D8A31F07E94B6C81A43E5907BD6FX", 0o600))
	require.Error(t, err)
	require.Contains(t, out, "not hexadecimal")
	require.NotContains(t, out, "2C5D8A31")
	out, err = run("issuer", "component", "zpk-2", "--number", "1", "--component-file", first)
	require.NoError(t, err, out)
	require.Contains(t, out, `"checkValue":"91034A"`)
	out, err = run("issuer", "component", "zpk-2", "--number", "2", "--component-file", second)
	require.Error(t, err)
	require.Contains(t, out, "This custodian has done this already.")
	out, err = run("issuer_custodian", "component", "zpk-2", "--number", "2", "--component-file", second)
	require.NoError(t, err, out)
	require.Contains(t, out, `"checkValue":"D1E491"`)
	for _, who := range []string{"issuer", "issuer_custodian"} {
		_, err = run(who, "confirm", "zpk-2", "--check-value", "000000")
		require.Error(t, err)
		out, err = run(who, "confirm", "zpk-2", "--check-value", "d1 e4 91")
		require.NoError(t, err, out)
	}
	require.Contains(t, out, `"state":"active"`)
	out, err = run("issuer_other", "confirm", "nobody", "--check-value", "D1E491")
	require.Error(t, err)
	require.Contains(t, out, "Not found.")
}
