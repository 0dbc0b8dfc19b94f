package keyringtest_test

import (
	"testing"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
)

func TestAKeysetInMemoryConforms(t *testing.T) {
	t.Parallel()
	keyringtest.Run(t, keyringtest.Backend{Engine: keyring.Sandbox(), Again: func(*testing.T) keyring.Engine { return keyring.Sandbox() }})
}
