package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretsOfKeysAreReadWhereTheyAreNamed(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(name+"\n"), mode))
		return path
	}
	own, shared := write("own", 0o400), write("shared", 0o644)
	t.Setenv("PINVAULT_TEST_SECRET", "from the environment")
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	for source, want := range map[string]string{
		"env:PINVAULT_TEST_SECRET": "from the environment", "file:" + own: "own\n", "file://" + own: "own\n", "credential:own": "own\n",
	} {
		got, err := Keys{}.Secret(source)
		require.NoError(t, err, source)
		require.Equal(t, want, string(got), source)
	}
	for source, says := range map[string]string{
		"env:PINVAULT_TEST_NOTHING": "the environment variable PINVAULT_TEST_NOTHING, which is not set",
		"file:" + shared:            "others on this machine can read or change",
		"credential:shared":         "others on this machine can read or change",
		"credential:none":           "no such file",
		"credential:../own":         "env:NAME, file:PATH or credential:NAME",
		"s3cret":                    "env:NAME, file:PATH or credential:NAME",
		"env:":                      "env:NAME, file:PATH or credential:NAME",
	} {
		got, err := Keys{}.Secret(source)
		require.ErrorContains(t, err, says, source)
		require.NotContains(t, err.Error(), "s3cret")
		require.Nil(t, got)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	_, err := Keys{}.Secret("credential:own")
	require.ErrorContains(t, err, "LoadCredential=own:PATH")
}

func TestKeysAreSaidInOneWay(t *testing.T) {
	for url, says := range map[string]string{"file:k?master-key=env:M": "", "openbao:transit/k": "", "pkcs11:token=a": "", "keyset.json": "must begin with", "": "no keys: set"} {
		err := Keys{KeysURL: url}.Missing()
		if says == "" {
			require.NoError(t, err, url)
			continue
		}
		require.ErrorContains(t, err, says, url)
	}
	for _, k := range []Keys{{Keyset: "k"}, {MasterKey: "m"}, {MasterKeyFile: "m"}} {
		k.KeysURL = "file:k?master-key=env:M"
		require.ErrorContains(t, k.Missing(), "give the one or the others")
	}
}
