package app_test

import (
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keymaterial"
	"pinvault/impl/pinblock"
)

// premises are what servers in production have, made by the commands that operators have: keys, a database, a program, a client of the issuer
// API that may do everything, and a key for PIN blocks.
type premises struct {
	at             string // the database
	env            []string
	program        string
	client, secret string
	zpk            string
}

func newPremises(t *testing.T, at string) *premises {
	t.Helper()
	keys := keysOf(t)
	p := &premises{at: at, env: []string{"PINVAULT_DATABASE_URL=" + at, "PINVAULT_KEYSET=" + keys.Keyset, "PINVAULT_MASTER_KEY=" + keys.MasterKey}}
	p.run(t, "migrate")
	var program struct{ ProgramID string }
	require.NoError(t, json.Unmarshal([]byte(p.run(t, "programs", "create", "--name", "Gift cards")), &program))
	p.program = program.ProgramID
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.run(t, "clients", "create", "--contract", "issuer", "--name", "Operations", "--all-scopes")), &client))
	p.client, p.secret = client.ID, client.Secret

	parts, files := make([][]byte, 2), []string{}
	for i, component := range []string{"0123456789ABCDEFFEDCBA9876543210", "132537495B6D7F800204081020408001"} {
		var err error
		parts[i], err = hex.DecodeString(component)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "component")
		require.NoError(t, os.WriteFile(file, []byte(component), 0o600))
		files = append(files, "--component-file", file)
	}
	key, err := keymaterial.TDES.Combine(parts...)
	require.NoError(t, err)
	p.zpk = hex.EncodeToString(key)
	cipher, err := keymaterial.TDES.New(key)
	require.NoError(t, err)
	p.run(t, append([]string{"keys", "import", "--id", "zpk", "--all-programs", "--usage", "zone-pin", "--algorithm", "TDES", "--check-value", keymaterial.CheckValue(cipher)[:6]}, files...)...)
	return p
}

// run runs a command, which has to succeed, and is what it printed.
func (p *premises) run(t *testing.T, args ...string) string {
	t.Helper()
	c := apptest.Command(t, args...)
	c.Env = append(c.Env, p.env...)
	var complaint strings.Builder
	c.Stderr = &complaint
	out, err := c.Output()
	require.NoError(t, err, "pinvault %v: %s%s", args, out, complaint.String())
	return string(out)
}

// serve starts a server.
func (p *premises) serve(t *testing.T, args ...string) *apptest.Process {
	t.Helper()
	return apptest.Serve(t, p.env, args...)
}

// operator is the client, at a server.
func (p *premises) operator(t *testing.T, at *apptest.Process) *operator {
	t.Helper()
	return &operator{t, at.URL, apptest.Client(t, at.URL).Do(http.MethodPost, "/oauth2/token", contracttest.Form(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {p.client}, "client_secret": {p.secret},
	})).ExpectStatus(http.StatusOK).Text("/access_token")}
}

// card makes a card that has a PIN.
func (p *premises) card(o *operator, pan string) (id string) {
	o.t.Helper()
	id = o.do("POST", "/issuer/v1/cards", fmt.Sprintf(`{"programId":%q,"pan":%q}`, p.program, pan), http.StatusCreated)["cardId"].(string)
	block := apptest.PINBlock(o.t, pinblock.NewTDES, p.zpk, pinblock.ISO0, "4826", pan)
	o.do("PUT", "/issuer/v1/cards/"+id+"/pin", fmt.Sprintf(`{"pinBlock":%q,"format":"ISO-0","keyId":"zpk"}`, block), http.StatusNoContent)
	return id
}

// front is a URL by HTTPS, which webhooks in production must have, of a receiver that is at an address; the servers that are started from
// now on trust it.
func (p *premises) front(t *testing.T, address string) string {
	t.Helper()
	receiver := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	receiver.Transport = &http.Transport{DisableKeepAlives: true} // the receiver may be another one by now
	receiver.ErrorLog = log.New(io.Discard, "", 0)
	s := httptest.NewUnstartedServer(receiver)
	s.Config.ErrorLog = receiver.ErrorLog // of servers that are killed
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	p.env = append(p.env, "SSL_CERT_FILE="+file)
	return s.URL
}
