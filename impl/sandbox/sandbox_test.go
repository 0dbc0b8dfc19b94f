package sandbox_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/sandbox"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// world is a sandbox over a database of its own.
type world struct {
	*sandbox.Sandbox
	vault *pin.Vault
	store *store.Store
}

func open(t *testing.T, url string) world {
	t.Helper()
	db, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	return over(db, db)
}

// over is a sandbox whose own calls go to another store than the vault's.
func over(db *store.Store, own sandbox.Store) world { return seeded(db, own, nil) }

func seeded(db *store.Store, own sandbox.Store, seed func(*pin.Vault) sandbox.Seed) world {
	ring := keyring.Open(keyring.Sandbox(), db, nil)
	vault := pin.NewVault(db, ring, nil, nil)
	vault.GrantBy(func(_, scope string) (string, bool) { return scope, true })
	var of sandbox.Seed
	if seed != nil {
		of = seed(vault)
	}
	mint := func(c pin.Client, ttl time.Duration) (string, error) {
		if !c.Honours(c.Version, time.Now()) {
			return "", errors.New("a token of no secret")
		}
		return "token of " + c.ID + " for " + ttl.String(), nil
	}
	return world{sandbox.New(vault, sandbox.Looking(db, ring, nil), own, ring, mint, of), vault, db}
}

func opened(t *testing.T) world {
	t.Helper()
	w := open(t, storetest.SQLite(t))
	require.NoError(t, w.Open(t.Context()))
	return w
}

// verified is how the vault answers a card's PIN as the fixtures list it.
func (w world) verified(t *testing.T, card map[string]any) pin.Verification {
	t.Helper()
	digits, err := pin.New([]byte(card["pin"].(string)))
	require.NoError(t, err)
	v, err := w.vault.Verify(by(t), pin.Query{CardID: card["cardId"].(string)}, pin.Plain(digits), pin.Memo{})
	require.NoError(t, err)
	return v
}

// Tests and partners' documents rely on these names, and on each being what it is called.
func TestFixturesAreWhatTheyAreCalled(t *testing.T) {
	t.Parallel()
	w := opened(t)
	_, cards, err := w.Fixtures(t.Context())
	require.NoError(t, err)
	for _, test := range []struct {
		name   string
		status pin.Status
		result pin.Result // of the PIN that is listed; "": it is not asked for
		chosen bool
	}{
		{"normal", pin.StatusNormal, pin.Match, true},
		{"second", pin.StatusNormal, pin.Match, true},
		{"third", pin.StatusNormal, pin.Match, true},
		{"unchosen", pin.StatusNormal, pin.Match, false},
		{"lost", pin.StatusLost, "", true},
		{"closed", pin.StatusClosed, "", true},
		{"blocked", pin.StatusNormal, pin.Exhausted, true},
		{"upgrade_pending", pin.StatusUpgrade, "", true},
		{"shared_alias_a", pin.StatusNormal, pin.Match, true},
		{"shared_alias_b", pin.StatusNormal, pin.Match, true},
		{"alias_disabled", pin.StatusNormal, pin.Match, true},
	} {
		card := cards[test.name]
		require.NotNil(t, card, test.name)
		require.Equal(t, test.status, card["status"], test.name)
		rec, err := w.vault.Card(by(t), pin.Query{CardID: card["cardId"].(string)})
		require.NoError(t, err, test.name)
		require.Equal(t, test.status, rec.Card.Status, test.name)
		require.Equal(t, card["programId"], rec.Card.ProgramID, test.name)
		require.Equal(t, test.chosen, rec.PIN.State == pin.PINChosen, test.name)
		if test.result != "" {
			require.Equal(t, test.result, w.verified(t, card).Result, test.name)
		}
	}
	require.Equal(t, cards["shared_alias_a"]["alias"], cards["shared_alias_b"]["alias"])
	require.NotEqual(t, cards["shared_alias_a"]["devicePlanCode"], cards["shared_alias_b"]["devicePlanCode"])
	require.NotEqual(t, cards["normal"]["programId"], cards["alias_disabled"]["programId"])
}

func TestFixturesHaveNoTokenOfARevokedClient(t *testing.T) {
	t.Parallel()
	w := opened(t)
	require.NoError(t, w.vault.RevokeClient(by(t), "issuer-sandbox", pin.Memo{}))
	clients, _, err := w.Fixtures(t.Context())
	require.NoError(t, err)
	require.NotContains(t, clients["issuer"], "token")
}

