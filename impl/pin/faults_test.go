package pin_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
)

// prepared is a world with one of everything, and what it was like.
type prepared struct {
	*world
	client  pin.Client
	session pin.Session
	record  string
	other   *pin.Vault // of another process
}

func prepare(t *testing.T) *prepared {
	t.Helper()
	w := &prepared{world: newMemoryWorld(t)}
	w.other = w.sibling()
	ctx := by(t)
	var err error
	w.client, _, err = w.CreateClient(ctx, pin.Client{ID: "client", ProgramID: w.program.ID, Contract: "thredd", Name: "x"}, "a secret", pin.Memo{})
	require.NoError(t, err)
	w.session, err = w.OpenSession(ctx, w.q, pin.NewSession{ID: "session", Action: pin.ActionReset, Lifetime: time.Minute, SecretDigest: []byte("m")}, pin.Memo{})
	require.NoError(t, err)
	w.record, err = recorded(ctx, w.Vault, w.q, `{}`)
	require.NoError(t, err)
	require.NoError(t, w.Remember(ctx, nil, w.keeping("old")))
	return w
}

// keeping is a memo that leaves a replay record.
func (w *world) keeping(key string) pin.Memo {
	return pin.Memo{Keep: func(any) (pin.Replay, error) {
		return pin.Replay{Scope: "client", Key: key, Result: []byte("{}"), CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Hour)}, nil
	}}
}

// operations are all that a vault can be asked to do, on a world with one of everything.
func operations(t *testing.T) map[string]func(ctx context.Context, w *prepared, v *pin.Vault) error {
	return map[string]func(context.Context, *prepared, *pin.Vault) error{
		"set": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			return v.SetPIN(ctx, w.q, plain(t, another), w.keeping("new"))
		},
		"set a block": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			return v.SetPIN(ctx, w.q, block(t, another), pin.Memo{})
		},
		"set and move a session": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			return v.SetPIN(ctx, w.q, plain(t, another), pin.Memo{Session: func(any) *pin.Session { s := w.session; s.Version++; return &s }})
		},
		"reset": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			return v.ResetPIN(ctx, w.q, plain(t, another), pin.Memo{})
		},
		"unblock": func(ctx context.Context, w *prepared, v *pin.Vault) error { return v.Unblock(ctx, w.q, pin.Memo{}) },
		"reveal": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.RevealPIN(ctx, w.q)
			return err
		},
		"verify": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.Verify(ctx, w.q, plain(t, wrong), w.keeping("new"))
			return err
		},
		"verify a block": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.Verify(ctx, w.q, block(t, right), pin.Memo{})
			return err
		},
		"change": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.ChangePIN(ctx, w.q, block(t, right), block(t, another), pin.Memo{})
			return err
		},
		"create a card": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.CreateCard(ctx, pin.NewCard{ProgramID: w.program.ID, PAN: "9999990000000022", PublicToken: true}, pin.Memo{})
			return err
		},
		"update a card": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.UpdateCard(ctx, w.q, func(c *pin.Card) error { c.CustomerID = "c"; return nil }, pin.Memo{})
			return err
		},
		"find by PAN": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.Card(ctx, pin.Query{References: []pin.Reference{{Kind: pin.KindPAN, Value: pan}}})
			return err
		},
		"mask a PAN": func(_ context.Context, w *prepared, v *pin.Vault) error { _, err := v.MaskedPAN(w.card); return err },
		"create a client": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, _, err := v.CreateClient(ctx, pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
			return err
		},
		"rotate a client": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, _, err := v.RotateClient(ctx, "client", time.Hour, pin.Memo{})
			return err
		},
		"revoke a client": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			return v.RevokeClient(ctx, "client", pin.Memo{})
		},
		"list clients": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, err := v.Clients(ctx, pin.Page{Limit: 3})
			return err
		},
		"authenticate": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, err := v.Authenticate(ctx, "client", "a secret")
			return err
		},
		"create a program": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, err := v.CreateProgram(ctx, pin.NewProgram("new"), pin.Memo{})
			return err
		},
		"update a program": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.UpdateProgram(ctx, w.program.ID, func(p *pin.Program) error { p.TryLimit = 5; return nil }, pin.Memo{})
			return err
		},
		"list programs": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, err := v.Programs(ctx, pin.Page{Limit: 3})
			return err
		},
		"list a bound caller's program": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.Programs(pin.WithCaller(ctx, pin.Caller{ProgramID: w.program.ID}), pin.Page{Limit: 3})
			return err
		},
		"list events": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.AuditEvents(ctx, pin.AuditQuery{Chain: w.card.ID, Page: pin.Page{Limit: 3}})
			return err
		},
		"list heads": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			for _, err := range v.Heads(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"verify the trail": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			s, err := v.VerifyTrail(ctx, pin.VerifyOptions{})
			if err == nil && !s.Whole() {
				err = errors.New(s.Findings[0].Breaks[0].String())
			}
			return err
		},
		"import a key": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			return v.ImportZoneKey(ctx, pin.ZoneKey{ID: "new", ProgramID: w.program.ID, Version: 1}, pin.Memo{})
		},
		"draw an id": func(_ context.Context, _ *prepared, v *pin.Vault) error { _, err := v.SessionID(); return err },
		"open a session": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.OpenSession(ctx, w.q, pin.NewSession{ID: "new", Action: pin.ActionReset}, pin.Memo{})
			return err
		},
		"read a session": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, err := v.Session(ctx, "session")
			return err
		},
		"move a session": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			s := w.session
			s.Version++
			return v.MoveSession(ctx, s)
		},
		"choose a PIN": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			e, err := v.Entry(ctx, w.session.ID)
			if err == nil {
				err = v.ChoosePIN(ctx, e, of(t, another), pin.Memo{})
			}
			return err
		},
		"keep a record": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := recorded(ctx, v, w.q, `{}`)
			return err
		},
		"read a record": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.ContractRecord(ctx, "fax", w.record)
			return err
		},
		"remember": func(ctx context.Context, w *prepared, v *pin.Vault) error {
			return v.Remember(ctx, nil, w.keeping("new"))
		},
		"replay": func(ctx context.Context, _ *prepared, v *pin.Vault) error {
			_, err := v.Replay(ctx, "client", "old")
			return err
		},
		"draw a number": func(ctx context.Context, _ *prepared, v *pin.Vault) error { _, err := v.Number(ctx, "s"); return err },
		"begin":         func(ctx context.Context, _ *prepared, v *pin.Vault) error { return v.Initialize(ctx) },
		"keep a code": func(_ context.Context, _ *prepared, v *pin.Vault) error {
			return v.KeepSetting(&pin.Client{ID: "new"}, "code", "1")
		},
		"ask for a code": func(_ context.Context, w *prepared, v *pin.Vault) error {
			_, err := v.SettingMatches(w.client, "none", "1")
			return err
		},
	}
}

