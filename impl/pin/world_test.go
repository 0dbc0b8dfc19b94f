package pin_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

// world is a vault over a store, with one program, one zone PIN key and one card.
type world struct {
	*pin.Vault
	store   pin.Store // as it is
	tap     *tap      // as the vault sees it
	live    *keyring.Live
	ring    *keyring.Ring
	now     *atomic.Pointer[time.Time]
	program pin.Program
	card    pin.Card
	q       pin.Query
}

const (
	zpk     = "E8DD93B8AF13999C7644C0FE11F5D2A7"
	right   = "4826" // the card's PIN in a new world
	wrong   = "1111"
	another = "9173"
	pan     = "9999990000000014"
)

// long tells whether the long form of a test is asked for.
func long() bool { return os.Getenv("PINVAULT_TEST_LONG") == "1" }

// either is one number in the short form of a test and another one in the long form.
func either(short, inFull int) int {
	if long() {
		return inFull
	}
	return short
}

// watched is a quarter of a number, in the short form, where the race detector watches or a mutant of the
// code is tried.
func watched(n int) int {
	if (raced || os.Getenv("PINVAULT_TEST_BRIEF") == "1") && !long() {
		return n / 4
	}
	return n
}

// newMemoryWorld is a world whose store is in memory.
func newMemoryWorld(t testing.TB, settings ...func(*pin.Program)) *world {
	t.Helper()
	return newWorldOn(t, newMemory(), settings...)
}

func newWorldOn(t testing.TB, db pin.Store, settings ...func(*pin.Program)) *world {
	t.Helper()
	ctx := anybody()
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	w := &world{store: db, tap: &tap{Store: db}, now: &atomic.Pointer[time.Time]{}}
	w.now.Store(&now)
	engine := keyringtest.Shared(t)
	if ks, inMemory := engine.(*keyring.Keyset); inMemory {
		w.live = keyring.NewLive(ks, w.clock)
		engine = w.live
	}
	w.ring = keyring.Open(engine, db, w.clock)
	w.Vault = newVault(w.tap, w.ring, w.clock, nil)
	require.NoError(t, w.Initialize(ctx))
	program := pin.NewProgram("test")
	program.RetrievalAllowed = true
	for _, set := range settings {
		set(&program)
	}
	var err error
	w.program, err = w.CreateProgram(ctx, program, pin.Memo{})
	require.NoError(t, err)
	raw, err := hex.DecodeString(zpk)
	require.NoError(t, err)
	key, err := w.ring.WrapZoneKey("zpk", "", pin.UsageZonePIN, "TDES", raw)
	require.NoError(t, err)
	require.NoError(t, w.ImportZoneKey(ctx, key, pin.Memo{}))
	w.card, err = w.CreateCard(ctx, pin.NewCard{ProgramID: w.program.ID, PAN: pan, PIN: of(t, right),
		References: []pin.Reference{{Kind: pin.KindURN, Value: "1"}, {Kind: pin.KindAlias, Value: "A"}}}, pin.Memo{})
	require.NoError(t, err)
	w.q = pin.Query{CardID: w.card.ID}
	return w
}

// newVault is a vault in which who may grant a scope is who has one of that name. There is no scope "none".
func newVault(s pin.Store, keys pin.Keys, now func() time.Time, random io.Reader) *pin.Vault {
	v := pin.NewVault(s, keys, now, random)
	v.GrantBy(func(_, scope string) (string, bool) { return scope, scope != "none" })
	return v
}

// operator is who most tests call as.
var operator = pin.Operator("")

// by is the test's context, called by the operator.
func by(t testing.TB) context.Context { return pin.WithCaller(t.Context(), operator) }

// anybody is a context of the operator that outlives the test.
func anybody() context.Context { return pin.WithCaller(context.Background(), operator) }

// recorded restores a card's tries and keeps a record of that, as contracts do: numbered in the program of the
// caller, who is one of the contract "fax". It returns the record's id.
func recorded(ctx context.Context, v *pin.Vault, q pin.Query, body string) (id string, err error) {
	who := pin.CallerFrom(ctx)
	who.Contract = "fax"
	ctx = pin.WithCaller(ctx, who)
	draw, release, err := v.Promise(ctx, "fax")
	if err != nil {
		return "", err
	}
	defer release()
	err = v.Unblock(ctx, q, pin.Memo{Record: func(pin.Record) (pin.ContractRecord, error) {
		id = fmt.Sprintf("SR%010d", draw())
		return pin.ContractRecord{ID: id, Body: json.RawMessage(body)}, nil
	}})
	return id, err
}

