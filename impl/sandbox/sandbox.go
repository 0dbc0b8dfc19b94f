// Package sandbox seeds a server with a fixed set of programs, clients, keys and cards, lists them
// with all their secrets, and resets them when asked.
//
// Nothing of it runs in production: it refuses a database that holds anything else, and marks the one
// that it fills so that a production server refuses that.
package sandbox

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"time"

	"pinvault/impl/pin"
)

// Store is what the sandbox needs of the database besides the vault.
type Store interface {
	// Setting returns "" or NotFound for a key that was never put.
	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
	// Empty tells whether the database holds no program, client or card.
	Empty(ctx context.Context) (bool, error)
	// Wipe removes everything but the settings.
	Wipe(ctx context.Context) error
	// Cards pages through the cards in the order of ids.
	Cards(ctx context.Context, programID string, p pin.Page) ([]pin.CardRow, error)
}

// Wrapper makes the rows of zone PIN keys.
type Wrapper interface {
	WrapZoneKey(id, programID string, usage pin.KeyUsage, algorithm string, key []byte) (pin.ZoneKey, error)
}

// Minter gives a client a bearer token without its secret.
type Minter func(c pin.Client, ttl time.Duration) (string, error)

// Seed is what a sandbox holds besides the fixtures, or in their place.
type Seed interface {
	// Alone tells whether it is in the fixtures' place.
	Alone() bool
	// Sow makes what is not there yet.
	Sow(ctx context.Context) error
	// Clients and Cards are listed as those of the fixtures are.
	Clients() map[string]Listed
	Cards() map[string]map[string]any
	// CardName is the name of its card with the id, "" where it has none.
	CardName(id string) string
}

// Listed is a client as it is listed.
type Listed struct {
	Contract string
	Known    map[string]any // client_id, client_secret and what else a test needs to know
}

// Sandbox fills and lists a sandbox.
type Sandbox struct {
	vault   *pin.Vault
	looking *pin.Vault
	store   Store
	keys    Wrapper
	mint    Minter
	seed    Seed
}

// New makes a sandbox over a vault and its store. Another vault over the same keeps nothing of what it does, see
// [Looking]. Without a seed, nil, it holds the fixtures.
func New(vault, looking *pin.Vault, store Store, keys Wrapper, mint Minter, seed Seed) *Sandbox {
	return &Sandbox{vault: vault, looking: looking, store: store, keys: keys, mint: mint, seed: seed}
}

// marker is the setting by which a database says that it is a sandbox's.
const marker = "sandbox"

// ErrForeign is the refusal of a database that holds something else.
var ErrForeign = errors.New("the database has data that does not come from a sandbox: give the sandbox a database of its own")

// ErrSandbox is the refusal of a sandbox's database outside a sandbox.
var ErrSandbox = errors.New("the database was made by a sandbox, whose keys and PINs are public: give the server a database of its own")

// Refuse reports ErrSandbox for a database that a sandbox has filled.
func Refuse(ctx context.Context, s Store) error {
	marked, err := isMarked(ctx, s)
	if err == nil && marked {
		err = ErrSandbox
	}
	return err
}

func isMarked(ctx context.Context, s Store) (bool, error) {
	value, err := s.Setting(ctx, marker)
	if pin.CodeOf(err) == pin.NotFound {
		return false, nil
	}
	return value != "", err
}

// Open fills an empty database, leaves one that a sandbox has filled as it stands, and refuses any
// other with ErrForeign. Several processes may open one database at once.
func (s *Sandbox) Open(ctx context.Context) error {
	marked, err := isMarked(ctx, s.store)
	if err != nil {
		return err
	}
	if !marked {
		empty, err := s.store.Empty(ctx)
		if err != nil {
			return err
		}
		if !empty {
			return ErrForeign
		}
		if err := s.store.PutSetting(ctx, marker, "1"); err != nil && pin.CodeOf(err) != pin.Duplicate {
			return err
		}
	}
	return s.fill(ctx)
}

// Reset resets everything. The audit trail begins anew with the cards whose it is.
func (s *Sandbox) Reset(ctx context.Context) error {
	if err := s.store.Wipe(ctx); err != nil {
		return err
	}
	s.vault.Forget()
	return s.fill(ctx)
}

