package app_test

import (
	"crypto/rand"
	"encoding/json"

	"github.com/stretchr/testify/require"
)

// sealed is a message in the envelope of a contract that seals: Accosa's.
func (p *partners) sealed(name, message string) string {
	token, err := p.tokenKey(name).Seal(rand.Reader, []byte(message))
	require.NoError(p.t, err)
	body, err := json.Marshal(map[string]string{"token": token})
	require.NoError(p.t, err)
	return string(body)
}

// opened is what is inside a reply's envelope; a reply in clear is itself.
func (p *partners) opened(name string, body []byte) []byte {
	var envelope struct{ Token string }
	if name != "accosa" || json.Unmarshal(body, &envelope) != nil || envelope.Token == "" {
		return body
	}
	message, ok := p.tokenKey(name).Open(envelope.Token)
	require.True(p.t, ok, "the reply does not open")
	return message
}