func (w *world) clock() time.Time { return *w.now.Load() }

func (w *world) later(d time.Duration) {
	then := w.clock().Add(d)
	w.now.Store(&then)
}

// sibling is the vault of another process over the same store.
func (w *world) sibling() *pin.Vault { return newVault(w.store, w.ring, w.clock, nil) }

// with is the vault of another process over the same store, with keys or randomness of the test's.
func (w *world) with(keys *faultyKeys, random *source) *pin.Vault {
	if keys == nil {
		keys = &faultyKeys{n: -1}
	}
	if random == nil {
		random = &source{}
	}
	keys.Keys = w.ring
	return newVault(w.tap, keys, w.clock, random)
}

func of(t require.TestingT, digits string) pin.PIN {
	p, err := pin.New([]byte(digits))
	require.NoError(t, err)
	return p
}

// plain offers digits in clear.
func plain(t require.TestingT, digits string) pin.Offer { return pin.Plain(of(t, digits)) }

// block offers digits in a block under the zone PIN key.
func block(t require.TestingT, digits string) pin.Offer {
	raw, err := hex.DecodeString(zpk)
	require.NoError(t, err)
	key, err := pinblock.NewTDES(raw)
	require.NoError(t, err)
	b, err := key.Encrypt(pinblock.ISO0, []byte(digits), pan, nil)
	require.NoError(t, err)
	return pin.Encrypted("zpk", pinblock.ISO0, b)
}

// closed is a block that does not open.
func closed() pin.Offer { return pin.Encrypted("zpk", pinblock.ISO0, make([]byte, 8)) }

// try verifies a PIN in clear.
func (w *world) try(t require.TestingT, digits string) pin.Verification {
	v, err := w.Verify(anybody(), w.q, plain(t, digits), pin.Memo{})
	require.NoError(t, err)
	return v
}

func (w *world) record(t require.TestingT) pin.Record {
	rec, err := w.Card(anybody(), w.q)
	require.NoError(t, err)
	return rec
}

func (w *world) remaining(t require.TestingT) int { return w.record(t).RemainingTries() }

// block uses up the card's tries.
func (w *world) block(t require.TestingT) {
	for range w.remaining(t) {
		w.try(t, wrong)
	}
}

// events are those of a chain, oldest first.
func (w *world) events(t require.TestingT, chain string) []pin.AuditEvent {
	var all []pin.AuditEvent
	for after := ""; ; {
		some, err := w.AuditEvents(anybody(), pin.AuditQuery{Chain: chain, Page: pin.Page{After: after, Limit: 500}})
		require.NoError(t, err)
		if all = append(all, some...); len(some) < 500 {
			return all
		}
		after = some[len(some)-1].ID
	}
}

// told are the types, and outcomes where there are any, of a chain's events.
func (w *world) told(t require.TestingT, chain string) []string {
	var out []string
	for _, e := range w.events(t, chain) {
		text := string(e.Type)
		if e.Outcome != "" {
			text += " " + e.Outcome
		}
		out = append(out, text)
	}
	return out
}

// agree holds the card's counter against its trail, and the trail against the head that the card carries.
func (w *world) agree(t require.TestingT) {
	rec := w.record(t)
	events := w.events(t, rec.Card.ID)
	left := rec.Program.TryLimit
	for i, e := range events {
		require.Equal(t, int64(i+1), e.Seq)
		switch e.Type {
		case pin.EventPINVerified, pin.EventPINUnblocked, pin.EventPINChanged:
			left = rec.Program.TryLimit
		case pin.EventPINFailed:
			if e.Outcome != string(pin.Exhausted) {
				left--
			}
		}
		require.GreaterOrEqual(t, left, 0, "the trail tells of more wrong guesses than there were tries")
	}
	require.Equal(t, left, rec.RemainingTries(), "the counter and the trail")
	last := events[len(events)-1]
	require.Equal(t, pin.Head{Seq: last.Seq, MAC: last.MAC, Digest: rec.PIN.Head.Digest, Drawn: rec.PIN.Head.Drawn}, rec.PIN.Head, "the head and the newest event")
}

