// Package sandbox seeds a server with a fixed set of programs, clients, keys and cards, lists them
// with all their secrets, and resets them when asked.
//
// Nothing of it runs in production: it refuses a database that holds anything else, and marks the one
// that it fills so that a production server refuses that.
package sandbox

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"maps"
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

// Sandbox fills and lists a sandbox.
type Sandbox struct {
	vault   *pin.Vault
	looking *pin.Vault
	store   Store
	keys    Wrapper
	mint    Minter
}

// New makes a sandbox over a vault and its store. Another vault over the same keeps nothing of what it does, see
// [Looking].
func New(vault, looking *pin.Vault, store Store, keys Wrapper, mint Minter) *Sandbox {
	return &Sandbox{vault: vault, looking: looking, store: store, keys: keys, mint: mint}
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
	return s.seed(ctx)
}

// Reset resets everything. The audit trail begins anew with the cards whose it is.
func (s *Sandbox) Reset(ctx context.Context) error {
	if err := s.store.Wipe(ctx); err != nil {
		return err
	}
	s.vault.Forget()
	return s.seed(ctx)
}

// operating is the context of what the sandbox does by itself.
func operating(ctx context.Context) context.Context {
	return pin.WithCaller(ctx, pin.Caller{ClientID: "sandbox", Contract: "sandbox", Everywhere: true, Operator: true})
}

// seed makes what is not there yet, so that a seeding that was cut off is finished by the next one.
func (s *Sandbox) seed(ctx context.Context) error {
	ctx = operating(ctx)
	if err := s.vault.Initialize(ctx); err != nil {
		return err
	}
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
	return s.seedPINSession(ctx)
}

func (s *Sandbox) seedClient(ctx context.Context, c client) (err error) {
	made := c.client()
	made.Secrets = map[string][]byte{}
	for name, secret := range c.secrets {
		if made.Secrets[name], err = s.vault.SettingMAC(name, secret); err != nil {
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
	row, err := s.keys.WrapZoneKey(k.id, k.program, k.usage, k.algorithm, raw)
	if err != nil {
		return err
	}
	return unless(s.vault.ImportZoneKey(ctx, row, pin.Memo{}), pin.Duplicate)
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
		RequestID: "sandbox-session", Exchanges: 3, Lifetime: pinSessionLifetime}, pin.Memo{})
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
	_, err := s.vault.CreateCard(ctx, pin.NewCard{
		ID: c.id(), ProgramID: c.programID(), PAN: c.pan, Expiry: cmp.Or(c.expiry, laterExpiry), Sequence: sequence,
		Status: c.status, UpgradeStatus: c.upgrade, Attributes: c.attributes(), References: c.references(),
		PIN: known, NoPIN: c.pin == "", PINChosen: !c.random,
	}, pin.Memo{})
	if err != nil || !c.blocked {
		return unless(err, pin.Duplicate)
	}
	return s.block(ctx, c)
}

// block uses up a card's tries as a cardholder would, with a wrong PIN.
func (s *Sandbox) block(ctx context.Context, c card) error {
	for {
		wrong, err := pin.New([]byte(c.pin + c.pin))
		if err != nil {
			return err
		}
		v, err := s.vault.Verify(ctx, pin.Query{CardID: c.id()}, pin.Plain(wrong), pin.Memo{})
		if err != nil || v.RemainingTries == 0 {
			return err
		}
	}
}

// unless is err but for one code.
func unless(err error, code pin.Code) error {
	if pin.CodeOf(err) == code {
		return nil
	}
	return err
}

func (c client) client() pin.Client {
	made := pin.Client{ID: c.id(), ProgramID: c.program, Contract: c.contract, Name: "Sandbox " + c.name, Scopes: c.scopes}
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
	for _, c := range clients {
		if c.unlisted {
			continue
		}
		listed := map[string]any{"client_id": c.id(), "client_secret": c.secret()}
		if c.contract == "issuer" {
			// As it stands: a token is of its client's secret.
			known, err := s.vault.Client(operating(ctx), c.id())
			if err == nil {
				listed["token"], err = s.mint(known, tokenLife)
			}
			if unless(err, pin.NotFound) != nil {
				return nil, nil, err
			}
		}
		for name, k := range c.keys {
			listed[name+"_id"], listed[name+"_hex"] = k.id, k.hex
		}
		maps.Copy(listed, c.listed)
		byClient[c.name] = listed
	}
	for _, c := range cards {
		byCard[c.name] = c.listed()
	}
	return byClient, byCard, nil
}