func TestClientsOfTheFixturesCanLogIn(t *testing.T) {
	t.Parallel()
	w := opened(t)
	clients, _, err := w.Fixtures(t.Context())
	require.NoError(t, err)
	require.Subset(t, slices.Collect(maps.Keys(clients)), []string{"issuer", "thredd", "creditplus", "creditplus_encrypted_only", "creditplus_no_alias",
		"accosa", "networkintl", "hashdt"})
	for name, c := range clients {
		known, err := w.vault.Authenticate(by(t), c["client_id"].(string), c["client_secret"].(string))
		require.NoError(t, err, name)
		require.Equal(t, c["client_id"], known.ID)
		require.Equal(t, strings.HasPrefix(name, "issuer"), c["token"] != nil, "%s: who has a token ready made", name)
	}
	require.Equal(t, "token of issuer-sandbox for 24h0m0s", clients["issuer"]["token"])
	for _, of := range []struct{ client, field string }{{"issuer", "zpk"}, {"networkintl", "zpk"}, {"creditplus", "key"}, {"accosa", "key"}} {
		require.NotEmpty(t, clients[of.client][of.field+"_id"], of.client)
		require.NotEmpty(t, clients[of.client][of.field+"_hex"], of.client)
	}
	require.NotContains(t, clients, "thredd_other", "what serves tests of other programs alone")
}

func TestResetPutsEverythingBack(t *testing.T) {
	t.Parallel()
	w := opened(t)
	_, cards, err := w.Fixtures(t.Context())
	require.NoError(t, err)
	normal := cards["normal"]
	q := pin.Query{CardID: normal["cardId"].(string)}
	other, err := pin.New([]byte("4826"))
	require.NoError(t, err)
	require.NoError(t, w.vault.SetPIN(by(t), q, pin.Plain(other), pin.Memo{}))
	require.NoError(t, w.vault.RevokeClient(by(t), "thredd-sandbox", pin.Memo{}))
	_, err = w.vault.UpdateCard(by(t), q, func(c *pin.Card) error { c.Status = pin.StatusLost; return nil }, pin.Memo{})
	require.NoError(t, err)
	made, err := w.vault.CreateProgram(by(t), pin.NewProgram("another"), pin.Memo{})
	require.NoError(t, err)

	require.NoError(t, w.Reset(t.Context()))
	require.Equal(t, pin.Match, w.verified(t, normal).Result)
	_, err = w.vault.Authenticate(by(t), "thredd-sandbox", "thredd-sandbox-secret")
	require.NoError(t, err)
	_, err = w.vault.Program(by(t), made.ID)
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	require.ErrorIs(t, sandbox.Refuse(t.Context(), w.store), sandbox.ErrSandbox, "it is a sandbox's still")
}

func TestWhatWasChangedStaysWhenTheSandboxIsOpenedAgain(t *testing.T) {
	t.Parallel()
	w := opened(t)
	_, cards, err := w.Fixtures(t.Context())
	require.NoError(t, err)
	require.NoError(t, w.vault.Unblock(by(t), pin.Query{CardID: cards["blocked"]["cardId"].(string)}, pin.Memo{}))
	require.NoError(t, w.Open(t.Context()))
	require.Equal(t, pin.Match, w.verified(t, cards["blocked"]).Result)
}

func TestSandboxAndProductionRefuseEachOthersDatabase(t *testing.T) {
	t.Parallel()
	w := open(t, storetest.SQLite(t))
	require.NoError(t, sandbox.Refuse(t.Context(), w.store), "a fresh one is anybody's")
	_, err := w.vault.CreateProgram(by(t), pin.NewProgram("Gift cards"), pin.Memo{})
	require.NoError(t, err)
	require.ErrorIs(t, w.Open(t.Context()), sandbox.ErrForeign)
	require.NoError(t, sandbox.Refuse(t.Context(), w.store), "which is left unmarked")

	require.ErrorIs(t, sandbox.Refuse(t.Context(), opened(t).store), sandbox.ErrSandbox)
}

func TestSeveralProcessesOpenOneDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	at := storetest.SQLite(t)
	worlds := []world{open(t, at), open(t, at), open(t, at)}
	errs := make([]error, len(worlds))
	var all sync.WaitGroup
	for i, w := range worlds {
		all.Go(func() { errs[i] = w.Open(context.WithoutCancel(t.Context())) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	_, cards, err := worlds[0].Fixtures(t.Context())
	require.NoError(t, err)
	for name, card := range cards {
		_, err := worlds[0].vault.Card(by(t), pin.Query{CardID: card["cardId"].(string)})
		require.NoError(t, err, name)
	}
}

// failing is a store of which one call fails.
type failing struct {
	sandbox.Store
	at string
}

var errGone = &pin.Error{Code: pin.Unavailable}

func (f failing) Setting(ctx context.Context, key string) (string, error) {
	if f.at == "Setting" {
		return "", errGone
	}
	return f.Store.Setting(ctx, key)
}

func (f failing) PutSetting(ctx context.Context, key, value string) error {
	if f.at == "PutSetting" {
		return errGone
	}
	return f.Store.PutSetting(ctx, key, value)
}

func (f failing) Empty(ctx context.Context) (bool, error) {
	if f.at == "Empty" {
		return false, errGone
	}
	return f.Store.Empty(ctx)
}

func (f failing) Wipe(ctx context.Context) error {
	if f.at == "Wipe" {
		return errGone
	}
	return f.Store.Wipe(ctx)
}

func TestADatabaseThatFailsIsNotTakenForAFreshOne(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"Setting", "Empty", "PutSetting"} {
		db := open(t, storetest.SQLite(t)).store
		require.ErrorIs(t, over(db, failing{db, call}).Open(t.Context()), errGone, call)
		empty, err := db.Empty(t.Context())
		require.NoError(t, err)
		require.True(t, empty, call)
	}
	w := opened(t)
	require.ErrorIs(t, over(w.store, failing{w.store, "Wipe"}).Reset(t.Context()), errGone)
	require.ErrorIs(t, sandbox.Refuse(t.Context(), failing{w.store, "Setting"}), errGone)
}

// garden is a seed of a client and a card whose tries are used up.
type garden struct {
	vault *pin.Vault
	alone bool
}

const gardenCard = "00000000-0000-7000-8000-00000000f001"

func (g garden) Alone() bool { return g.alone }

func (g garden) Sow(ctx context.Context) error {
	program := pin.NewProgram("Garden")
	program.ID, program.RetrievalAllowed = "garden", true
	if _, err := g.vault.CreateProgram(ctx, program, pin.Memo{}); err != nil {
		return err
	}
	if _, _, err := g.vault.CreateClient(ctx, pin.Client{ID: "gardener", Contract: "issuer"}, "spade", pin.Memo{}); err != nil {
		return err
	}
	digits, err := pin.New([]byte("482619375082"))
	if err != nil {
		return err
	}
	if _, err := g.vault.CreateCard(ctx, pin.NewCard{ID: gardenCard, ProgramID: "garden", PIN: digits}, pin.Memo{}); err != nil {
		return err
	}
	return sandbox.Exhaust(ctx, g.vault, gardenCard, string(digits.Digits()))
}

func (garden) Clients() map[string]sandbox.Listed {
	return map[string]sandbox.Listed{"gardener": {Contract: "issuer", Known: map[string]any{"client_id": "gardener"}}}
}

func (garden) Cards() map[string]map[string]any {
	return map[string]map[string]any{"rose": {"cardId": gardenCard}}
}

func (garden) CardName(id string) string { return map[string]string{gardenCard: "rose"}[id] }

func TestSeedIsBesidesTheFixturesOrInTheirPlace(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		db := open(t, storetest.SQLite(t)).store
		w := seeded(db, db, func(v *pin.Vault) sandbox.Seed { return garden{v, alone} })
		require.NoError(t, w.Open(t.Context()))
		require.NoError(t, w.Reset(t.Context()))
		clients, cards, err := w.Fixtures(t.Context())
		require.NoError(t, err)
		require.Equal(t, "token of gardener for 24h0m0s", clients["gardener"]["token"])
		require.Equal(t, !alone, clients["thredd"] != nil)
		require.Equal(t, !alone, cards["normal"] != nil)
		require.NotNil(t, cards["rose"])
		states, err := w.Cards(t.Context())
		require.NoError(t, err)
		at := slices.IndexFunc(states, func(s sandbox.State) bool { return s.Name == "rose" })
		require.GreaterOrEqual(t, at, 0)
		require.Zero(t, states[at].RemainingTries())
		require.Equal(t, "482619375082", states[at].PIN)
		require.Equal(t, 0, states[at].History[len(states[at].History)-1].RemainingTries)
		require.Equal(t, !alone, len(states) > 1)
	}
}

// by is the test's context, called by an operator.
func by(t *testing.T) context.Context {
	t.Helper()
	return pin.WithCaller(t.Context(), pin.Operator(""))
}
