package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

var transactionTests = []test{
	{"an error of the caller's undoes everything and comes back as it is", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		runs := 0
		require.Same(t, errDomain, in(s, func(tx pin.Tx) error {
			runs++
			require.NoError(t, tx.InsertProgram(newProgram("new")))
			require.NoError(t, tx.ReplacePIN("card", 0, newPIN()))
			require.NoError(t, appendEvent(tx, newEvent("card", 0, "event")))
			require.NoError(t, tx.InsertReplay(newReplay("client", "key")))
			return errDomain
		}))
		require.Equal(t, 1, runs)
		require.Equal(t, newPIN(), record(t, s, "card").PIN)
		_, err := s.Program(context.Background(), "new")
		requireCode(t, err, pin.NotFound)
		_, err = s.Replay(context.Background(), "client", "key")
		requireCode(t, err, pin.NotFound)
		require.Empty(t, audit(t, s, pin.AuditQuery{}))
	}},
	{"a panic undoes everything and leaves the store in order", func(t *testing.T, s Store) {
		require.PanicsWithValue(t, "panic", func() {
			_ = in(s, func(tx pin.Tx) error {
				require.NoError(t, tx.InsertProgram(newProgram("new")))
				panic("panic")
			})
		})
		_, err := s.Program(context.Background(), "new")
		requireCode(t, err, pin.NotFound)
		withCards(t, s, "card")
	}},
	{"a transaction sees what it has done", func(t *testing.T, s Store) {
		tx(t, s, func(tx pin.Tx) error {
			require.NoError(t, tx.InsertProgram(newProgram("program")))
			require.NoError(t, tx.InsertCard(newCard("program", "card"), "", newPIN()))
			require.NoError(t, tx.ReplacePIN("card", 1, newPIN()))
			former, err := tx.PINHistory("card", 9)
			require.NoError(t, err)
			require.Len(t, former, 1)
			taken, admitted, err := tx.TakeTry("card", 3)
			require.NoError(t, err)
			require.True(t, admitted)
			require.EqualValues(t, 2, taken.Version)
			return nil
		})
	}},
	{"a statement that failed ends the transaction, though its error is kept", func(t *testing.T, s Store) {
		withCards(t, s)
		requireCode(t, in(s, func(tx pin.Tx) error {
			require.NoError(t, tx.InsertProgram(newProgram("new")))
			requireCode(t, tx.InsertProgram(newProgram("program")), pin.Duplicate, "program")
			return nil
		}), pin.Duplicate, "program")
		_, err := s.Program(context.Background(), "new")
		requireCode(t, err, pin.NotFound)

		tx(t, s, func(tx pin.Tx) error { return tx.InsertCard(newCard("program", "card"), "", newPIN()) })
		twin := newCard("program", "twin")
		twin.References = newCard("program", "card").References
		requireCode(t, in(s, func(tx pin.Tx) error {
			requireCode(t, tx.InsertCard(twin, "", newPIN()), pin.Duplicate, "publicToken")
			return nil
		}), pin.Duplicate, "publicToken")
		require.Empty(t, find(t, s, pin.Search{CardID: "twin", Limit: 1}))
	}},
	{"a change that finds nothing does not end the transaction", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		tx(t, s, func(tx pin.Tx) error {
			requireCode(t, tx.ResetTries("nobody", 3), pin.NotFound)
			requireCode(t, tx.ReplacePIN("nobody", 0, newPIN()), pin.NotFound)
			requireCode(t, tx.UpdateProgram(newProgram("program")), pin.Conflict)
			return tx.ResetTries("card", 2)
		})
		require.Equal(t, 2, record(t, s, "card").PIN.TriesLeft)
	}},
}

// calls is every method that asks the database.
func calls(ctx context.Context, s Store) map[string]func() error {
	return map[string]func() error{
		"Find":           func() error { _, err := s.Find(ctx, pin.Search{Limit: 1}); return err },
		"TakeTry":        func() error { _, _, err := s.TakeTry(ctx, "card", 3); return err },
		"InTx":           func() error { return s.InTx(ctx, func(tx pin.Tx) error { return tx.ResetTries("card", 3) }) },
		"Program":        func() error { _, err := s.Program(ctx, "program"); return err },
		"Programs":       func() error { _, err := s.Programs(ctx, pin.Page{Limit: 1}); return err },
		"Client":         func() error { _, err := s.Client(ctx, "client"); return err },
		"Clients":        func() error { _, err := s.Clients(ctx, "", pin.Page{Limit: 1}); return err },
		"ZoneKey":        func() error { _, err := s.ZoneKey(ctx, "key"); return err },
		"Audit":          func() error { _, err := s.Audit(ctx, pin.AuditQuery{Page: pin.Page{Limit: 1}}); return err },
		"Replay":         func() error { _, err := s.Replay(ctx, "client", "key"); return err },
		"Session":        func() error { _, err := s.Session(ctx, "session"); return err },
		"ServiceRequest": func() error { _, err := s.ServiceRequest(ctx, "SR0000000001"); return err },
		"Ping":           func() error { return s.Ping(ctx) },
		"Setting":        func() error { _, err := s.Setting(ctx, "key"); return err },
		"PutSetting":     func() error { return s.PutSetting(ctx, "key", "value") },
		"Empty":          func() error { _, err := s.Empty(ctx); return err },
		"Wipe":           func() error { return s.Wipe(ctx) },
		"PurgeReplays":   func() error { _, err := s.PurgeReplays(ctx, at); return err },
		"PurgeSessions":  func() error { _, err := s.PurgeSessions(ctx, at); return err },
	}
}