// Whatever fails on the way, the database, the keys or the source of randomness, at whichever call: the
// operation fails with it and has changed nothing.
func TestWhateverFailsFailsTheOperationAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, operation := range operations(t) {
		for what, arm := range map[string]struct {
			vault func(w *prepared, n int) (v *pin.Vault, made func() int)
			code  pin.Code
		}{
			"a call of the store": {func(w *prepared, n int) (*pin.Vault, func() int) {
				made := 0
				w.tap.before = func(string) error {
					if made++; made == n {
						return errDown
					}
					return nil
				}
				return w.with(nil, nil), func() int { return made }
			}, pin.Unavailable},
			"a call of the keys": {func(w *prepared, n int) (*pin.Vault, func() int) {
				keys := &faultyKeys{n: n}
				return w.with(keys, nil), func() int { return keys.made }
			}, pin.Unavailable},
			"a draw": {func(w *prepared, n int) (*pin.Vault, func() int) {
				random := &source{n: n}
				return w.with(nil, random), func() int { return random.made }
			}, pin.Internal},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					w := prepare(t)
					v, made := arm.vault(w, n)
					was := w.store.(*memory).snapshot()
					err := operation(by(t), w, v)
					if made() < n {
						require.NoError(t, err)
						return
					}
					require.Equal(t, arm.code, pin.CodeOf(err), "number %d", n)
					require.Equal(t, was, w.store.(*memory).snapshot(), "number %d", n)
				}
			})
		}
	}
}

