package issuer_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"pinvault/impl/accosa"
	"pinvault/impl/app/apptest"
	"pinvault/impl/contract"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/creditplus"
	"pinvault/impl/hosted"
	"pinvault/impl/idempotency"
	"pinvault/impl/issuer"
	"pinvault/impl/networkintl"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/pinsession"
	"pinvault/impl/settings"
	"pinvault/impl/thredd"
)

const (
	traceID   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	cardID    = "00000000-0000-7000-8000-000000000001"
	programID = "00000000-0000-7000-8000-00000000a001"
)

// noon is when everything in these tests happens.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// server is the API behind what the real server puts before it, over a fake vault. Its client holds
// every reply against the document.
type server struct {
	*contracttest.Client
	engine *gin.Engine
	vault  *fakeVault
	caller pin.Caller
	failed []error // what the exit was given for the last request
}

// load is a document.
func load(t *testing.T, name string) *contract.Document {
	t.Helper()
	all, err := apptest.Contracts()
	require.NoError(t, err)
	require.Contains(t, all, name)
	return all[name]
}

func newServer(t *testing.T) *server {
	t.Helper()
	document := load(t, "issuer")
	s := &server{vault: newFakeVault(), caller: pin.Caller{ClientID: "client-1", Contract: "issuer", TraceID: traceID}}
	known := contracts()
	known.ServiceRequest, known.PINSession = s.vault.requested, s.vault.entered
	known.Outbox = issuer.Outbox{Feed: feed{s.vault}, PublicKey: func(pin.WebhookKeys) string { return "whpk_key" }, Admits: func(url string) bool { return !strings.Contains(url, "private") }}
	api := issuer.New(s.vault, fakeKeys{s.vault}, fakeServices{s.vault}, known, idempotency.New(s.vault.ledger, fingerprints{}, s.vault.ledger.clock)).WithVaultKeys(s.vault)
	s.engine = engine(&s.caller, &s.failed)
	fail := exit(api, &s.failed)
	api.Mount(s.engine.Group("/", document.Middleware(fail, nil)), fail)
	listening := httptest.NewServer(s.engine)
	t.Cleanup(listening.Close)
	s.Client = contracttest.New(t, listening.URL, document.Spec())
	return s
}

// gin's mode is the process's, and tests make engines side by side.
func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// engine hands the caller down, and forgets what the requests before failed with.
func engine(caller *pin.Caller, failed *[]error) *gin.Engine {
	e := gin.New()
	e.Use(func(c *gin.Context) {
		c.Request = c.Request.WithContext(pin.WithCaller(c.Request.Context(), *caller))
		*failed = nil
	})
	return e
}

// exit does with errors what the server's one exit does, and keeps them instead of logging them.
func exit(api *issuer.API, failed *[]error) func(*gin.Context, error) {
	return func(c *gin.Context, err error) {
		c.Abort()
		if e, ok := errors.AsType[*gin.Error](err); ok && e.IsType(gin.ErrorTypeBind) {
			err = contract.Unbound
		}
		*failed = append(*failed, err)
		_ = api.Render(c.Request, nil, err).Send(c.Writer)
	}
}

// body sends JSON as it is written.
func body(json string) contracttest.Option { return contracttest.Raw("application/json", json) }

// key sends an idempotency key.
func key(k string) contracttest.Option { return contracttest.Header("Idempotency-Key", k) }

// fakeVault returns what a test puts into it and remembers what it was asked. As the real one, it runs
// the hooks of a memo, in one transaction.
type fakeVault struct {
	issuer.Vault // nil
	ledger       *ledger
	err          error // what everything fails with
	errMore      error // what reading more of a card that was found fails with

	programs []pin.Program
	clients  []pin.Client
	records  []pin.Record
	webhook  pin.Webhook
	at       time.Time

	deliveries []pin.Delivery
	events     []pin.AuditEvent

	serviceRequest string
	session        pin.Session
	status         pinsession.Status

	pan    string
	secret string
	result pin.Verification

	calls     int
	id        string
	page      pin.Page
	query     pin.Query
	audit     pin.AuditQuery
	limit     int
	overlap   time.Duration
	reason    string
	program   pin.Program
	client    pin.Client
	card      pin.Card
	newCard   pin.NewCard
	zoneKeyID string
	format    pinblock.Format
	block     []byte
	asked     string // of the keys
}

