package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"pinvault/impl/idempotency"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// vault is a vault over a store, with one card.
type vault struct {
	*pin.Vault
	t       testing.TB
	guard   *idempotency.Guard
	ctx     context.Context // of a caller of the card's program
	program pin.Program
	card    pin.Card
	q       pin.Query // finds the card, by its URN
	pin     string    // that the card has now
}

// over is the vault of a store with the keys that all tests share.
func over(t testing.TB, s *Store) (*pin.Vault, pin.Keys) {
	keys := keyring.Open(keyringtest.Shared(t), s, nil)
	v := pin.NewVault(s, keys, nil, nil)
	v.GrantBy(func(_, scope string) (string, bool) { return scope, true })
	return v, keys
}

// operating is a context of an operator of the whole server.
func operating() context.Context {
	return pin.WithCaller(context.Background(), pin.Operator(""))
}

func newVault(t testing.TB, s *Store) *vault {
	t.Helper()
	v := &vault{t: t, pin: "4826"}
	var keys pin.Keys
	v.Vault, keys = over(t, s)
	v.guard = idempotency.New(v, keys, nil)
	p := pin.NewProgram("program")
	p.RetrievalAllowed, p.TryLimit = true, 15
	var err error
	v.program, err = v.CreateProgram(operating(), p, pin.Memo{})
	require.NoError(t, err)
	v.ctx = pin.WithCaller(context.Background(), pin.Caller{ClientID: "client", ProgramID: v.program.ID, Contract: "issuer"})
	v.card, err = v.CreateCard(v.ctx, pin.NewCard{PAN: "9999990000000014", PIN: v.digits(v.pin), References: []pin.Reference{{Kind: pin.KindURN, Value: "1"}}}, pin.Memo{})
	require.NoError(t, err)
	v.q = pin.Query{ProgramID: v.program.ID, References: v.card.References}
	return v
}

func (v *vault) digits(text string) pin.PIN {
	p, err := pin.New([]byte(text))
	require.NoError(v.t, err)
	return p
}

// another is a PIN that the card does not have.
func (v *vault) another() string {
	if v.pin == "4826" {
		return "5081"
	}
	return "4826"
}

// operation is one of the vault's, done for the n-th time.
type operation struct {
	name string
	hot  bool // its statements stand in hot.golden
	run  func(n int) error
}