// snapshot is all that a store holds, except for the numbers that were reserved.
func (m *memory) snapshot() memoryState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return memoryState{maps.Clone(m.cards), maps.Clone(m.rows), maps.Clone(m.lookups), maps.Clone(m.events), nil}
}

// A reply that is lost, of each of the calls that change something: the change is made once, and the answer is
// the one that belongs to it.
func TestALostReplyIsNoSecondTry(t *testing.T) {
	t.Parallel()
	rival := func(w *world) func() {
		return func() { require.NoError(t, w.sibling().SetPIN(by(t), w.q, plain(t, another), pin.Memo{})) }
	}
	for name, lose := range map[string]func(w *world){
		"nothing":                                    func(*world) {},
		"of a swap that was made":                    func(w *world) { w.tap.after = once("Swap", errDoubt) },
		"of a swap that was not made":                func(w *world) { w.tap.before = once("Swap", errDoubt) },
		"of two swaps, neither of them made":         func(w *world) { w.tap.before = firstTwo("Swap", errDoubt) },
		"of a swap under the lock that was made":     func(w *world) { w.tap.before, w.tap.after = meanwhile("Swap", rival(w)), once("Locked", errDoubt) },
		"of a swap under the lock that was not made": func(w *world) { w.tap.before, w.tap.undo = meanwhile("Swap", rival(w)), errDoubt },
		"of a swap that was not made, and overtaken": func(w *world) {
			w.tap.before = both(once("Swap", errDoubt), meanwhile("Swap", func() {}), func(call string) error {
				if call == "Swap" && w.tap.after == nil {
					w.tap.after = func(string) error { return nil }
					rival(w)()
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lose(w)
			require.Equal(t, told(pin.Mismatch, 2), w.try(t, wrong))
			w.tap.before, w.tap.after = nil, nil
			w.agree(t)
			require.Equal(t, 2, w.remaining(t))
			failed := 0
			for _, text := range w.told(t, w.card.ID) {
				if text == "pin.failed mismatch" {
					failed++
				}
			}
			require.Equal(t, 1, failed)
		})
	}
}

func firstTwo(name string, failure error) func(string) error {
	return both(nth(name, 1, failure), nth(name, 1, failure))
}

// both are hooks one after the other; the first failure counts, and ends the round.
func both(hooks ...func(string) error) func(string) error {
	return func(call string) error {
		for _, hook := range hooks {
			if err := hook(call); err != nil {
				return err
			}
		}
		return nil
	}
}

// A database that breaks off over and over is asked again as long as a change may take, and has a pause in between.
func TestADatabaseThatBreaksOffHasAPause(t *testing.T) {
	t.Parallel()
	keyringtest.WithoutNetwork(t)
	w := newMemoryWorld(t)
	swaps := 0
	w.tap.before = func(call string) error {
		if call != "Swap" {
			return nil
		}
		if swaps++; swaps > 1000 {
			return errors.New("it is not left in peace")
		}
		return errDoubt
	}
	offer := plain(t, wrong)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := w.Verify(by(t), w.q, offer, pin.Memo{})
		require.ErrorIs(t, err, pin.ErrInDoubt)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
	require.Greater(t, swaps, 10)
	require.Equal(t, 3, w.remaining(t))
}

// A store that lost the connection before it asked what to write has written nothing.
func TestALostReplyBeforeADecisionIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tap.before = both(meanwhile("Swap", func() { require.NoError(t, w.sibling().Unblock(by(t), w.q, pin.Memo{})) }), once("Locked", errDoubt))
	_, err := w.Verify(by(t), w.q, plain(t, wrong), pin.Memo{})
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	require.Equal(t, 3, w.remaining(t))
}

// What a blocked card is asked moves nothing that the trail tells of, and yet its answer is kept with it.
func TestARefusedTryAfterALostReplyIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block(t)
	w.try(t, wrong) // of which the trail tells
	rival := func() {
		_, err := w.sibling().Verify(by(t), w.q, plain(t, wrong), pin.Memo{})
		require.NoError(t, err)
	}
	w.tap.before = both(meanwhile("Swap", rival), once("Swap", errDoubt))
	done, err := w.Verify(by(t), w.q, plain(t, wrong), w.keeping("key"))
	require.NoError(t, err)
	require.Equal(t, pin.Exhausted, done.Result)
	_, err = w.Replay(by(t), "client", "key")
	require.NoError(t, err, "whoever repeats the request gets the same answer")
	require.EqualValues(t, 3, w.record(t).PIN.Refused)
}

