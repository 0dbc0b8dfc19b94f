package app_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
	"pinvault/impl/app/apptest"
	"pinvault/impl/auditlog"
	"pinvault/impl/checkpoint"
	"pinvault/impl/config"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinsession"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// estate is a server's data, and the server as it is by now.
type estate struct {
	keys   config.Keys
	db     *store.Store
	app    *app.App
	engine keyring.Engine
	ring   *keyring.Ring

	program, card, moved, webhook string // ids
	client, secret, token         string
	session, link                 string
	log                           auditlog.Folder
	checkpoint, public            []byte // one that was made, and what it is verified by
	chosen                        int    // PINs that were chosen since
}

// What the estate's callers know.
const (
	estatePIN   = "7391"
	estatePAN   = "4000001234567899"
	estateURN   = "70000000001"
	estateBlock = "zpk"
)

var estateKey = []byte("0123456789abcdefFEDCBA98")

// furnished is an estate with something under every key.
func furnished(t *testing.T) *estate {
	t.Helper()
	e := &estate{keys: keysOf(t), db: apptest.OpenStore(t, storetest.SQLite(t)), log: auditlog.Folder(t.TempDir())}
	require.NoError(t, e.db.Migrate(t.Context()))
	require.NoError(t, e.starts(t))
	v, operator := e.app.Vault, apptest.Operating(t)
	program := pin.NewProgram("Production")
	program.Policy, program.RetrievalAllowed = pin.PolicyHistory, true
	program, err := v.CreateProgram(operator, program, pin.Memo{})
	require.NoError(t, err)
	e.program = program.ID
	for id, usage := range map[string]pin.KeyUsage{estateBlock: pin.UsageZonePIN, "pvk": pin.UsageVerification} {
		row, err := e.ring.WrapZoneKey(id, e.program, usage, keyring.TDES, estateKey)
		require.NoError(t, err)
		require.NoError(t, v.ImportZoneKey(operator, row, pin.Memo{}))
	}
	key, err := e.ring.VerificationKey(t.Context(), e.program, "pvk")
	require.NoError(t, err)
	pvv, err := key.PVV(estatePAN, 1, []byte(estatePIN))
	require.NoError(t, err)
	card, err := v.CreateCard(operator, pin.NewCard{ProgramID: e.program, PAN: estatePAN, Sequence: "01", PIN: aPIN(t, estatePIN),
		References: []pin.Reference{{Kind: pin.KindURN, Value: estateURN}}}, pin.Memo{})
	require.NoError(t, err)
	moved, err := v.CreateCard(operator, pin.NewCard{ProgramID: e.program, PAN: estatePAN, Sequence: "02", PINChosen: true,
		Brought: pin.VerificationValue{KeyID: "pvk", PVV: pvv, Index: 1, Length: len(estatePIN)}}, pin.Memo{})
	require.NoError(t, err)
	e.card, e.moved = card.ID, moved.ID
	client, secret, err := v.CreateClient(operator, pin.Client{Contract: "issuer", Name: "Bank",
		Scopes: []string{"cards:read", "cards:write", "pins:read", "pins:verify", "pins:write"}}, "", pin.Memo{})
	require.NoError(t, err)
	e.client, e.secret = client.ID, secret
	minted, err := e.app.Tokens.Mint(client, time.Hour)
	require.NoError(t, err)
	e.token = minted.AccessToken
	hook, _, err := v.CreateWebhook(operator, pin.Webhook{URL: "https://bank.example/events"}, pin.Memo{})
	require.NoError(t, err)
	e.webhook = hook.ID
	session, err := e.sessions().Open(operator, pin.Query{CardID: e.moved}, pin.ActionReset, "request", pin.Memo{})
	require.NoError(t, err)
	e.session = session.ID
	e.link, err = e.sessions().Secret(session.ID)
	require.NoError(t, err)
	require.Equal(t, "204", e.asks(t, http.MethodPost, "/issuer/v1/cards/"+e.card+"/pin/unblock", `{"reason":"asked"}`, "Idempotency-Key", "before"))
	e.public, err = checkpoint.PublicKeys(e.engine.CheckpointKeys())
	require.NoError(t, err)
	e.checkpoint = e.checkpoints(t)
	require.Equal(t, "appended", e.logs(t))
	return e
}

// aPIN is a PIN.
func aPIN(t *testing.T, text string) pin.PIN {
	t.Helper()
	p, err := pin.New([]byte(text))
	require.NoError(t, err)
	return p
}