func (v *vault) operations() []operation {
	set := func(m pin.Memo) error {
		next := v.another()
		err := v.SetPIN(v.ctx, v.q, pin.Plain(v.digits(next)), m)
		if err == nil {
			v.pin = next
		}
		return err
	}
	verify := func(m pin.Memo) (pin.Verification, error) {
		result, err := v.Verify(v.ctx, v.q, pin.Plain(v.digits(v.pin)), m)
		if err == nil && result.Result != pin.Match {
			err = errors.New(string(result.Result))
		}
		return result, err
	}
	request := func(n int) idempotency.Request {
		return idempotency.Request{Scope: "client", Key: fmt.Sprint("key ", n), Endpoint: "endpoint", Content: []byte("content"), TTL: time.Hour, OnCard: true}
	}
	session := func(a pin.Action) error {
		s, err := v.OpenSession(v.ctx, v.q, pin.NewSession{Action: a, SecretDigest: []byte("mac"), Exchanges: 3, Lifetime: time.Hour}, pin.Memo{})
		if err != nil {
			return err
		}
		if s, err = v.Session(v.ctx, s.ID); err != nil {
			return err
		}
		s.State, s.Version = pin.SessionExchanged, s.Version+1
		if err := v.MoveSession(v.ctx, s); err != nil {
			return err
		}
		e, err := v.Entry(v.ctx, s.ID)
		if err != nil {
			return err
		}
		v.pin = v.another()
		return v.ChoosePIN(v.ctx, e, v.digits(v.pin), pin.Memo{})
	}
	return []operation{
		{"status", true, func(int) error { _, err := v.Card(v.ctx, v.q); return err }},
		{"set", true, func(int) error { return set(pin.Memo{}) }},
		{"set with an idempotency key", true, func(n int) error {
			_, _, err := idempotency.Once(v.ctx, v.guard, request(n), pin.Memo{}, func(m pin.Memo) (struct{}, error) { return struct{}{}, set(m) })
			return err
		}},
		{"verify", true, func(int) error { _, err := verify(pin.Memo{}); return err }},
		{"verify with an idempotency key", true, func(n int) error {
			_, _, err := idempotency.Once(v.ctx, v.guard, request(-n), pin.Memo{}, verify)
			return err
		}},
		{"verify a wrong PIN", true, func(int) error {
			_, err := v.Verify(v.ctx, v.q, pin.Plain(v.digits("9999")), pin.Memo{})
			return err
		}},
		{"refuse a card that is not there, under an idempotency key", true, func(n int) error {
			_, _, err := idempotency.Once(v.ctx, v.guard, request(1000+n), pin.Memo{}, func(m pin.Memo) (struct{}, error) {
				if _, err := v.Verify(v.ctx, pin.Query{CardID: "nobody"}, pin.Plain(v.digits(v.pin)), pin.Memo{}); pin.CodeOf(err) != pin.NotFound {
					return struct{}{}, err
				}
				return struct{}{}, v.Remember(v.ctx, nil, m)
			})
			return err
		}},
		{"change", true, func(int) error {
			next := v.another()
			result, err := v.ChangePIN(v.ctx, v.q, pin.Plain(v.digits(v.pin)), pin.Plain(v.digits(next)), pin.Memo{})
			if err == nil && result.Result != pin.Match {
				err = errors.New(string(result.Result))
			}
			v.pin = next
			return err
		}},
		{"reset", true, func(int) error {
			v.pin = v.another()
			return v.ResetPIN(v.ctx, v.q, pin.Plain(v.digits(v.pin)), pin.Memo{})
		}},
		{"reveal", true, func(int) error { p, err := v.RevealPIN(v.ctx, v.q); p.Clear(); return err }},
		{"unblock", true, func(int) error { return v.Unblock(v.ctx, v.q, pin.Memo{}) }},
		{"unblock by device number or PAN", true, func(int) error {
			return v.Unblock(v.ctx, pin.Query{References: []pin.Reference{{Kind: pin.KindDevice, Value: "9999990000000014"}}}, pin.Memo{})
		}},

		{"create a card", false, func(n int) error {
			_, err := v.CreateCard(v.ctx, pin.NewCard{PublicToken: true, References: []pin.Reference{{Kind: pin.KindURN, Value: fmt.Sprint("new ", n)}}}, pin.Memo{})
			return err
		}},
		{"update a card", false, func(n int) error {
			_, err := v.UpdateCard(v.ctx, v.q, func(c *pin.Card) error {
				c.CustomerID = fmt.Sprint("customer ", n)
				c.References = append(c.References, pin.Reference{Kind: pin.KindAlias, Value: fmt.Sprint("alias ", n)})
				return nil
			}, pin.Memo{})
			return err
		}},
		{"unblock with a record", false, func(n int) error {
			id := fmt.Sprint("record ", n)
			err := v.Unblock(v.ctx, v.q, pin.Memo{Record: func(pin.Record) (pin.ContractRecord, error) {
				return pin.ContractRecord{ID: id, Body: []byte(`{}`)}, nil
			}})
			if err == nil {
				_, err = v.ContractRecord(v.ctx, pin.CallerFrom(v.ctx).Contract, id)
			}
			return err
		}},
		{"a session that resets", false, func(int) error { return session(pin.ActionReset) }},
		{"a session that changes", false, func(int) error { return session(pin.ActionChange) }},
		{"update the program", false, func(n int) error {
			_, err := v.UpdateProgram(operating(), v.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = n%2 == 0; return nil }, pin.Memo{})
			return err
		}},
		{"create, rotate and revoke a client", false, func(int) error {
			c, _, err := v.CreateClient(v.ctx, pin.Client{ProgramID: v.program.ID, Contract: "thredd"}, "", pin.Memo{})
			if err == nil {
				_, _, err = v.RotateClient(v.ctx, c.ID, time.Hour, pin.Memo{})
			}
			if err == nil {
				err = v.RevokeClient(v.ctx, c.ID, pin.Memo{})
			}
			return err
		}},
	}
}

// told is what an operation was told, by its trace id.
type told struct {
	does   pin.EventType // "": verifies
	result pin.Result
	err    error
}