var failureTests = []test{
	{"a closed database is unavailable", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		require.NoError(t, s.Close())
		for name, call := range calls(context.Background(), s) {
			t.Run(name, func(t *testing.T) { requireCode(t, call(), pin.Unavailable) })
		}
	}},
	{"a cancelled call is unavailable and changes nothing", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for name, call := range calls(ctx, s) {
			t.Run(name, func(t *testing.T) {
				err := call()
				requireCode(t, err, pin.Unavailable)
				require.ErrorIs(t, err, context.Canceled)
			})
		}
		require.Equal(t, newPIN(), record(t, s, "card").PIN)
	}},
	{"a call out of time is unavailable", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
		defer cancel()
		for name, call := range calls(ctx, s) {
			t.Run(name, func(t *testing.T) {
				err := call()
				requireCode(t, err, pin.Unavailable)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
	}},
	{"a transaction cancelled under way is unavailable and undone", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		ctx, cancel := context.WithCancel(context.Background())
		requireCode(t, s.InTx(ctx, func(tx pin.Tx) error {
			require.NoError(t, tx.ResetTries("card", 2))
			cancel()
			return nil
		}), pin.Unavailable)
		require.Equal(t, newPIN(), record(t, s, "card").PIN)
	}},
	{"errors hold nothing of what was written", func(t *testing.T, s Store) {
		const secret = "453201511283"
		withCards(t, s)
		card := func(id string, references ...pin.Reference) pin.Card { return referring("program", id, references...) }
		urn := pin.Reference{Kind: pin.KindURN, Value: secret}
		program := newProgram(secret)
		client := newClient(secret, secret)
		key := pin.ZoneKey{ID: secret, Wrapped: []byte(secret), CreatedAt: at}
		replay := newReplay(secret, secret)
		tx(t, s, func(tx pin.Tx) error {
			return errors.Join(tx.InsertProgram(program), tx.InsertClient(client), tx.InsertZoneKey(key), tx.InsertReplay(replay),
				tx.InsertCard(card(secret, urn), secret, newPIN()))
		})
		require.NoError(t, s.PutSetting(context.Background(), secret, secret))
		tooFew := newPIN()
		tooFew.TriesLeft, tooFew.Verifier = -453201511, []byte(secret)
		for name, step := range map[string]func(tx pin.Tx) error{
			"program":   func(tx pin.Tx) error { return tx.InsertProgram(program) },
			"client":    func(tx pin.Tx) error { return tx.InsertClient(client) },
			"zone key":  func(tx pin.Tx) error { return tx.InsertZoneKey(key) },
			"card":      func(tx pin.Tx) error { return tx.InsertCard(card(secret), "", newPIN()) },
			"reference": func(tx pin.Tx) error { return tx.InsertCard(card("new", urn), "", newPIN()) },
			"PAN":       func(tx pin.Tx) error { return tx.InsertCard(card("new"), secret, newPIN()) },
			"replay":    func(tx pin.Tx) error { return tx.InsertReplay(replay) },
			"no program": func(tx pin.Tx) error {
				return tx.InsertCard(referring(secret+"0", secret+"0"), "", newPIN())
			},
			"a counter below zero": func(tx pin.Tx) error { return tx.InsertCard(card("new "+secret), "", tooFew) },
			"a PAN as reference": func(tx pin.Tx) error {
				return tx.InsertCard(card("new", pin.Reference{Kind: pin.KindPAN, Value: secret}), "", newPIN())
			},
			"place in a chain": func(tx pin.Tx) error {
				return errors.Join(tx.InsertAudit(newEvent(secret, 1, secret)), tx.InsertAudit(newEvent(secret, 0, "new")))
			},
		} {
			t.Run(name, func(t *testing.T) { requireSilent(t, in(s, step), secret[:9]) })
		}
		t.Run("setting", func(t *testing.T) { requireSilent(t, s.PutSetting(context.Background(), secret, secret), secret) })
	}},
}