// rest is a card's row with another value, under a good seal.
func (w *world) rest(t *testing.T, r pin.CardRow, v pin.Value) pin.CardRow {
	t.Helper()
	var err error
	r.Value, err = json.Marshal(v)
	require.NoError(t, err)
	r.Seal, err = w.ring.MAC(pin.UseSeal, pin.Frame(r.ID, r.ProgramID, strconv.FormatInt(r.Revision, 10), string(r.Details), string(r.Value)))
	require.NoError(t, err)
	return r
}

// tap stands between a vault and its store. before may fail a call that has no effect yet, after one that
// had its effect.
type tap struct {
	pin.Store
	before, after func(call string) error
	undo          error      // what the next write under the lock fails with, once it was decided on
	count         bool       // keep the next two, which only one caller at a time can
	calls         []string   // by name
	search        pin.Search // the last one

	serial bool // run one hook at a time, for several callers at once; a hook then calls no store
	mu     sync.Mutex
}

func (s *tap) hook(do func(string) error, call string) error {
	if do == nil {
		return nil
	}
	if s.serial {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	return do(call)
}

func (s *tap) around(call string, do func() error) error {
	if s.count {
		s.calls = append(s.calls, call)
	}
	if err := s.hook(s.before, call); err != nil {
		return err
	}
	err := do()
	if err == nil {
		err = s.hook(s.after, call)
	}
	return err
}

func tapped[T any](s *tap, call string, do func() (T, error)) (out T, err error) {
	err = s.around(call, func() (err error) { out, err = do(); return err })
	return out, err
}

func (s *tap) Find(ctx context.Context, q pin.Search) ([]pin.CardRow, error) {
	if s.count {
		s.search = q
	}
	return tapped(s, "Find", func() ([]pin.CardRow, error) { return s.Store.Find(ctx, q) })
}

func (s *tap) Swap(ctx context.Context, c pin.Change) error {
	return s.around("Swap", func() error { return s.Store.Swap(ctx, c) })
}

func (s *tap) Locked(ctx context.Context, cardID string, decide func(pin.CardRow) (pin.Change, error)) error {
	return s.around("Locked", func() error {
		return s.Store.Locked(ctx, cardID, func(row pin.CardRow) (pin.Change, error) {
			c, err := decide(row)
			if err == nil && s.undo != nil {
				err, s.undo = s.undo, nil
			}
			return c, err
		})
	})
}

func (s *tap) Row(ctx context.Context, t pin.Table, programID, id string) (pin.Row, error) {
	return tapped(s, "Row "+string(t), func() (pin.Row, error) { return s.Store.Row(ctx, t, programID, id) })
}

func (s *tap) List(ctx context.Context, t pin.Table, programID string, p pin.Page) ([]pin.Row, error) {
	return tapped(s, "List "+string(t), func() ([]pin.Row, error) { return s.Store.List(ctx, t, programID, p) })
}

func (s *tap) Cards(ctx context.Context, programID string, p pin.Page) ([]pin.CardRow, error) {
	return tapped(s, "Cards", func() ([]pin.CardRow, error) { return s.Store.Cards(ctx, programID, p) })
}

func (s *tap) CardsOf(ctx context.Context, ids []string) ([]pin.CardRow, error) {
	return tapped(s, "CardsOf", func() ([]pin.CardRow, error) { return s.Store.CardsOf(ctx, ids) })
}

func (s *tap) Rows(ctx context.Context, t pin.Table, after pin.Row, limit int) ([]pin.Row, error) {
	return tapped(s, "Rows "+string(t), func() ([]pin.Row, error) { return s.Store.Rows(ctx, t, after, limit) })
}

func (s *tap) RowsOf(ctx context.Context, t pin.Table, cardIDs, ids []string) ([]pin.Row, error) {
	return tapped(s, "RowsOf "+string(t), func() ([]pin.Row, error) { return s.Store.RowsOf(ctx, t, cardIDs, ids) })
}

func (s *tap) Lookups(ctx context.Context, after pin.Lookup, limit int) ([]pin.Lookup, error) {
	return tapped(s, "Lookups", func() ([]pin.Lookup, error) { return s.Store.Lookups(ctx, after, limit) })
}

func (s *tap) LookupsOf(ctx context.Context, wanted []pin.Lookup) ([]pin.Lookup, error) {
	return tapped(s, "LookupsOf", func() ([]pin.Lookup, error) { return s.Store.LookupsOf(ctx, wanted) })
}

func (s *tap) Events(ctx context.Context, q pin.AuditQuery) ([]pin.EventRow, error) {
	return tapped(s, "Events", func() ([]pin.EventRow, error) { return s.Store.Events(ctx, q) })
}

func (s *tap) ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error) {
	return tapped(s, "ChainEvents", func() ([]pin.EventRow, error) { return s.Store.ChainEvents(ctx, chain, seq, limit) })
}