// operating is the context of what the sandbox does by itself.
func operating(ctx context.Context) context.Context {
	return pin.WithCaller(ctx, pin.Caller{ClientID: "sandbox", Contract: "sandbox", Everywhere: true, Operator: true})
}

// fill makes what is not there yet, so that a filling that was cut off is finished by the next one.
func (s *Sandbox) fill(ctx context.Context) error {
	ctx = operating(ctx)
	if err := s.vault.Initialize(ctx); err != nil {
		return err
	}
	if s.hasFixtures() {
		if err := s.seedFixtures(ctx); err != nil {
			return err
		}
	}
	if s.seed == nil {
		return nil
	}
	return s.seed.Sow(ctx)
}

func (s *Sandbox) hasFixtures() bool { return s.seed == nil || !s.seed.Alone() }

func (s *Sandbox) seedFixtures(ctx context.Context) error {
	for _, p := range programs() {
		if _, err := s.vault.CreateProgram(ctx, p, pin.Memo{}); unless(err, pin.Duplicate) != nil {
			return err
		}
	}
	for _, c := range clients {
		if err := s.seedClient(ctx, c); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := s.seedKey(ctx, k); err != nil {
			return err
		}
	}
	for _, c := range cards {
		if err := s.seedCard(ctx, c); err != nil {
			return err
		}
	}
	if err := s.seedServiceRequest(ctx); err != nil {
		return err
	}
	if err := s.seedPINSession(ctx); err != nil {
		return err
	}
	if err := s.seedApprovals(ctx); err != nil {
		return err
	}
	return s.seedWebhook(ctx)
}

func (s *Sandbox) seedApprovals(ctx context.Context) error {
	for _, a := range approvals {
		ctx := pin.WithCaller(ctx, pin.Caller{ClientID: a.client, Contract: "issuer", Everywhere: true})
		_, err := s.vault.RequestApproval(ctx, pin.Query{CardID: card{number: 25}.id()},
			pin.NewApproval{ID: a.id, Action: a.action, Lifetime: lasting}, pin.Memo{Description: "Cardholder identified at the branch"})
		if err := unless(err, pin.Duplicate); err != nil && !errors.Is(err, pin.ApprovalThere) {
			return err
		}
	}
	return nil
}

func (s *Sandbox) seedWebhook(ctx context.Context) error {
	_, _, err := s.vault.CreateWebhook(ctx, pin.Webhook{ID: webhook, ProgramID: program, URL: "http://localhost:9009/", Types: []string{"pin.unblocked"},
		Description: "Sandbox", State: pin.WebhookPaused, PausedFor: pin.PausedAsked}, pin.Memo{})
	return unless(err, pin.Duplicate)
}

func (s *Sandbox) seedClient(ctx context.Context, c client) (err error) {
	made := c.client()
	for name, secret := range c.secrets {
		if err := s.vault.KeepSetting(&made, name, secret); err != nil {
			return err
		}
	}
	_, _, err = s.vault.CreateClient(ctx, made, c.secret(), pin.Memo{})
	return unless(err, pin.Duplicate)
}

func (s *Sandbox) seedKey(ctx context.Context, k key) error {
	raw, err := hex.DecodeString(k.hex)
	if err != nil {
		return err
	}
	return unless(ImportKey(ctx, s.vault, s.keys, k.id, k.program, k.usage, k.algorithm, raw), pin.Duplicate)
}

// ImportKey gives the vault a partner's key: InvalidField for one that its algorithm does not take, and what
// [pin.Vault.ImportZoneKey] returns. A program of "" means that it serves every program.
func ImportKey(ctx context.Context, vault *pin.Vault, keys Wrapper, id, program string, usage pin.KeyUsage, algorithm string, raw []byte) error {
	row, err := keys.WrapZoneKey(id, program, usage, algorithm, raw)
	if err != nil {
		return err
	}
	return vault.ImportZoneKey(ctx, row, pin.Memo{})
}

