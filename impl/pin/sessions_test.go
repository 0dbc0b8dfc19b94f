package pin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Which card may have which page, by its status, its PIN and its tries.
func TestASessionIsMadeForACardThatTakesIt(t *testing.T) {
	t.Parallel()
	const set, reset, change = ActionSet, ActionReset, ActionChange
	for name, c := range map[string]struct {
		status Status
		state  PINState
		tries  int
		want   map[Action]Code
	}{
		"a random PIN":              {StatusNormal, PINAssigned, 3, map[Action]Code{set: "", reset: "", change: ""}},
		"a chosen PIN":              {StatusNormal, PINChosen, 3, map[Action]Code{set: Conflict, reset: "", change: ""}},
		"no PIN at all":             {StatusNormal, PINNone, 3, map[Action]Code{set: "", reset: NoPIN, change: NoPIN}},
		"a chosen PIN, blocked":     {StatusNormal, PINChosen, 0, map[Action]Code{set: Conflict, reset: "", change: Blocked}},
		"a random PIN, blocked":     {StatusNormal, PINAssigned, 0, map[Action]Code{set: Blocked, reset: "", change: Blocked}},
		"an upgrade under way":      {StatusUpgrade, PINChosen, 1, map[Action]Code{set: Conflict, reset: "", change: ""}},
		"a card that was lost":      {StatusLost, PINAssigned, 3, map[Action]Code{set: CardStatus, reset: CardStatus, change: CardStatus}},
		"a card that is closed":     {StatusClosed, PINChosen, 0, map[Action]Code{set: CardStatus, reset: CardStatus, change: CardStatus}},
		"a card that is restricted": {StatusRestricted, PINNone, 3, map[Action]Code{set: CardStatus, reset: CardStatus, change: CardStatus}},
	} {
		rec := Record{Card: Card{Status: c.status}, Program: NewProgram("Program"), PIN: Value{State: c.state, TriesLeft: c.tries}}
		for action, want := range c.want {
			require.Equal(t, want, CodeOf(rec.allows(action)), "%s: %s", name, action)
			rec.PIN.Version = 4
			require.Equal(t, want, CodeOf(rec.Serves(Session{Action: action, PINVersion: 4})), "%s: %s", name, action)
			err := rec.Serves(Session{Action: action, PINVersion: 3})
			require.Equal(t, Conflict, CodeOf(err), "another PIN")
			require.Equal(t, "pin", FieldOf(err))
		}
	}
}

func TestASessionEndsWithoutWhatOpensIt(t *testing.T) {
	t.Parallel()
	open := Session{ID: "s", State: SessionVerified, Version: 3, SecretDigest: []byte("s"), BrowserDigest: []byte("p"), TokenDigest: []byte("t"), PrivateKey: []byte("k")}
	at := time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
	require.Equal(t, Session{ID: "s", State: SessionUsed, Version: 4, EndedAt: at, SecretDigest: []byte("s")}, open.End(SessionUsed, at))
}

func TestASessionExpiresAtTheMoment(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 9, 30, 0, 0, time.UTC)
	s := Session{ExpiresAt: at}
	require.False(t, s.Expired(at.Add(-time.Microsecond)))
	require.True(t, s.Expired(at))
}
