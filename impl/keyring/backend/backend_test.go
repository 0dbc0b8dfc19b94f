package backend_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/backend"
	"pinvault/impl/pin"
)

const masterKey = "3q2ZtY0wq8bqFzqk1m7o5Cj0Jt3oX1Zy5dC8mT2vXhE="

func secrets(source string) ([]byte, error) {
	switch source {
	case "env:MASTER":
		return []byte(masterKey), nil
	case "env:WEAK":
		return []byte("QWxsIHlvdXIgUElOcyBhcmUgYmVsb25nIHRvIHVzISE="), nil
	}
	return nil, errors.New("there is no such secret")
}

func TestAFileUnderAMasterKey(t *testing.T) {
	b, path, err := backend.Open("file:/etc/pin%20vault/keyset.json?master-key=env:MASTER", backend.Surroundings{Secret: secrets})
	require.NoError(t, err)
	require.Equal(t, "/etc/pin vault/keyset.json", path)
	require.NoError(t, b.Init())
	require.False(t, b.Holds(pin.UsePIN))
	require.Error(t, b.Rotate(pin.UsePIN))
	var file bytes.Buffer
	require.NoError(t, keyring.Sandbox().Write(&file, b.KEK()))
	ks, err := keyring.Read(&file, b.KEK())
	require.NoError(t, err)
	e, err := b.Engine(ks)
	require.NoError(t, err)
	require.Equal(t, keyring.Sandbox().SigningKeys()[0].KID, e.SigningKeys()[0].KID)
	require.NoError(t, b.Close())

	weak, _, err := backend.Open("file:k.json?master-key=env:WEAK", backend.Surroundings{Secret: secrets})
	require.NoError(t, err)
	require.ErrorContains(t, weak.Init(), "not generated at random")
}

func TestURLsThatSayNothing(t *testing.T) {
	for url, says := range map[string]string{
		"":                                 "must begin with file:, openbao: or pkcs11:",
		"vault:k":                          "must begin with file:, openbao: or pkcs11:",
		"file:":                            "looks like file:",
		"file:k":                           "looks like file:",
		"file:k?master-key=env:MASTER&x=y": "looks like file:",
		"file:k?master-key=env:OTHER":      "there is no such secret",
		"openbao:transit":                  "names no transit engine and key",
		"pkcs11:token=a":                   "has no module-path",
	} {
		_, _, err := backend.Open(url, backend.Surroundings{Secret: secrets})
		require.ErrorContains(t, err, says, url)
	}
}
