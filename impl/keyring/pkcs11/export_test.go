//go:build cgo

package pkcs11

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// CloseAllSessions ends them behind the token's back, and with them the login.
func (t *Token) CloseAllSessions(tb testing.TB) {
	slot, _, err := t.find()
	require.NoError(tb, err)
	require.NoError(tb, t.module.CloseAllSessions(slot))
}