// starts has a server over the data, with the keyset file as it is.
func (e *estate) starts(t *testing.T) error {
	t.Helper()
	documents, err := apptest.Contracts()
	require.NoError(t, err)
	b, f, err := app.Backend(e.keys)
	require.NoError(t, err)
	ks, err := f.Keyset()
	require.NoError(t, err)
	e.engine, err = b.Engine(ks)
	require.NoError(t, err)
	e.ring = keyring.Open(e.engine, e.db, nil)
	e.app, err = app.New(t.Context(), config.Serve{PublicURL: "http://production", Keys: e.keys, RequestTimeout: time.Minute},
		app.Surroundings{Database: e.db, Store: e.db, Log: slog.New(slog.DiscardHandler), Documents: documents})
	return err
}

// loses has a fresh key of a use in the place of the one that everything rests under.
func (e *estate) loses(t *testing.T, use pin.Use) {
	t.Helper()
	e.keyset(t, func(ks *keyring.Keyset) *keyring.Keyset {
		now := time.Now()
		next, _, err := ks.With(use, rand.Reader, now)
		require.NoError(t, err)
		for _, w := range []keyring.Wish{
			{Use: use, Version: 2, Step: keyring.Activate, At: now, Hasty: true},
			{Use: use, Version: 1, Step: keyring.Retire, Hasty: true},
			{Use: use, Version: 1, Step: keyring.Destroy},
		} {
			next, _, err = next.After(w, now)
			require.NoError(t, err, "%s", w.Step)
		}
		return next
	})
}

// losesZoneKey destroys the partner's zone key.
func (e *estate) losesZoneKey(t *testing.T) {
	t.Helper()
	_, err := e.app.Keys.Retire(apptest.Operating(t), estateBlock, time.Time{}, pin.Memo{})
	require.NoError(t, err)
	_, err = e.app.Keys.Destroy(apptest.Operating(t), estateBlock, pin.Memo{})
	require.NoError(t, err)
}

// keyset changes the keyset file.
func (e *estate) keyset(t *testing.T, change func(*keyring.Keyset) *keyring.Keyset) {
	t.Helper()
	_, f, err := app.Backend(e.keys)
	require.NoError(t, err)
	ks, err := f.Keyset()
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, change(ks).Write(&text, f.KEK))
	require.NoError(t, os.WriteFile(f.Path, text.Bytes(), 0o600))
}

func (e *estate) sessions() *pinsession.Sessions {
	return pinsession.New(e.app.Vault, e.ring, time.Hour, nil, nil)
}

// asks sends a request and tells the status, and the word that a reply of success has.
func (e *estate) asks(t *testing.T, method, path, body string, headers ...string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+e.token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	e.app.Public.ServeHTTP(w, r)
	var reply struct{ Result string }
	_ = json.Unmarshal(w.Body.Bytes(), &reply)
	return strings.TrimSpace(fmt.Sprint(w.Code, " ", reply.Result))
}

// logsIn asks for a token by a secret.
func (e *estate) logsIn(t *testing.T, secret string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {e.client}, "client_secret": {secret}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	e.app.Public.ServeHTTP(w, r)
	return fmt.Sprint(w.Code)
}

// checkpoints makes a checkpoint.
func (e *estate) checkpoints(t *testing.T) []byte {
	t.Helper()
	var lines bytes.Buffer
	first, _, err := checkpoint.Write(&lines, e.app.Vault.Heads(apptest.Operating(t)), e.engine.CheckpointKeys()[0], time.Now)
	require.NoError(t, err)
	return append([]byte(first+"\n"), lines.Bytes()...)
}

// logs appends a checkpoint to the audit log.
func (e *estate) logs(t *testing.T) string {
	t.Helper()
	l, err := auditlog.Open(auditlog.Options{Folder: e.log, Origin: "pin.example.com/audit"}, e.engine)
	require.NoError(t, err)
	return ended("appended", second(l.Round(apptest.Operating(t), e.app.Vault, e.db)))
}

func second[T any](_ T, err error) error { return err }

// ended is a word for how something ended.
func ended(well string, err error) string {
	switch _, ours := errors.AsType[*pin.Error](err); {
	case err == nil:
		return well
	case ours:
		return "error " + string(pin.CodeOf(err))
	}
	return "refused"
}

// verifies offers a PIN, and tells how many tries are left.
func (e *estate) verifies(t *testing.T, card, offered string) string {
	t.Helper()
	done, err := e.app.Vault.Verify(apptest.Operating(t), pin.Query{CardID: card}, pin.Plain(aPIN(t, offered)), pin.Memo{})
	rec, failed := e.app.Vault.Card(apptest.Operating(t), pin.Query{CardID: card})
	require.NoError(t, failed)
	return fmt.Sprintf("%s, %d tries", ended(string(done.Result), err), rec.RemainingTries())
}