func (s *Sandbox) seedServiceRequest(ctx context.Context) error {
	ctx = pin.WithCaller(ctx, pin.Caller{ClientID: "creditplus-sandbox", Contract: "creditplus", ProgramID: program})
	err := s.vault.Unblock(ctx, pin.Query{CardID: card{number: 1}.id()}, pin.Memo{Description: "Caller verified",
		Record: func(pin.Record) (pin.ContractRecord, error) {
			return pin.ContractRecord{ID: "SR0000000000", Body: object(serviceRequest)}, nil
		}})
	return unless(err, pin.Duplicate)
}

// seedPINSession makes a session that can be asked for. Nobody can exchange its secret, since it has none.
func (s *Sandbox) seedPINSession(ctx context.Context) error {
	ctx = pin.WithCaller(ctx, pin.Caller{ClientID: "hashdt-sandbox", Contract: "hashdt", ProgramID: program})
	_, err := s.vault.OpenSession(ctx, pin.Query{CardID: card{number: 17}.id()}, pin.NewSession{ID: pinSession, Action: pin.ActionReset,
		RequestID: "sandbox-session", Exchanges: 3, Lifetime: lasting}, pin.Memo{})
	if pin.FieldOf(err) == string(pin.TableSessions) {
		return nil // it is there
	}
	return err
}

func (s *Sandbox) seedCard(ctx context.Context, c card) error {
	var known pin.PIN
	if c.pin != "" {
		var err error
		if known, err = pin.New([]byte(c.pin)); err != nil {
			return err
		}
	}
	n := c.described()
	n.PIN, n.NoPIN, n.PINChosen = known, c.pin == "", !c.random
	if _, err := s.vault.CreateCard(ctx, n, pin.Memo{}); err != nil || !c.blocked {
		return unless(err, pin.Duplicate)
	}
	return Exhaust(ctx, s.vault, n.ID, c.pin)
}

// Exhaust uses up a card's tries as a cardholder would, with a PIN that is not the card's: it has another length.
func Exhaust(ctx context.Context, vault *pin.Vault, cardID, right string) error {
	length := pin.MaxLength
	if len(right) == length {
		length = pin.MinLength
	}
	for {
		wrong, err := pin.New([]byte(strings.Repeat("0", length)))
		if err != nil {
			return err
		}
		v, err := vault.Verify(ctx, pin.Query{CardID: cardID}, pin.Plain(wrong), pin.Memo{})
		if err != nil || v.RemainingTries == 0 {
			return err
		}
	}
}

// unless is err except for one code.
func unless(err error, code pin.Code) error {
	if pin.CodeOf(err) == code {
		return nil
	}
	return err
}

func (c client) client() pin.Client {
	made := pin.Client{ID: c.id(), ProgramID: c.program, Contract: c.contract, Name: "Sandbox " + c.name, Scopes: c.scopes, Halted: c.halted}
	if c.settings != nil {
		made.Settings = object(c.settings)
	}
	return made
}

// tokenLife is how long the ready-made token of the fixtures serves.
const tokenLife = 24 * time.Hour

// Fixtures are the clients and cards with all that a test needs to know of them. A client that was revoked has
// no token.
func (s *Sandbox) Fixtures(ctx context.Context) (byClient, byCard map[string]map[string]any, err error) {
	byClient, byCard = map[string]map[string]any{}, map[string]map[string]any{}
	for name, c := range s.clients() {
		if byClient[name] = c.Known; c.Contract != "issuer" {
			continue
		}
		// As it stands: a token is of its client's secret.
		known, err := s.vault.Client(operating(ctx), c.Known["client_id"].(string))
		if err == nil {
			c.Known["token"], err = s.mint(known, tokenLife)
		}
		if unless(err, pin.NotFound) != nil {
			return nil, nil, err
		}
	}
	if s.hasFixtures() {
		for _, c := range cards {
			byCard[c.name] = c.listed()
		}
	}
	if s.seed != nil {
		maps.Copy(byCard, s.seed.Cards())
	}
	return byClient, byCard, nil
}

// clients are those of the fixtures and of the seed, by name.
func (s *Sandbox) clients() map[string]Listed {
	all := map[string]Listed{}
	for _, c := range clients {
		if s.hasFixtures() && !c.unlisted {
			all[c.name] = Listed{c.contract, c.known()}
		}
	}
	if s.seed != nil {
		maps.Copy(all, s.seed.Clients())
	}
	return all
}
