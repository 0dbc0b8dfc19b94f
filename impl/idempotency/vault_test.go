package idempotency_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/idempotency"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// house is a guard over a vault as it is, with a card whose PIN is 4826.
type house struct {
	*idempotency.Guard
	vault *pin.Vault
	store *store.Store
	q     pin.Query
	now   time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx := by(t)
	db, err := store.Open(ctx, storetest.SQLite(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(ctx))
	h := &house{store: db, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	ring := keyring.Open(keyringtest.Shared(t), db, clock)
	h.vault = pin.NewVault(db, ring, clock, nil)
	h.vault.GrantBy(func(_, scope string) (string, bool) { return scope, true })
	h.Guard = idempotency.New(h.vault, ring, clock)
	program := pin.NewProgram("test")
	program.Policy = pin.PolicyHistory
	program, err = h.vault.CreateProgram(ctx, program, pin.Memo{})
	require.NoError(t, err)
	card, err := h.vault.CreateCard(ctx, pin.NewCard{ProgramID: program.ID, PIN: of(t, "4826")}, pin.Memo{})
	require.NoError(t, err)
	h.q = pin.Query{CardID: card.ID}
	return h
}

// by is the test's context, called by an operator.
func by(t *testing.T) context.Context {
	t.Helper()
	return pin.WithCaller(t.Context(), pin.Operator(""))
}

func of(t *testing.T, digits string) pin.PIN {
	t.Helper()
	p, err := pin.New([]byte(digits))
	require.NoError(t, err)
	return p
}

func (h *house) set(t *testing.T, r idempotency.Request, digits string) (replayed bool, err error) {
	t.Helper()
	_, replayed, err = idempotency.Once(by(t), h.Guard, r, pin.Memo{}, func(m pin.Memo) (struct{}, error) {
		return struct{}{}, h.vault.SetPIN(by(t), h.q, pin.Plain(of(t, digits)), m)
	})
	return replayed, err
}

// told are the types of the card's events.
func (h *house) told(t *testing.T) (out []string) {
	t.Helper()
	events, err := h.vault.AuditEvents(by(t), pin.AuditQuery{Chain: h.q.CardID, Page: pin.Page{Limit: 100}})
	require.NoError(t, err)
	for _, e := range events {
		out = append(out, string(e.Type))
	}
	return out
}

func TestARepeatedSetHasOneEffect(t *testing.T) {
	t.Parallel()
	for _, onCard := range []bool{false, true} {
		h, r := newHouse(t), request
		r.OnCard = onCard
		for i := range 3 {
			replayed, err := h.set(t, r, "9173")
			require.NoError(t, err, "and is not refused as a PIN that the card has already")
			require.Equal(t, i > 0, replayed)
		}
		require.Equal(t, []string{"card.created", "pin.set"}, h.told(t))
		other := r
		other.Content = []byte("other")
		_, err := h.set(t, other, "8264")
		require.Equal(t, pin.ReplayChanged, pin.CodeOf(err))
		other = r
		other.Endpoint = "other"
		_, err = h.set(t, other, "8264")
		require.Equal(t, pin.ReplayOther, pin.CodeOf(err))
		require.Equal(t, []string{"card.created", "pin.set"}, h.told(t))
		h.now = h.now.Add(time.Hour)
		_, err = h.set(t, r, "9173")
		require.Equal(t, pin.RecentPIN, pin.CodeOf(err), "the key is free again")
	}
}

// A refusal that is in the trail is none the less no answer to repeat, least of all as a success.
func TestARefusalIsRefusedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 2 {
		replayed, err := h.set(t, request, "4826")
		require.Equal(t, pin.RecentPIN, pin.CodeOf(err))
		require.False(t, replayed)
	}
	require.Equal(t, []string{"card.created", "pin.refused", "pin.refused"}, h.told(t))
	replayed, err := h.set(t, request, "9173")
	require.NoError(t, err)
	require.False(t, replayed)
}

func TestARepeatedGuessTakesOneTry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	wrong := pin.Plain(of(t, "1111"))
	answers := make([]string, 12)
	ctx := by(t)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			v, _, err := idempotency.Once(ctx, h.Guard, request, pin.Memo{}, func(m pin.Memo) (pin.Verification, error) {
				return h.vault.Verify(ctx, h.q, wrong, m)
			})
			answers[i] = fmt.Sprint(v.Result, " ", v.RemainingTries, " ", err)
		})
	}
	all.Wait()
	for _, a := range answers {
		require.Equal(t, "mismatch 2 <nil>", a, "all were one request")
	}
	require.Equal(t, []string{"card.created", "pin.failed"}, h.told(t))
}

// created is how a handler gets a fresh client's secret through: in the first answer only.
type created struct {
	pin.Client
	Secret string `json:"-"`
}

func TestSecretOfAFreshClientIsInTheFirstAnswerOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	draft := pin.Client{Contract: "thredd", Name: "Partner", Scopes: []string{"pins:read"}, OldSecretDigest: []byte("an old MAC"),
		Settings: json.RawMessage(`{"a":1}`), Secrets: map[string][]byte{"code": []byte("a code's MAC")}}
	create := func() (created, bool) {
		c, replayed, err := idempotency.Once(by(t), h.Guard, request, pin.Memo{}, func(m pin.Memo) (created, error) {
			c, secret, err := h.vault.CreateClient(by(t), draft, "", m)
			return created{c, secret}, err
		})
		require.NoError(t, err)
		return c, replayed
	}
	first, replayed := create()
	require.False(t, replayed)
	require.NotEmpty(t, first.Secret)
	second, replayed := create()
	require.True(t, replayed)
	require.Empty(t, second.Secret)

	record, err := h.vault.Replay(by(t), request.Scope, request.Key)
	require.NoError(t, err)
	s := &setting{ledger: &ledger{records: map[[2]string]pin.Replay{{}: record}}}
	s.holdsNothingOf(t, []byte(first.Secret), first.SecretDigest, []byte("an old MAC"), []byte("a code's MAC"))
	rows, err := h.store.List(by(t), pin.TableReplays, "", pin.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.NotContains(t, string(rows[0].Body)+rows[0].ID, request.Key, "the key is kept as a hash")

	first.Secret, first.SecretDigest, first.OldSecretDigest, first.Secrets = "", nil, nil, nil
	require.Equal(t, first, second)
	clients, err := h.vault.Clients(by(t), pin.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, clients, 1)
}