// chooses gives a card a PIN that it has not had.
func (e *estate) chooses(t *testing.T, card string) (chosen, how string) {
	t.Helper()
	e.chosen++
	chosen = fmt.Sprint(82640 + e.chosen)
	return chosen, ended("set", e.app.Vault.ResetPIN(apptest.Operating(t), pin.Query{CardID: card}, pin.Plain(aPIN(t, chosen)), pin.Memo{}))
}

// found tells how many cards a reference leads to.
func (e *estate) found(t *testing.T, r pin.Reference) string {
	t.Helper()
	all, err := e.app.Vault.Find(apptest.Operating(t), pin.Query{ProgramID: e.program, References: []pin.Reference{r}}, 10)
	return ended(fmt.Sprintf("%d cards", len(all)), err)
}

// estateDeeds are what is done with an estate, in this order, and how each ends where no key is lost.
var estateDeeds = []struct {
	name string
	do   func(t *testing.T, e *estate) string
	well string
}{
	{"a token that is out", func(t *testing.T, e *estate) string {
		return e.asks(t, http.MethodGet, "/issuer/v1/cards/"+e.card+"/pin", "")
	}, "200"},
	{"a login", func(t *testing.T, e *estate) string { return e.logsIn(t, e.secret) }, "200"},
	{"a login with a new secret", func(t *testing.T, e *estate) string {
		_, secret, err := e.app.Vault.RotateClient(apptest.Operating(t), e.client, 0, pin.Memo{})
		require.NoError(t, err)
		return e.logsIn(t, secret)
	}, "200"},
	{"a new token", func(t *testing.T, e *estate) string {
		client, err := e.app.Vault.Client(apptest.Operating(t), e.client)
		require.NoError(t, err)
		minted, err := e.app.Tokens.Mint(client, time.Hour)
		require.NoError(t, err)
		e.token = minted.AccessToken
		return e.asks(t, http.MethodGet, "/issuer/v1/cards/"+e.card+"/pin", "")
	}, "200"},
	{"a call that is repeated", func(t *testing.T, e *estate) string {
		status := e.asks(t, http.MethodPost, "/issuer/v1/cards/"+e.card+"/pin/unblock", `{"reason":"asked"}`, "Idempotency-Key", "before")
		events, err := e.app.Vault.AuditEvents(apptest.Operating(t), pin.AuditQuery{Chain: e.card, Page: pin.Page{Limit: 200}})
		require.NoError(t, err)
		unblocks := 0
		for _, event := range events {
			if event.Type == pin.EventPINUnblocked {
				unblocks++
			}
		}
		return fmt.Sprintf("%s, done %d times", status, unblocks)
	}, "204, done 1 times"},
	{"a wrong PIN", func(t *testing.T, e *estate) string { return e.verifies(t, e.card, "9999") }, "mismatch, 2 tries"},
	{"the right PIN", func(t *testing.T, e *estate) string { return e.verifies(t, e.card, estatePIN) }, "match, 3 tries"},
	{"the right PIN in a block", func(t *testing.T, e *estate) string {
		key, err := pinblock.NewTDES(estateKey)
		require.NoError(t, err)
		block, err := key.Encrypt(pinblock.ISO0, []byte(estatePIN), estatePAN, nil)
		require.NoError(t, err)
		return e.asks(t, http.MethodPost, "/issuer/v1/cards/"+e.card+"/pin/verifications", fmt.Sprintf(`{"pinBlock":"%X","format":"ISO-0","keyId":"zpk"}`, block))
	}, "200 match"},
	{"the PIN of a card that moved in with a PVV", func(t *testing.T, e *estate) string { return e.verifies(t, e.moved, estatePIN) }, "match, 3 tries"},
	{"a card that is shown", func(t *testing.T, e *estate) string {
		return e.asks(t, http.MethodGet, "/issuer/v1/cards/"+e.card, "")
	}, "200"},
	{"a card's PAN", func(t *testing.T, e *estate) string {
		rec, err := e.app.Vault.Card(apptest.Operating(t), pin.Query{CardID: e.card})
		require.NoError(t, err)
		masked, err := e.app.Vault.MaskedPAN(rec.Card)
		return ended(masked, err)
	}, "400000******7899"},
	{"cards by their PAN", func(t *testing.T, e *estate) string {
		return e.found(t, pin.Reference{Kind: pin.KindPAN, Value: estatePAN})
	}, "2 cards"},
	{"a card by another reference", func(t *testing.T, e *estate) string {
		return e.found(t, pin.Reference{Kind: pin.KindURN, Value: estateURN})
	}, "1 cards"},
	{"the PIN read back", func(t *testing.T, e *estate) string {
		p, err := e.app.Vault.RevealPIN(apptest.Operating(t), pin.Query{CardID: e.card})
		return ended(string(p.Digits()), err)
	}, estatePIN},
	{"another PIN in the place of the old one", func(t *testing.T, e *estate) string {
		e.chosen++
		done, err := e.app.Vault.ChangePIN(apptest.Operating(t), pin.Query{CardID: e.card}, pin.Plain(aPIN(t, estatePIN)), pin.Plain(aPIN(t, fmt.Sprint(82640+e.chosen))), pin.Memo{})
		return ended(string(done.Result), err)
	}, "match"},
	{"a PIN that is chosen anew, and shown", func(t *testing.T, e *estate) string {
		chosen, how := e.chooses(t, e.card)
		return how + ", " + e.verifies(t, e.card, chosen)
	}, "set, match, 3 tries"},
	{"a link to the hosted page that is out", func(t *testing.T, e *estate) string {
		_, err := e.sessions().Exchange(apptest.Operating(t), e.session, e.link, "")
		return ended("taken", err)
	}, "taken"},
	{"a new link to the hosted page", func(t *testing.T, e *estate) string {
		session, err := e.sessions().Open(apptest.Operating(t), pin.Query{CardID: e.card}, pin.ActionReset, "another", pin.Memo{})
		require.NoError(t, err)
		link, err := e.sessions().Secret(session.ID)
		require.NoError(t, err)
		_, err = e.sessions().Exchange(apptest.Operating(t), session.ID, link, "")
		return ended("taken", err)
	}, "taken"},
	{"a webhook's message", func(t *testing.T, e *estate) string {
		hook, err := e.app.Vault.Webhook(apptest.Operating(t), e.webhook)
		require.NoError(t, err)
		_, err = e.app.Vault.SigningKeys(hook)
		return ended("signed", err)
	}, "signed"},
	{"a webhook's message under new keys", func(t *testing.T, e *estate) string {
		hook, _, err := e.app.Vault.RotateWebhook(apptest.Operating(t), e.webhook, 0, pin.Memo{})
		require.NoError(t, err)
		_, err = e.app.Vault.SigningKeys(hook)
		return ended("signed", err)
	}, "signed"},
	{"a new card", func(t *testing.T, e *estate) string {
		card, err := e.app.Vault.CreateCard(apptest.Operating(t), pin.NewCard{ProgramID: e.program, PAN: "4000001234560001", PIN: aPIN(t, estatePIN)}, pin.Memo{})
		return ended("made, ", err) + e.verifies(t, card.ID, estatePIN)
	}, "made, match, 3 tries"},
	{"the trail", func(t *testing.T, e *estate) string {
		found, err := e.app.Vault.VerifyTrail(apptest.Operating(t), pin.VerifyOptions{})
		require.NoError(t, err)
		return map[bool]string{true: "whole", false: "not whole"}[found.Whole()]
	}, "whole"},
	{"an old checkpoint, by the keyset", func(t *testing.T, e *estate) string {
		return ended("valid", second(checkpoint.Open(bytes.NewReader(e.checkpoint), e.engine.CheckpointKeys())))
	}, "valid"},
	{"an old checkpoint, by the public key that is kept with it", func(t *testing.T, e *estate) string {
		set, err := jwk.Parse(e.public)
		require.NoError(t, err)
		first, _, _ := bytes.Cut(e.checkpoint, []byte("\n"))
		return ended("valid", second(jws.Verify(first, jws.WithKeySet(set))))
	}, "valid"},
	{"a new checkpoint", func(t *testing.T, e *estate) string {
		return ended("valid", second(checkpoint.Open(bytes.NewReader(e.checkpoints(t)), e.engine.CheckpointKeys())))
	}, "valid"},
	{"the audit log", func(t *testing.T, e *estate) string { return e.logs(t) }, "appended"},
	{"a card that is reported lost", func(t *testing.T, e *estate) string {
		status := e.asks(t, http.MethodPatch, "/issuer/v1/cards/"+e.moved, `{"status":"lost"}`)
		rec, err := e.app.Vault.Card(apptest.Operating(t), pin.Query{CardID: e.moved})
		require.NoError(t, err)
		return status + ", " + string(rec.Card.Status)
	}, "200, lost"},
	{"cards by their PAN after a rewrap", func(t *testing.T, e *estate) string {
		require.NoError(t, e.app.Vault.Rewrap(apptest.Operating(t), pin.RewrapOptions{}))
		return e.found(t, pin.Reference{Kind: pin.KindPAN, Value: estatePAN})
	}, "2 cards"},
}