// What stands in the way of a change whose outcome is not known, and is not the change itself, is told.
func TestADuplicateAfterALostReplyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tap.after = once("Swap", errDoubt)
	_, err := w.CreateCard(by(t), pin.NewCard{ProgramID: w.program.ID, References: []pin.Reference{{Kind: pin.KindURN, Value: "2"}}}, pin.Memo{})
	require.NoError(t, err, "the card that is there is the one that was made")

	w.tap.after, w.tap.before = nil, once("Swap", errDoubt)
	_, err = w.CreateCard(by(t), pin.NewCard{ProgramID: w.program.ID, References: []pin.Reference{{Kind: pin.KindURN, Value: "2"}}}, pin.Memo{})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err), "the one that is there is another one")
	require.Equal(t, "urn", pin.FieldOf(err))

	w.tap.before, w.tap.after = once("ChainEvents", errDown), once("Swap", errDoubt)
	_, err = w.Verify(by(t), w.q, plain(t, wrong), pin.Memo{})
	require.Equal(t, pin.Unavailable, pin.CodeOf(err), "nobody knows")
	w.agree(t)

	w.tap.before, w.tap.after = nil, once("Swap", errDoubt)
	require.NoError(t, w.Initialize(by(t)))
	_, err = w.CreateProgram(by(t), pin.NewProgram("once"), pin.Memo{})
	require.NoError(t, err, "an entry of a chain is looked for as well")

	// A change without events is looked for by its rows.
	w.tap.after = once("Swap", errDoubt)
	require.NoError(t, w.Remember(by(t), nil, w.keeping("key")))
	w.later(time.Second)
	w.tap.after, w.tap.before = nil, once("Swap", errDoubt)
	require.Equal(t, pin.Duplicate, pin.CodeOf(w.Remember(by(t), nil, w.keeping("key"))), "the row that is there is another one")
	w.tap.before = both(once("Swap", errDoubt), once("Row replays", errDown))
	require.Equal(t, pin.Unavailable, pin.CodeOf(w.Remember(by(t), nil, w.keeping("key"))), "nobody knows whose it is")
	w.tap.before = nil
	w.block(t)
	w.try(t, wrong)
	w.tap.after = once("Swap", errDoubt)
	require.Equal(t, told(pin.Exhausted, 0), w.try(t, wrong), "the second refused try has no event")
	require.Equal(t, int64(2), w.record(t).PIN.Refused)
}

// An alarm is raised where the chain goes on after the head that the card carries.
func TestAChainThatGoesOnAfterItsHeadIsAnAlarm(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	var alarms []string
	w.OnTampered(func(_ context.Context, table, id string) { alarms = append(alarms, table+" "+id) })
	db := w.store.(*memory)
	events := db.events[w.card.ID]
	db.events[w.card.ID] = append(slices.Clone(events), pin.EventRow{Chain: w.card.ID, Seq: 2})
	_, err := w.Verify(by(t), w.q, plain(t, right), pin.Memo{})
	require.Equal(t, pin.Internal, pin.CodeOf(err))
	require.True(t, pin.Tampered(err))
	require.Equal(t, []string{"audit_events " + w.card.ID}, alarms)
	require.False(t, pin.Tampered(errors.New("any other")))
	require.False(t, pin.Tampered(nil))
}

// Where nothing is remembered nothing takes the place of an event either: a try that no event tells of writes the card
// and no row.
func TestATryThatIsNotRememberedWritesNoRow(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	rows := func() int { return len(w.store.(*memory).rows) }
	w.block(t)
	require.Equal(t, pin.Exhausted, w.try(t, wrong).Result, "the first is told")
	before, told := rows(), len(w.events(t, w.card.ID))
	require.Equal(t, pin.Exhausted, w.try(t, wrong).Result)
	require.Len(t, w.events(t, w.card.ID), told)
	require.Equal(t, before, rows())
}
