package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// newSession is an open session of a card with every field set, from at, for five minutes.
func newSession(cardID, id string) pin.Session {
	return pin.Session{ID: id, ProgramID: "program", CardID: cardID, ClientID: "client", Action: pin.ActionChange, RequestID: "request",
		State: pin.SessionOpen, SecretHash: []byte("secret"), ExchangesLeft: 3, PINVersion: 7, CreatedAt: at, ExpiresAt: at.Add(5 * time.Minute)}
}

// withSession stores a session of a card of its own.
func withSession(t require.TestingT, s Store, id string) pin.Session {
	withCards(t, s, "card")
	session := newSession("card", id)
	tx(t, s, func(tx pin.Tx) error { return tx.InsertSession(session) })
	return session
}

func storedSession(t require.TestingT, s Store, id string) pin.Session {
	session, err := s.Session(context.Background(), id)
	require.NoError(t, err)
	return session
}

var sessionTests = []test{
	{"a session comes back as it was written, and again when it is moved", func(t *testing.T, s Store) {
		want := withSession(t, s, "session")
		require.Equal(t, want, storedSession(t, s, "session"))

		moved := pin.Session{ID: "session", State: pin.SessionExchanged, TokenHash: []byte("token"), PrivateKey: []byte{0, 255}}
		tx(t, s, func(tx pin.Tx) error { return tx.MoveSession(moved, pin.SessionOpen) })
		want.State, want.TokenHash, want.PrivateKey = moved.State, moved.TokenHash, moved.PrivateKey
		require.Equal(t, want, storedSession(t, s, "session"))
	}},
	{"a session that is not there is not found, admits nobody and cannot be moved", func(t *testing.T, s Store) {
		withSession(t, s, "session")
		_, err := s.Session(context.Background(), "other")
		requireCode(t, err, pin.NotFound)
		tx(t, s, func(tx pin.Tx) error {
			admitted, err := tx.TakeExchange("other")
			require.False(t, admitted)
			return err
		})
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.MoveSession(newSession("card", "other"), pin.SessionOpen) }), pin.Conflict, "session")
	}},
	{"an id is given once, to a card that exists", func(t *testing.T, s Store) {
		session := withSession(t, s, "session")
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertSession(session) }), pin.Duplicate, "session")
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.InsertSession(newSession("no card", "new")) }), pin.NotFound)
	}},
	{"a session moves from the state named only, and undone moves leave no trace", func(t *testing.T, s Store) {
		session := withSession(t, s, "session")
		for _, from := range []pin.SessionState{pin.SessionExchanged, pin.SessionVerified, pin.SessionUsed, pin.SessionFailed} {
			requireCode(t, in(s, func(tx pin.Tx) error { return tx.MoveSession(session, from) }), pin.Conflict, "session")
		}
		moved := session
		moved.State = pin.SessionUsed
		require.Same(t, errDomain, in(s, func(tx pin.Tx) error {
			require.NoError(t, tx.MoveSession(moved, pin.SessionOpen))
			return errDomain
		}))
		require.Equal(t, session, storedSession(t, s, "session"))
	}},
	{"a transaction may go on when a session has moved already", func(t *testing.T, s Store) {
		session := withSession(t, s, "session")
		tx(t, s, func(tx pin.Tx) error {
			requireCode(t, tx.MoveSession(session, pin.SessionUsed), pin.Conflict)
			return tx.ResetTries("card", 1)
		})
		require.Equal(t, 1, record(t, s, "card").PIN.TriesLeft)
	}},
	{"of many who try a secret at once no more are admitted than there are tries", func(t *testing.T, s Store) {
		withSession(t, s, "session")
		var admitted atomic.Int64
		together(t, 20, func(int) error {
			return in(s, func(tx pin.Tx) error {
				ok, err := tx.TakeExchange("session")
				if ok && err == nil {
					admitted.Add(1)
				}
				return err
			})
		})
		require.EqualValues(t, 3, admitted.Load())
		require.Zero(t, storedSession(t, s, "session").ExchangesLeft)
	}},
	{"a session that was exchanged admits nobody", func(t *testing.T, s Store) {
		session := withSession(t, s, "session")
		session.State = pin.SessionExchanged
		tx(t, s, func(tx pin.Tx) error { return tx.MoveSession(session, pin.SessionOpen) })
		tx(t, s, func(tx pin.Tx) error {
			admitted, err := tx.TakeExchange("session")
			require.False(t, admitted)
			return err
		})
		require.Equal(t, 3, storedSession(t, s, "session").ExchangesLeft)
	}},
	{"of many who move a session at once one does", func(t *testing.T, s Store) {
		session := withSession(t, s, "session")
		session.State = pin.SessionUsed
		var moved atomic.Int64
		together(t, 20, func(int) error {
			err := in(s, func(tx pin.Tx) error { return tx.MoveSession(session, pin.SessionOpen) })
			switch pin.CodeOf(err) {
			case "":
				moved.Add(1)
			case pin.Conflict:
				return nil
			}
			return err
		})
		require.EqualValues(t, 1, moved.Load())
	}},
	{"expired sessions are purged, in as many batches as it takes", func(t *testing.T, s Store) {
		const expired = 1200
		withCards(t, s, "card")
		tx(t, s, func(tx pin.Tx) error {
			for i := range expired {
				if err := tx.InsertSession(newSession("card", fmt.Sprint(i))); err != nil {
					return err
				}
			}
			fresh := newSession("card", "fresh")
			fresh.ExpiresAt = at.Add(time.Hour)
			return tx.InsertSession(fresh)
		})
		for _, step := range []struct {
			before time.Time
			purged int64
		}{{at.Add(5 * time.Minute), 0}, {at.Add(5*time.Minute + time.Microsecond), expired}, {at.Add(time.Hour), 0}} {
			n, err := s.PurgeSessions(context.Background(), step.before)
			require.NoError(t, err)
			require.Equal(t, step.purged, n)
		}
		storedSession(t, s, "fresh")
	}},
}