// contracts are the contracts as they are, but that what they know of programs and clients is of these tests'
// own: a new setting is no business of theirs.
func contracts() issuer.Contracts {
	of := issuer.Settings{"thredd": thredd.Settings(), "accosa": accosa.Settings(), "creditplus": creditplus.Settings(),
		"networkintl": networkintl.Settings(), "hosted": hosted.Settings(nil)}
	for name, kinds := range map[string][2]settings.Kind{
		"accosa":      {settings.Of[accosaProgram]{Contract: "accosa"}, settings.Of[accosaClient]{Contract: "accosa", Secrets: []string{"secureCode"}}},
		"creditplus":  {settings.Of[creditplusProgram]{Contract: "creditplus"}, settings.Of[creditplusClient]{Contract: "creditplus", UnlessGiven: encrypted}},
		"networkintl": {settings.Of[networkintlProgram]{Contract: "networkintl"}, settings.Of[networkintlClient]{Contract: "networkintl"}},
		"hosted":      {settings.Of[hostedProgram]{Contract: "hosted", UnlessGiven: inEnglish, Check: byHTTPS}, nil},
	} {
		owner := of[name]
		owner.Program, owner.Client = kinds[0], kinds[1]
		of[name] = owner
	}
	fits := func(_ context.Context, _ string, k settings.Key) (bool, error) {
		return k.ID != "unfit", nil
	}
	return issuer.Contracts{Settings: of, Fits: fits, References: references}
}

type (
	accosaProgram struct {
		CardProfileMandatory bool `json:"cardProfileMandatory"`
	}
	accosaClient struct {
		BankID        string   `json:"bankId"`
		ClientID      string   `json:"clientId"`
		EntityID      string   `json:"entityId"`
		FixedIV       string   `json:"fixedIv"`
		IVMode        string   `json:"ivMode"`
		MessageKeyIDs []string `json:"messageKeyIds"`
	}
	creditplusProgram struct {
		AliasCapability bool `json:"aliasCapability"`
	}
	creditplusClient struct {
		EncryptionRequired     bool     `json:"encryptionRequired"`
		MessageKeyIDs          []string `json:"messageKeyIds"`
		TimestampWindowSeconds int      `json:"timestampWindowSeconds,omitzero"`
	}
	networkintlProgram struct {
		CPlus bool `json:"cPlus"`
	}
	networkintlClient struct {
		BankID          string   `json:"bankId"`
		PINKeyIDs       []string `json:"pinKeyIds"`
		ApplicationName string   `json:"applicationName"`
		AsymmetricAlias bool     `json:"asymmetricAlias"`
	}
	hostedProgram struct {
		FrameAncestors []string          `json:"frameAncestors"`
		ParentOrigin   string            `json:"parentOrigin"`
		Branding       map[string]string `json:"branding"`
		Languages      []string          `json:"languages"`
	}
)

func encrypted() creditplusClient { return creditplusClient{EncryptionRequired: true} }

func inEnglish() hostedProgram { return hostedProgram{Languages: []string{"en"}} }

func byHTTPS(_, after hostedProgram) error {
	if strings.HasPrefix(after.ParentOrigin, "http:") {
		return &pin.Error{Code: pin.InvalidField, Field: "hosted.parentOrigin"}
	}
	return nil
}

// references are those of all documents.
func references() (contract.References, error) {
	all, err := apptest.Contracts()
	return contract.ReferencesOf(slices.Collect(maps.Values(all))...), err
}

func newFakeVault() *fakeVault {
	return &fakeVault{ledger: &ledger{records: map[string]pin.Replay{}, now: noon()}}
}

