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
			"of Credit+, whose clients must encrypt unless it is said",
			`{"contract":"creditplus","name":"Call centre","scopes":["tries:reset"]}`,
			pin.Client{Contract: "creditplus", Name: "Call centre", Scopes: []string{"tries:reset"}, Settings: pin.ClientSettings{EncryptionRequired: true}},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"creditplus","name":"Call centre","scopes":["tries:reset"],
				"encryptionRequired":true,"messageKeyIds":[],"createdAt":"2026-03-01T12:00:00Z"}`,
		},
		{
			"of Credit+, that may send clear messages",
			`{"contract":"creditplus","name":"Call centre","scopes":["tries:reset"],"encryptionRequired":false}`,
			pin.Client{Contract: "creditplus", Name: "Call centre", Scopes: []string{"tries:reset"}},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"creditplus","name":"Call centre","scopes":["tries:reset"],
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
		{
			"of Accosa's, whose secure code is kept as a MAC and not shown",
			`{"contract":"accosa","name":"Call centre","scopes":["pins:write"],"ivMode":"fixed","accosa":{"clientId":"2000","bankId":"7000",
				"entityId":"100","secureCode":"open-sesame","fixedIv":"000102030405060708090a0b0c0d0e0f"}}`,
			pin.Client{Contract: "accosa", Name: "Call centre", Scopes: []string{"pins:write"}, Settings: pin.ClientSettings{IVMode: "fixed",
				PartnerClientID: "2000", BankID: "7000", EntityID: "100", SecureCodeMAC: []byte("OPEN-SESAME"), FixedIV: "000102030405060708090a0b0c0d0e0f"}},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"accosa","name":"Call centre","scopes":["pins:write"],
				"encryptionRequired":false,"messageKeyIds":[],"ivMode":"fixed","createdAt":"2026-03-01T12:00:00Z","accosa":{"clientId":"2000",
				"bankId":"7000","entityId":"100","fixedIv":"000102030405060708090a0b0c0d0e0f"}}`,
		},
		{
			"of Network International's, with every setting",
			`{"contract":"networkintl","programId":"p-1","name":"Call centre","scopes":["pins:change"],"networkintl":{"bankId":"NIC",
				"pinKeyIds":["zpk-1","rsa-1"],"applicationName":"PINVAULT","asymmetricAlias":true}}`,
			pin.Client{ProgramID: "p-1", Contract: "networkintl", Name: "Call centre", Scopes: []string{"pins:change"}, Settings: pin.ClientSettings{
				BankID: "NIC", PINKeyIDs: []string{"zpk-1", "rsa-1"}, ApplicationName: "PINVAULT", AsymmetricAlias: true}},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"networkintl","programId":"p-1","name":"Call centre","scopes":["pins:change"],
				"encryptionRequired":false,"messageKeyIds":[],"createdAt":"2026-03-01T12:00:00Z",
				"networkintl":{"bankId":"NIC","pinKeyIds":["zpk-1","rsa-1"],"applicationName":"PINVAULT","asymmetricAlias":true}}`,
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
