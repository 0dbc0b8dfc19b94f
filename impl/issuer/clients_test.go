package issuer_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func storedClient() pin.Client {
	return pin.Client{ID: "client-2", ProgramID: "p-1", Contract: "accosa", Name: "Call centre", SecretDigest: []byte("mac"),
		OldSecretDigest: []byte("old mac"), Scopes: []string{"pins:read", "pins:write"},
		Settings: json.RawMessage(accosaKept), Secrets: map[string][]byte{"secureCode": []byte("OPEN-SESAME")},
		Version: 2, CreatedAt: noon()}
}

const storedClientFields = `"clientId":"client-2","contract":"accosa","programId":"p-1","name":"Call centre",
	"scopes":["pins:read","pins:write"],"accosa":` + accosaKept + `,"createdAt":"2026-03-01T12:00:00Z"`

// accosaKept are settings of an Accosa client as they are kept and shown.
const accosaKept = `{"bankId":"7000","clientId":"2000","entityId":"100","fixedIv":"000102030405060708090a0b0c0d0e0f","ivMode":"fixed","messageKeyIds":["key-1"]}`

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
				"createdAt":"2026-03-01T12:00:00Z"}`,
		},
		{
			"of Credit+, whose clients must encrypt unless it is said",
			`{"contract":"creditplus","name":"Call centre","scopes":["tries:reset"],"creditplus":{"messageKeyIds":["key-1"]}}`,
			pin.Client{Contract: "creditplus", Name: "Call centre", Scopes: []string{"tries:reset"}, Settings: json.RawMessage(`{"messageKeyIds":["key-1"]}`)},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"creditplus","name":"Call centre","scopes":["tries:reset"],
				"creditplus":{"encryptionRequired":true,"messageKeyIds":["key-1"]},"createdAt":"2026-03-01T12:00:00Z"}`,
		},
		{
			"of Credit+, that may send clear messages",
			`{"contract":"creditplus","name":"Call centre","scopes":["tries:reset"],"creditplus":{"encryptionRequired":false}}`,
			pin.Client{Contract: "creditplus", Name: "Call centre", Scopes: []string{"tries:reset"}, Settings: json.RawMessage(`{"encryptionRequired":false}`)},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"creditplus","name":"Call centre","scopes":["tries:reset"],
				"creditplus":{"encryptionRequired":false,"messageKeyIds":[]},"createdAt":"2026-03-01T12:00:00Z"}`,
		},
		{
			"of Accosa's, whose secure code is kept as a MAC and not shown",
			`{"contract":"accosa","programId":"p-1","name":"Call centre","scopes":["pins:read","pins:write"],"accosa":{"clientId":"2000","bankId":"7000",
				"entityId":"100","secureCode":"open-sesame","messageKeyIds":["key-1"],"ivMode":"fixed","fixedIv":"000102030405060708090a0b0c0d0e0f"}}`,
			pin.Client{ProgramID: "p-1", Contract: "accosa", Name: "Call centre", Scopes: []string{"pins:read", "pins:write"},
				Settings: json.RawMessage(accosaKept), Secrets: map[string][]byte{"secureCode": []byte("OPEN-SESAME")}},
			`{"clientSecret":"the secret",` + storedClientFields + `}`,
		},
		{
			"of Network International's, with every setting",
			`{"contract":"networkintl","programId":"p-1","name":"Call centre","scopes":["pins:change"],"networkintl":{"bankId":"NIC",
				"pinKeyIds":["zpk-1","rsa-1"],"applicationName":"PINVAULT","asymmetricAlias":true}}`,
			pin.Client{ProgramID: "p-1", Contract: "networkintl", Name: "Call centre", Scopes: []string{"pins:change"},
				Settings: json.RawMessage(`{"applicationName":"PINVAULT","asymmetricAlias":true,"bankId":"NIC","pinKeyIds":["zpk-1","rsa-1"]}`)},
			`{"clientId":"client-2","clientSecret":"the secret","contract":"networkintl","programId":"p-1","name":"Call centre","scopes":["pins:change"],
				"createdAt":"2026-03-01T12:00:00Z",
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

func TestCreateClientRefusesWhatCouldNeverWork(t *testing.T) {
	long := pin.NewProgram("long")
	long.MinPINLength, long.MaxPINLength = 7, 8
	const headers = `"clientId":"2000","bankId":"7000","entityId":"100","secureCode":"open-sesame"`
	for _, tc := range []struct {
		name, body string
		status     int
		field      string
	}{
		{"Accosa's without headers", `{"contract":"accosa","name":"x","scopes":["a:b"]}`, 400, "/accosa"},
		{"Accosa's with a fixed IV that nobody knows", `{"contract":"accosa","name":"x","scopes":["a:b"],"accosa":{` + headers + `,"messageKeyIds":["k"],"ivMode":"fixed"}}`, 400, "/accosa/fixedIv"},
		{"Accosa's with a fixed IV that nobody uses", `{"contract":"accosa","name":"x","scopes":["a:b"],"accosa":{` + headers + `,"messageKeyIds":["k"],
			"fixedIv":"000102030405060708090a0b0c0d0e0f"}}`, 422, "/accosa/ivMode"},
		{"Credit+'s that must encrypt without keys", `{"contract":"creditplus","name":"x","scopes":["tries:reset"]}`, 400, "/creditplus/messageKeyIds"},
		{"Accosa's with a key of another kind", `{"contract":"accosa","name":"x","scopes":["a:b"],"accosa":{` + headers + `,"messageKeyIds":["k","unfit"]}}`, 422, "/accosa/messageKeyIds"},
		{"Credit+'s with a key of another program", `{"contract":"creditplus","name":"x","scopes":["tries:reset"],"creditplus":{"messageKeyIds":["unfit"]}}`, 422, "/creditplus/messageKeyIds"},
		{"Network International's with a key for messages", `{"contract":"networkintl","programId":"p-1","name":"x","scopes":["pins:change"],"networkintl":{"bankId":"NIC","pinKeyIds":["unfit"]}}`, 422, "/networkintl/pinKeyIds"},
		{"Network International's of the whole server", `{"contract":"networkintl","name":"x","scopes":["pins:change"],"networkintl":{"bankId":"NIC"}}`, 400, "/programId"},
		{"Network International's without a bank", `{"contract":"networkintl","programId":"p-1","name":"x","scopes":["pins:change"]}`, 400, "/networkintl"},
		{"Thredd's of the whole server that makes cards", `{"contract":"thredd","name":"x","scopes":["pins:read","cards:write"]}`, 400, "/programId"},
		{"Thredd's in a program of long PINs", `{"contract":"thredd","programId":"p-1","name":"x","scopes":["pins:read"]}`, 422, "/programId"},
		{"settings of a contract that has none of clients", `{"contract":"hashdt","name":"x","scopes":["a:b"],"creditplus":{}}`, 422, "/creditplus"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			s.vault.programs = []pin.Program{long}
			reply := s.For(t).Do(http.MethodPost, "/issuer/v1/clients", body(tc.body)).ExpectStatus(tc.status)
			require.Equal(t, tc.field, reply.Text("/errors/0/field"))
			require.Zero(t, s.vault.client)
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