func (v *fakeVault) change(m pin.Memo, result any) error {
	v.calls++
	v.reason = m.Description
	if v.err != nil {
		return v.err
	}
	return v.ledger.keep(m, result)
}

func (v *fakeVault) RequestApproval(context.Context, pin.Query, pin.NewApproval, pin.Memo) (pin.Approval, error) {
	return pin.Approval{}, v.err
}

func (v *fakeVault) DecideApproval(context.Context, string, bool, pin.Memo) (pin.Approval, error) {
	return pin.Approval{}, v.err
}

func (v *fakeVault) CancelApproval(context.Context, string, pin.Memo) (pin.Approval, error) {
	return pin.Approval{}, v.err
}

func (v *fakeVault) Approval(context.Context, string) (pin.Approval, error) {
	return pin.Approval{}, v.err
}

func (v *fakeVault) Approvals(context.Context, pin.ApprovalState, pin.Page) ([]pin.Approval, error) {
	return nil, v.err
}

func (v *fakeVault) CreateProgram(_ context.Context, p pin.Program, m pin.Memo) (pin.Program, error) {
	v.program = p
	p.ID, p.Version, p.CreatedAt, p.UpdatedAt = programID, 1, noon(), noon()
	return p, v.change(m, p)
}

func (v *fakeVault) UpdateProgram(_ context.Context, id string, patch func(*pin.Program) error, m pin.Memo) (pin.Program, error) {
	v.id = id
	if v.err != nil {
		return pin.Program{}, v.err
	}
	p := v.programs[0]
	p.Settings = maps.Clone(p.Settings)
	if err := patch(&p); err != nil {
		return pin.Program{}, err
	}
	v.program = p
	return p, v.change(m, p)
}

func (v *fakeVault) Program(_ context.Context, id string) (pin.Program, error) {
	v.id = id
	if v.err != nil {
		return pin.Program{}, v.err
	}
	if len(v.programs) == 0 {
		return pin.Program{}, &pin.Error{Code: pin.NotFound}
	}
	return v.programs[0], nil
}

func (v *fakeVault) Programs(_ context.Context, page pin.Page) ([]pin.Program, error) {
	v.page = page
	return v.programs[:min(page.Limit, len(v.programs))], v.err
}

func (v *fakeVault) CreateClient(_ context.Context, c pin.Client, secret string, m pin.Memo) (pin.Client, string, error) {
	v.client = c
	if secret != "" {
		return pin.Client{}, "", &pin.Error{Code: pin.Forbidden}
	}
	c.ID, c.SecretDigest, c.Version, c.CreatedAt = "client-2", []byte("digest of the secret"), 1, noon()
	return c, v.secret, v.change(m, c)
}

func (v *fakeVault) RotateClient(_ context.Context, id string, overlap time.Duration, m pin.Memo) (pin.Client, string, error) {
	v.id, v.overlap = id, overlap
	if v.err != nil {
		return pin.Client{}, "", v.err
	}
	return v.clients[0], v.secret, v.change(m, v.clients[0])
}

func (v *fakeVault) LimitClient(_ context.Context, id string, limits pin.Limits, m pin.Memo) (pin.Client, error) {
	v.id = id
	if v.err != nil {
		return pin.Client{}, v.err
	}
	v.clients[0].Limits = limits
	return v.clients[0], v.change(m, v.clients[0])
}

func (v *fakeVault) ReleaseClient(_ context.Context, id string, m pin.Memo) (pin.Client, error) {
	v.id = id
	if v.err != nil {
		return pin.Client{}, v.err
	}
	v.clients[0].Halted = nil
	return v.clients[0], v.change(m, v.clients[0])
}

func (v *fakeVault) RevokeClient(_ context.Context, id string, m pin.Memo) error {
	v.id = id
	return v.change(m, pin.Client{})
}