// However the line to the database breaks, and whoever else is about the card: what a caller is told has
// happened once, what ended in an error at most once, and the tries are what the trail tells.
func TestTheVaultCountsOnceHoweverTheLineBreaks(t *testing.T) {
	const callers = 4
	l := lineTo(t, storetest.Postgres(t))
	served, direct := open(t, l.url), open(t, l.direct)
	v := newVault(t, direct)
	behind, _ := over(t, served)

	cuts := int64(storetest.Times(60, 500))
	var made atomic.Int64
	random := rand.New(rand.NewPCG(3, 4)) // used by one round trip at a time
	l.listen(func(now trip) *breakage {
		if made.Load() >= cuts || random.IntN(6) > 0 {
			return nil
		}
		made.Add(1)
		return anywhere(random)
	})
	var mutex sync.Mutex
	all := map[string]told{}
	var group sync.WaitGroup
	for i := range callers {
		own := rand.New(rand.NewPCG(5, uint64(i)))
		group.Go(func() {
			for made.Load() < cuts {
				trace, o := uuid.NewString(), told{}
				ctx := pin.WithCaller(context.Background(), pin.Caller{ClientID: "client", ProgramID: v.program.ID, TraceID: trace})
				switch own.IntN(8) {
				case 0:
					o.does = pin.EventPINUnblocked
					o.err = behind.Unblock(ctx, v.q, pin.Memo{})
				case 1:
					o.does = pin.EventPINSet
					o.err = behind.SetPIN(ctx, v.q, pin.Plain(v.digits("4826")), pin.Memo{})
				case 2:
					o.result, o.err = guess(ctx, behind, v, "4826")
				default:
					o.result, o.err = guess(ctx, behind, v, "9999")
				}
				mutex.Lock()
				all[trace] = o
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	l.listen(nil)

	// Whatever is still under way on the server comes before this, or not at all.
	require.NoError(t, v.Unblock(v.ctx, v.q, pin.Memo{}))
	rec, err := v.Card(v.ctx, v.q)
	require.NoError(t, err)
	trail, err := v.AuditEvents(v.ctx, pin.AuditQuery{Chain: v.card.ID, Page: pin.Page{Limit: 1 << 20}})
	require.NoError(t, err)
	require.EqualValues(t, len(trail), rec.PIN.Head.Seq)
	require.Equal(t, trail[len(trail)-1].MAC, rec.PIN.Head.MAC)
	events := map[string][]pin.AuditEvent{}
	tries := v.program.TryLimit
	versions := int64(1)
	for i, e := range trail {
		require.EqualValues(t, i+1, e.Seq)
		events[e.TraceID] = append(events[e.TraceID], e)
		switch e.Type {
		case pin.EventPINFailed:
			if e.Outcome == string(pin.Mismatch) {
				require.Positive(t, tries, "nobody is told mismatch when no try is left")
				tries--
			} else {
				require.Zero(t, tries)
			}
		case pin.EventPINBlocked:
			require.Zero(t, tries)
		case pin.EventPINVerified:
			require.Positive(t, tries)
			tries = v.program.TryLimit
		case pin.EventPINUnblocked:
			tries = v.program.TryLimit
		case pin.EventPINSet:
			versions++
		}
	}
	require.Equal(t, rec.PIN.TriesLeft, tries)
	require.Equal(t, rec.PIN.Version, versions, "each PIN that was set is one event")
	failed := 0
	for trace, o := range all {
		count := func(typ pin.EventType, outcome pin.Result) int {
			return len(slices.DeleteFunc(slices.Clone(events[trace]), func(e pin.AuditEvent) bool {
				return e.Type != typ || outcome != "" && e.Outcome != string(outcome)
			}))
		}
		switch {
		case o.err != nil:
			failed++
			require.Equal(t, pin.Unavailable, pin.CodeOf(o.err), "%v", o.err)
			require.LessOrEqual(t, count(pin.EventPINSet, "")+count(pin.EventPINUnblocked, "")+count(pin.EventPINVerified, "")+count(pin.EventPINFailed, ""), 1)
		case o.does != "":
			require.Equal(t, 1, count(o.does, ""))
		case o.result == pin.Match:
			require.Equal(t, 1, count(pin.EventPINVerified, pin.Match))
		case o.result == pin.Mismatch:
			require.Equal(t, 1, count(pin.EventPINFailed, pin.Mismatch))
		default:
			require.LessOrEqual(t, count(pin.EventPINFailed, pin.Exhausted), 1, "most of these are not told")
		}
	}
	t.Logf("%d operations, %d of them failed; %d events; the line broke %d times", len(all), failed, len(trail), made.Load())
	require.GreaterOrEqual(t, made.Load(), cuts)
}

// guess is what a guess at the card's PIN is told.
func guess(ctx context.Context, behind *pin.Vault, v *vault, digits string) (pin.Result, error) {
	result, err := behind.Verify(ctx, v.q, pin.Plain(v.digits(digits)), pin.Memo{})
	return result.Result, err
}

// What an operation has done is in the trail once, though it could not be told.
func TestWhatCannotBeToldIsInTheTrailAtMostOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		breaks *breakage
		events int
	}{{"made", beforeTheAnswer, 1}, {"not made", beforeItArrives, 0}} {
		t.Run(c.name, func(t *testing.T) {
			if storetest.Times(0, 1) == 0 && c.events == 0 {
				t.Skip("takes as long as a change may: PINVAULT_TEST_LONG=1")
			}
			l := lineTo(t, storetest.Postgres(t))
			v := newVault(t, open(t, l.url))
			swaps := 0
			l.listen(func(now trip) *breakage {
				if now.says("moved AS (") {
					if len(now.run) == 0 { // it is prepared
						return nil
					}
					if swaps++; swaps == 1 || c.events == 0 {
						return c.breaks
					}
					return nil
				}
				if now.says("audit_events") { // so that it cannot be found out either
					return c.breaks
				}
				return nil
			})
			_, err := v.Verify(v.ctx, v.q, pin.Plain(v.digits("9999")), pin.Memo{})
			l.listen(nil)
			require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
			rec, err := v.Card(v.ctx, v.q)
			require.NoError(t, err)
			require.Equal(t, v.program.TryLimit-c.events, rec.PIN.TriesLeft)
			trail, err := v.AuditEvents(v.ctx, pin.AuditQuery{Chain: v.card.ID, Page: pin.Page{Limit: 9}})
			require.NoError(t, err)
			require.Len(t, trail, 1+c.events)
		})
	}
}

// What has no event is settled by what stands in its row.
func TestWhatIsMovedInDoubtIsMovedOnce(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	v := newVault(t, open(t, l.url))
	for i, b := range allKindsOfBreaks {
		t.Run(fmt.Sprintf("%+v", *b), func(t *testing.T) {
			s, err := v.OpenSession(v.ctx, v.q, pin.NewSession{Action: pin.ActionReset, SecretDigest: []byte("mac"), Exchanges: 3, Lifetime: time.Hour}, pin.Memo{})
			require.NoError(t, err)
			moved := s
			moved.State, moved.Version = pin.SessionExchanged, 2
			l.breakOnce("commit", b)
			require.NoError(t, v.MoveSession(v.ctx, moved))
			got, err := v.Session(v.ctx, s.ID)
			require.NoError(t, err)
			require.Equal(t, moved, got)

			other := s
			other.State, other.Version = pin.SessionFailed, 2
			l.breakOnce("UPDATE", b)
			err = v.MoveSession(v.ctx, other)
			require.Equal(t, pin.Conflict, pin.CodeOf(err), "somebody else's move is not taken for its own: %v", err)

			keep := func(any) (pin.Replay, error) {
				return pin.Replay{Scope: "client", Key: fmt.Sprint(i), Result: []byte("{}"), CreatedAt: time.Unix(0, 0).UTC(), ExpiresAt: time.Now().Add(time.Hour)}, nil
			}
			l.breakOnce("commit", b)
			require.NoError(t, v.Remember(v.ctx, nil, pin.Memo{Keep: keep}))
			l.breakOnce("commit", b)
			err = v.Remember(v.ctx, nil, pin.Memo{Keep: func(any) (pin.Replay, error) { r, _ := keep(nil); r.Endpoint = "another"; return r, nil }})
			require.Equal(t, pin.Duplicate, pin.CodeOf(err), "%v", err)
		})
	}
}