// requireSilent fails when an error, or one in its chain, prints the secret.
func requireSilent(t *testing.T, err error, secret string) {
	t.Helper()
	require.Error(t, err)
	for ; err != nil; err = errors.Unwrap(err) {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(verb, err), secret)
		}
	}
}

var upkeepTests = []test{
	{"a setting is written once", func(t *testing.T, s Store) {
		_, err := s.Setting(context.Background(), "sandbox")
		requireCode(t, err, pin.NotFound)
		require.NoError(t, s.PutSetting(context.Background(), "sandbox", "yes"))
		requireCode(t, s.PutSetting(context.Background(), "sandbox", "no"), pin.Duplicate, "setting")
		value, err := s.Setting(context.Background(), "sandbox")
		require.NoError(t, err)
		require.Equal(t, "yes", value)
	}},
	{"programs, clients and keys make a store full, settings and events do not", func(t *testing.T, s Store) {
		requireEmpty := func(want bool) {
			empty, err := s.Empty(context.Background())
			require.NoError(t, err)
			require.Equal(t, want, empty)
		}
		require.NoError(t, s.PutSetting(context.Background(), "sandbox", "yes"))
		tx(t, s, func(tx pin.Tx) error { return tx.InsertAudit(newEvent("chain", 1, "event")) })
		requireEmpty(true)
		for _, step := range []func(tx pin.Tx) error{
			func(tx pin.Tx) error { return tx.InsertProgram(newProgram("program")) },
			func(tx pin.Tx) error { return tx.InsertClient(newClient("", "client")) },
			func(tx pin.Tx) error {
				return tx.InsertZoneKey(pin.ZoneKey{ID: "key", Wrapped: []byte("key"), CreatedAt: at})
			},
		} {
			tx(t, s, step)
			requireEmpty(false)
			require.NoError(t, s.Wipe(context.Background()))
			requireEmpty(true)
		}
	}},
	{"wiping leaves settings and events only", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		tx(t, s, func(tx pin.Tx) error {
			return errors.Join(tx.ReplacePIN("card", 0, newPIN()), tx.InsertClient(newClient("program", "client")),
				tx.InsertZoneKey(pin.ZoneKey{ID: "key", Wrapped: []byte("key"), CreatedAt: at}), tx.InsertReplay(newReplay("client", "key")),
				tx.InsertServiceRequest(pin.ServiceRequest{Number: "SR0000000001", CardID: "card", LoggedAt: at}),
				tx.InsertSession(newSession("card", "session")),
				tx.InsertAudit(newEvent("chain", 1, "event")))
		})
		require.NoError(t, s.PutSetting(context.Background(), "sandbox", "yes"))

		require.NoError(t, s.Wipe(context.Background()))
		for name, call := range calls(context.Background(), s) {
			switch name {
			case "Program", "Client", "ZoneKey", "Replay", "ServiceRequest", "Session":
				requireCode(t, call(), pin.NotFound)
			}
		}
		require.Empty(t, find(t, s, pin.Search{Limit: 9}))
		require.Equal(t, []string{"event"}, audit(t, s, pin.AuditQuery{}))
		value, err := s.Setting(context.Background(), "sandbox")
		require.NoError(t, err)
		require.Equal(t, "yes", value)

		withCards(t, s, "card")
		require.Empty(t, history(t, s, "card", 9))
	}},
	{"expired replays are purged, in as many batches as it takes", func(t *testing.T, s Store) {
		const expired = 2500
		tx(t, s, func(tx pin.Tx) error {
			for i := range expired {
				if err := tx.InsertReplay(newReplay("client", fmt.Sprint(i))); err != nil {
					return err
				}
			}
			fresh := newReplay("client", "fresh")
			fresh.ExpiresAt = at.Add(2 * time.Hour)
			return tx.InsertReplay(fresh)
		})
		for _, step := range []struct {
			before time.Time
			purged int64
		}{{at.Add(time.Hour), 0}, {at.Add(time.Hour + time.Microsecond), expired}, {at.Add(2 * time.Hour), 0}} {
			n, err := s.PurgeReplays(context.Background(), step.before)
			require.NoError(t, err)
			require.Equal(t, step.purged, n)
		}
		_, err := s.Replay(context.Background(), "client", "fresh")
		require.NoError(t, err)
	}},
	{"a database that is there answers", func(t *testing.T, s Store) { require.NoError(t, s.Ping(context.Background())) }},
}
