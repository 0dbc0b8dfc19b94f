package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// Secrets planted in requests, good ones and bad, are found nowhere afterwards. They are long, so that
// a hit means something.
func TestPlantedSecretsAreFoundNowhere(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			h := start(t, at)
			secrets, bodies := plant(t, h)
			requireNowhere(t, secrets, "the log", h.log.String())
			requireNowhere(t, secrets, "the replies", strings.Join(bodies, "\n"))
			requireNowhere(t, secrets, "the metrics", metricsOf(t, h.url))
			requireNowhere(t, secrets, "the database", dump(t, at))
		})
	}
}

// plant sends secrets every way there is and returns them with the replies.
func plant(t *testing.T, h *harness) (secrets map[string]string, replies []string) {
	t.Helper()
	const (
		planted = "918273645546" // a PIN of twelve digits
		wrong   = "135792468013"
		pan     = "9999991234567893"
		block   = "C0FFEE00DEADBEEF"
		key     = "F00DFACECAFEBABEF00DFACECAFED00D"
		secret  = "planted-client-secret-5b1d"
	)
	threddToken, issuerToken := h.mint(t, "thredd-sandbox", time.Hour), h.mint(t, "issuer-sandbox", time.Hour)
	secrets = map[string]string{"PIN": planted, "wrong PIN": wrong, "PAN": pan, "PIN block": block, "key": key, "client secret": secret,
		"Thredd token": threddToken, "issuer token": issuerToken}
	thredd, issuer := contracttest.Bearer(threddToken), contracttest.Bearer(issuerToken)
	send := func(method, path string, with ...contracttest.Option) *contracttest.Reply {
		reply := h.client.Do(method, path, with...)
		replies = append(replies, string(reply.Body), fmt.Sprint(reply.Header))
		return reply
	}
	json := func(body string) contracttest.Option { return contracttest.Raw("application/json", body) }

	// A card with the PAN and the PIN, through the API and the vault.
	created := send("POST", "/issuer/v1/cards", issuer, contracttest.Header("Idempotency-Key", "make"),
		contracttest.JSON(map[string]any{"programId": "00000000-0000-7000-8000-00000000a001", "pan": pan, "expiry": "3112"})).ExpectStatus(http.StatusCreated)
	card := created.Text("/cardId")
	vault := pin.NewVault(h.store, keyring.Open(keyring.Sandbox(), h.store, nil), h.clock.now, nil)
	long, err := pin.New([]byte(planted))
	require.NoError(t, err)
	require.NoError(t, vault.SetPIN(operating(t), pin.Query{CardID: card}, pin.Plain(long), pin.Memo{Description: "PAN " + pan, UpdatedBy: pan}))
	guess, err := pin.New([]byte(wrong))
	require.NoError(t, err)
	_, err = vault.Verify(operating(t), pin.Query{CardID: card}, pin.Plain(guess), pin.Memo{})
	require.NoError(t, err)
	send("POST", "/issuer/v1/cards", issuer, contracttest.Header("Idempotency-Key", "make"),
		contracttest.JSON(map[string]any{"programId": "00000000-0000-7000-8000-00000000a001", "pan": pan, "expiry": "3112"})).ExpectStatus(http.StatusCreated)
	send("POST", "/issuer/v1/cards/search", issuer, contracttest.JSON(map[string]any{"kind": "pan", "value": pan})).ExpectStatus(http.StatusOK)
	send("POST", "/issuer/v1/cards", issuer, contracttest.JSON(map[string]any{"programId": "00000000-0000-7000-8000-00000000a001", "pan": pan})).ExpectStatus(http.StatusConflict)

	verifications := "/issuer/v1/cards/" + card + "/pin/verifications"
	for _, body := range []string{
		`{"pinBlock":"` + block + `","format":"ISO-0","keyId":"zpk-sandbox"}`,
		`{"pinBlock":"` + block + `","format":"ISO-0","keyId":"` + key + `"}`,
		`{"pinBlock":"` + block + key + `","format":"ISO-0","keyId":"zpk-sandbox"}`,
		`{"pinBlock":"` + block + `","format":"` + planted + `","keyId":"zpk-sandbox"}`,
		`{"pinBlock":` + planted + `}`,
		`{"` + planted + `":"` + pan + `"}`,
		`{"pinBlock":"` + planted + `" x`,
	} {
		send("POST", verifications, issuer, contracttest.Header("Idempotency-Key", "k"+fmt.Sprint(len(replies))), json(body))
	}
	set := "/api/v1/cards/103169946/pin"
	for _, body := range []string{
		`{"pin":"` + planted + `"}`, `{"pin":` + planted + `}`, `{"pin":"1234","` + planted + `":"x"}`, `{"pin":"` + pan + `","pin":"` + pan + `"}`,
		`{"pin":"1234","description":"` + pan + `","updatedBy":"` + pan + `"}`, planted, `{"pin":{"` + planted + `":1}}`,
	} {
		send("POST", set, thredd, contracttest.Header("IdempotencyKey", "5d1c2f0e-7a0b-4c55-9a57-1f1f2f3c4d5e"), json(body))
		send("POST", set, thredd, json(body))
	}
	send("GET", "/api/v1/cards/"+planted+"/pin", thredd)
	send("GET", "/"+pan+"/"+planted, thredd)
	send("GET", "/issuer/v1/cards?kind=urn&value="+planted, issuer)
	send(planted, set, thredd)
	send("GET", set, contracttest.Bearer(planted))
	send("GET", set, contracttest.Bearer(threddToken+"x"))
	send("POST", "/connect/token", contracttest.Form(url.Values{"grant_type": {"client_credentials"}, "client_id": {"thredd-sandbox"}, "client_secret": {secret}}))
	send("POST", "/oauth2/token", contracttest.Form(url.Values{"grant_type": {planted}, "client_id": {pan}, "client_secret": {secret}}))
	for _, fault := range []string{"database", "internal"} {
		restore := h.faults.fail(t, fault)
		send("POST", set, thredd, json(`{"pin":"4826","description":"`+pan+`"}`))
		send("POST", verifications, issuer, json(`{"pinBlock":"`+block+`","format":"ISO-0","keyId":"zpk-sandbox"}`))
		restore()
	}
	return secrets, replies
}

