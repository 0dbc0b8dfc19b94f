package issuer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func storedClient() pin.Client {
	return pin.Client{ID: "client-2", ProgramID: "p-1", Contract: "accosa", Name: "Call centre", SecretMAC: []byte("mac"),
		OldSecretMAC: []byte("old mac"), Scopes: []string{"pins:read", "pins:write"},
		Settings: pin.ClientSettings{EncryptionRequired: true, MessageKeyIDs: []string{"key-1"}, IVMode: "fixed"},
		Version:  2, CreatedAt: noon()}
}

const storedClientFields = `"clientId":"client-2","contract":"accosa","programId":"p-1","name":"Call centre",
	"scopes":["pins:read","pins:write"],"encryptionRequired":true,"messageKeyIds":["key-1"],"ivMode":"fixed",
	"createdAt":"2026-03-01T12:00:00Z"`

func TestCreateClient(t *testing.T) {
	s := newServer(t)
	s.vault.secret = "the secret"
	for _, tc := range []struct {
		name, body string
		want       pin.Client
		reply      string
	}{
		{
			"of the whole server, with the fewest settings",
			`{"contract":"thredd","name":"Call centre","scopes":["pins:read"]}`,
			pin.Client{Contract: "thredd", Name: "Call centre", Scopes: []string{"pins:read"}},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"thredd","name":"Call centre","scopes":["pins:read"],
				"encryptionRequired":false,"messageKeyIds":[],"createdAt":"2026-03-01T12:00:00Z"}`,
		},
		{
			"of a program, with every setting",
			`{"contract":"accosa","programId":"p-1","name":"Call centre","scopes":["pins:read","pins:write"],
				"encryptionRequired":true,"messageKeyIds":["key-1"],"ivMode":"fixed"}`,
			pin.Client{ProgramID: "p-1", Contract: "accosa", Name: "Call centre", Scopes: []string{"pins:read", "pins:write"},
				Settings: pin.ClientSettings{EncryptionRequired: true, MessageKeyIDs: []string{"key-1"}, IVMode: "fixed"}},
			`{"clientSecret":"the secret",` + storedClientFields + `}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply := s.For(t).Do(http.MethodPost, "/issuer/v1/clients", body(tc.body)).ExpectStatus(http.StatusCreated)
			require.Equal(t, tc.want, s.vault.client)
			require.JSONEq(t, tc.reply, string(reply.Body))
			require.Equal(t, "no-store", reply.Header.Get("Cache-Control"))
		})
	}
}

func TestRotateClient(t *testing.T) {
	s := newServer(t)
	s.vault.secret, s.vault.clients = "the secret", []pin.Client{storedClient()}
	for _, tc := range []struct {
		name, body string
		overlap    time.Duration
	}{
		{"at once", `{}`, 0},
		{"with an hour to roll over", `{"overlapSeconds":3600}`, time.Hour},
		{"with the longest overlap", `{"overlapSeconds":2592000}`, 30 * 24 * time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply := s.For(t).Do(http.MethodPost, "/issuer/v1/clients/client-2/rotate", body(tc.body)).ExpectStatus(http.StatusOK)
			require.Equal(t, "client-2", s.vault.id)
			require.Equal(t, tc.overlap, s.vault.overlap)
			require.JSONEq(t, `{"clientSecret":"the secret",`+storedClientFields+`}`, string(reply.Body))
			require.Equal(t, "no-store", reply.Header.Get("Cache-Control"))
		})
	}
}

func TestShownClientHasNoSecret(t *testing.T) {
	s := newServer(t)
	s.vault.clients = []pin.Client{storedClient()}
	reply := s.Do(http.MethodGet, "/issuer/v1/clients/client-2").ExpectStatus(http.StatusOK)
	require.JSONEq(t, "{"+storedClientFields+"}", string(reply.Body))
	require.Equal(t, "client-2", s.vault.id)
	reply = s.Do(http.MethodGet, "/issuer/v1/clients").ExpectStatus(http.StatusOK)
	require.JSONEq(t, `{"items":[{`+storedClientFields+`}]}`, string(reply.Body))
}

func TestRevokeClient(t *testing.T) {
	s := newServer(t)
	reply := s.Do(http.MethodDelete, "/issuer/v1/clients/client-2").ExpectStatus(http.StatusNoContent)
	require.Empty(t, reply.Body)
	require.Equal(t, "client-2", s.vault.id)
	require.Equal(t, 1, s.vault.calls)
}