func (s *tap) Numbers(ctx context.Context, sequence, programID string, n int64) (int64, error) {
	return tapped(s, "Numbers", func() (int64, error) { return s.Store.Numbers(ctx, sequence, programID, n) })
}

var errDown = &pin.Error{Code: pin.Unavailable, Err: errors.New("nobody answers")}

var errDoubt = &pin.Error{Code: pin.Unavailable, Err: pin.ErrInDoubt}

// once fails the first call of a name.
func once(name string, failure error) func(string) error { return nth(name, 1, failure) }

// nth fails the n-th call of a name.
func nth(name string, n int, failure error) func(string) error {
	return func(call string) error {
		if call == name {
			if n--; n == 0 {
				return failure
			}
		}
		return nil
	}
}

// always fails every call of a name.
func always(name string, failure error) func(string) error {
	return func(call string) error {
		if call == name {
			return failure
		}
		return nil
	}
}

// meanwhile does something before the first call of a name.
func meanwhile(name string, do func()) func(string) error {
	return func(call string) error {
		if call == name && do != nil {
			now := do
			do = nil
			now()
		}
		return nil
	}
}

// faultyKeys fail at the n-th call of an operation (MAC, Seal, Open, Rewrap, Index, or "" for any) for a use ("" for any).
type faultyKeys struct {
	pin.Keys
	op   string
	use  pin.Use
	n    int // 0: at each
	made int
}

var errHSM = &pin.Error{Code: pin.Unavailable, Err: errors.New("the HSM does not answer")}

func (k *faultyKeys) fails(op string, use pin.Use) error {
	if k.op != "" && k.op != op || k.use != "" && k.use != use {
		return nil
	}
	if k.made++; k.n == 0 || k.n == k.made {
		return errHSM
	}
	return nil
}

func (k *faultyKeys) MAC(use pin.Use, data []byte) ([]byte, error) {
	if err := k.fails("MAC", use); err != nil {
		return nil, err
	}
	return k.Keys.MAC(use, data)
}

func (k *faultyKeys) Seal(use pin.Use, plaintext, associated []byte) ([]byte, error) {
	if err := k.fails("Seal", use); err != nil {
		return nil, err
	}
	return k.Keys.Seal(use, plaintext, associated)
}

func (k *faultyKeys) Open(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	if err := k.fails("Open", use); err != nil {
		return nil, err
	}
	return k.Keys.Open(use, ciphertext, associated)
}

func (k *faultyKeys) Rewrap(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	if err := k.fails("Rewrap", use); err != nil {
		return nil, err
	}
	return k.Keys.Rewrap(use, ciphertext, associated)
}

func (k *faultyKeys) Index(use pin.Use, data []byte) ([]string, error) {
	if err := k.fails("Index", use); err != nil {
		return nil, err
	}
	return k.Keys.Index(use, data)
}

// source yields bytes of its own making, and fails at the n-th read.
type source struct {
	n, made int
	draw    func(read int, p []byte) // nil: from the system
}

func (r *source) Read(p []byte) (int, error) {
	if r.made++; r.made == r.n {
		return 0, errors.New("no more randomness")
	}
	if r.draw == nil {
		return rand.Read(p)
	}
	r.draw(r.made, p)
	return len(p), nil
}
