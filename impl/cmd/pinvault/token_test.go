package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// Keys of the sandbox's clients of Accosa's contract, and the IV of one of them.
const (
	tokenKey   = "404142434445464748494A4B4C4D4E4F5051525354555657"
	fixedIVKey = "7A2D94E0C65B13F8D07E4A91B6C3582F1E9D60B74FA8C235"
	fixedIV    = "A1B2C3D4E5F60718293A4B5C6D7E8F90"
)

func TestTokenCommandsMakeAndReadTokens(t *testing.T) {
	t.Parallel()
	at := storetest.SQLite(t)
	apptest.Start(t, at)
	key := "PINVAULT_TOKEN_KEY=" + tokenKey
	fixedKey := "PINVAULT_TOKEN_KEY=" + fixedIVKey
	database := []string{"--sandbox", "--database-url", at}
	run := func(t *testing.T, in string, env []string, args ...string) (string, error) {
		t.Helper()
		c := apptest.Command(t, append([]string{"token"}, args...)...)
		c.Env = append(c.Env, env...)
		c.Stdin = strings.NewReader(in)
		out, err := c.Output()
		return string(out), err
	}
	const message = `{"messageCode":"1120"}`
	for _, way := range []struct {
		name         string
		env          []string
		seal, reopen []string
	}{
		{"a client's key", nil, append(database, "--client", "accosa-sandbox"), append(database, "--client", "accosa-sandbox")},
		{"a client's fixed IV", nil, append(database, "--client", "accosa_fixed_iv-sandbox"), append(database, "--client", "accosa_fixed_iv-sandbox")},
		{"a client's key, whatever is at hand", []string{fixedKey}, append(database, "--client", "accosa-sandbox"), append(database, "--client", "accosa-sandbox")},
		{"a key at hand", []string{key}, nil, nil},
		{"a key and an IV at hand", []string{fixedKey}, []string{"--iv", fixedIV}, []string{"--iv", fixedIV}},
	} {
		t.Run(way.name, func(t *testing.T) {
			body, err := run(t, message+"\n", way.env, append([]string{"seal"}, way.seal...)...)
			require.NoError(t, err)
			require.Regexp(t, `^\{"token":"[A-Za-z0-9+/=]+"\}\n$`, body)
			text, err := run(t, body, way.env, append([]string{"open"}, way.reopen...)...)
			require.NoError(t, err)
			require.Equal(t, message+"\n", text)
			bare := strings.TrimSuffix(strings.TrimPrefix(body, `{"token":"`), "\"}\n")
			text, err = run(t, bare, way.env, append([]string{"open"}, way.reopen...)...)
			require.NoError(t, err)
			require.Equal(t, message+"\n", text)
		})
	}
	for name, refused := range map[string]struct {
		in   string
		env  []string
		args []string
	}{
		"no key":                      {message, nil, []string{"seal"}},
		"an IV without a key":         {message, nil, append(database, "--client", "accosa-sandbox", "--iv", "00")},
		"a key that is not hex":       {message, []string{"PINVAULT_TOKEN_KEY=xyz"}, nil},
		"a key of 16 bytes":           {message, []string{"PINVAULT_TOKEN_KEY=00112233445566778899AABBCCDDEEFF"}, nil},
		"an unknown client":           {message, nil, append(database, "--client", "nobody")},
		"a client of other contracts": {message, nil, append(database, "--client", "thredd-sandbox")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, refused.in, refused.env, append([]string{"seal"}, refused.args...)...)
			require.Error(t, err)
		})
	}
	_, err := run(t, `{"token":"AAAA"}`, []string{key}, "open")
	require.Error(t, err, "a token that does not open")
}