func (v *fakeVault) Client(_ context.Context, id string) (pin.Client, error) {
	v.id = id
	if v.err != nil {
		return pin.Client{}, v.err
	}
	return v.clients[0], nil
}

func (v *fakeVault) Clients(_ context.Context, page pin.Page) ([]pin.Client, error) {
	v.page = page
	return v.clients[:min(page.Limit, len(v.clients))], v.err
}

func (v *fakeVault) CreateCard(_ context.Context, n pin.NewCard, m pin.Memo) (pin.Card, error) {
	v.newCard = n
	c := pin.Card{ID: cardID, ProgramID: n.ProgramID, Status: n.Status, UpgradeStatus: n.UpgradeStatus, Expiry: n.Expiry,
		Sequence: n.Sequence, PANCiphertext: []byte("sealed"), Attributes: n.Attributes, References: n.References,
		Version: 1, CreatedAt: noon(), UpdatedAt: noon()}
	if c.Status == "" {
		c.Status = pin.StatusNormal
	}
	return c, v.change(m, c)
}

func (v *fakeVault) UpdateCard(_ context.Context, q pin.Query, patch func(*pin.Card) error, m pin.Memo) (pin.Card, error) {
	v.query = q
	if v.err != nil {
		return pin.Card{}, v.err
	}
	c := v.records[0].Card
	if err := patch(&c); err != nil {
		return pin.Card{}, err
	}
	v.card = c
	return c, v.change(m, c)
}

func (v *fakeVault) Card(_ context.Context, q pin.Query) (pin.Record, error) {
	v.query = q
	if v.err != nil {
		return pin.Record{}, v.err
	}
	return v.records[0], nil
}

func (v *fakeVault) Find(_ context.Context, q pin.Query, limit int) ([]pin.Record, error) {
	v.query, v.limit = q, limit
	return v.records, v.err
}

// KeepSetting keeps the value in upper case.
func (v *fakeVault) KeepSetting(c *pin.Client, name, value string) error {
	if c.Secrets == nil {
		c.Secrets = map[string][]byte{}
	}
	c.Secrets[name] = []byte(strings.ToUpper(value))
	return v.err
}

func (v *fakeVault) MaskedPAN(c pin.Card) (string, error) {
	if len(c.PANCiphertext) == 0 {
		return "", nil
	}
	return pin.MaskPAN(v.pan), v.errMore
}

func (v *fakeVault) SetPIN(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) error {
	v.query = q
	if err := v.open(ctx, o); err != nil {
		return err
	}
	return v.change(m, nil)
}

func (v *fakeVault) Verify(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) (pin.Verification, error) {
	v.query = q
	if err := v.open(ctx, o); err != nil {
		return pin.Verification{}, err
	}
	return v.result, v.change(m, v.result)
}

func (v *fakeVault) Unblock(_ context.Context, q pin.Query, m pin.Memo) error {
	v.query = q
	return v.change(m, nil)
}

// requested is a log of service requests.
func (v *fakeVault) requested(_ context.Context, number string) (json.RawMessage, error) {
	v.id = number
	return json.RawMessage(v.serviceRequest), v.err
}

// entered is the hosted page's sessions.
func (v *fakeVault) entered(_ context.Context, id string) (pin.Session, pinsession.Status, error) {
	v.id = id
	return v.session, v.status, v.err
}

func (v *fakeVault) AuditEvents(_ context.Context, q pin.AuditQuery) ([]pin.AuditEvent, error) {
	v.audit = q
	return v.events[:min(q.Limit, len(v.events))], cmp.Or(v.err, v.errMore)
}

// open opens an offered block as the vault does, with a key that remembers what it was given.
func (v *fakeVault) open(ctx context.Context, o pin.Offer) error {
	_, err := o(ctx, pin.NewVault(nil, zoneKeys{vault: v}, nil, nil), pin.Record{})
	return err
}

type zoneKeys struct {
	pin.Keys
	vault *fakeVault
}

func (k zoneKeys) ZoneKey(_ context.Context, _, keyID string) (pin.BlockOpener, error) {
	k.vault.zoneKeyID = keyID
	return k, nil
}