// losses are the rows of the table in docs/running.md, and what ends otherwise than in estateDeeds where that key is lost. A fault of
// ours is 'error internal', which every contract answers with a status of 500.
var losses = []struct {
	row  string // its first cell
	lost map[string]string
}{
	{"`pin-verifier`", map[string]string{
		"a wrong PIN": "error internal, 3 tries", "the right PIN": "error internal, 3 tries", "the right PIN in a block": "500",
		"another PIN in the place of the old one": "error internal"}},
	{"`pin`", map[string]string{"the PIN read back": "error internal", "the PIN of a card that moved in with a PVV": "error internal, 3 tries"}},
	{"`pan`", map[string]string{
		"the right PIN in a block": "500", "the PIN of a card that moved in with a PVV": "error internal, 3 tries",
		"a card that is shown": "500", "a card's PAN": "error internal", "a card that is reported lost": "500, lost",
		"a link to the hosted page that is out": "error internal", "a new link to the hosted page": "error internal"}},
	{"`pan-index`", map[string]string{"cards by their PAN": "0 cards"}},
	{"`secret`", map[string]string{"a login": "500", "a link to the hosted page that is out": "error internal"}},
	{"`key-wrap`", map[string]string{
		"the right PIN in a block": "500", "the PIN of a card that moved in with a PVV": "error internal, 3 tries", "a webhook's message": "error internal"}},
	{"`seal`", nil},
	{"`audit`", map[string]string{"the trail": "not whole"}},
	{"`fingerprint`", map[string]string{"a call that is repeated": "422, done 1 times"}},
	{"`replay-key`", map[string]string{"a call that is repeated": "204, done 2 times"}},
	{"`signing`", map[string]string{"a token that is out": "401"}},
	{"`checkpoint`", map[string]string{"an old checkpoint, by the keyset": "refused", "the audit log": "refused"}},
	{"`audit-log`", nil},
	{"a partner's zone key", map[string]string{"the right PIN in a block": "422"}},
}