// metricsOf is what Prometheus would read.
func metricsOf(t *testing.T, base string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "pinvault_http_requests_total")
	return string(body)
}

func requireNowhere(t *testing.T, secrets map[string]string, where, text string) {
	t.Helper()
	require.NotEmpty(t, text, where)
	folded := strings.ToUpper(text)
	for name, secret := range secrets {
		at := strings.Index(folded, strings.ToUpper(secret))
		require.Negative(t, at, "%s stands in %s, near %q", name, where, text[max(0, at-60):min(len(text), max(0, at)+len(secret)+20)])
	}
}

// dump is everything that a database holds: the files of SQLite, every row of PostgreSQL.
func dump(t *testing.T, at string) string {
	t.Helper()
	var all strings.Builder
	if path, ok := strings.CutPrefix(at, "sqlite://"); ok {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix)
			require.NoError(t, err)
			all.Write(content)
		}
		return all.String()
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, at)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 8)
	for _, table := range tables {
		// As text, and byte strings once more as what they hold.
		rows, err := conn.Query(ctx, `SELECT t::text || ' ' || encode(convert_to(t::text, 'UTF8'), 'escape') FROM `+pgx.Identifier{table}.Sanitize()+` t`)
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		for _, row := range texts {
			all.WriteString(row + "\n" + unescapeBytes(row) + "\n")
		}
	}
	return all.String()
}

// unescapeBytes turns PostgreSQL's \x… byte strings into the bytes they stand for.
func unescapeBytes(row string) string {
	var out strings.Builder
	for _, part := range strings.Split(row, `\x`)[1:] {
		for len(part) >= 2 {
			var b byte
			if _, err := fmt.Sscanf(part[:2], "%02x", &b); err != nil {
				break
			}
			out.WriteByte(b)
			part = part[2:]
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// createProgramIn makes a program in a production database.
func createProgramIn(t *testing.T, at string) error {
	t.Helper()
	db, err := store.Open(t.Context(), at, store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Migrate(t.Context()))
	ks, err := keyring.Generate(strings.NewReader(strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 200)), time.Now())
	require.NoError(t, err)
	_, err = pin.NewVault(db, keyring.Open(ks, db, nil), nil, nil).CreateProgram(operating(t), pin.NewProgram("Gift cards"), pin.Memo{})
	return err
}