func (k zoneKeys) OpenBlock(format pinblock.Format, block []byte, _ string) (pin.PIN, error) {
	k.vault.format, k.vault.block = format, block
	return pin.PIN{}, nil
}

// ledger holds replay records.
type ledger struct {
	records map[string]pin.Replay
	now     time.Time
}

func (l *ledger) clock() time.Time { return l.now }

func (l *ledger) Replay(_ context.Context, scope, key string) (pin.Replay, error) {
	r, found := l.records[scope+" "+key]
	if !found {
		return pin.Replay{}, &pin.Error{Code: pin.NotFound}
	}
	return r, nil
}

// keep is what the vault does with a memo in the write of a change.
func (l *ledger) keep(m pin.Memo, result any) error {
	if m.Keep == nil {
		return nil
	}
	r, err := m.Keep(result)
	if err == nil {
		l.records[r.Scope+" "+r.Key] = r
	}
	return err
}

// fingerprints stand in for keyed ones.
type fingerprints struct{}

func (fingerprints) MAC(_ pin.Use, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return sum[:], nil
}

func (f fingerprints) VerifyMAC(use pin.Use, data, mac []byte) bool {
	sum, _ := f.MAC(use, data)
	return string(sum) == string(mac)
}

// repeatable is an operation that takes an idempotency key.
type repeatable struct {
	name, path, body, otherBody, endpoint string
	status                                int
	secret                                bool          // the first answer shows one
	ttl                                   time.Duration // 0: a day
}

func repeatables() []repeatable {
	return []repeatable{
		{name: "createProgram", path: "/issuer/v1/programs", status: http.StatusCreated, endpoint: "createProgram",
			body: `{"name":"Gift cards","hosted":{"languages":["en"],"branding":{"ink":"#000"}}}`, otherBody: `{"name":"Gifts"}`},
		{name: "createClient", path: "/issuer/v1/clients", status: http.StatusCreated, endpoint: "createClient", secret: true,
			body:      `{"contract":"thredd","programId":"p-1","name":"Call centre","scopes":["pins:read","pins:write"]}`,
			otherBody: `{"contract":"thredd","name":"Call centre","scopes":["pins:read"]}`},
		{name: "rotateClient", path: "/issuer/v1/clients/client-2/rotate", status: http.StatusOK, endpoint: "rotateClient client-2", secret: true,
			body: `{"overlapSeconds":60}`, otherBody: `{}`},
		{name: "createCard", path: "/issuer/v1/cards", status: http.StatusCreated, endpoint: "createCard",
			body:      `{"programId":"p-1","pan":"9999990000000014","references":[{"kind":"urn","value":"1"},{"kind":"exid","value":"2"}]}`,
			otherBody: `{"programId":"p-1","pan":"9999990000000022"}`},
		{name: "verifyPin", path: "/issuer/v1/cards/" + cardID + "/pin/verifications", status: http.StatusOK, endpoint: "verifyPin " + cardID, ttl: time.Minute,
			body:      `{"pinBlock":"2F780C8387FFF32C","format":"ISO-0","keyId":"zpk"}`,
			otherBody: `{"pinBlock":"2F780C8387FFF32D","format":"ISO-0","keyId":"zpk"}`},
		{name: "unblockPin", path: "/issuer/v1/cards/" + cardID + "/pin/unblock", status: http.StatusNoContent, endpoint: "unblockPin " + cardID,
			body: `{"reason":"Identified"}`, otherBody: `{"reason":"Not identified"}`},
	}
}