func TestWhatIsLostWithAKeyIsWhatTheTableSays(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/running.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(text), "\n## A key is lost\n")
	_, table, _ = strings.Cut(table, "|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var told, tried []string
	for line := range strings.Lines(table) {
		told = append(told, strings.TrimSpace(strings.Split(line, "|")[1]))
	}
	for _, loss := range losses {
		tried = append(tried, loss.row)
	}
	require.Equal(t, told, tried)
	for _, use := range keyring.Uses() {
		require.Contains(t, told, "`"+string(use)+"`")
	}

	for _, loss := range losses {
		t.Run(loss.row, func(t *testing.T) {
			t.Parallel()
			e := furnished(t)
			use := pin.Use(strings.Trim(loss.row, "`"))
			if string(use) == loss.row {
				e.losesZoneKey(t)
			} else {
				e.loses(t, use)
			}
			if use == pin.UseSeal {
				require.ErrorContains(t, e.starts(t), "another keyset has written this database")
				return
			}
			require.NoError(t, e.starts(t))
			e.requireDone(t, loss.lost)
		})
	}
}

func TestWithAnotherKeysetNothingIsServed(t *testing.T) {
	t.Parallel()
	e := furnished(t)
	e.keyset(t, func(*keyring.Keyset) *keyring.Keyset {
		other, err := keyring.Generate(rand.Reader, time.Now())
		require.NoError(t, err)
		return other
	})
	require.ErrorContains(t, e.starts(t), "another keyset has written this database")
}

// requireDone does all deeds and holds how each ends against how it ends where no key is lost, or as lost has it.
func (e *estate) requireDone(t *testing.T, lost map[string]string) {
	t.Helper()
	got, want := map[string]string{}, map[string]string{}
	for _, d := range estateDeeds {
		got[d.name], want[d.name] = d.do(t, e), d.well
	}
	for name, how := range lost {
		require.Contains(t, want, name)
		want[name] = how
	}
	require.Equal(t, want, got)
}

func TestWithEveryKeyThereNothingIsLost(t *testing.T) {
	t.Parallel()
	e := furnished(t)
	require.NoError(t, e.starts(t))
	e.requireDone(t, nil)
}
