package pin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func (w *world) open(t *testing.T, id string, a pin.Action) pin.Session {
	t.Helper()
	s, err := w.OpenSession(by(t), w.q, pin.NewSession{ID: id, Action: a, RequestID: "r", SecretDigest: []byte("mac"), Exchanges: 3, Lifetime: time.Minute}, pin.Memo{})
	require.NoError(t, err)
	return s
}

func TestASessionIsOpenedReadAndMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := pin.Caller{ClientID: "partner", ProgramID: w.program.ID}
	ctx := pin.WithCaller(by(t), who)
	s, err := w.OpenSession(ctx, w.q, pin.NewSession{ID: "s", Action: pin.ActionReset, RequestID: "r", SecretDigest: []byte("mac"), Exchanges: 3, Lifetime: time.Minute}, pin.Memo{})
	require.NoError(t, err)
	want := pin.Session{ID: "s", ProgramID: w.program.ID, CardID: w.card.ID, ClientID: "partner", Action: pin.ActionReset, RequestID: "r", State: pin.SessionOpen,
		ExchangesLeft: 3, PINVersion: 1, Version: 1, CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Minute), SecretDigest: []byte("mac")}
	require.Equal(t, want, s)
	read, err := w.Session(by(t), "s")
	require.NoError(t, err)
	require.Equal(t, s, read)
	last := w.events(t, w.card.ID)[1]
	require.Equal(t, pin.EventSessionOpened, last.Type)
	require.Equal(t, "s", last.Subject)

	moved := s
	moved.Version, moved.State, moved.TokenDigest, moved.PrivateKey = 2, pin.SessionExchanged, []byte("token"), []byte("key")
	require.NoError(t, w.MoveSession(ctx, moved))
	read, err = w.Session(by(t), "s")
	require.NoError(t, err)
	require.Equal(t, moved, read)
	for _, version := range []int64{1, 2, 4} {
		again := moved
		again.Version = version
		err := w.MoveSession(ctx, again)
		require.Equal(t, pin.Conflict, pin.CodeOf(err))
		require.Equal(t, "pin_sessions", pin.FieldOf(err))
	}
	_, err = w.Session(by(t), "nobody's")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	_, err = w.OpenSession(ctx, w.q, pin.NewSession{ID: "s", Action: pin.ActionReset}, pin.Memo{})
	require.Equal(t, pin.Conflict, pin.CodeOf(err), "an id that is taken")
	_, err = w.OpenSession(ctx, w.q, pin.NewSession{ID: "t", Action: pin.ActionSet}, pin.Memo{})
	require.NoError(t, err, "the first PIN was a random one")
	require.NoError(t, w.SetPIN(ctx, w.q, plain(t, another), pin.Memo{}))
	_, err = w.OpenSession(ctx, w.q, pin.NewSession{ID: "u", Action: pin.ActionSet}, pin.Memo{})
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "pin", pin.FieldOf(err))
	id, err := w.SessionID()
	require.NoError(t, err)
	require.Len(t, id, 36)
}

func TestAChosenPINEndsItsSession(t *testing.T) {
	t.Parallel()
	for action, want := range map[pin.Action][]string{
		pin.ActionSet: {"pin.set", "pin.session_completed"}, pin.ActionChange: {"pin.changed", "pin.session_completed"}, pin.ActionReset: {"pin.reset", "pin.unblocked", "pin.session_completed"},
	} {
		t.Run(string(action), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(p *pin.Program) { p.Policy = pin.PolicyHistory })
			s := w.open(t, "s", action)
			moved := s
			moved.Version, moved.State, moved.BrowserDigest, moved.TokenDigest, moved.PrivateKey = 2, pin.SessionExchanged, []byte("page"), []byte("token"), []byte("key")
			require.NoError(t, w.MoveSession(by(t), moved))
			w.block(t)
			refused := func(digits string, code pin.Code) {
				require.Equal(t, code, pin.CodeOf(w.ChoosePIN(by(t), pin.Entry{Session: moved}, of(t, digits), pin.Memo{})))
				read, err := w.Session(by(t), "s")
				require.NoError(t, err)
				require.Equal(t, moved, read, "its holder may choose another one")
			}
			if action != pin.ActionReset {
				refused(another, pin.Blocked)
				require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{}))
			}
			seen := len(w.events(t, w.card.ID))
			refused("1234", pin.WeakPIN)
			refused("48273915", pin.PINLength)
			refused(right, pin.RecentPIN)
			require.NoError(t, w.ChoosePIN(by(t), pin.Entry{Session: moved}, of(t, another), pin.Memo{}))
			require.Equal(t, append([]string{"pin.refused recent_pin"}, want...), w.told(t, w.card.ID)[seen:])
			read, err := w.Session(by(t), "s")
			require.NoError(t, err)
			used := moved
			used.Version, used.State, used.BrowserDigest, used.TokenDigest, used.PrivateKey = 3, pin.SessionUsed, nil, nil, nil
			used.EndedAt = w.clock()
			require.Equal(t, used, read)
			require.Equal(t, 3, w.remaining(t))
			require.Equal(t, pin.Conflict, pin.CodeOf(w.ChoosePIN(by(t), pin.Entry{Session: moved}, of(t, "5081"), pin.Memo{})), "once only")
			require.Equal(t, pin.Match, w.try(t, another).Result)
		})
	}
}

func TestASessionServesThePINThatItWasMadeFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.open(t, "s", pin.ActionReset)
	require.NoError(t, w.SetPIN(by(t), w.q, plain(t, another), pin.Memo{}))
	err := w.ChoosePIN(by(t), pin.Entry{Session: s}, of(t, "5081"), pin.Memo{})
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Empty(t, pin.FieldOf(err))

	s = w.open(t, "t", pin.ActionReset)
	moved := s
	moved.Version = 2
	require.NoError(t, w.MoveSession(by(t), moved))
	err = w.ChoosePIN(by(t), pin.Entry{Session: s}, of(t, "5081"), pin.Memo{})
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "pin_sessions", pin.FieldOf(err), "the session has moved since")
	require.Equal(t, pin.Match, w.try(t, another).Result)

	_, err = w.UpdateCard(by(t), w.q, func(c *pin.Card) error { c.Status = pin.StatusLost; return nil }, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.CardStatus, pin.CodeOf(w.ChoosePIN(by(t), pin.Entry{Session: moved}, of(t, "5081"), pin.Memo{})))
	_, err = w.OpenSession(by(t), w.q, pin.NewSession{ID: "u", Action: pin.ActionReset}, pin.Memo{})
	require.Equal(t, pin.CardStatus, pin.CodeOf(err))
	moved.CardID = "nobody"
	require.Equal(t, pin.NotFound, pin.CodeOf(w.ChoosePIN(by(t), pin.Entry{Session: moved}, of(t, "5081"), pin.Memo{})))
}

// What has become of the card since it was read with the session counts, as if it had been read when the PIN was chosen.
func TestASessionIsReadWithItsCard(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, w *world)
		calls     []string
		code      pin.Code
		stands    string
	}{
		"and nobody comes between":     {func(*testing.T, *world) {}, []string{"Find", "Swap"}, "", another},
		"and somebody guesses":         {func(t *testing.T, w *world) { w.try(t, wrong) }, []string{"Find", "Swap", "Locked"}, "", another},
		"and the PIN is another since": {func(t *testing.T, w *world) { require.NoError(t, w.SetPIN(by(t), w.q, plain(t, "5081"), pin.Memo{})) }, []string{"Find", "Swap", "Locked"}, pin.Conflict, "5081"},
		"and the session has moved on": {func(t *testing.T, w *world) { w.moves(t) }, []string{"Find", "Swap"}, pin.Conflict, right},
		"and the card was lost since":  {func(t *testing.T, w *world) { w.loses(t) }, []string{"Find", "Swap", "Locked"}, pin.CardStatus, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newMemoryWorld(t)
			s := w.open(t, "s", pin.ActionReset)
			w.tap.count, w.tap.calls = true, nil
			e, err := w.Entry(by(t), "s")
			require.NoError(t, err)
			require.Equal(t, s, e.Session)
			w.tap.count = false
			c.meanwhile(t, w)
			w.tap.count = true
			require.Equal(t, c.code, pin.CodeOf(w.ChoosePIN(by(t), e, of(t, another), pin.Memo{})))
			require.Equal(t, c.calls, w.tap.calls)
			w.tap.count = false
			if c.stands != "" {
				require.Equal(t, pin.Match, w.try(t, c.stands).Result)
			}
		})
	}
}

// moves has somebody else move the session "s".
func (w *world) moves(t *testing.T) {
	t.Helper()
	s, err := w.Session(by(t), "s")
	require.NoError(t, err)
	s.Version++
	require.NoError(t, w.MoveSession(by(t), s))
}

func (w *world) loses(t *testing.T) {
	t.Helper()
	_, err := w.UpdateCard(by(t), w.q, func(c *pin.Card) error { c.Status = pin.StatusLost; return nil }, pin.Memo{})
	require.NoError(t, err)
}

func TestASessionIsNotReadWithoutItsCard(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.open(t, "s", pin.ActionReset)
	_, err := w.Entry(by(t), "nobody's")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	db := w.store.(*memory)
	twin := db.rows[[3]string{string(pin.TableSessions), w.card.ID, "s"}]
	twin.CardID = "twin"
	db.cards["twin"], db.rows[[3]string{string(pin.TableSessions), "twin", "s"}] = pin.CardRow{ID: "twin"}, twin
	_, err = w.Entry(by(t), "s")
	require.Equal(t, pin.Ambiguous, pin.CodeOf(err))
	delete(db.cards, w.card.ID)
	_, err = w.Entry(by(t), "s")
	require.True(t, pin.Tampered(err), "another card's session")
	delete(db.cards, "twin")
	_, err = w.Entry(by(t), "s")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
}