func TestIdempotencyKey(t *testing.T) {
	for _, op := range repeatables() {
		t.Run(op.name, func(t *testing.T) {
			s := newServer(t)
			s.vault.secret, s.vault.pan = "the secret", "9999990000000014"
			s.vault.clients = []pin.Client{{ID: "client-2", Contract: "thredd", Name: "Call centre", Scopes: []string{"pins:read"},
				SecretDigest: []byte("digest of the secret"), CreatedAt: noon()}}
			s.vault.result = pin.Verification{Result: pin.Mismatch, RemainingTries: 2}

			first := s.Do(http.MethodPost, op.path, body(op.body), key("order-1")).ExpectStatus(op.status)
			require.Empty(t, first.Header.Get("Idempotent-Replayed"))
			require.Equal(t, op.secret, strings.Contains(string(first.Body), "the secret"), "the first answer's secret")

			kept := s.vault.ledger.records["client-1 order-1"]
			require.Equal(t, op.endpoint, kept.Endpoint)
			require.Equal(t, cmp.Or(op.ttl, 24*time.Hour), kept.ExpiresAt.Sub(noon()))
			require.NotContains(t, string(kept.Result), "the secret")
			require.NotContains(t, string(kept.Result), "9999990000000014")

			second := s.Do(http.MethodPost, op.path, body(op.body), key("order-1")).ExpectStatus(op.status)
			require.Equal(t, "true", second.Header.Get("Idempotent-Replayed"))
			require.Equal(t, 1, s.vault.calls, "a second effect")
			require.NotContains(t, string(second.Body), "ecret")
			if !op.secret {
				require.Equal(t, string(first.Body), string(second.Body))
			}

			spaced := s.Do(http.MethodPost, op.path, body(" "+op.body+" "), key("order-1")).ExpectStatus(op.status)
			require.Equal(t, "true", spaced.Header.Get("Idempotent-Replayed"), "the same content in other bytes")

			changed := s.Do(http.MethodPost, op.path, body(op.otherBody), key("order-1")).ExpectStatus(http.StatusUnprocessableEntity)
			require.Equal(t, "replay_changed", changed.Text("/code"))
			require.Empty(t, changed.Header.Get("Idempotent-Replayed"))
			require.Equal(t, 1, s.vault.calls, "an effect of another body")

			s.caller.ClientID = "client-9"
			another := s.Do(http.MethodPost, op.path, body(op.body), key("order-1")).ExpectStatus(op.status)
			require.Empty(t, another.Header.Get("Idempotent-Replayed"), "a key of another client")

			s.Do(http.MethodPost, op.path, body(op.body)).ExpectStatus(op.status)
			s.Do(http.MethodPost, op.path, body(op.body)).ExpectStatus(op.status)
			require.Equal(t, 4, s.vault.calls, "without a key every call has its effect")
		})
	}
}

func TestIdempotencyKeyOfAnotherOperation(t *testing.T) {
	s := newServer(t)
	s.vault.result = pin.Verification{Result: pin.Match, RemainingTries: 3}
	verify := repeatables()[4]
	s.Do(http.MethodPost, verify.path, body(verify.body), key("order-1")).ExpectStatus(http.StatusOK)
	for _, op := range repeatables() {
		if op.name == verify.name {
			continue
		}
		reply := s.Do(http.MethodPost, op.path, body(op.body), key("order-1")).ExpectStatus(http.StatusUnprocessableEntity)
		require.Equal(t, "replay_other", reply.Text("/code"), op.name)
	}
	elsewhere := strings.Replace(verify.path, cardID, "another-card", 1)
	reply := s.Do(http.MethodPost, elsewhere, body(verify.body), key("order-1")).ExpectStatus(http.StatusUnprocessableEntity)
	require.Equal(t, "replay_other", reply.Text("/code"), "the same operation on another card")
	require.Equal(t, 1, s.vault.calls)
}

func TestRequestWithoutCallerReachesNoVault(t *testing.T) {
	var failed []error
	e := engine(&pin.Caller{TraceID: traceID}, &failed)
	api := issuer.New(nil, nil, nil, issuer.Contracts{}, nil) // a vault call would panic
	api.Mount(e, exit(api, &failed))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/issuer/v1/programs", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Len(t, failed, 1)
	require.ErrorContains(t, failed[0], "no caller")
}
